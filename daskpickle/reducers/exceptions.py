"""Exceptions: with their cause, context and notes, and without what cannot travel of them.

Notes
-----
- Travels: class, arguments, attributes, notes, cause, context, and whether that is suppressed; the
  traceback where tblib is in use, as it is wherever distributed is.
- Lost: the traceback elsewhere. Of an exception that was raised, what cannot travel among its
  arguments and attributes: in its place arrives a `LeftBehind`, which is shown as that was and says
  why. The object whose attribute an `AttributeError` missed.
- Refused: nothing by itself. One that was never raised tells of no failure: what cannot travel in
  it is refused, as in any other object.

No ``__init__`` of the user's runs where an exception is loaded: its parameters may be others than
``args``, and pickle would raise a `TypeError` in the place of the exception.
"""

from __future__ import annotations

import builtins
import copyreg
import pickle
import threading
from types import (
    BuiltinFunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    TracebackType,
    WrapperDescriptorType,
)
from typing import Any

import daskpickle
from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, neutral

_ATOMS = frozenset((str, bytes, int, float, complex, bool, type(None)))
_MEMBERS = MemberDescriptorType, GetSetDescriptorType
_IN_C = WrapperDescriptorType, WrapperDescriptorType, BuiltinFunctionType
_LONG = 1000  # characters of what is shown
_MANY = 50  # exceptions that pickle goes into at once

_local = threading.local()


class LeftBehind:
    """What an exception held and could not take along; shown as that was."""

    def __init__(self, type_name: str, shown: str, why: str) -> None:
        self.type_name = type_name
        self.shown = shown
        self.why = why

    def __repr__(self) -> str:
        return self.shown


@register(
    LeftBehind,
    travels="what is shown of it, and why it was left behind",
    lost="nothing",
    refused="nothing",
    hint="Pass what is needed of it as a plain value.",
)
def reduce_left_behind(obj: LeftBehind) -> tuple[Any, ...]:
    """Say it again."""
    return rebuild_left_behind, (obj.type_name, obj.shown, obj.why)


def rebuild_left_behind(type_name: str, shown: str, why: str) -> LeftBehind:
    """Stand for what could not travel."""
    return LeftBehind(type_name, shown, why)


@neutral
def reduce_exception(exc: BaseException) -> Any:
    """Say how it was made, and what was set on it; `BaseException.__setstate__` sets that."""
    cls: Any = type(exc)
    make, args, *rest = cls.__reduce__(exc)
    own = rest[0] if rest and isinstance(rest[0], dict) else {}
    if "__reduce_ex__" in own or "__reduce__" in own:  # set on this very object
        return NotImplemented
    if cls.__setstate__ is not BaseException.__setstate__:
        return NotImplemented
    state = dict(rest[0]) if rest and rest[0] else {}
    spare = _spare if exc.__traceback__ is not None else _keep
    base: Any = next(base for base in cls.__mro__ if _is_native(base))
    if base is not cls and not _is_native(cls):
        made = (exc.message, exc.exceptions) if _is_group(exc) else exc.args  # type: ignore[attr-defined]
        make, args = base.__new__, (cls, *map(spare, made))
        state = {"args": exc.args, **_members(exc), **state}
    else:
        given = {id(value) for arg in args for value in (arg, *(arg if type(arg) is tuple else ()))}
        more = {name: value for name, value in _members(exc).items() if id(value) not in given}
        state = more | state
        args = tuple(map(spare, args))
    links = {n: getattr(exc, n) for n in ("__cause__", "__context__", "__suppress_context__")}
    if TracebackType in copyreg.dispatch_table:  # not "is imported": `reduce_traceback` may do that
        links["__traceback__"] = exc.__traceback__
    if links["__suppress_context__"] == (links["__cause__"] is not None):
        del links["__suppress_context__"]  # setting a cause suppresses the context
    state = {name: spare(value) for name, value in state.items()}
    state |= {name: value for name, value in links.items() if value is not None}
    last = _far_behind(exc)
    if last is not None or cls.__setattr__ is not BaseException.__setattr__:
        return make, args, (last, state), None, None, fill_exception
    return (make, args, state) if state or rest else (make, args)


