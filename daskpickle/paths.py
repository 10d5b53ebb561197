"""Where an object was found inside what was being pickled: ``f<closure 'client'>.session.sock``.

Imported only when a dump has failed. The same pickler rules are run again by the pure Python
pickler, which can be watched; the chain of objects it was in when it failed is the path.
"""

from __future__ import annotations

import functools
import gc
import io
import pickle
import re
import sys
import threading
import types
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import cloudpickle

from daskpickle.errors import RefusedError, describe_type, refused_as

__all__ = [
    "STATE",
    "Route",
    "Step",
    "Watched",
    "children",
    "deeper",
    "find_path",
    "find_route",
    "is_task",
    "locate",
    "refusal_of",
    "rename",
]

_LONG = 1000  # characters of another's error that are repeated

HINT = "Create it where it is used, inside the task, or register a reducer for its type."

#: How CPython, Cython and cloudpickle say that a type cannot be pickled.
_CANNOT = re.compile(
    r"cannot pickle|can't pickle|can't serialize|no default __reduce__"
    r"|should only be shared between|cannot be (pickled|serialized)",
    re.I,
)
#: What the pickler itself says about the protocol that was asked for, and not about an object.
_PROTOCOL = re.compile("PickleBuffer can|persistent ID")


def locate(exc: Exception, root: Any, pickler: Any) -> Exception:
    """Return ``exc`` with the path of its object; as a `RefusedError` if nobody can pickle it."""
    if isinstance(exc, RefusedError) and exc.path is not None:
        return exc
    if not hasattr(pickler, "proto"):  # a subclass did not call our __init__
        return exc
    try:
        if isinstance(exc, RecursionError) or isinstance(exc.__cause__, RecursionError):
            return _endless(root, pickler) or exc
        chain = _chain(root, pickler)
        if not chain:
            return exc
        path, key = find_path(chain)
    except Exception:  # the objects on the way are anyone's
        return exc
    refusal = refusal_of(exc, chain[-1])
    if refusal is not None:
        refusal.path, refusal.key = path, key
        return refusal
    note = f"While pickling {describe_type(chain[-1])} at `{path}`."
    add_note = getattr(exc, "add_note", None)  # since 3.11
    if len(chain) > 1 and add_note is not None and note not in getattr(exc, "__notes__", ()):
        add_note(note)
    return exc


def refusal_of(exc: BaseException, obj: Any) -> RefusedError | None:
    """Return ``exc`` as a refusal of ``obj``, or None if it is not one of Python's own errors.

    Not as a `NotImplementedError`, which would tell Dask to go on to another way of pickling.
    """
    if isinstance(exc, RefusedError):
        return exc
    if isinstance(exc, NotImplementedError):
        return RefusedError(obj, _sentence(exc), HINT)
    if type(exc) is ValueError and isinstance(obj, io.IOBase) and obj.closed:
        return refused_as(ValueError)(obj, "It is closed.", "Open it inside the task.")
    if not isinstance(exc, Exception) or isinstance(exc, (MemoryError, Warning)):
        return None
    cls: type[Exception] = type(exc)
    if cls is pickle.PicklingError and _PROTOCOL.match(str(exc)):
        return None
    if cls is pickle.PicklingError or cls.__module__ == "builtins":
        return refused_as(cls)(obj, _sentence(exc), HINT)
    return None


def _sentence(exc: BaseException) -> str:
    text = str(exc)
    if text.lower().startswith(("cannot pickle", "can't pickle")) and "object" in text[-8:]:
        return "It is tied to this process, and no reducer is registered for its type."
    if len(text) > _LONG:
        text = f"{text[:_LONG]} ..."
    if not _CANNOT.search(text):
        text = f"Its own way of being pickled raised {type(exc).__name__}: {text}"
    return text if text.endswith(".") else text + "."


# --- The second walk ----------------------------------------------------------------------------

#: What the C pickler writes without asking ``reducer_override``; the Python one asks for all.
_UNASKED = {type(None), bool, int, float, bytes, bytearray, str, dict, set, frozenset, list, tuple}


