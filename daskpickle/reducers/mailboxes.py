"""Mailboxes: those in one file are opened again at their first use.

Notes
-----
- Travels: the path, where the messages are in the file, attributes of your subclasses. Mailboxes
  in folders (`mailbox.Maildir`, `mailbox.MH`) travel without a reducer.
- Where it arrives, the file must be there, as long as it was: a mailbox that others have written
  to since is an error. It is not created.
- A message that `get_file` gave as a part of such a file travels as its bytes, if they are few.
- Lost: nothing.
- Refused: changes that are not flushed; a mailbox that is locked, or closed.
"""

from __future__ import annotations

import io
import mailbox
import os
from pathlib import Path
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import MORE, add_state, early_state, settings

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
    state = {n: value for n, value in early_state(box).items() if n != "_file"}
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


@register(
    mailbox._PartialFile, travels="the bytes of the message, its position", lost="nothing",
    refused="more bytes than files.contents-limit, closed", hint="Pass the message instead.",
)  # fmt: skip
def reduce_part(part: Any) -> Any:
    """Say what it reads, which is a part of the file of its mailbox."""
    if part.closed:
        raise RefusedError(part, "It is closed.")
    size = part._stop - part._start
    if size > settings.contents_limit:
        raise RefusedError(part, "It has more bytes than files.contents-limit.", MORE)
    file = part._file
    if isinstance(file, io.BytesIO):  # of one that arrived
        data = file.getvalue()[part._start : part._stop]
    else:
        data = os.pread(file.fileno(), size, part._start)
    return rebuild_part, (data, part._pos - part._start)


def rebuild_part(data: bytes, position: int) -> Any:
    """Make one of a file in memory."""
    part: Any = mailbox._PartialFile(io.BytesIO(data), 0, len(data))
    part._pos = position
    return part
