"""Capsules: a pointer in C that a module offers to others travels as the name it has there.

Notes
-----
- Travels: the name of a variable of an imported module, such as ``datetime.datetime_CAPI``.
- Lost: nothing.
- Refused: a capsule that no module has under the name that is in it: a pointer of this process.
"""

from __future__ import annotations

import _socket
import re
import sys
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import neutral

Capsule: Any = type(_socket.CAPI)


@register(
    Capsule,
    travels="the name of what a module offers",
    lost="nothing",
    refused="if it is no variable of a module",
    hint="Make it inside the task, by what made it here.",
)
@neutral
def reduce_capsule(capsule: Any) -> str:
    """Say the name that it has in its module; its ``repr`` tells both."""
    found = re.match(r'<capsule object "(\w[\w.]*)\.(\w+)" at', repr(capsule))
    module, name = found.groups() if found else ("", "")
    if getattr(sys.modules.get(module), name, None) is not capsule:
        raise RefusedError(capsule, "It is a pointer of this process.")
    return name