class Watched(pickle._Pickler):
    """The pure Python pickler under the rules of another one; keeps the chain of objects."""

    def __init__(self, pickler: Any) -> None:
        callback = self.take_buffer if pickler.proto > 4 else None
        super().__init__(_Sink(), pickler.proto, buffer_callback=callback)
        self.dispatch_table = pickler.dispatch_table
        self.pickler = pickler
        self.chain: list[Any] = []

    def take_buffer(self, buffer: pickle.PickleBuffer) -> None:
        """Forget it."""

    def persistent_id(self, obj: Any) -> Any:
        ask = getattr(self.pickler, "persistent_id", None)
        return None if ask is None else ask(obj)

    def reducer_override(self, obj: Any) -> Any:
        return NotImplemented if type(obj) in _UNASKED else self.pickler.reducer_override(obj)

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        self.chain.append(obj)
        pickle._Pickler.save(self, obj, save_persistent_id)  # type: ignore[attr-defined]
        self.chain.pop()


class _Sink:
    def write(self, data: Any) -> None:
        """Forget it."""


def _chain(root: Any, pickler: Any) -> list[Any]:
    """Return the objects from ``root`` to the one that fails; nothing if none does any more."""
    watched = Watched(pickler)
    try:
        watched.dump(root)
    except RecursionError:  # the C pickler comes further with the same limit
        watched = Watched(pickler)
        try:
            with deeper():
                watched.dump(root)
        except RecursionError:
            return []
        except Exception:
            return watched.chain
    except Exception:
        return watched.chain
    return []


def _endless(root: Any, pickler: Any) -> RefusedError | None:
    """Refuse what is met again and again inside itself: it has to be there before it is made."""
    watched = Watched(pickler)
    try:
        watched.dump(root)
    except RecursionError:
        met = Counter(map(id, watched.chain))
    else:
        return None
    for number, obj in enumerate(watched.chain):
        if met[id(obj)] > 2:  # a function is met twice, see `find_route`
            why = "It is among what it is made of, so that it would have to be there already."
            refusal = RefusedError(obj, why, "Take it out of its own arguments, or its attributes.")
            refusal.path, refusal.key = find_path(watched.chain[: number + 1])
            return refusal
    return None


_limit = threading.Lock()


@contextmanager
def deeper(limit: int = 20_000) -> Iterator[None]:
    """Allow more recursion, as written in Python the pickler needs it."""
    with _limit:
        outer = sys.getrecursionlimit()
        sys.setrecursionlimit(max(outer, limit))
        try:
            yield
        finally:
            sys.setrecursionlimit(outer)


# --- Its path -----------------------------------------------------------------------------------


#: The step to what a ``__reduce__`` or ``__getstate__`` returned, which is no part of the object.
STATE = "<state>"


class Step(NamedTuple):
    """One step of a path.

    Attributes
    ----------
    text : str
        As the path says it: ``.session``.
    number : int
        Which of the children it leads to: a set has several ``<item>``.
    holder : Any
        What it leads away from.
    """

    text: str
    number: int
    holder: Any


class Route(NamedTuple):
    """A path, the steps it is made of, and the key of the Dask task that it leads through."""

    path: str
    steps: tuple[Step, ...]
    key: str | None


#: Of objects that are no part of each other, so many are kept in mind.
_FAR = 32


def find_path(chain: list[Any]) -> tuple[str, str | None]:
    """Return the path of the last object of ``chain`` inside the first, and the task key if any."""
    route = find_route(chain)
    return route.path, route.key


def find_route(chain: list[Any]) -> Route:
    """Return the way from the first object of ``chain`` to the last.

    Some objects on the way are no part of what they came from: what a ``__reduce__`` or
    ``__getstate__`` returned. The path goes around them where it can, and else says ``<state>``.
    """
    known: list[tuple[Any, Route]] = [(chain[0], Route(_root_name(chain[0]), (), None))]
    for child in chain[1:]:
        again = next((entry for entry in known if entry[0] is child), None)
        if again is not None:  # a function is met again in the cells that it is made with
            known = [again]
            continue
        for number, (parent, (path, steps, key)) in enumerate(known):
            step = _step(parent, child)
            if step is not None:
                around = known[: number + 1] if number else []
                known = [*around, (child, Route(path + step.text, (*steps, step), key))]
                break
        else:
            parent, (path, steps, key) = known[-1]
            if not path.endswith(STATE):
                path, steps = path + STATE, (*steps, Step(STATE, 0, parent))
            known.append((child, Route(path, steps, key)))
        if len(known) > _FAR:  # nothing of so far away is met again
            del known[1:-1]
        if is_task(child) and child.key is not None:
            steps = known[-1][1].steps
            known = [(child, Route(f"task {child.key!r}", steps, str(child.key)))]
    return known[-1][1]


