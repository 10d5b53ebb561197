"""What an interpreter says of itself in `sys`, by reference.

Notes
-----
- Travels: the name of ``sys.flags``, ``sys.version_info`` and their like: those of the interpreter
  where it arrives. Most of their types let nobody make another one.
- Lost: what they say of the sender. ``tuple(sys.version_info)`` travels by its values.
- Refused: nothing.
"""

from __future__ import annotations

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
