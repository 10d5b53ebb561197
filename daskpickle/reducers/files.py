"""Files: what is open for reading travels as the same file, at the same position.

Notes
-----
- Travels: path, position, mode, encoding, errors, newline, line_buffering, write_through; and the
  bytes, if they are at most ``files.contents-limit``. By the action "contents": the bytes, however
  many, and no path. `sys.stdout` and `sys.stderr` are those of the process where they arrive.
- Where it arrives, each task opens its own. If the path leads to the same bytes, it is that file;
  else it is the bytes that came along, in an unnamed temporary file, which has a descriptor. If
  none came along, size, time of last change, and the bytes at the start, in the middle and at the
  end must be what they were: a file that is missing or was changed is an error.
- Lost: the size of the buffer, locks on the file, ``closefd``, attributes that were set on it.
- Refused: open for writing; closed; a pipe, socket, device, or standard input; what is no file of
  the system; text that is being iterated over, because Python hides its position meanwhile.
- The action "append" is for mode "a", once all is flushed. The file is never created.
- What `tempfile.NamedTemporaryFile` returns travels as the file in it; the copy deletes nothing.
"""

from __future__ import annotations

import gc
import hashlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError, describe_type
from daskpickle.handles import Contents, remember, settings

Reduce = TypeVar("Reduce", bound=Callable[[Any], Any])
Text = tuple[Any, ...] | None  # encoding, errors, newline, line_buffering, write_through, mode

READERS = (io.TextIOWrapper, io.BufferedReader, io.FileIO)
WRITERS = (io.BufferedWriter, io.BufferedRandom)
SPECIAL = {
    stat.S_IFIFO: "It is an end of a pipe, which no other process has.",
    stat.S_IFSOCK: "It is a socket, opened as a file.",
    stat.S_IFCHR: "It is a terminal or another device of this host.",
}
MORE = "The action 'contents', or a higher files.contents-limit, lets all its bytes travel."


def register_files(*classes: type, **facts: str) -> Callable[[Reduce], Reduce]:
    """Register one reducer for several classes of files."""

    def add(reduce: Reduce) -> Reduce:
        for cls in classes:
            hint = "Open the file inside the task."
            register(
                cls, reduce, scope="fresh", hint=hint, lost="size of the buffer, file locks",
                action=facts["action"], travels=facts["travels"], refused=facts["refused"],
            )  # fmt: skip
        return reduce

    return add


@register_files(
    *READERS, action="reopen", travels="path, position, mode; the bytes if they are few",
    refused="open for writing, closed, pipes, devices",
)  # fmt: skip
@register_files(*WRITERS, action="reopen", travels="os.devnull", refused="all others")
def reduce_file(file: Any) -> Any:
    """Say which file it is and where in it; with its bytes, if they are few."""
    return _reduce(file, settings.contents_limit)


@register_files(
    *READERS, action="contents", travels="bytes, position, mode",
    refused="open for writing, closed, pipes, devices",
)  # fmt: skip
def reduce_contents(file: Any) -> Any:
    """Say what is in the file, however much it is, and where in it; not where the file lies."""
    return _reduce(file, sys.maxsize)


def open_file(
    path: str | None,
    name: str,
    position: int,
    stamp: tuple[int, int, str],
    contents: Contents | None,
    buffered: bool,
    text: Text,
) -> Any:
    """Open the same file, or the bytes that came along, at the position it was submitted at."""
    try:
        fd = _open_same(path, stamp, contents)
    except OSError:
        if contents is None:
            raise
        with tempfile.TemporaryFile() as copy:
            copy.write(contents.data)
            copy.seek(0)
            fd = os.dup(copy.fileno())
    return _wrap(fd, path or name, "rb", buffered, text, position)


def _open_same(path: str | None, stamp: tuple[int, int, str], contents: Contents | None) -> int:
    """Return a descriptor of the very file; raise if it is missing, or not as it was."""
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