def _root_name(root: Any) -> str:
    if is_task(root) and root.key is not None:
        return f"task {root.key!r}"
    if type(root) is types.FunctionType or issubclass(type(root), type):
        return str(root.__name__)
    return "graph" if _owner(root) == "dask" else "obj"


def rename(path: str | None, root: Any, name: str) -> str:
    """Return a path that starts at ``root`` with another name for it."""
    return name + (path or "").removeprefix(_root_name(root))


def _owner(obj: Any) -> str:
    return _module(type(obj)).partition(".")[0]


def _module(cls: type) -> str:
    try:
        return str(cls.__module__)
    except Exception:  # a metaclass is anyone's
        return ""


#: The bases of a class, whatever its metaclass says.
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__


def _variables(cls: type) -> Any:
    """Return what is defined in a class, whatever its metaclass says."""
    return type.__dict__["__dict__"].__get__(cls)


def _defines(cls: type, name: str) -> bool:
    """Tell whether a class or one of its bases defines a name."""
    return any(name in _variables(base) for base in _mro(cls))


def is_task(obj: Any) -> bool:
    """Tell whether an object is a task of a Dask graph."""
    cls = type(obj)
    return _module(cls).endswith("._task_spec") and _defines(cls, "substitute")


def _step(parent: Any, child: Any) -> Step | None:
    """Return how code reaches ``child`` from ``parent``, if it is one step away."""
    for number, (say, name, value) in enumerate(children(parent)):
        if value is child:
            return Step(say(name), number, parent)
    return None


_dicts: tuple[Any, ...] = ({}, OrderedDict())
_VIEWS = {type(view) for made in _dicts for view in (made.keys(), made.values(), made.items())}

Child = tuple[Callable[[Any], str], Any, Any]  # how to say it, its name, what it is


def children(parent: Any) -> Iterator[Child]:
    """Yield what is one step away. No code of ``parent`` runs: it may be anything."""
    cls = type(parent)
    if issubclass(cls, dict):
        for key, value in list(dict.items(parent)):
            yield _item, key, value
            yield "<key {}>".format, _Short(key), key
    elif issubclass(cls, tuple):
        names = getattr(cls, "_fields", ())
        for index, value in enumerate(tuple.__iter__(parent)):
            yield (_attribute, names[index], value) if index < len(names) else (_item, index, value)
    elif issubclass(cls, list):
        yield from ((_item, *pair) for pair in enumerate(list.__iter__(parent)))
    elif issubclass(cls, deque):
        yield from ((_item, *pair) for pair in enumerate(deque.__iter__(parent)))
    elif issubclass(cls, (set, frozenset)):
        base: Any = set if issubclass(cls, set) else frozenset
        yield from (("<item>".format, None, value) for value in base.__iter__(parent))
    elif cls is types.MappingProxyType:
        yield from ((_item, key, value) for key, value in dict(parent).items())
    elif cls is types.FunctionType:
        yield from _function_children(parent)
    elif cls in (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType):
        yield _attribute, "__self__", parent.__self__
    elif cls is types.CellType:
        yield _attribute, "cell_contents", _contents(parent)
    elif issubclass(cls, weakref.ref):
        yield "()".format, None, weakref.ref.__call__(parent)
    elif cls in _VIEWS:  # of which `mapping` is a proxy
        yield ".mapping".format, None, gc.get_referents(parent)[0]
    elif issubclass(cls, functools.partial):
        yield from ((".args[{}]".format, *pair) for pair in enumerate(parent.args))
        yield from ((".keywords[{!r}]".format, *pair) for pair in parent.keywords.items())
    elif is_task(parent):
        yield from ((".args[{}]".format, *pair) for pair in enumerate(getattr(parent, "args", ())))
        yield from ((".kwargs[{!r}]".format, *p) for p in getattr(parent, "kwargs", {}).items())
    elif _module(cls) == "numpy" and cls.__name__ == "ndarray" and parent.dtype.hasobject:
        for index, value in sys.modules["numpy"].ndenumerate(parent):
            yield _item, index[0] if parent.ndim == 1 else index, value
    elif _owner(parent) == "pandas" and cls.__name__ in ("DataFrame", "Series"):
        yield from _frame_children(parent)
        return  # how it stores them is its own business
    if _defines(cls, "__dask_graph__") or _owner(parent) == "dask":
        parameters = getattr(cls, "_parameters", ())
        operands = _attributes_of(parent).get("operands", ())
        yield from ((_attribute, *pair) for pair in zip(parameters, operands, strict=False))
    yield from _class_children(parent) if issubclass(cls, type) else _attributes(parent)
    yield _attribute, "__class__", cls