def fill_exception(exc: Any, facts: tuple[BaseException | None, dict[str, Any]]) -> None:
    """Set what was set, where a class lets nobody set it."""
    add_state(exc, facts[1])


def _far_behind(exc: BaseException | None) -> BaseException | None:
    """Return the exception that many led from to this one, if so many did.

    It is pickled before those between: one inside the other, they would be too deep for the stack.
    """
    for _ in range(_MANY):
        exc = exc and (exc.__context__ or exc.__cause__)
    return exc


def _is_native(cls: Any) -> bool:
    """Tell whether its objects are made by nothing that is written in Python."""
    makers = type(cls).__call__, cls.__init__, cls.__new__
    return tuple(map(type, makers)) == _IN_C


def _is_group(exc: BaseException) -> bool:
    return isinstance(exc, getattr(builtins, "BaseExceptionGroup", ()))  # new in Python 3.11


def _members(exc: BaseException) -> dict[str, Any]:
    """Return what is set on an exception outside of its ``__dict__``."""
    names = list(copyreg._slotnames(type(exc)))  # type: ignore[attr-defined]
    for cls in type(exc).__mro__ if not _is_group(exc) else ():
        if cls.__module__ == "builtins" and cls not in (BaseException, object):
            names += [
                name
                for name, value in vars(cls).items()
                if isinstance(value, _MEMBERS) and getattr(type(exc), name) is value  # not hidden
            ]
    found = {name: getattr(exc, name, None) for name in names if name not in ("obj", "__dict__")}
    return {name: value for name, value in found.items() if value is not None}


def _keep(value: Any) -> Any:
    return value


def _spare(value: Any, depth: int = 3) -> Any:
    """Return ``value`` if it travels; of a list or tuple what does; else a `LeftBehind`."""
    if _is_easy(value) or hasattr(_local, "trying"):
        return value
    several = type(value) in (tuple, list) and depth > 0
    if several and all(map(_is_easy, value)):
        return value
    _local.trying = True  # inside of it, nothing is tried a second time
    try:
        buffers: list[pickle.PickleBuffer] = []
        daskpickle.dumps(value, buffer_callback=buffers.append)
        return value
    except Exception as exc:
        why = str(exc)
    finally:
        del _local.trying
    if several:
        return type(value)(_spare(item, depth - 1) for item in value)
    try:
        shown = repr(value)[:_LONG]
    except Exception:  # it is anyone's
        shown = f"<{type(value).__name__}>"
    return LeftBehind(type(value).__qualname__, shown, why)


def _is_easy(value: Any) -> bool:
    return type(value) in _ATOMS or isinstance(value, BaseException)


@register(
    TracebackType,
    travels="files, functions and lines, as tblib has them",
    lost="local variables",
    refused="where tblib is not installed",
    hint="Pass what traceback.format_tb makes of it.",
)
@neutral
def reduce_traceback(traceback: Any) -> Any:
    """Say it in the way of Dask, whether distributed is in use or not."""
    own = copyreg.dispatch_table.get(TracebackType)
    if own is not None:
        return own(traceback)
    try:
        from tblib.pickling_support import pickle_traceback  # type: ignore[import-untyped]
    except ImportError:
        raise RefusedError(traceback, "Its frames are calls of this process.") from None
    return pickle_traceback(traceback)


_found = {cls for cls in vars(builtins).values() if isinstance(cls, type)}
for _cls in {cls for cls in _found if issubclass(cls, BaseException)}:
    # Those that say themselves how they are pickled do not tell what they were raised from.
    if _cls is BaseException or {"__reduce__", "__getstate__"} & vars(_cls).keys():
        register(
            _cls,
            reduce_exception,
            travels="class, arguments, attributes, notes, cause, context; with tblib, traceback",
            lost="if it was raised: what cannot travel among its arguments and attributes",
            refused="nothing",
            hint="Raise one whose arguments are plain values.",
            subclasses=True,
        )
