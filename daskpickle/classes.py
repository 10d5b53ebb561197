"""Classes by value, as cloudpickle has them, with what its own way of making them gets wrong.

The stream names nothing of daskpickle where cloudpickle's own would load: the standard library and
cloudpickle's functions make the class, on any node.

Notes
-----
A class is made before its attributes, which may lead back to it, and what the class statement
called is called again: the metaclass, and ``__init_subclass__``; once per process. What was passed
to them in the class statement is not recorded: where they cannot do without, the attribute of that
name is passed, or the class is refused. Attributes that lead to nothing, and functions, are there
for them. What they do to the class is then replaced by what they did the first time.
"""

from __future__ import annotations

import abc
import contextvars
import datetime
import enum
import functools
import inspect
import operator
import re
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from cloudpickle import cloudpickle

from daskpickle.errors import RefusedError
from daskpickle.functions import ATOMS, find_otherwise, is_importable
from daskpickle.identity import Call

__all__ = ["reduce_class"]

# Bits of ``tp_flags``: a class statement sets the first one, and never the second.
_HEAP, _IMMUTABLE = 1 << 9, 1 << 8


def reduce_class(cls: type) -> Any:
    """Reduce a class by value; return `NotImplemented` if it can be imported elsewhere.

    By its name, too, if it is one of `types`, which cloudpickle reduces in another way.
    """
    if cls.__module__ != "__main__" and is_importable(cls):
        return NotImplemented
    known = None if cls.__module__ == "__main__" else find_otherwise(cls)
    if known is not None:
        return known
    reduced = cloudpickle._class_reduce(cls)
    if reduced is NotImplemented or len(reduced) < 6:
        return reduced
    if cls.__flags__ & (_HEAP | _IMMUTABLE) != _HEAP:
        return _reduce_native(cls)
    make: Any
    args: Any
    make, args, (attributes, slots), *rest = reduced
    if make is not cloudpickle._make_skeleton_class:
        return *_made_enum(cls, args, attributes), (attributes, _after(cls)), *rest
    # What cloudpickle sets on the class that is made, or not at all, must be there before.
    namespace = args[3]
    if cls.__qualname__ != cls.__name__:
        namespace["__qualname__"] = "".join(cls.__qualname__)
    if "__slots__" in attributes and NamedTuple not in args[2]:  # which says that itself
        namespace["__slots__"] = _copied(attributes.pop("__slots__"))
    if type(cls).__name__ == "_TypedDictMeta":  # it refuses the bases that it has given the class
        made = Call(type.__new__, type(cls), cls.__name__, cls.__bases__, namespace)
        make, args = cloudpickle._lookup_class_or_track, (args[4], made)
    else:
        needed = _called(cls, attributes, namespace)
        if needed is not None:
            make, args = _make_class, (*args[:5], _given(cls, needed))
    return make, args, (attributes, slots), *rest


def _copied(slots: Any) -> Any:
    """Copy names, as cloudpickle does: whether one is interned must not be seen in the bytes."""
    if type(slots) is str:
        return "".join(slots)
    return tuple(map("".join, slots)) if type(slots) in (tuple, list) else slots


def _called(cls: type, attributes: dict[str, Any], namespace: dict[str, Any]) -> set[str] | None:
    """Return what must be passed to those that a class statement calls; None if it calls nobody.

    ``namespace`` gets what they may look for.
    """
    metaclass = type(cls)
    is_plain = metaclass is type or metaclass is abc.ABCMeta
    is_own = not is_plain and not is_importable(metaclass)
    hook: Any = super(cls, cls).__init_subclass__  # type: ignore[arg-type]
    functions = [hook.__func__] if type(hook) is MethodType else []
    if functions and functions[0].__module__ == "typing":
        functions = []
    is_called = is_own or bool(functions)
    if not is_plain:
        functions += [metaclass.__new__, metaclass.__init__]
    needed = {name for function in functions for name in _needed(function)}
    if not needed and not is_called:
        return None
    if is_plain or is_own:  # others have rules for what may be in a namespace
        simple = (FunctionType, *ATOMS)
        namespace.update({n: v for n, v in attributes.items() if type(v) in simple})
    return needed


