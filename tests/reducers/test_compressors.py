"""Compressors and decompressors are refused."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any

from daskpickle.testing import ReducerContract

KINDS: list[Any] = [
    zlib.compressobj,
    zlib.decompressobj,
    bz2.BZ2Compressor,
    bz2.BZ2Decompressor,
    lzma.LZMACompressor,
    lzma.LZMADecompressor,
]


class TestCompressors(ReducerContract):
    def refused(self) -> list[Any]:
        return [(make, "state cannot leave") for make in KINDS]
