"""What an interpreter says of itself in `sys`, by reference; and `os.sched_param`.

Notes
-----
- Travels: the name of ``sys.flags``, ``sys.version_info`` and their like: those of the interpreter
  where it arrives. Most of their types let nobody make another one.
- Lost: what they say of the sender. ``tuple(sys.version_info)`` travels by its values.
- Refused: nothing.

An `os.sched_param` pickles by itself as something that it does not take when it is loaded.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from daskpickle import register

NAMES = "flags", "float_info", "hash_info", "int_info", "thread_info", "version_info"


def reduce_facts(facts: Any) -> Any:
    """Say the name that they have in `sys`."""
    name = next((name for name in NAMES if getattr(sys, name) is facts), None)
    return NotImplemented if name is None else name


for _name in NAMES:
    register(
        type(getattr(sys, _name)), reduce_facts,
        travels="a reference: what the interpreter says where it arrives",
        lost="what it says here", refused="nothing", hint="Send tuple() of it.",
    )  # fmt: skip


@register(
    os.sched_param, travels="its priority", lost="nothing", refused="nothing",
    hint="Send its priority.",
)  # fmt: skip
def reduce_sched_param(param: Any) -> Any:
    """Say its priority."""
    return rebuild_sched_param, (param.sched_priority,)


def rebuild_sched_param(priority: Any) -> Any:
    """Make one of this priority."""
    return os.sched_param(priority)
