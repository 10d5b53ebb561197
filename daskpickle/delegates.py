"""Objects that pass on what they are asked: pickle asks one before it can answer.

Where an object is loaded, ``__setstate__`` is looked up on it before it has any state (``load_build``
in CPython's ``_pickle.c``). A ``__getattr__`` that passes on to an attribute is then asked for that
attribute too, and so on: a `RecursionError`, or a `KeyError`, or the answer of something else. Such
an object is given its state without being asked.
"""

from __future__ import annotations

import copyreg
from typing import Any

__all__ = ["is_delegate", "reduce_delegate", "set_state"]

_METHODS = ("__reduce_ex__", "__reduce__", "__new__", "__getattribute__")
_NONE = ("__setstate__", "__getnewargs__", "__getnewargs_ex__", "__del__")


def is_delegate(cls: type) -> bool:
    """Tell whether pickle would make an object of ``cls``, and could not give it its state.

    An object without attributes is made and asked, as it would be where it is loaded; unless its
    class has a ``__del__``, which would run.
    """
    if getattr(cls, "__getattr__", None) is None:
        return False
    if any(getattr(cls, name) is not getattr(object, name) for name in _METHODS):
        return False
    if any(name in vars(base) for base in cls.__mro__ for name in _NONE):
        return False
    try:
        bare = object.__new__(cls)
    except TypeError:  # it is abstract, or made in C
        return False
    try:
        return getattr(bare, "__setstate__", None) is not None
    except Exception:
        return True


def reduce_delegate(obj: Any) -> tuple[Any, ...]:
    """Reduce it as `object.__reduce_ex__` does, and say who sets its state."""
    cls = type(obj)
    get_state = getattr(cls, "__getstate__", None)
    if get_state is not None and get_state is not getattr(object, "__getstate__", None):
        state = get_state(obj)
    else:
        names = copyreg._slotnames(cls)  # type: ignore[attr-defined]
        slots = {}
        for name in names:
            try:
                slots[name] = object.__getattribute__(obj, name)
            except AttributeError:  # it is not set
                continue
        state = obj.__dict__ if cls.__dictoffset__ else None
        state = (state, slots) if slots else state
    make = copyreg.__newobj__  # type: ignore[attr-defined]
    return (make, (cls,), state, None, None, set_state) if state else (make, (cls,))


def set_state(obj: Any, state: Any) -> None:
    """Set a state as pickle does, but for asking the object."""
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    if state:
        obj.__dict__.update(state)
    for name, value in (slots or {}).items():
        object.__setattr__(obj, name, value)
