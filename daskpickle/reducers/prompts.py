"""What reads standard input, such as a `cmd.Cmd`: it reads that of the process it arrives in.

Notes
-----
- Travels: all its attributes. Standard input itself does not travel; an attribute that holds it
  holds that of the receiver there.
- Lost: nothing.
- Refused: if another attribute cannot travel, such as the frame that a debugger has stopped in.
"""

from __future__ import annotations

import cmd
import shlex
import sys
from typing import Any

from daskpickle import register
from daskpickle.handles import neutral

STREAMS = ("stdin", "instream")


@register(
    cmd.Cmd,
    travels="its attributes; standard input as that of the receiver",
    lost="nothing",
    refused="if another attribute cannot travel",
    hint="Make it inside the task.",
    subclasses=True,
)
@register(
    shlex.shlex,
    travels="its attributes; standard input as that of the receiver",
    lost="nothing",
    refused="if another attribute cannot travel",
    hint="Make it inside the task, of a string.",
    subclasses=True,
)
@neutral
def reduce_prompt(prompt: Any) -> Any:
    """Say which attributes are standard input; without any it pickles by itself."""
    state = vars(prompt)
    streams = [n for n in STREAMS if n in state and state[n] is sys.stdin]
    if not streams:
        return NotImplemented
    state = {name: value for name, value in state.items() if name not in streams}
    return rebuild_prompt, (type(prompt), streams), state


def rebuild_prompt(cls: type, streams: list[str]) -> Any:
    """Make one that has no other attributes yet."""
    prompt: Any = object.__new__(cls)
    for name in streams:
        object.__setattr__(prompt, name, sys.stdin)
    return prompt
