"""Compiled reducers: what ``obj.__reduce_ex__(5)`` answers, found out once per class.

`object.__reduce_ex__` looks up the same half a dozen attributes again for each object
(``object___reduce_ex___impl`` and ``reduce_newobj`` in CPython's ``Objects/typeobject.c``); a
function that was made for the class does not, and the bytes are the same. Whatever a class does
that is not covered here is asked of the object, as the standard pickler does.

A class may be changed at any time, so what it is like is looked at again in each dump; only the
function is kept. It does not hold the class: when the class goes, it goes.
"""

from __future__ import annotations

import copyreg
import operator
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["SHORTCUTS", "ask", "is_static", "reducer_of"]

Reducer = Callable[[Any], Any]

#: For protocol 5, as all of this module: the reducer that asks the object.
ask: Reducer = operator.methodcaller("__reduce_ex__", 5)

#: Reducers of classes whose own ``__reduce_ex__`` is slow, written by hand; the bytes are the same.
SHORTCUTS: dict[type, Reducer] = {}

# Bits of ``tp_flags``: see "Type Objects" in the C API.
_HEAP, _IMMUTABLE = 1 << 9, 1 << 8

_new = copyreg.__newobj__  # type: ignore[attr-defined]
# Since 3.11 there is an `object.__getstate__`.
_NAMES = ("__reduce_ex__", "__reduce__", "__getattribute__", "__getstate__")
_look: Callable[[Any], Any] = operator.attrgetter(*[n for n in _NAMES if hasattr(object, n)])
_DEFAULTS = _look(object)
_DEFAULT_EX, _DEFAULT, _DEFAULT_GET = _DEFAULTS[:3]

# What a class is like. OTHER: nothing is known, ask the object.
_OTHER, _REDUCE, _GETSTATE, _STATE = range(4)


def _kind(cls: type) -> Any:
    """Say which of the ways to be pickled ``cls`` has now.

    For a class of attrs with slots, whose method only collects attributes: their names.
    """
    found = _look(cls)
    if getattr(cls, "__getattr__", None) is not None:
        return _OTHER
    if found != _DEFAULTS:
        if found[0] is not _DEFAULT_EX or found[2] is not _DEFAULT_GET:
            return _OTHER
        if found[1] is not _DEFAULT:
            return _REDUCE
    if (
        getattr(cls, "__getnewargs_ex__", None) is not None
        or getattr(cls, "__getnewargs__", None) is not None
    ):
        return _OTHER
    if found == _DEFAULTS and (len(found) == 4 or not hasattr(cls, "__getstate__")):
        return _STATE
    method: Any = cls.__getstate__  # type: ignore[attr-defined]
    if type(method) is types.FunctionType and method.__module__ == "attr._make":
        code = method.__code__
        if code.co_freevars == ("state_attr_names",) and code.co_name == "slots_getstate":
            return method.__closure__[0].cell_contents  # type: ignore[index]
    return _GETSTATE


_static: dict[type, Reducer] = {}  # of types that cannot be changed
_known: dict[int, tuple[weakref.ref[type], Any, Reducer]] = {}


def reducer_of(cls: type) -> Reducer:
    """Return a function that gives what ``obj.__reduce_ex__(5)`` gives for objects of ``cls``."""
    reducer = _static.get(cls)
    if reducer is not None:
        return reducer
    key = id(cls)
    known = _known.get(key)
    if known is not None and known[0]() is cls and (known[2] is ask or _kind(cls) == known[1]):
        return known[2]
    if is_static(cls):
        reducer = _static[cls] = _static_reducer(cls)
        return reducer
    kind = _OTHER if _is_shadowed(cls) else _kind(cls)
    reducer = _compile(cls, kind)

    def forget(ref: weakref.ref[type]) -> None:
        entry = _known.get(key)
        if entry is not None and entry[0] is ref:
            del _known[key]

    _known[key] = (weakref.ref(cls, forget), kind, reducer)
    return reducer


def is_static(cls: type) -> bool:
    """Tell whether a class cannot be changed."""
    flags = cls.__flags__
    return not flags & _HEAP or bool(flags & _IMMUTABLE)


def _static_reducer(cls: type) -> Reducer:
    """Return the method that answers for a type of the standard library: timedelta, Decimal."""
    method: Any = cls.__reduce__
    if (
        type(method) is types.MethodDescriptorType
        and method is not _DEFAULT
        and cls.__reduce_ex__ is _DEFAULT_EX
        and not cls.__dictoffset__
        and str(cls.__module__).partition(".")[0] in sys.stdlib_module_names
    ):
        return method
    return ask


