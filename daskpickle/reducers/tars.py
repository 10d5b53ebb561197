"""Tar archives: they travel with their file; only one that is decompressed as a stream does not.

Notes
-----
- Travels: without a reducer, what a `tarfile.TarFile` has read; its file, and members that are
  open, by the rules for files. So does an archive that is written to memory.
- Refused: modes "r|gz", "w|gz" and their like, where the state of the decompressor is hidden; an
  archive that is written to a file.
"""

from __future__ import annotations

import tarfile
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state


@register(
    tarfile._Stream, travels="its file, by the rules for files", lost="nothing",  # type: ignore[attr-defined]
    refused="compressed, written to a file", hint="Open it as 'r:*' instead of 'r|*'.",
)  # fmt: skip
def reduce_stream(stream: Any) -> Any:
    """Let a stream that is not compressed travel as it is."""
    if stream.comptype != "tar":
        raise RefusedError(stream, f"It is a stream of {stream.comptype} data, half-way through.")
    return rebuild_stream, (type(stream),), vars(stream).copy(), None, None, add_state


def rebuild_stream(cls: Any) -> Any:
    """Make one; its state comes next."""
    return cls.__new__(cls)
