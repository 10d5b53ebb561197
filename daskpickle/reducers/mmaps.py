"""Memory maps: of a file that is read, the same file; private memory, its bytes.

Notes
-----
- Travels: a map for reading travels as its bytes, if they are at most ``files.contents-limit``, or
  as the file, the part and the position, if the file is there and unchanged. Memory without a file,
  and a private copy of a file (``ACCESS_COPY``), are values: their bytes travel, however many.
- Lost: that memory is shared with processes that were forked; which file a private copy was of.
- Refused: a map that writes to its file, because its copy would not; closed; where there is no
  ``/proc`` to tell, all that can be written.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import tempfile
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import (
    MORE,
    Contents,
    IdentityMap,
    Stamp,
    describe_bytes,
    open_same,
    settings,
)  # fmt: skip

_arrived = IdentityMap()  # memory that has no file, as we made it
MAPS = "/proc/self/maps"
LINE = re.compile(r"(\w+)-(\w+) (\S{4}) (\w+) \S+ (\d+) *(.*)")


@register(
    mmap.mmap, scope="fresh", travels="what is read of a file, as the file; memory, as its bytes",
    lost="sharing with forked processes", refused="writes to its file, closed",
    hint="Map the file inside the task.",
)  # fmt: skip
def reduce_map(memory: mmap.mmap) -> Any:
    """Say what it maps."""
    if memory.closed:
        raise RefusedError(memory, "It is closed.")
    with memoryview(memory) as view:
        readonly, size = view.readonly, len(view)
    known = _arrived.get(memory)
    flags, offset, inode, path = ("rw-p", 0, 0, "") if known else _mapping(memory)
    if not readonly:
        if flags[3:] == "s" and path != "/dev/zero (deleted)":
            raise RefusedError(memory, "It writes to its file, and its copy would not.")
        return rebuild_memory, (Contents(memory[:]), memory.tell())
    if size <= settings.contents_limit:
        return Recipe(open_bytes, Contents(memory[:]), memory.tell())
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            same = os.fstat(file.fileno()).st_ino == inode
            stamp, _ = describe_bytes(file.fileno(), 0)
    except OSError:
        same, stamp = False, None
    if not same:
        raise RefusedError(
            memory, "Its file has no name any more, and more bytes than travel.", MORE
        )
    return Recipe(open_map, path, stamp, size, offset, memory.tell())


def rebuild_memory(contents: Contents, position: int) -> mmap.mmap:
    """Make memory with the same bytes."""
    memory = mmap.mmap(-1, len(contents.data))
    memory[:] = bytes(contents.data)
    memory.seek(position)
    _arrived.set(memory, True)
    return memory


def open_bytes(contents: Contents, position: int) -> mmap.mmap:
    """Map the same bytes, for reading; the file that they lie in has no name."""
    with tempfile.TemporaryFile() as file:
        file.write(contents.data)
        file.flush()
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    memory.seek(position)
    return memory


def open_map(path: str, stamp: Stamp, size: int, offset: int, position: int) -> mmap.mmap:
    """Map the same part of the same file."""
    fd = open_same(path, stamp, None)
    try:
        memory = mmap.mmap(fd, size, access=mmap.ACCESS_READ, offset=offset)
    finally:
        os.close(fd)
    memory.seek(position)
    return memory


def _mapping(memory: mmap.mmap) -> tuple[str, int, int, str]:
    """Return what the system says of a map: flags, offset in the file, inode, and path.

    Where there is no /proc: as of one that is shared.
    """
    buffer = (ctypes.c_void_p * 16)()  # a Py_buffer: its first item is the address
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(memory), buffer, 0)
    address = buffer[0] or 0
    ctypes.pythonapi.PyBuffer_Release(buffer)
    try:
        with open(MAPS) as lines:  # noqa: PTH123
            for line in lines:
                found = LINE.match(line)
                if found and int(found[1], 16) <= address < int(found[2], 16):
                    offset = int(found[4], 16) + address - int(found[1], 16)
                    return found[3], offset, int(found[5]), found[6]
    except OSError:
        pass
    return "---s", 0, 0, ""
