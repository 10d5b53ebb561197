"""Preludes: names of functions and classes that a pickle is known to need, written before it.

For each function or class, ``save_global`` in CPython's ``_pickle.c`` imports its module, asks that
for the name, and writes two strings: of what a small task costs, it is more than half. A prelude is
kept as bytes, which put the functions and classes into the memo of whoever loads them, and off the
stack again. The pickler is given a memo that says so, and only refers to them.

Any unpickler loads it: these are opcodes of protocol 4 (PEP 3154). Who uses a prelude looks each
time whether a module still has what it is asked for, as ``save_global`` does; not so for what is
Dask's, cloudpickle's or `marshal`'s own.
"""

from __future__ import annotations

import functools
import pickle
from typing import Any

__all__ = ["Prelude", "named", "names"]

#: The bytes, and the memo that belongs to them.
Prelude = tuple[bytes, dict[int, tuple[int, Any]]]


@functools.lru_cache(1024)
def names(*paths: tuple[str, str]) -> bytes:
    """Return what puts functions and classes into the memo, each given by its module and name."""
    return (
        pickle.PROTO
        + b"\x05"
        + b"".join(named(*path) + pickle.MEMOIZE + pickle.POP for path in paths)
    )


def named(module: str, name: str) -> bytes:
    """Return the opcodes that push a function or class on the stack."""
    return _text(module) + _text(name) + pickle.STACK_GLOBAL


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    if len(data) < 256:
        return pickle.SHORT_BINUNICODE + bytes([len(data)]) + data
    return pickle.BINUNICODE + len(data).to_bytes(4, "little") + data
