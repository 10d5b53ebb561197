"""The same file in another process: what is sent to know it by, and how it is found and opened."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress

from daskpickle.identity import Contents

__all__ = ["MORE", "Stamp", "describe_bytes", "find_path", "open_same"]

Stamp = tuple[int, int, str]  # size, time of last change, probe of the bytes
MORE = "The action 'contents', or a higher files.contents-limit, lets all its bytes travel."


def find_path(status: os.stat_result, names: Iterable[str]) -> str | None:
    """Return the first of ``names``, as an absolute path, that leads to the open file now."""
    for name in names:
        with suppress(OSError, ValueError):
            path = os.path.abspath(name)  # noqa: PTH100 - symbolic links stay
            if os.path.samestat(os.stat(path), status):  # noqa: PTH116
                return path
    return None


def describe_bytes(fd: int, limit: int) -> tuple[Stamp, Contents | None]:
    """Return what to know the bytes of a file by; and all of them, if they are at most ``limit``.

    The position of the file stays.
    """
    status, contents = os.fstat(fd), _read(fd, limit)
    probe = _probe(fd, status.st_size) if contents is None else ""
    return (status.st_size, status.st_mtime_ns, probe), contents


def open_same(path: str | None, stamp: Stamp, contents: Contents | None) -> int:
    """Return a descriptor of the very file; or of the bytes that came along; or raise.

    What is missing is not created, and what was changed is not taken for what it was.
    """
    try:
        return _open_same(path, stamp, contents)
    except OSError:
        if contents is None:
            raise
        with tempfile.TemporaryFile() as copy:
            copy.write(contents.data)
            copy.seek(0)
            return os.dup(copy.fileno())


def _open_same(path: str | None, stamp: Stamp, contents: Contents | None) -> int:
    size, mtime, probe = stamp
    if path is None or not os.path.exists(path):  # noqa: PTH110
        raise FileNotFoundError(f"{path} is not there, and its {size} bytes did not travel. {MORE}")
    if not os.path.isfile(path):  # noqa: PTH113 - opening a named pipe would wait for its other end
        raise OSError(f"{path} is not a regular file there.")
    fd = os.open(path, os.O_RDONLY)
    try:
        status, why = os.fstat(fd), ""
        if contents is not None:
            why = "" if _read(fd, len(contents.data)) == contents else "its bytes differ"
        elif status.st_size != size:
            why = f"it has {status.st_size} bytes, and had {size}"
        elif status.st_mtime_ns != mtime:
            why = "it was written at another time"
        elif _probe(fd, size) != probe:
            why = "its bytes differ"
        if why:
            raise OSError(f"{path} is not the file that was submitted: {why}. {MORE}")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _read(fd: int, limit: int) -> Contents | None:
    """Return the bytes of a file, or None if they are more than ``limit``; its position stays."""
    parts: list[bytes] = []
    size = 0
    if os.fstat(fd).st_size > limit:
        return None
    # To the end, not to st_size, which is 0 for what the kernel writes into /proc when it is read.
    while size <= limit and (part := os.pread(fd, min(limit + 1 - size, 2**24), size)):
        parts.append(part)
        size += len(part)
    return Contents(b"".join(parts)) if size <= limit else None


def _probe(fd: int, size: int) -> str:
    """Return a digest of the start, the middle and the end of a file."""
    places = 0, size // 2, max(0, size - 4096)
    sample = b"".join(os.pread(fd, 4096, place) for place in places)
    return hashlib.sha256(sample).hexdigest()[:32]
