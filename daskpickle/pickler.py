"""The pickler: cloudpickle's, with a live dispatch table and errors that say where."""

from __future__ import annotations

import io
import pickle
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinMethodType, FunctionType
from typing import Any, Protocol

import cloudpickle

from daskpickle import reducers  # noqa: F401 - its index tells the registry where rooms are
from daskpickle.classes import reduce_class
from daskpickle.functions import USABLE, reduce_function
from daskpickle.policy import current_policy
from daskpickle.quick import Picklers, is_message, stood_for
from daskpickle.resolved import Resolved
from daskpickle.table import DispatchTable

__all__ = ["Pickler", "Unpickler", "dump", "dumps", "load", "loads"]

BufferCallback = Callable[[pickle.PickleBuffer], Any]


class _Writer(Protocol):
    def write(self, data: bytes, /) -> Any: ...


_instance_table: Any = pickle.Pickler.dispatch_table  # a C member


class _ClassTable:
    """`dispatch_table` of a class: its table on the class, a pickler's own on an instance.

    A plain class attribute would shadow the C member that the pickler reads, so that assigning a
    table to an instance would silently do nothing (bpo-14166 documents that it should work;
    cloudpickle issue 437).
    """

    def __init__(self, table: Any) -> None:
        self.table = table

    def _default(self, choices: Mapping[str, str]) -> Any:
        table = self.table
        return table.refresh().under(choices) if type(table) is DispatchTable else table

    def __get__(self, pickler: Any, owner: Any = None) -> Any:
        if pickler is None:
            return self._default({})
        try:
            table = _instance_table.__get__(pickler)
            return table.table if type(table) is Resolved else table
        except AttributeError:  # in __init__: the C pickler asks which table to use
            return self._default(current_policy().actions)

    def __set__(self, pickler: Any, table: Any) -> None:
        _instance_table.__set__(pickler, table)

    def __delete__(self, pickler: Any) -> None:
        _instance_table.__set__(pickler, self._default(current_policy().actions))


_live_table = DispatchTable()


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickle objects that are tied to their process too: as recipes, or not at all.

    Functions and classes that cannot be imported elsewhere travel by value, as in cloudpickle.

    Parameters
    ----------
    file
        Anything with ``write(bytes)``.
    protocol
        As for `pickle.Pickler`; the default is the highest.
    buffer_callback
        As for `pickle.Pickler`: is given each out-of-band buffer (PEP 574).

    Attributes
    ----------
    dispatch_table : DispatchTable
        On the class, the live table that `register` writes to. A subclass may define its own, and
        an instance may be given one, as `pickle.Pickler.dispatch_table` documents.

    Raises
    ------
    RefusedError
        From `dump`: something in the object cannot travel. It says where, why, and what to do.
    """

    dispatch_table: Any = _ClassTable(_live_table)
    _resolved: Resolved | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        table = vars(cls).get("dispatch_table")
        if table is not None and not hasattr(table, "__get__"):
            cls.dispatch_table = _ClassTable(table)

    def __init__(
        self,
        file: _Writer,
        protocol: int | None = None,
        *,
        fix_imports: bool = True,
        buffer_callback: BufferCallback | None = None,
    ) -> None:
        if protocol is None:
            protocol = cloudpickle.DEFAULT_PROTOCOL
        pickle.Pickler.__init__(
            self, file, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback
        )
        # The two attributes of `cloudpickle.Pickler`, whose __init__ does not take fix_imports.
        self.globals_ref: dict[int, dict[str, Any]] = {}
        self.proto = int(protocol) if protocol >= 0 else pickle.HIGHEST_PROTOCOL
        table = _instance_table.__get__(self)
        if type(table) is DispatchTable and protocol in (5, -1):
            self._resolved = Resolved(lambda: table)
            _instance_table.__set__(self, self._resolved)

    def dump(self, obj: Any) -> None:
        """Write the pickle of ``obj``."""
        try:
            if type(obj) in weakref.ProxyTypes:
                obj = stood_for(obj)
            super().dump(obj)
        except Exception as exc:
            # Only now is anything paid for a good message: the second walk that finds the path.
            from daskpickle.paths import locate

            error = locate(exc, obj, self)
            if error is exc:
                raise
            raise error from exc
        finally:
            if self._resolved is not None:
                self._resolved.end()

    def reducer_override(self, obj: Any) -> Any:
        """Reduce functions and classes that cannot be imported elsewhere: by value."""
        cls = type(obj)
        if cls is FunctionType:
            return self._function_reduce(obj)
        if issubclass(cls, type):
            if cls is not type and hasattr(self.dispatch_table.get(cls), "registration"):
                return NotImplemented  # the table has an answer for classes of this metaclass
            return reduce_class(obj)
        return NotImplemented

    def _function_reduce(self, obj: FunctionType) -> Any:
        if USABLE:
            return reduce_function(obj, self.globals_ref)
        return super()._function_reduce(obj)


class Unpickler(pickle.Unpickler):
    """Load what `Pickler` wrote; plain `pickle.Unpickler` does as well.

    Loading opens nothing: a handle opens at its first use.
    """


def current_table() -> DispatchTable:
    """Return the table for the policy of this context."""
    actions = current_policy().actions
    return _live_table.under(actions) if actions else _live_table


_picklers = Picklers(current_table, one_pass=True)


def _only_appends(callback: Any) -> bool:
    """Tell whether a buffer callback only appends to a list, so that it may be called later."""
    return (
        type(callback) is BuiltinMethodType
        and type(callback.__self__) is list
        and callback.__name__ == "append"
    )


def dump(
    obj: Any,
    file: _Writer,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: BufferCallback | None = None,
) -> None:
    """Write the pickle of ``obj`` to ``file``; see `Pickler`."""
    Pickler(file, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback).dump(obj)


def dumps(
    obj: Any,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: BufferCallback | None = None,
) -> bytes:
    """Return the pickle of ``obj``; see `Pickler`.

    Raises
    ------
    RefusedError
        Something in ``obj`` cannot travel.
    """
    if protocol is None or protocol in (5, -1):
        if is_message(obj, 64):
            return pickle.dumps(obj, 5)
        if buffer_callback is None or _only_appends(buffer_callback):
            try:
                data, buffers, _ = _picklers.dump(obj, buffer_callback is not None)
            except Exception:  # below it is raised in other words
                pass
            else:
                for buffer in buffers:
                    buffer_callback(buffer)  # type: ignore[misc]
                return data
    file = io.BytesIO()
    Pickler(file, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback).dump(obj)
    return file.getvalue()


def load(
    file: Any,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = None,
) -> Any:
    """Read an object from ``file``; as `pickle.load`."""
    return Unpickler(
        file, fix_imports=fix_imports, encoding=encoding, errors=errors, buffers=buffers
    ).load()


def loads(
    data: Any,
    /,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = None,
) -> Any:
    """Load an object from ``data``; as `pickle.loads`."""
    return pickle.loads(
        data, fix_imports=fix_imports, encoding=encoding, errors=errors, buffers=buffers
    )
