"""Temporary folders: a copy knows the folder and does not delete it.

Notes
-----
- Travels: its name. Neither the end of the copy, nor of a ``with`` block, nor its ``cleanup()``
  deletes the folder, which is the original's.
- Lost: the files in it, where the folder is not shared.
- Files: `tempfile.SpooledTemporaryFile` travels without a reducer; see the room ``files`` for what
  is in it, and for the others.
"""

from __future__ import annotations

import tempfile
import weakref
from typing import Any

from daskpickle import register
from daskpickle.handles import add_state

HINT = "Make a folder inside the task."


@register(
    tempfile.TemporaryDirectory, travels="its name", lost="that it deletes its folder",
    refused="nothing", hint=HINT, subclasses=True,
)  # fmt: skip
def reduce_folder(folder: Any) -> Any:
    """Say what it is called; whoever made it deletes it."""
    own = ("_finalizer", "_rmtree")
    state = {name: value for name, value in vars(folder).items() if name not in own}
    return rebuild_folder, (type(folder), state)


def rebuild_folder(cls: Any, state: dict[str, Any]) -> Any:
    """Make one whose finalizer is dead, and that does not know how to delete."""
    folder: Any = cls.__new__(cls)
    finalizer = weakref.finalize(folder, leave)
    finalizer.detach()
    add_state(folder, {**state, "_finalizer": finalizer, "_rmtree": leave})
    return folder


def leave(name: str = "", *args: Any, **kwargs: Any) -> None:
    """Do what `tempfile.TemporaryDirectory` does to its folder at its end: here, nothing."""
