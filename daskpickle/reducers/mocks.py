"""Mocks: those with a specification, and the calls that a mock has recorded.

Notes
-----
- Travels: a mock with its attributes, children and calls, and its class, which each mock has of its
  own. Without a specification it pickles by itself.
- Lost: nothing.
- Refused: if what it returns or does cannot travel.

A mock with a specification says that it is of another class (``__class__``), which pickle minds. A
call answers any name with another call, also the name ``__setstate__`` while it is being loaded.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from daskpickle import register
from daskpickle.handles import add_state, extra_state, neutral

Call: Any = type(mock.call)


@register(
    mock.NonCallableMock,
    travels="its attributes, children, calls and class",
    lost="nothing",
    refused="if what it returns or does cannot travel",
    hint="Pass what it stands for, or make it inside the task.",
    subclasses=True,
)
@neutral
def reduce_mock(obj: Any) -> Any:
    """Say what it is, not what it says that it is."""
    if obj.__class__ is type(obj):
        return NotImplemented
    return rebuild_mock, (type(obj),), vars(obj)


@register(
    type(mock.ANY), travels="its name", lost="nothing", refused="nothing", hint="Import it there."
)
@neutral
def reduce_any(obj: Any) -> Any:
    """Say the name under which the module has the only one."""
    return "ANY" if obj is mock.ANY else NotImplemented


def rebuild_mock(cls: type) -> Any:
    """Make one without asking ``__new__``, which makes a class for each."""
    return object.__new__(cls)


@register(
    Call,
    travels="its name, arguments and parent",
    lost="nothing",
    refused="if an argument cannot travel",
    hint="Pass its arguments.",
)
def reduce_call(call: Any) -> tuple[Any, ...]:
    """Say its parts."""
    return rebuild_call, (tuple(call), extra_state(call, None))


def rebuild_call(parts: tuple[Any, ...], state: dict[str, Any]) -> Any:
    """Make one of these parts."""
    call = tuple.__new__(Call, parts)
    add_state(call, state)
    return call
