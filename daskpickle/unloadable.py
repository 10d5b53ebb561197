"""Objects that plain pickle sends and cannot load, because of what their class is like.

Where an object is loaded, ``cls.__new__(cls)`` is called, and ``__setstate__`` is looked up on what
that returns, before it has any state (``load_newobj``, ``load_build`` in CPython's ``_pickle.c``).

- A ``__new__`` that asks for arguments raises a `TypeError`, unless ``__getnewargs__`` tells them.
- A ``__getattr__`` that passes on to an attribute is asked for that attribute too, and so on: a
  `RecursionError`, or a `KeyError`, or the answer of something else.

Such an object is made by `object.__new__`, or given its state without being asked.
"""

from __future__ import annotations

import copyreg
import inspect
from types import FunctionType
from typing import Any

__all__ = ["is_unloadable", "reduce_unloadable", "set_state"]

_METHODS = ("__reduce_ex__", "__reduce__", "__getattribute__")
_NONE = ("__getnewargs__", "__getnewargs_ex__", "__del__")


def is_unloadable(cls: type) -> bool:
    """Tell whether pickle would send an object of ``cls`` by default, and could not load it.

    An object without attributes is made and asked, as it would be where it is loaded; unless its
    class has a ``__del__``, which would run.
    """
    passes_on = getattr(cls, "__getattr__", None) is not None
    if not passes_on and type(cls.__new__) is not FunctionType:
        return False
    if any(getattr(cls, name) is not getattr(object, name) for name in _METHODS):
        return False
    if any(name in vars(base) for base in cls.__mro__ for name in _NONE):
        return False
    try:
        bare: Any = object.__new__(cls)
    except TypeError:  # it is abstract, or made in C
        return False
    return _asks_for_arguments(cls) or (passes_on and _answers(bare))


def _asks_for_arguments(cls: Any) -> bool:
    """Tell whether ``__new__`` cannot be called as pickle calls it."""
    if type(cls.__new__) is FunctionType:
        try:
            inspect.signature(cls.__new__).bind(cls)
        except TypeError:
            return True
    return False


def _answers(bare: Any) -> bool:
    """Tell whether an object without a ``__setstate__`` has another answer than that."""
    if any("__setstate__" in vars(base) for base in type(bare).__mro__):
        return False
    try:
        return getattr(bare, "__setstate__", None) is not None
    except Exception:
        return True


def reduce_unloadable(obj: Any) -> tuple[Any, ...]:
    """Reduce it as `object.__reduce_ex__` does, and say how it is made, and who sets its state."""
    cls: Any = type(obj)
    get_state = getattr(cls, "__getstate__", None)
    if get_state is not None and get_state is not getattr(object, "__getstate__", None):
        state = get_state(obj)
    else:
        slots = {}
        for name in copyreg._slotnames(cls):  # type: ignore[attr-defined]
            try:
                slots[name] = object.__getattribute__(obj, name)
            except AttributeError:  # it is not set
                continue
        state = obj.__dict__ if cls.__dictoffset__ else None
        state = (state, slots) if slots else state
    made: tuple[Any, ...]
    if _asks_for_arguments(cls):
        made = copyreg._reconstructor, (cls, object, None)  # type: ignore[attr-defined]
    else:
        made = copyreg.__newobj__, (cls,)  # type: ignore[attr-defined]
    if not state:
        return made
    if _answers(object.__new__(cls)):
        return (*made, state, None, None, set_state)
    return (*made, state)


def set_state(obj: Any, state: Any) -> None:
    """Set a state as pickle does, but for asking the object."""
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    if state:
        obj.__dict__.update(state)
    for name, value in (slots or {}).items():
        object.__setattr__(obj, name, value)
