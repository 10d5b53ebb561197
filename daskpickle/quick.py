"""Quick dumps: one pass with a pickler that is used again, and as little Python in it as possible.

The C pickler asks Python about every object as soon as there is a ``reducer_override``, which only
functions and classes need: for objects such as datetimes that is a third of the whole time. So a
*plain* pass does without, and stops at the first thing that must travel by value: a local function
or class, which the C pickler refuses by itself (``save_global`` in CPython's ``_pickle.c``), or one
of ``__main__``, whose name is then in the stream. A *full* pass has one, for what is known to need
it, and where it costs nothing. Both give the same bytes.

Whatever fails here is done again by `daskpickle.pickler.Pickler`, which knows how to say why.
"""

from __future__ import annotations

import functools
import operator
import pickle
import weakref
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cloudpickle import cloudpickle

from daskpickle.classes import reduce_class
from daskpickle.errors import RefusedError
from daskpickle.functions import USABLE, only_code, reduce_code, reduce_function
from daskpickle.pool import count_fired
from daskpickle.table import DispatchTable, Reducer, Resolved, version

__all__ = ["ATOMS", "FEW", "PROBES", "Picklers", "is_builtin", "stood_for"]

#: Of classes of objects that hold one function above all: how to get it.
PROBES: dict[type, Callable[[Any], Any]] = {functools.partial: operator.attrgetter("func")}

ATOMS = frozenset((str, bytes, int, float, bool, type(None)))
FEW, _MANY = 32, 4096

_set_table: Any = pickle.Pickler.dispatch_table.__set__  # type: ignore[attr-defined]
_by_value_modules = cloudpickle._PICKLE_BY_VALUE_MODULES


def is_builtin(obj: Any) -> bool:
    """Tell whether ``obj`` is for certain nothing but a few strings, numbers and the like.

    Nobody can say how these are pickled; `pickle.dumps` gives the same bytes as any pickler.
    """
    cls = type(obj)
    if cls in ATOMS:
        return True
    if cls is dict:
        if len(obj) > FEW:
            return False
        for key, value in obj.items():
            if type(value) not in ATOMS or type(key) not in ATOMS:
                return False
        return True
    if cls is list or cls is tuple:
        return len(obj) <= FEW and ATOMS.issuperset(map(type, obj))
    return False


def stood_for(proxy: Any) -> Any:
    """Return what a proxy that is pickled by itself stands for, as plain pickle has it.

    Nothing would hold that where the proxy arrives.
    """
    try:
        return getattr(proxy.__reduce_ex__, "__self__", proxy)
    except ReferenceError:  # it is dead
        return proxy


class _ByValue(Exception):  # noqa: N818 - it says where to go on, and reaches nobody
    """A plain pass has met something that travels by value."""


class _Sink(list[bytes]):
    """Takes what a plain pass writes: frames of some 64 KiB, and larger payloads by themselves."""

    def write(self, chunk: Any) -> None:
        # A payload of its own is not looked at: of what is in frames, nothing is longer.
        if type(chunk) is bytes and len(chunk) < 0x30000 and b"__main__" in chunk:
            raise _ByValue
        self.append(chunk)


class _Plain(pickle.Pickler):
    """Knows nothing of functions and classes."""


class _Full(pickle.Pickler):
    """Functions and classes by value too; classes of metaclasses are in its table."""

    globals_ref: dict[int, dict[str, Any]]
    by_value = False

    def reducer_override(self, obj: Any) -> Any:
        cls = type(obj)
        if cls is FunctionType:
            reduced = reduce_function(obj, self.globals_ref)
            if reduced is not NotImplemented:
                self.by_value = True
            return reduced
        if cls is type:
            return self.reduce_class(obj)
        return NotImplemented

    def reduce_class(self, cls: type) -> Any:
        """Reduce a class by value, if it cannot be imported elsewhere."""
        reduced = reduce_class(cls)
        if reduced is not NotImplemented and len(reduced) > 2:
            self.by_value = True
        return reduced


