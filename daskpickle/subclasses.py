"""Subclasses of the standard library's classes: what they add travels with what they are.

Some of its classes say how their objects are pickled, and know of no attributes: a datetime, a
decimal, a path, a dict with a default, an iterator. Of an object of a subclass, pickle loses those
that it has, without a word. And where it is loaded the subclass is called with what its base asks
for, which may be something else.
"""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from types import MemberDescriptorType
from typing import Any

__all__ = ["is_forgotten", "rebuild_bare", "reduce_forgotten", "set_both"]

_OWN = ("__reduce_ex__", "__reduce__", "__getstate__")


def _is_known(cls: type) -> bool:
    """Tell whether a class is of the standard library."""
    return str(cls.__module__).partition(".")[0] in sys.stdlib_module_names


def _base_of(cls: type) -> type:
    """Return the class that says how objects of ``cls`` are pickled."""
    return next(base for base in cls.__mro__ if any(name in vars(base) for name in _OWN))


def is_forgotten(cls: type) -> bool:
    """Tell whether a base says how objects of ``cls`` are pickled, and not what ``cls`` adds."""
    base: Any = next(b for b in cls.__mro__ if "__setstate__" in vars(b) or b is _base_of(cls))
    if base is object or not _is_known(base) or _is_known(cls):
        return False
    has_attributes = (b.__dictoffset__ for b in cls.__mro__ if _is_known(b) and b is not Counter)
    return not any(has_attributes)


def reduce_forgotten(obj: Any) -> Any:
    """Reduce it as its base does, and add what that does not know of."""
    reduced = obj.__reduce_ex__(4)  # 4: without out-of-band buffers
    if isinstance(reduced, str) or len(reduced) > 5:
        return reduced
    parts: Any = (*reduced, None, None, None)[:5]
    make, args, state, *items = parts
    cls = type(obj)
    if make is cls and not _takes(cls, args):
        make, args = rebuild_bare, (cls, _base_of(cls), args)
    added = _added(obj, state)
    if not added:
        return reduced if make is reduced[0] else (make, args, state, *items)
    if (
        state is None
        and not hasattr(cls, "__setstate__")
        and added.keys() <= _attributes(obj).keys()
    ):
        return make, args, added, *items
    return make, args, (state, added), *items, set_both


def _takes(cls: Any, args: tuple[Any, ...]) -> bool:
    """Tell whether a class may be called with these arguments, as its base may."""
    base = _base_of(cls)
    if cls.__init__ is base.__init__ and cls.__new__ is base.__new__:  # type: ignore[misc]
        return True
    try:
        inspect.signature(cls).bind(*args)
    except TypeError:
        return False
    except ValueError:  # it is written in C
        pass
    return True


def rebuild_bare(cls: Any, base: Any, args: tuple[Any, ...]) -> Any:
    """Make an object of ``cls`` as its base is made."""
    obj = base.__new__(cls, *args)
    if base.__init__ is not object.__init__:
        base.__init__(obj, *args)
    return obj


def _attributes(obj: Any) -> dict[str, Any]:
    return getattr(obj, "__dict__", {})


def _added(obj: Any, state: Any) -> dict[str, Any]:
    """Return the attributes and slots of an object that are not in its state already."""
    added = dict(_attributes(obj))
    for base in type(obj).__mro__:
        if "__slots__" in vars(base) and not _is_known(base):
            for name, slot in vars(base).items():
                if type(slot) is MemberDescriptorType and hasattr(obj, name):
                    added[name] = getattr(obj, name)
    for part in state if type(state) is tuple else (state,):
        if type(part) is dict:  # some know of attributes, some of slots too
            added = {name: value for name, value in added.items() if name not in part}
    return added


def set_both(obj: Any, states: tuple[Any, dict[str, Any]]) -> None:
    """Set the state that the base knows, as pickle does; then what the subclass adds."""
    state, added = states
    if state is not None and hasattr(obj, "__setstate__"):
        obj.__setstate__(state)
    elif state is not None:
        vars(obj).update(state)
    for name, value in added.items():
        object.__setattr__(obj, sys.intern(name), value)
