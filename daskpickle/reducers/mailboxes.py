"""Mailboxes: those in one file are opened again at their first use.

Notes
-----
- Travels: the path, where the messages are in the file, attributes of your subclasses. Mailboxes
  in folders (`mailbox.Maildir`, `mailbox.MH`) travel without a reducer.
- Where it arrives, the file must be there, as long as it was: a mailbox that others have written
  to since is an error. It is not created.
- Lost: nothing.
- Refused: changes that are not flushed; a mailbox that is locked, or closed.
"""

from __future__ import annotations

import mailbox
from pathlib import Path
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state

OneFile: Any = mailbox._singlefileMailbox


@register(
    OneFile, scope="fresh", subclasses=True, travels="its path, its list of messages",
    lost="nothing", refused="not flushed, locked, closed", hint="Open it inside the task.",
)  # fmt: skip
def reduce_mailbox(box: Any) -> Any:
    """Say where it is."""
    if box._file.closed:
        raise RefusedError(box, "It is closed.")
    if box._locked:
        raise RefusedError(box, "It is locked.", "Call unlock() on it first.")
    if box._pending or box._pending_sync:
        raise RefusedError(
            box, "It holds changes that are not flushed.", "Call flush() on it first."
        )
    state = {n: value for n, value in extra_state(box, None).items() if n != "_file"}
    return Recipe(open_mailbox, type(box), state, Path(box._path).stat().st_size)


def open_mailbox(cls: Any, state: dict[str, Any], size: int) -> Any:
    """Open the file, which must be there, for writing if that is allowed."""
    box, path = cls.__new__(cls), Path(state["_path"])
    file: Any
    try:
        file = path.open("rb+")
    except FileNotFoundError:
        raise
    except OSError:
        file = path.open("rb")
    if path.stat().st_size != size:
        file.close()
        raise OSError(f"{path} is not as it was submitted: it was written to.")
    add_state(box, {**state, "_file": file})
    return box