class _FullResolved(Resolved):
    """The table of a `_Full`."""

    pickler: _Full

    def __missing__(self, cls: type) -> Reducer:
        if not issubclass(cls, type):
            return super().__missing__(cls)
        by_value = self.pickler.reduce_class
        registered: Reducer = super().__missing__(cls)
        if hasattr(registered, "registration"):
            return registered

        def reduce(obj: type) -> Any:
            reduced = by_value(obj)
            return registered(obj) if reduced is NotImplemented else reduced

        self[cls] = reduce
        self.passing.append(cls)
        return reduce


class _Slot:
    """A pickler, what it writes to, and the table it asks."""

    __slots__ = ("buffers", "chunks", "pickler", "resolved")

    def __init__(
        self, table: DispatchTable, first: Mapping[type, Reducer], *, full: bool, out_of_band: bool
    ) -> None:
        self.chunks = _Sink()
        self.buffers: list[pickle.PickleBuffer] = []
        sink: Any = _ListSink(self.chunks) if full else self.chunks
        callback = self.buffers.append if out_of_band else None
        kind: Any = _Full if full else _Plain
        self.pickler = kind(sink, 5, buffer_callback=callback)
        self.resolved = (_FullResolved if full else Resolved)(table, first)
        if full:
            self.pickler.globals_ref = {}
            self.resolved.pickler = self.pickler  # type: ignore[attr-defined]
        _set_table(self.pickler, self.resolved)


class _ListSink:
    """Takes what a full pass writes."""

    __slots__ = ("write",)

    def __init__(self, chunks: list[bytes]) -> None:
        self.write = chunks.append