def _needed(function: Any) -> Iterator[str]:
    """Name the arguments that a function must be given besides those that it always is."""
    if type(function) is FunctionType:
        parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
        for parameter in list(parameters)[1 if function.__name__ == "__init_subclass__" else 4 :]:
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if named and parameter.default is parameter.empty:
                yield parameter.name


def _given(cls: type, needed: set[str]) -> dict[str, Any]:
    """Return what was passed in a class statement, as far as attributes tell."""
    given = {}
    for name in sorted(needed):
        given[name] = vars(cls).get(name, vars(cls).get("_" + name, cls))
        if type(given[name]) not in ATOMS:
            why = f"Its class statement was given {name!r}, and no simple attribute tells what."
            raise RefusedError(cls, why, "Define it in a module that the workers can import.")
    return given


def _make_class(
    metaclass: type,
    name: str,
    bases: tuple[Any, ...],
    namespace: dict[str, Any],
    token: str,
    given: dict[str, Any],
) -> Any:
    """Make a class, if this process has none of its token: who is called for it must not be twice.

    Its base may not be complete yet, and want nothing then.
    """
    cls = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(token)
    if cls is not None:
        return cls
    keywords = {"metaclass": metaclass, **given}
    try:
        cls = types.new_class(name, bases, keywords, lambda n: n.update(namespace))
    except TypeError:
        if not given:
            raise
        cls = types.new_class(name, bases, {"metaclass": metaclass}, lambda n: n.update(namespace))
    return cloudpickle._lookup_class_or_track(token, cls)


# It travels by value, so that any node can load what it makes: it is of no module of ours.
_make_class = FunctionType(
    _make_class.__code__, {"__name__": "__main__", "cloudpickle": cloudpickle, "types": types}
)


# --- Enumerations -------------------------------------------------------------------------------


def _made_enum(cls: Any, args: tuple[Any, ...], attributes: dict[str, Any]) -> tuple[Any, ...]:
    """Say how to make an enumeration with its members; take from ``attributes`` what is said so."""
    bases, name, qualname, _, module, token, _ = args
    metaclass: Any = type(cls)
    for member in cls.__members__:  # cloudpickle leaves out second names
        attributes.pop(member, None)
    generate = vars(cls).get("_generate_next_value_")
    if generate and _function(generate) is not getattr(bases[-1], "_generate_next_value_", None):
        attributes["_generate_next_value_"] = generate
    namespace: dict[str, Any] = {"__module__": module, "__qualname__": qualname}
    if _makes_members(cls):
        # Here they are made of what they are, not of what the class statement said.
        namespace.update(__new__=rebuild_member, __init__=init_member)
        if "__reduce_ex__" not in vars(cls):
            namespace["__reduce_ex__"] = enum.Enum.__reduce_ex__
        members = {n: (_plain(cls, m), m._value_) for n, m in cls.__members__.items()}
    else:
        members = {n: _as_member(m._value_) for n, m in cls.__members__.items()}
    boundary = getattr(cls, "_boundary_", None)  # new in Python 3.11
    inherits = boundary is getattr(bases[-1], "_boundary_", None)
    if len(namespace) == 2 and inherits and metaclass is type(bases[-1]):
        return cloudpickle._make_skeleton_enum, (*args[:3], members, *args[4:])
    namespace.update(members)
    make: Any = metaclass if inherits else functools.partial(metaclass, boundary=boundary)
    made = Call(make, name, bases, _Filled(metaclass, name, bases, namespace))
    return cloudpickle._lookup_class_or_track, (token, made)


class _Filled:
    """A namespace of a metaclass, which is told of each name, as in a class statement."""

    def __init__(self, metaclass: Any, name: str, bases: Any, items: dict[str, Any]) -> None:
        prepare = operator.methodcaller("__prepare__", name, bases)  # by its name: it has no other
        self.reduced = prepare, (metaclass,), None, None, iter(items.items())

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def _function(obj: Any) -> Any:
    return getattr(obj, "__func__", obj)


