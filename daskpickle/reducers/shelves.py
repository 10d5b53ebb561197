"""Databases of `dbm` and shelves: they travel as the same files.

Notes
-----
- Travels: a `dbm.dumb` database with its index, and where its files are, as an absolute path; a
  shelf with its database. One of `dbm.sqlite3` travels as its connection does.
- Lost: that the index is to be written: who made it writes it.
- Refused: a shelf that holds entries that are not written back, because its copy would write them;
  databases of `dbm.gnu` and `dbm.ndbm`, which do not say where their files are.
"""

from __future__ import annotations

import dbm.dumb
import os
import shelve
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state

HINT = "Open it inside the task."
Database: Any = dbm.dumb._Database


@register(
    Database, travels="its index and the paths of its files", subclasses=True,
    lost="that its index is to be written", refused="nothing", hint=HINT,
)  # fmt: skip
def reduce_database(database: Any) -> Any:
    """Say where its files are; all but the index is in them."""
    state = {**vars(database), "_modified": False}
    for name in ("_dirfile", "_datfile", "_bakfile"):
        if state[name] is not None:  # as they are once it is closed
            state[name] = os.path.abspath(state[name])  # noqa: PTH100 - bytes, perhaps
    return rebuild, (type(database),), state, None, None, add_state


@register(
    shelve.Shelf, travels="its database, by the rules for that", subclasses=True, lost="nothing",
    refused="entries that are not written back", hint=HINT,
)  # fmt: skip
def reduce_shelf(shelf: Any) -> Any:
    """Say which database it keeps its entries in."""
    if shelf.writeback and shelf.cache and not isinstance(shelf.dict, dict):
        why = "It holds entries that are not written back."
        raise RefusedError(shelf, why, "Call sync() on it first.")
    return rebuild, (type(shelf),), vars(shelf).copy(), None, None, add_state


def rebuild(cls: Any) -> Any:
    """Make one that opens nothing; its state comes next."""
    return cls.__new__(cls)
