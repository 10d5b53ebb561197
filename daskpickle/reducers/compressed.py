"""Compressed files: what is open for reading is opened again, and read on where it was.

Notes
-----
- Travels: the file that is read, by the rules for files; the position in what comes out of it;
  the format and filters of `lzma`; attributes of your subclasses.
- What was not read yet begins where the file beneath stands. What was begins at its start, as
  `seek` in these classes takes it to; there the task reads up to the position again.
- Lost: nothing.
- Refused: open for writing, because nobody can read the state of a compressor; a closed
  `gzip.GzipFile`. The others arrive closed.
"""

from __future__ import annotations

import gzip
import io
import os
from contextlib import suppress
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, early_state, real

#: The base of `gzip.GzipFile`, `bz2.BZ2File`, `lzma.LZMAFile`, and what is new in Python 3.14.
BaseStream: Any = gzip.GzipFile.__mro__[1]
MAGIC = {"GzipFile": b"\x1f\x8b", "BZ2File": b"BZh", "LZMAFile": (b"\xfd7zXZ", b"\x5d\x00")}
RAW = 3  # `lzma.FORMAT_RAW`, which begins with anything
OWN = {"fileobj", "myfileobj", "_fp", "_closefp", "_buffer", "mode", "_mode", "_pos", "name"}


@register(
    BaseStream, scope="fresh", subclasses=True, hint="Open the file inside the task.",
    travels="the file it reads, by the rules for files; position, format, filters",
    lost="nothing", refused="open for writing; gzip: closed",
)  # fmt: skip
def reduce_compressed(file: Any) -> Any:
    """Say what it reads, and how far it is in what comes out."""
    if file.closed:
        if isinstance(file, gzip.GzipFile):
            raise RefusedError(file, "It is closed.")
        return file.__reduce_ex__(4)  # of the others nothing is left that cannot travel
    if not file.readable():
        raise RefusedError(
            file, "It is open for writing, and the state of its compressor is hidden."
        )
    cls = type(file)
    base = cls.__mro__[cls.__mro__.index(BaseStream) - 1]
    source = file.fileobj if base is gzip.GzipFile else file._fp
    reader = file._buffer.raw
    options = {"filename": file.name} if base is gzip.GzipFile else dict(reader._decomp_args)
    begun = reader.tell() > 0
    magic: Any = MAGIC.get(base.__name__, b"") if options.get("format") != RAW else b""
    if begun and not _start(source, magic).startswith(magic):
        why = "It did not begin at the start of its file, where it would be read again."
        raise RefusedError(file, why)
    state = {n: value for n, value in early_state(file).items() if n not in OWN}
    owner = bool(getattr(file, "myfileobj", None) or getattr(file, "_closefp", False))
    args = cls, base, source, options, file.tell() if begun else None, state, owner
    in_memory = isinstance(source, io.BytesIO)
    return (rebuild_compressed, args) if in_memory else Recipe(rebuild_compressed, *args)


def rebuild_compressed(
    cls: Any, base: Any, source: Any, options: dict[str, Any], position: int | None,
    state: dict[str, Any], owner: bool,
) -> Any:  # fmt: skip
    """Read what arrived, up to the position; it may be a handle."""
    file, source = cls.__new__(cls), real(source)
    if position is not None:
        source.seek(0)
    if base is gzip.GzipFile:
        base.__init__(file, mode="rb", fileobj=source, **options)
        if owner:
            file.myfileobj = source
    else:
        base.__init__(file, source, "rb", **options)
        file._closefp = owner
    if position is not None:
        file.seek(position)
    add_state(file, state)
    return file


def _start(source: Any, unknown: Any) -> bytes:
    """Return the first bytes of a file, whose position stays; ``unknown`` of anything else."""
    if isinstance(source, io.BytesIO):
        return bytes(source.getbuffer()[:8])
    if isinstance(source, (io.BufferedReader, io.FileIO)):
        with suppress(OSError):
            return os.pread(source.fileno(), 8, 0)
    return unknown if isinstance(unknown, bytes) else bytes(unknown[0])