def _function_children(function: types.FunctionType) -> Iterator[Child]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield "<closure {!r}>".format, name, _contents(cell)
    defaults = function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    for name, value in [
        *zip(names, defaults, strict=False),
        *(function.__kwdefaults__ or {}).items(),
    ]:
        yield "<default {!r}>".format, name, value
    for name in cloudpickle.cloudpickle._extract_code_globals(code):
        if name in function.__globals__:
            yield "<global {!r}>".format, name, function.__globals__[name]


def _frame_children(frame: Any) -> Iterator[Child]:
    """Yield the objects in a dataframe of pandas, or in a series, by column and place."""
    yield _attribute, "attrs", _attributes_of(frame).get("_attrs")
    try:
        columns = [("", frame)] if frame.ndim == 1 else list(frame.items())
    except Exception:  # pandas copies what is in attrs
        return
    for name, series in columns:
        if series.dtype == object:
            column = f"[{_short(name)}]" if frame.ndim > 1 else ""
            say = f"{column.replace('{', '{{').replace('}', '}}')}.iloc[{{}}]".format
            yield from ((say, place, value) for place, value in enumerate(series.array))


def _class_children(cls: Any) -> Iterator[Child]:
    """Yield the attributes of a class; code does not always get by name what is stored."""
    for name, value in list(_variables(cls).items()):
        kind = type(value)
        if kind is staticmethod:
            yield _attribute, name, value.__func__
        elif kind is classmethod:
            yield ".{}.__func__".format, name, value.__func__
        elif hasattr(kind, "__get__") and kind not in (types.FunctionType, property):
            yield ".__dict__[{!r}]".format, name, value
        else:
            yield _attribute, name, value
    yield _attribute, "__bases__", cls.__bases__


def _attributes(parent: Any) -> Iterator[Child]:
    """Yield attributes as they are stored: no property and no ``__getattr__`` runs."""
    for name, value in list(_attributes_of(parent).items()):
        yield _attribute, name, value
    if type(parent) is types.FunctionType:
        return  # `_function_children` has better words for the rest
    for cls in _mro(type(parent)):
        for name, member in list(_variables(cls).items()):
            if type(member) is types.MemberDescriptorType:
                try:
                    yield _attribute, name, member.__get__(parent)
                except AttributeError:  # an empty slot
                    continue
    if issubclass(type(parent), BaseException):
        args = BaseException.__dict__["args"].__get__(parent)
        yield from ((".args[{}]".format, *pair) for pair in enumerate(args))


def _attributes_of(obj: Any) -> Any:
    """Return the ``__dict__`` of an object that has one, and no property of that name."""
    for cls in _mro(type(obj)):
        descriptor = _variables(cls).get("__dict__")
        if isinstance(descriptor, (types.GetSetDescriptorType, types.MemberDescriptorType)):
            return descriptor.__get__(obj)
        if descriptor is not None:
            break
    return {}


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return cell


# --- Its words ----------------------------------------------------------------------------------


def _attribute(name: Any) -> str:
    return f".{name}" if type(name) is str and name.isidentifier() else f".__dict__[{_short(name)}]"


def _item(key: Any) -> str:
    return f"[{_short(key)}]"


class _Short:
    """Says a key when it is formatted, and not for each key that is looked at."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __format__(self, spec: str) -> str:
        return _short(self.key)


def _short(key: Any) -> str:
    if _is_plain(key):
        text = repr(key)
        return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"
    return f"<{describe_type(key)}>"


def _is_plain(key: Any) -> bool:
    if type(key) is tuple:
        return all(map(_is_plain, key))
    return type(key) in (str, bytes, int, float, bool, type(None))
