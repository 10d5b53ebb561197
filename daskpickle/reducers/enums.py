"""Members of enumerations: by name, where a value is not found by a copy of it.

Notes
-----
- Travels: the class, and the name or the value.
- Lost: nothing.
- Refused: nothing.

Pickle looks a member up by its value. A function, or an object that equals no other, arrives as
another one than the class has there already.
"""

from __future__ import annotations

import enum
from typing import Any

from daskpickle import register
from daskpickle.handles import neutral

_ATOMS = frozenset((str, bytes, int, bool, type(None)))


@register(
    enum.Enum,
    travels="its class, and its name or value",
    lost="nothing",
    refused="nothing",
    hint="Define its class in a module that the workers can import.",
    subclasses=True,
)
@neutral
def reduce_member(member: Any) -> Any:
    """Say its name, unless its value is as good."""
    if type(member._value_) in _ATOMS or type(member).__members__.get(member._name_) is not member:
        return NotImplemented
    return getattr, (type(member), member._name_)