class Picklers:
    """Picklers for one purpose, used again and again; threads and nested dumps have one each.

    Parameters
    ----------
    first
        Reducers that go before the table's.
    remembers
        Whether `dump` tells what was pickled, if it holds our types.
    one_pass
        Whether there is never a plain pass first: no ``__reduce__`` is then asked twice.
    """

    def __init__(
        self,
        first: Mapping[type, Reducer] | None = None,
        *,
        remembers: bool = False,
        one_pass: bool = False,
    ) -> None:
        self._one_pass = one_pass
        self._first = dict(first or {})
        self._remembers = remembers
        self._idle: tuple[list[_Slot], ...] = ([], [], [], [])
        # The ids of classes that led to something by value last time. Only a guess: an id may be
        # that of another class by now.
        self._by_value: set[int] = set()

    def dump(
        self, obj: Any, table: DispatchTable, out_of_band: bool = False, prefix: bytes = b""
    ) -> tuple[bytes, list[pickle.PickleBuffer], list[Any] | None]:
        """Pickle ``obj`` with protocol 5.

        Parameters
        ----------
        obj, table
            The object, and the table whose reducers are used.
        out_of_band
            Whether buffers are returned by themselves (PEP 574).
        prefix
            What is put before the stream if it holds one of our types.

        Returns
        -------
        data, buffers, seen
            ``seen`` is None if there was none of our types; else what was pickled, as far as it is
            remembered.

        Raises
        ------
        Exception
            Anything: `daskpickle.pickler.Pickler` gives the error that is meant for people.
        """
        if not USABLE:
            raise NotImplementedError  # no quick way in this Python: the caller goes the long one
        cls = type(obj)
        if cls in weakref.ProxyTypes:
            obj = stood_for(obj)
        if cls is FunctionType:
            return self._dump_function(obj, table, out_of_band, prefix)
        if self._one_pass or id(cls) in self._by_value:
            return self._dump(obj, table, cls, True, out_of_band, prefix)
        found = _peek(obj, 3)
        cls = type(found)
        if (
            found is not None
            and id(cls) not in self._by_value
            and not _by_value_modules
            and not _is_by_value(found, cls)
        ):
            try:
                return self._dump(obj, table, cls, False, out_of_band, prefix)
            except (RefusedError, RecursionError, MemoryError):
                raise
            except Exception:  # among them _ByValue
                pass
        return self._dump(obj, table, cls, True, out_of_band, prefix)

    def _dump_function(
        self, obj: FunctionType, table: DispatchTable, out_of_band: bool, prefix: bytes
    ) -> tuple[bytes, list[pickle.PickleBuffer], list[Any] | None]:
        """Pickle a function; one that is nothing but its code is the same bytes each time."""
        found = only_code(obj)
        if found is None:
            return self._dump(obj, table, FunctionType, True, out_of_band, prefix)
        facts, about = found
        now = version()
        if facts.stream is not None:
            data, known_about, known_table, known_version = facts.stream
            if known_table is table and known_version == now and known_about == about:
                return data, [], None
        dumped = self._dump(obj, table, FunctionType, True, out_of_band, prefix)
        atoms = all(type(value) in ATOMS or type(value) is ModuleType for value in about)
        if atoms and dumped[1:] == ([], None) and table.get(CodeType) is reduce_code:
            facts.stream = (dumped[0], about, table, now)
        return dumped

    def _dump(
        self,
        obj: Any,
        table: DispatchTable,
        cls: type,
        full: bool,
        out_of_band: bool,
        prefix: bytes,
    ) -> tuple[bytes, list[pickle.PickleBuffer], list[Any] | None]:
        idle = self._idle[2 * full + out_of_band]
        try:
            slot = idle.pop()
            if slot.resolved.table is not table:
                raise IndexError  # another policy
        except IndexError:
            slot = _Slot(table, self._first, full=full, out_of_band=out_of_band)
        pickler, chunks, buffers = slot.pickler, slot.chunks, slot.buffers
        slot.resolved.begin()
        before = count_fired()
        try:
            pickler.dump(obj)
        except BaseException:  # the slot is not used again, and keeps nothing alive
            pickler.memo = {}
            chunks.clear()
            buffers.clear()
            slot.resolved.clear()
            raise
        seen: list[Any] | None = None
        if count_fired() != before:
            seen = [entry[1] for entry in pickler.memo.copy().values()] if self._remembers else []
            if prefix:
                chunks.insert(0, prefix)
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if out_of_band:
            buffers = buffers.copy()
            slot.buffers.clear()
        if len(data) < 1500:
            pickler.clear_memo()
        else:  # `clear_memo` keeps a table that has grown, and empties all of it each time
            pickler.memo = {}
        if full:
            pickler.globals_ref.clear()
            if pickler.by_value:
                pickler.by_value = False
                if len(self._by_value) >= 64:
                    self._by_value.clear()
                if len(self._by_value) > _MANY:
                    self._by_value.clear()
                self._by_value.add(id(cls))
            else:
                self._by_value.discard(id(cls))
        if slot.resolved.passing:
            slot.resolved.end()
        idle.append(slot)
        return data, buffers, seen


def _peek(obj: Any, depth: int) -> Any:
    """Return one of the first objects in ``obj`` whose class is not builtin, or None.

    A guess at what it holds, for the choice of a pass. A function at the end counts too.
    """
    cls = type(obj)
    if cls in ATOMS:
        return None
    if cls is list or cls is tuple:
        if not obj or not depth:
            return None
        last = obj[-1]
        if type(last) is FunctionType:
            return last
        found = _peek(obj[0], depth - 1)
        return _peek(last, depth - 1) if found is None else found
    if cls is dict:
        return _peek(next(iter(obj.values())), depth - 1) if obj and depth else None
    if cls is set or cls is frozenset:
        return _peek(next(iter(obj)), depth - 1) if obj and depth else None
    return obj


def _is_by_value(obj: Any, cls: type) -> bool:
    """Tell whether ``obj`` is, or holds first of all, a function that travels by value."""
    probe = PROBES.get(cls)
    if probe is not None:
        obj = probe(obj)
        cls = type(obj)
    if cls is FunctionType:
        return obj.__module__ == "__main__" or "<" in obj.__qualname__
    return cls is type and obj.__module__ == "__main__"
