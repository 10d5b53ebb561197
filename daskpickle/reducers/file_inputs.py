"""`fileinput`: what was not read yet is read where it arrives.

Notes
-----
- Travels: the names of the files that are left, as absolute paths; the file that is being read, by
  the rules for files; the counts of lines.
- Lost: nothing.
- Refused: what edits a file in place, once it has begun; standard input that is being read.
"""

from __future__ import annotations

import fileinput
import os
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, neutral


@register(
    fileinput.FileInput, travels="absolute names; the open file, by the rules for files",
    lost="nothing", refused="half-way through an edit in place", subclasses=True,
    hint="Make it inside the task.",
)  # fmt: skip
@neutral
def reduce_input(files: Any) -> Any:
    """Do as it does by itself, with names that lead to the files from anywhere."""
    if files._output:
        raise RefusedError(files, "It is half-way through a file that it edits in place.")
    make, args, state, *_ = files.__reduce_ex__(4)
    names = [name if name == "-" else os.path.abspath(name) for name in files._files]  # noqa: PTH100
    state = {**state, "_files": tuple(names)}
    if files._file is None:
        return make, args, state
    del state["_readline"]  # a method of the open file
    return make, args, state, None, None, add_input


def add_input(files: Any, state: dict[str, Any]) -> None:
    """Go on with the file that was open."""
    add_state(files, state)
    files._readline = files._file.readline
