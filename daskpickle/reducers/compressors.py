"""Compressors and decompressors: refused, as their state can be copied within a process only.

Notes
-----
- Refused: those of zlib, bz2 and lzma, whether they were fed or not: it cannot be told.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError

KINDS: tuple[Any, ...] = (
    bz2.BZ2Compressor,
    bz2.BZ2Decompressor,
    lzma.LZMACompressor,
    lzma.LZMADecompressor,
    type(zlib.compressobj()),
    type(zlib.decompressobj()),
    *filter(None, [getattr(zlib, "_ZlibDecompressor", None)]),  # since Python 3.12
)
HINT = "Make it inside the task, and pass the bytes: those that it has not been fed, or all."


def reduce_compressor(obj: Any) -> Any:
    """Refuse."""
    raise RefusedError(obj, "Its state cannot leave the process.")


for cls in KINDS:
    register(cls, reduce_compressor, action="refuse", refused="always", hint=HINT)
