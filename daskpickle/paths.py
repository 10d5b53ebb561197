"""Where an object was found inside what was being pickled: ``f<closure 'client'>.session.sock``.

Imported only when a dump has failed. The same pickler rules are run again by the pure Python
pickler, which can be watched; the chain of objects it was in when it failed is the path.
"""

from __future__ import annotations

import functools
import pickle
import re
import types
from collections.abc import Iterator
from typing import Any

import cloudpickle

from daskpickle.errors import RefusedError, describe_type

__all__ = ["find_path", "locate"]

HINT = "Create it where it is used, inside the task, or register a reducer for its type."

#: How CPython and cloudpickle say that a type cannot be pickled.
_CANNOT = re.compile(
    r"cannot pickle|can't pickle|no default __reduce__|cannot be (pickled|serialized)", re.I
)


def locate(exc: Exception, root: Any, pickler: Any) -> Exception:
    """Return ``exc`` with the path of its object; as a `RefusedError` if nobody can pickle it."""
    if isinstance(exc, RefusedError) and exc.path is not None:
        return exc
    if isinstance(exc, RecursionError) or isinstance(exc.__cause__, RecursionError):
        return exc
    if not hasattr(pickler, "proto"):  # a subclass did not call our __init__
        return exc
    chain = _chain(root, pickler)
    if not chain:
        return exc
    path, key = find_path(chain)
    refusal: RefusedError | None = None
    if isinstance(exc, RefusedError):
        refusal = exc
    elif isinstance(exc, (TypeError, pickle.PicklingError)) and _CANNOT.search(str(exc)):
        refusal = RefusedError(chain[-1], _sentence(exc), HINT)
    if refusal is not None:
        refusal.path, refusal.key = path, key
        return refusal
    if len(chain) > 1 and hasattr(exc, "add_note"):
        exc.add_note(f"While pickling {describe_type(chain[-1])} at `{path}`.")
    return exc


def _sentence(exc: Exception) -> str:
    text = str(exc)
    if text.lower().startswith(("cannot pickle", "can't pickle")) and "object" in text[-8:]:
        return "It is tied to this process, and no reducer is registered for its type."
    return text if text.endswith(".") else text + "."


class _Watched(pickle._Pickler):
    """The pure Python pickler under the rules of another one; keeps the chain of objects."""

    def __init__(self, pickler: Any) -> None:
        drop = (lambda buffer: None) if pickler.proto > 4 else None
        super().__init__(_Sink(), pickler.proto, buffer_callback=drop)
        self.dispatch_table = pickler.dispatch_table
        self.reducer_override: Any = pickler.reducer_override
        self.chain: list[Any] = []

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        self.chain.append(obj)
        pickle._Pickler.save(self, obj, save_persistent_id)  # type: ignore[attr-defined]
        self.chain.pop()


class _Sink:
    def write(self, data: Any) -> None:
        """Forget it."""


def _chain(root: Any, pickler: Any) -> list[Any]:
    watched = _Watched(pickler)
    try:
        watched.dump(root)
    except Exception:
        return watched.chain
    return []


def find_path(chain: list[Any]) -> tuple[str, str | None]:
    """Return the path of the last object of ``chain`` inside the first, and the task key if any."""
    current, path, key = chain[0], _root_name(chain[0]), None
    explained = True
    for child in chain[1:]:
        if _is_task(child) and child.key is not None:
            current, path, key, explained = child, f"task {child.key!r}", str(child.key), True
            continue
        step = _step(current, child)
        explained = step is not None
        if step is not None:
            current, path = child, path + step
    return (path if explained else f"{path}<state>"), key


def _root_name(root: Any) -> str:
    if _is_task(root) and root.key is not None:
        return f"task {root.key!r}"
    if isinstance(root, types.FunctionType):
        return root.__name__
    return "graph" if type(root).__module__.partition(".")[0] == "dask" else "obj"


def _is_task(obj: Any) -> bool:
    return type(obj).__module__.endswith("._task_spec") and hasattr(type(obj), "substitute")


def _step(parent: Any, child: Any) -> str | None:
    """Return how code reaches ``child`` from ``parent``, if it is one step away."""
    for name, value in _children(parent):
        if value is child:
            return name
    return None


def _children(parent: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(parent, dict):
        for key, value in list(parent.items()):
            yield f"[{_short(key)}]", value
            yield f"<key {_short(key)}>", key
    elif isinstance(parent, (list, tuple)):
        names = getattr(parent, "_fields", None)
        for index, value in enumerate(parent):
            yield (f".{names[index]}" if names else f"[{index}]"), value
    elif isinstance(parent, (set, frozenset)):
        for value in parent:
            yield "<item>", value
    elif isinstance(parent, types.FunctionType):
        yield from _function_children(parent)
    elif isinstance(parent, types.MethodType):
        yield ".__self__", parent.__self__
        yield ".__func__", parent.__func__
    elif isinstance(parent, functools.partial):
        yield ".func", parent.func
        yield from ((f".args[{i}]", value) for i, value in enumerate(parent.args))
        yield from ((f".keywords[{name!r}]", value) for name, value in parent.keywords.items())
    elif isinstance(parent, types.CellType):
        yield "<cell>", _contents(parent)
    elif _is_task(parent):
        for index, value in enumerate(getattr(parent, "args", ())):
            yield f".args[{index}]", value
        yield from ((f".kwargs[{n!r}]", v) for n, v in getattr(parent, "kwargs", {}).items())
    if hasattr(type(parent), "__dask_graph__") or type(parent).__module__.startswith("dask"):
        parameters = getattr(type(parent), "_parameters", ())
        operands = getattr(parent, "__dict__", {}).get("operands", ())
        yield from ((f".{name}", value) for name, value in zip(parameters, operands))  # noqa: B905
    yield from _attributes(parent)


def _function_children(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or ()):  # noqa: B905
        yield f"<closure {name!r}>", _contents(cell)
    defaults = function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    yield from ((f"<default {name!r}>", value) for name, value in zip(names, defaults))  # noqa: B905
    yield from ((f"<default {n!r}>", v) for n, v in (function.__kwdefaults__ or {}).items())
    for name in cloudpickle.cloudpickle._extract_code_globals(code):
        if name in function.__globals__:
            yield f"<global {name!r}>", function.__globals__[name]


def _attributes(parent: Any) -> Iterator[tuple[str, Any]]:
    """Yield attributes as they are stored: no property and no ``__getattr__`` runs."""
    try:
        attributes = object.__getattribute__(parent, "__dict__")
    except AttributeError:
        attributes = {}
    for name, value in list(attributes.items()):
        yield (f".{name}" if str(name).isidentifier() else f".__dict__[{name!r}]"), value
        if isinstance(value, (staticmethod, classmethod)):
            yield f".{name}", value.__func__
    for cls in type(parent).__mro__:
        for name, member in list(vars(cls).items()):
            if isinstance(member, types.MemberDescriptorType):
                try:
                    yield f".{name}", member.__get__(parent)
                except AttributeError:
                    continue
    if isinstance(parent, BaseException):
        yield from ((f".args[{index}]", value) for index, value in enumerate(parent.args))


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return cell


def _short(key: Any) -> str:
    if isinstance(key, (str, bytes, int, float, bool, type(None))):
        text = repr(key)
        return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"
    return f"<{describe_type(key)}>"