def _is_shadowed(cls: type) -> bool:
    """Tell whether attributes of ``cls`` may not say how its objects behave: its metaclass may."""
    metaclass = type(cls)
    return metaclass is not type and any(
        name in vars(base)
        for base in type.mro(metaclass)
        if base not in (type, object)
        for name in (
            "__reduce_ex__", "__reduce__", "__getattribute__", "__getattr__", "__getstate__",
            "__getnewargs__", "__getnewargs_ex__",
        )
    )  # fmt: skip


def _compile(cls: type, kind: Any) -> Reducer:
    has_dict = bool(cls.__dictoffset__)
    if has_dict and type(_static_attribute(cls, "__dict__")) is not type(vars(type)["__dict__"]):
        return ask
    if kind == _REDUCE:
        return _reduce_with_dict if has_dict else operator.methodcaller("__reduce__")
    if kind == _OTHER or issubclass(cls, (list, dict)):
        return ask
    slots: list[str] = copyreg._slotnames(cls)  # type: ignore[attr-defined]
    weak = bool(cls.__weakrefoffset__)
    # An object that holds more than its attributes is refused: `reduce_newobj` compares sizes too.
    if cls.__itemsize__ or cls.__basicsize__ != _size(len(slots), has_dict, weak):
        return ask
    if type(kind) is tuple and not has_dict:
        return _written_out(kind, "{%s}", has_dict=False)
    if kind != _STATE:
        return _getstate_with_dict if has_dict else _getstate
    if not slots:
        return _with_dict if has_dict else _empty
    return _written_out(tuple(slots), "(state, {%s})", has_dict=has_dict)


def _static_attribute(cls: type, name: str) -> Any:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


_sizes: dict[tuple[int, bool, bool], int] = {}


def _size(n_slots: int, has_dict: bool, weak: bool) -> int:
    """Return the size of an object that has these, and nothing else: measured on such a class."""
    size = _sizes.get((n_slots, has_dict, weak))
    if size is None:
        slots = [f"s{number}" for number in range(n_slots)]
        slots += ["__dict__"] * has_dict + ["__weakref__"] * weak
        size = type("Probe", (), {"__slots__": slots}).__basicsize__
        _sizes[n_slots, has_dict, weak] = size
    return size


# An attribute of the instance hides a method of its class, which is not a data descriptor:
# ``PyObject_LookupAttr(obj, "__reduce_ex__")`` in ``save`` finds it, and so do these.


def _with_dict(obj: Any) -> Any:
    state = obj.__dict__
    if state:
        if "__reduce_ex__" in state or "__getstate__" in state:
            return ask(obj)
        return _new, (type(obj),), state
    return _new, (type(obj),)


def _empty(obj: Any) -> Any:
    return _new, (type(obj),)


def _getstate(obj: Any) -> Any:
    return _new, (type(obj),), obj.__getstate__()


def _getstate_with_dict(obj: Any) -> Any:
    if "__reduce_ex__" in obj.__dict__:
        return ask(obj)
    return _new, (type(obj),), obj.__getstate__()


def _reduce_with_dict(obj: Any) -> Any:
    return ask(obj) if "__reduce_ex__" in obj.__dict__ else obj.__reduce__()


_sources: dict[tuple[tuple[str, ...], str], Reducer] = {}


def _written_out(names: tuple[str, ...], state: str, *, has_dict: bool) -> Reducer:
    """Return a reducer that collects these attributes, written out as `dataclasses` does."""
    if not all(name.isidentifier() for name in names):
        return ask
    reducer = _sources.get((names, state)) if not has_dict else None
    if reducer is None:
        attributes = ", ".join(f"{name!r}: obj.{name}" for name in names)
        source = f"""
def reduce(obj):
    try:
        state = {"obj.__dict__ or None" if has_dict else None}
        if state and ("__reduce_ex__" in state or "__getstate__" in state):
            return ask(obj)
        return new, (type(obj),), {state % attributes}
    except AttributeError:  # an attribute is not set
        return ask(obj)
"""
        namespace: dict[str, Any] = {"new": _new, "ask": ask}
        exec(source, namespace)
        reducer = namespace["reduce"]
        if not has_dict:
            if len(_sources) >= 1024:
                _sources.clear()
            _sources[names, state] = reducer
    return reducer


def _self_test() -> bool:
    """Tell whether compiled reducers answer as `object.__reduce_ex__` does in this Python."""

    class WithDict:
        pass

    class WithSlots:
        __slots__ = ("a",)

    class WithBoth(WithSlots):
        pass

    for cls in (WithDict, WithSlots, WithBoth):
        obj: Any = cls()
        for _ in range(2):
            got, expected = reducer_of(cls)(obj), obj.__reduce_ex__(5)
            if (*got, None, None)[:3] != expected[:3]:
                return False
            obj.a = 1
    return True


if not _self_test():  # a Python that pickles in another way: always ask the object
    _compile = lambda cls, kind: ask  # noqa: E731
    _known.clear()