@register_files(
    io.TextIOWrapper, io.BufferedWriter, io.FileIO, action="append", travels="path, mode 'a'",
    refused="unflushed, other modes of writing",
)  # fmt: skip
def reduce_append(file: Any) -> Any:
    """Say which file to append to; one that is open for reading travels as by "reopen"."""
    if _standard_name(file):
        return reduce_file(file)
    raw, status = _beneath(file)
    if raw.mode != "ab" or status is None:
        return reduce_file(file)
    layers, pending = _layers(file)
    # A buffered writer counts what it holds back (CPython, Modules/_io/bufferedio.c, RAW_OFFSET).
    if pending or getattr(file, "buffer", file).tell() != raw.tell():
        raise RefusedError(file, "It holds data that is not flushed.", "Call flush() on it first.")
    path = _path(raw, status)
    if path is None:
        raise RefusedError(file, "Its file is no longer there under any name.")
    return Recipe(open_append, path, *layers)


def open_append(path: str, buffered: bool, text: Text) -> Any:
    """Open the file, which must be there, so that each write goes to its end."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)  # without O_CREAT, which mode "a" implies
    return _wrap(fd, path, "ab", buffered, text)


def open_devnull(mode: str, buffered: bool, text: Text) -> Any:
    """Open the null device of this host, in a mode of `io.FileIO`."""
    flags = os.O_RDWR if "+" in mode else os.O_RDONLY if mode == "rb" else os.O_WRONLY
    return _wrap(os.open(os.devnull, flags), os.devnull, mode, buffered, text)


def rebuild_standard_stream(name: str) -> Any:
    """Return the standard stream of this process."""
    return getattr(sys, name)


@register(
    tempfile._TemporaryFileWrapper, hint="Open it by its name inside the task.",
    travels="its name, its file by the rules for files", lost="that it deletes its file",
    refused="open for writing, closed",
)  # fmt: skip
def reduce_temporary(file: Any) -> Any:
    """Say which file it is; the one that it was made as deletes it."""
    return rebuild_temporary, (file.file, file.name)


def rebuild_temporary(file: Any, name: str) -> Any:
    """Wrap the file that arrived."""
    wrapper: Any = tempfile._TemporaryFileWrapper(file, name, delete=False)
    return remember(wrapper, (rebuild_temporary, (file, name)))


def _reduce(file: Any, limit: int) -> Any:
    name = _standard_name(file)
    if name:
        return rebuild_standard_stream, (name,)
    raw, status = _beneath(file)
    layers, _ = _layers(file)
    if status is None:
        return Recipe(open_devnull, raw.mode, *layers)
    if file.writable():
        hint = "Open it inside the task. The action 'append' is for mode 'a'."
        raise RefusedError(file, f"It is open for writing, in mode {raw.mode!r}.", hint)
    try:
        position = file.tell()
    except OSError as exc:
        # A loop over text disables `tell` (CPython, Modules/_io/textio.c, textiowrapper_iternext).
        hint = "Read it by readline() instead of a loop, or open it inside the task."
        raise RefusedError(file, f"It does not tell its position: {exc}.", hint) from exc
    try:
        contents = _read(raw.fileno(), limit)
        probe = _probe(raw.fileno(), status.st_size) if contents is None else ""
    except OSError as exc:
        raise RefusedError(file, f"Its bytes cannot be read: {exc}.") from exc
    path = None if limit == sys.maxsize else _path(raw, status)
    if path is None and contents is None:
        why = "Its file has no name any more, and more bytes than files.contents-limit."
        raise RefusedError(file, why, MORE)
    stamp = status.st_size, status.st_mtime_ns, probe
    return Recipe(open_file, path, _names(raw)[0], position, stamp, contents, *layers)


def _standard_name(file: Any) -> str:
    """Return which of the standard streams it is, or the empty string."""
    if file is sys.stdin or file is sys.__stdin__:
        raise RefusedError(file, "It is standard input, which no other process has.")
    names = ("__stdout__", "__stderr__", "stdout", "stderr")
    return next((name.strip("_") for name in names if getattr(sys, name) is file), "")


def _beneath(file: Any) -> tuple[io.FileIO, os.stat_result | None]:
    """Return the raw file and its status, None for the null device; refuse what is no real file."""
    try:
        closed = file.closed
    except ValueError:
        raise RefusedError(file, "It was detached from its file.") from None
    if closed:
        raise RefusedError(file, "It is closed.")
    raw = getattr(file, "buffer", file)
    raw = getattr(raw, "raw", raw)
    if type(raw) is not io.FileIO:
        why = f"It reads or writes a {describe_type(raw)}, which is no file of the system."
        raise RefusedError(file, why)
    try:
        status = os.fstat(raw.fileno())
    except OSError as exc:
        raise RefusedError(file, f"Its descriptor does not answer: {exc}.") from exc
    if stat.S_ISREG(status.st_mode):
        return raw, status
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev:  # noqa: PTH116
        return raw, None
    raise RefusedError(file, SPECIAL.get(stat.S_IFMT(status.st_mode), "It is no regular file."))


def _layers(file: Any) -> tuple[tuple[bool, Text], bool]:
    """Return what lies upon the raw file, and whether text waits to be encoded."""
    if not isinstance(file, io.TextIOWrapper):
        return (not isinstance(file, io.FileIO), None), False
    newline, pending = _newline(file)
    flags = file.line_buffering, file.write_through, getattr(file, "mode", None)
    return (True, (file.encoding, file.errors, newline, *flags)), pending


def _wrap(fd: int, name: str, mode: str, buffered: bool, text: Text, position: int = 0) -> Any:
    """Return the file object that `open` would make of a descriptor, and that will close it."""
    file: Any = io.FileIO(name, mode, opener=lambda name, flags: fd)
    try:
        if buffered:
            writer = io.BufferedRandom if file.readable() else io.BufferedWriter
            file = writer(file) if file.writable() else io.BufferedReader(file)
        if text is not None:
            file = io.TextIOWrapper(file, *text[:5])
            if text[5] is not None:
                file.mode = text[5]
        if position:
            file.seek(position)
    except BaseException:
        file.close()
        raise
    return file


def _newline(file: Any) -> tuple[str | None, bool]:
    """Return the ``newline`` of a text file, and whether text waits to be encoded.

    No public name tells either, and `tell` of a writer would flush it. The garbage collector is
    told of both: in CPython 3.10 to 3.13, textiowrapper_traverse of Modules/_io/textio.c visits
    buffer, encoding, encoder, decoder, newline, decoded text, pending text, snapshot, errors, raw
    file, in this order, those that there are.
    """
    codecs: list[Any] = []
    parts: list[Any] = []
    visited = [part for part in gc.get_referents(file) if type(part) not in (type, dict)]
    for part in visited[2:]:
        (parts if parts or type(part) in (str, bytes, list, tuple) else codecs).append(part)
    del parts[parts.index(file.errors, -2) :]
    texts = [part for part in parts if type(part) is str]
    if not file.readable():
        given = bool(texts) and texts[0] in ("", "\n", "\r", "\r\n")
        return (texts[0] if given else None), len(parts) > given
    if type(codecs[-1]) is not io.IncrementalNewlineDecoder:
        return texts[0], False
    if texts != [""]:
        return ("" if len(texts) == 2 else None), False
    # Either newline="", or None and no text left, which `read(n)` leaves at the end of the file.
    at_end = len(parts) == 2 and file.buffer.tell() >= os.fstat(file.fileno()).st_size
    return (None if at_end else ""), False


def _names(raw: io.FileIO) -> list[str]:
    """Return what the file may be called: the name it was opened by, and what the system says."""
    names = [] if isinstance(raw.name, int) else [os.fsdecode(raw.name)]
    with suppress(OSError):
        names.append(os.readlink(f"/proc/self/fd/{raw.fileno()}"))  # noqa: PTH115
    return [*names, f"descriptor {raw.fileno()}"]


def _path(raw: io.FileIO, status: os.stat_result) -> str | None:
    """Return an absolute path that leads to the open file now, if there is one."""
    for name in _names(raw):
        with suppress(OSError, ValueError):
            path = os.path.abspath(name)  # noqa: PTH100 - symbolic links stay
            if os.path.samestat(os.stat(path), status):  # noqa: PTH116
                return path
    return None


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