def _as_member(value: Any) -> Any:
    """Say of what would be an attribute that it is the value of a member."""
    member = getattr(enum, "member", None)  # new in Python 3.11
    return Call(member, value) if member and hasattr(type(value), "__get__") else value


def _makes_members(cls: Any) -> bool:
    """Tell whether members are not made of their values: by a function, or as another object."""
    return cls._member_type_ not in _OF_VALUES or any(
        "__new_member__" in vars(base) for base in cls.__mro__ if base.__module__ != "enum"
    )


_OF_VALUES = frozenset((object, str, bytes, int, float, complex))


def _plain(cls: Any, member: Any) -> tuple[Any, ...]:
    """Return of what the class of its data makes a member."""
    data = cls._member_type_
    if data.__new__ is object.__new__:
        return ()
    if hasattr(data, "__getnewargs__"):
        return data.__getnewargs__(member)  # type: ignore[no-any-return]
    return data.__reduce_ex__(member, 2)[1]  # type: ignore[no-any-return]


def rebuild_member(cls: Any, *args: Any) -> Any:
    """Make a member of what it is; that is one argument if its data are a tuple."""
    parts, value = args if len(args) == 2 else args[0]
    member = cls._member_type_.__new__(cls, *parts)
    member._value_ = value
    return member


def init_member(*args: object) -> None:
    """Do nothing: what ``__init__`` set is set again."""


def _after(cls: Any) -> dict[str, Any]:
    """Return what is to be done when the enumeration is there, as something to be set on it.

    What members were given by ``__init__``, which is not called, or does nothing, is set again.
    """
    calls = []
    for member in cls:
        own = {k: v for k, v in vars(member).items() if k not in _OF_MEMBERS}
        if own:
            calls.append(Call(dict.update, Call(getattr, member, "__dict__"), own))
    if _makes_members(cls):
        added = {"__init__", "__reduce_ex__", "__new_member__"} - vars(cls).keys()
        calls.append(Call(rebuild_without, cls, sorted(added)))
    return {"members": calls}


def rebuild_without(cls: type, names: list[str]) -> None:
    """Take from an enumeration what was only for making its members."""
    for name in vars(cls).keys() & names:
        type.__delattr__(cls, name)


_OF_MEMBERS = frozenset(("_value_", "_name_", "_sort_order_", "__objclass__", "_inverted_"))


# --- Classes of C -------------------------------------------------------------------------------


def _reduce_native(cls: type) -> tuple[Any, ...]:
    """Reduce a class written in C that has no name where it says: by another name, or an object."""
    for name in (*_WITH_NAMES, cls.__module__):
        known = sys.modules.get(name)
        module = Call(cloudpickle.subimport, name)  # which may be another one than its __name__
        for attribute, value in list(vars(known).items()) if known is not None else ():
            if value is cls:
                return getattr, (module, attribute)
            if type(value) is cls:
                return type, (Call(getattr, module, attribute),)
    make = next((make for make in _EXAMPLES if type(make[0](*make[1:])) is cls), None)
    if make is None:
        why = "It is written in C, and cannot be imported under any name that is known."
        raise RefusedError(cls, why, "Pass a function that makes what it is needed for.")
    return type, (Call(*make),)


#: Where classes have names that are not their own, and how to make one of those that have none.
_WITH_NAMES = ("types", "_thread", "_collections_abc", "_weakref", "sys", "typing")
_EXAMPLES: tuple[tuple[Any, ...], ...] = (
    (OrderedDict.keys, OrderedDict()),
    (OrderedDict.values, OrderedDict()),
    (OrderedDict.items, OrderedDict()),
    (iter, OrderedDict()),
    (iter, int, 0),
    (iter, "\u1234"),
    (iter, memoryview(b"")),
    (reversed, {}),
    (reversed, {}.items()),
    (reversed, {}.values()),
    (functools.cmp_to_key, operator.sub),
    (getattr, contextvars.Token, "MISSING"),
    (datetime.date.isocalendar, datetime.date.min),
    (re.compile("").scanner, ""),  # type: ignore[attr-defined]
    (sys.get_asyncgen_hooks,),
)
