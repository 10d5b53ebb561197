"""Quick dumps: one pass with a pickler that is used again, and as little Python in it as possible.

The C pickler asks Python about every object as soon as there is a ``reducer_override``, which only
functions and classes need: for objects such as datetimes that is a third of the whole time. So a
*plain* pass does without, and stops at the first thing that must travel by value: a local function
or class, which the C pickler refuses by itself (``save_global`` in CPython's ``_pickle.c``), or one
of ``__main__``, whose name is then in the stream. A *full* pass has one, for what is known to need
it, and where it costs nothing. Both give the same bytes.

Messages hold nothing but strings, numbers and the like. `pickle.dumps` is best at them: it copies
nothing, and what it wrote tells whether there was anything else.

Whatever fails here is done again by `daskpickle.pickler.Pickler`, which knows how to say why.
"""

from __future__ import annotations

import functools
import marshal
import math
import operator
import pickle
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from daskpickle.classes import reduce_class
from daskpickle.errors import RefusedError
from daskpickle.functions import (
    USABLE,
    Leaf,
    by_value_modules,
    is_importable,
    leaf,
    make_function,
    reduce_cell,
    reduce_code,
    reduce_function,
    write,
)
from daskpickle.pool import this_thread
from daskpickle.prelude import Prelude, names
from daskpickle.resolved import ByValue, Resolved, is_by_value
from daskpickle.table import DispatchTable, Reducer, version

__all__ = ["PROBES", "Dumped", "Picklers", "dumps_or", "is_message", "stood_for"]

#: Of classes of objects that hold one function above all: how to get it.
PROBES: dict[type, Callable[[Any], Any]] = {functools.partial: operator.attrgetter("func")}

ATOMS = frozenset((str, bytes, bytearray, int, float, bool, type(None)))
_CONTAINERS = frozenset((dict, list, tuple, set, frozenset))
_MANY = 64  # classes that are remembered
_DOUBTS = 64  # lists and such that are not taken for messages, after one that was none
_SMALL, _LARGE = 1500, 0x4000  # bytes
_HAS_FAST = hasattr(pickle.Pickler, "fast")  # a deprecated attribute
_WITH_STATE = pickle.POP + pickle.STOP
_STEADY = frozenset((str, type(None), ModuleType))  # equal ones are pickled as the same bytes
_FUNCTION: Prelude = (
    names(("marshal", "loads"), (make_function.__module__, "_make_function")),
    {id(marshal.loads): (0, marshal.loads), id(make_function): (1, make_function)},
)

#: The opcode that names a function or class in protocol 4 and 5; nothing else is pickled without.
_STACK_GLOBAL = pickle.STACK_GLOBAL[0]
#: How the name of that module is written, where it is written first.
_MAIN = pickle.SHORT_BINUNICODE + b"\x08__main__"

_set_table: Any = pickle.Pickler.dispatch_table.__set__  # type: ignore[attr-defined]

#: The stream, its buffers, and what was pickled, if that holds our types and is remembered.
Dumped = tuple[bytes, Sequence[pickle.PickleBuffer], list[Any] | None]


def stood_for(proxy: Any) -> Any:
    """Return what a proxy that is pickled by itself stands for, as plain pickle has it.

    Nothing would hold that where the proxy arrives.
    """
    try:
        return getattr(proxy.__reduce_ex__, "__self__", proxy)
    except ReferenceError:  # it is dead
        return proxy


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
        return reduce


class _Slot:
    """A pickler, what it writes to, and the table it asks."""

    __slots__ = (
        "buffers", "chunks", "clear_memo", "dump", "full", "idle", "pickler", "resolved", "write",
    )  # fmt: skip

    def __init__(self, full: bool, out_of_band: bool, resolved: Any, idle: list[_Slot]) -> None:
        self.full, self.resolved = full, resolved
        self.idle = idle  # where it goes when it is not in use
        self.chunks: list[bytes] = []
        self.buffers: list[pickle.PickleBuffer] = []
        self.write = self.chunks.append
        callback = self.buffers.append if out_of_band else None
        kind: Any = _Full if full else _Plain
        self.pickler = kind(self, 5, buffer_callback=callback)
        self.dump, self.clear_memo = self.pickler.dump, self.pickler.clear_memo
        if full:
            self.pickler.globals_ref = {}
            resolved.pickler = self.pickler
        _set_table(self.pickler, resolved)

    def push(self, obj: Any) -> bytes:
        """Return the opcodes that push an object on the stack.

        Raises
        ------
        ValueError
            They are long.
        """
        self.dump(obj)
        (data,) = self.chunks
        self.chunks.clear()
        return data[11:-1] if data[2:3] == pickle.FRAME else data[2:-1]

    def forget(self) -> None:
        """Let go of everything."""
        self.pickler.memo = {}
        self.chunks.clear()
        self.buffers.clear()
        self.resolved.end()


class Picklers:
    """Picklers for one purpose, used again and again; threads and nested dumps have one each.

    Parameters
    ----------
    table
        Returns the table whose reducers are used.
    first
        Reducers that go before the table's.
    one_pass
        Whether there is never a plain pass first: no ``__reduce__`` is then asked twice.
    remembers
        Whether `dump` tells what was pickled, if it holds our types.
    keeps
        Classes that each dump is about, and whose reducers it is worth to keep.
    """

    def __init__(
        self,
        table: Callable[[], DispatchTable],
        first: Mapping[type, Reducer] | None = None,
        *,
        one_pass: bool = False,
        remembers: bool = False,
        keeps: Collection[type] = (),
    ) -> None:
        self._remembers = remembers
        self._table = table
        self._keeps = keeps
        self._one_pass = one_pass
        self._first = dict(first or {})
        # Those that are not in use: plain and full ones, without and with buffers out of band.
        self._idle: tuple[tuple[list[_Slot], list[_Slot]], ...] = (([], []), ([], []))
        self._idle_fast: list[_Slot] = []
        self._looked: tuple[Any, bool] = (None, False)
        # The ids of classes that led to something by value last time. Only a guess: an id may be
        # that of another class by now.
        self._by_value: set[int] = set()
        # The same of classes that hold few objects and much data. A full pass does not look at the
        # data for what was named.
        self._bulky: set[int] = set()

    def dump(self, obj: Any, out_of_band: bool = False, prefix: bytes = b"") -> Dumped:
        """Pickle ``obj`` with protocol 5.

        Parameters
        ----------
        obj
            The object.
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
        cls = type(obj)
        has_name = cls is FunctionType or cls is type
        if has_name and obj.__module__ != "__main__" and is_importable(obj):
            return pickle.dumps(obj, 5), (), None
        if cls is FunctionType:
            data = self._written(obj)
            if data is not None:
                return data, (), None
            prelude = _FUNCTION if is_by_value(obj) else None
            return self._dump(obj, True, out_of_band, prefix, prelude)
        elif cls in weakref.ProxyTypes:
            obj = stood_for(obj)
        full = self._one_pass or self._suggests_full(obj)
        return self._dump(obj, full, out_of_band, prefix)

    def dump_named(
        self,
        obj: Any,
        out_of_band: bool,
        prelude: Prelude,
        full: bool,
        otherwise: Prelude | None = None,
    ) -> Dumped:
        """Pickle an object of one of the classes that are kept, with names that it needs.

        That is most likely all that there is to find out about it. If it needs another, full pass,
        ``otherwise`` is the prelude of that.
        """
        try:
            slot = self._idle[full][out_of_band].pop()
        except IndexError:
            slot = self._new_slot(full, out_of_band)
        resolved, chunks = slot.resolved, slot.chunks
        try:
            if resolved.version != version():
                resolved.check()
            slot.pickler.memo = prelude[1]
            slot.dump(obj)
        except BaseException as exc:
            return self._dump_again(slot, exc, obj, out_of_band, b"", otherwise or prelude)
        data = chunks.pop()
        if full or resolved.used or chunks or slot.buffers or _STACK_GLOBAL in data:
            chunks.append(data)
            return self._take(slot, obj, out_of_band, b"", prelude, otherwise)
        slot.clear_memo()
        slot.idle.append(slot)
        return prelude[0] + data, (), None

    def prelude(self, function: Any, first: Prelude) -> Prelude | None:
        """Return ``first`` with a function by value, if that is a leaf.

        Whoever loads it makes the function before all else, and remembers it.
        """
        data = self._written(function) if type(function) is FunctionType else None
        if data is None or data[-2:] == _WITH_STATE:
            return None
        data = first[0] + data[:-1] + pickle.MEMOIZE + pickle.POP
        return data, {**first[1], id(function): (len(first[1]), function)}

    def _written(self, function: FunctionType) -> bytes | None:
        """Return the pickle of a function by value, if it is a leaf.

        Mostly in the *fast* mode of the C pickler, which uses no memo: what it writes is loaded in
        less time. It is not for what leads back to itself.
        """
        found = leaf(function)
        if found is None:
            return None
        now = self._table(), version()
        if not self._writes(now):
            return None
        try:
            slot = self._idle_fast.pop()
        except IndexError:
            slot = _Slot(False, False, Resolved(self._table), self._idle_fast)
        try:
            data = _write_leaf(slot, function, found, now)
        except Exception:  # something in it is too long, or refused: the longer way
            return None
        resolved = slot.resolved
        if resolved.used:
            ours = this_thread.fired != resolved.fired
            resolved.end()
            if ours:
                return None
        self._idle_fast.append(slot)
        return data

    def _writes(self, now: tuple[Any, ...]) -> bool:
        """Tell whether nobody has registered anything else for parts of functions."""
        if now != self._looked[0]:
            table = now[0].refresh()
            usual = table.get(CodeType) is reduce_code and table.get(CellType) is reduce_cell
            self._looked = now, usual and _HAS_FAST
        return self._looked[1]

    def _suggests_full(self, obj: Any) -> bool:
        """Guess whether a full pass is right: something in ``obj`` travels by value.

        It costs nothing where there is hardly anything but builtin objects.
        """
        if by_value_modules:
            return True
        cls = type(obj)
        if cls in _CONTAINERS:
            obj = _peek(obj, 3)
            if obj is None:
                return True
            cls = type(obj)
        if id(cls) in self._by_value or id(cls) in self._bulky:
            return True
        probe = PROBES.get(cls)
        return is_by_value(obj if probe is None else probe(obj))

    def _dump(
        self,
        obj: Any,
        full: bool,
        out_of_band: bool,
        prefix: bytes,
        prelude: Prelude | None = None,
    ) -> Dumped:
        try:
            slot = self._idle[full][out_of_band].pop()
        except IndexError:
            slot = self._new_slot(full, out_of_band)
        try:
            if prelude is not None:
                slot.resolved.check()
                slot.pickler.memo = prelude[1]
            slot.dump(obj)
        except BaseException as exc:
            return self._dump_again(slot, exc, obj, out_of_band, prefix, prelude)
        return self._take(slot, obj, out_of_band, prefix, prelude)

    def _dump_again(
        self,
        slot: _Slot,
        failure: BaseException,
        obj: Any,
        out_of_band: bool,
        prefix: bytes,
        prelude: Prelude | None = None,
    ) -> Dumped:
        """Pickle in a full pass what a plain one has failed to pickle: it may be `ByValue`."""
        slot.forget()  # it is not used again, and keeps nothing alive
        why_not = (RefusedError, RecursionError, MemoryError)
        if slot.full or isinstance(failure, why_not) or not isinstance(failure, Exception):
            raise failure
        return self._dump(obj, True, out_of_band, prefix, prelude)

    def _take(
        self,
        slot: _Slot,
        obj: Any,
        out_of_band: bool,
        prefix: bytes,
        prelude: Prelude | None = None,
        otherwise: Prelude | None = None,
    ) -> Dumped:
        """Return what was dumped, and make the slot ready for the next dump."""
        chunks, resolved, pickler = slot.chunks, slot.resolved, slot.pickler
        if not slot.full and (by_value_modules or _names_main(chunks)):
            prelude = otherwise or prelude
            return self._dump_again(slot, ByValue(), obj, out_of_band, prefix, prelude)
        seen: list[Any] | None = None
        cls, classes = type(obj), len(resolved)
        if resolved.used:
            if cls in _CONTAINERS:
                cls = next(iter(resolved))  # of the first object in it
            if this_thread.fired != resolved.fired:
                seen = []
                if self._remembers:
                    seen += [entry[1] for entry in pickler.memo.copy().values()]
                chunks.insert(0, prefix)
            resolved.end()
        if prelude is not None:
            chunks.insert(0, prelude[0])
        if len(chunks) == 1:
            data = chunks.pop()
        else:
            data = b"".join(chunks)
            chunks.clear()
        size = len(data)
        if size < _SMALL:
            slot.clear_memo()
        else:  # that keeps a table that has grown, and empties all of it each time
            pickler.memo = {}
        if slot.full or size > _LARGE:
            self._learn(cls, slot, data, classes)
        buffers: Sequence[pickle.PickleBuffer] = ()
        if slot.buffers:
            buffers = slot.buffers.copy()
            slot.buffers.clear()
        slot.idle.append(slot)
        return data, buffers, seen

    def _new_slot(self, full: bool, out_of_band: bool) -> _Slot:
        if full:
            resolved: Resolved = _FullResolved(self._table, self._first, self._keeps)
        else:
            resolved = Resolved(self._table, self._first, self._keeps, self._by_value, PROBES)
        return _Slot(full, out_of_band, resolved, self._idle[full][out_of_band])

    def _learn(self, cls: type, slot: _Slot, data: bytes, classes: int) -> None:
        """Remember what was in an object of this class."""
        key, pickler = id(cls), slot.pickler
        if len(self._by_value) > _MANY or len(self._bulky) > _MANY:
            self._by_value.clear()
            self._bulky.clear()
        if slot.full:
            pickler.globals_ref.clear()
            (self._by_value.add if pickler.by_value else self._by_value.discard)(key)
            pickler.by_value = False
        middle = len(data) // 2
        sparse = data.count(pickle.MEMOIZE, middle, middle + _LARGE // 4) < _LARGE // 512
        few = sparse and classes <= 10 and len(data) > _LARGE
        (self._bulky.add if few else self._bulky.discard)(key)


def _write_leaf(slot: _Slot, function: FunctionType, found: Leaf, now: Any) -> bytes:
    facts, arguments, values, state = found
    pickler = slot.pickler
    pickler.fast = True
    if facts.arguments[0] == now and facts.arguments[1] == arguments:
        data = facts.arguments[2]
    else:
        data = slot.push(arguments)[:-1]  # without TUPLE3
        used = arguments[0].values()
        if facts.globals and not arguments[2] and _STEADY.issuperset(map(type, used)):
            facts.arguments = now, arguments, data
    cells = None if values is None else [slot.push(value) for value in values]
    if state is None:
        return write(facts.head, data, cells, b"")
    pickler.fast = False
    pickler.memo = {id(function): (0, function)}
    data = write(facts.head, data, cells, slot.push(state))
    pickler.memo = {}
    return data


def dumps_or(otherwise: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return ``dumps`` for protocol 5: it pickles messages, and leaves all else to ``otherwise``.

    Most lists and dicts are messages, in most processes. Where one was not, pickling it was in vain
    once; some others after it are not tried then.
    """
    plain_dumps = pickle.dumps
    doubts = 0

    def dumps(x: Any, *, buffer_callback: Any = None, protocol: int | None = 5) -> bytes:
        nonlocal doubts
        cls = type(x)
        if cls is not dict and cls not in _CONTAINERS:
            if cls in ATOMS:
                return plain_dumps(x, protocol or 5)
            return otherwise(x, buffer_callback, protocol)
        if doubts or (protocol != 5 and protocol is not None):
            doubts = max(doubts - 1, 0)
            return otherwise(x, buffer_callback, protocol)
        try:
            data = plain_dumps(x, 5, buffer_callback=_no_buffer)
        except Exception:
            pass
        else:
            if len(data) > _LARGE and len(data) > 500 * len(x) and is_message(x):
                return data
            if _STACK_GLOBAL not in data:
                return data
        doubts = _DOUBTS
        return otherwise(x, buffer_callback, protocol)

    return dumps


def is_message(obj: Any, at_most: float = math.inf) -> bool:
    """Tell whether ``obj`` is, or holds directly, nothing but strings, numbers and the like.

    Nobody can say how these are pickled; `pickle.dumps` gives the same bytes as any pickler. If
    there are more items than ``at_most``, they are not looked at.
    """
    cls = type(obj)
    if cls not in _CONTAINERS:
        return cls in ATOMS
    if len(obj) > at_most:
        return False
    if cls is dict and not ATOMS.issuperset(map(type, obj.values())):
        return False
    return ATOMS.issuperset(map(type, obj))


def _no_buffer(buffer: Any) -> Any:
    """Stop: this is no message, and large data is not to be copied in vain."""
    raise ValueError


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


def _names_main(chunks: list[bytes]) -> bool:
    """Tell whether something of ``__main__`` may be named, by which a plain pass wrote it."""
    # A payload of its own is not looked at: of what is in frames, nothing is longer.
    frames = [chunk for chunk in chunks if len(chunk) < 0x30000]
    if len(frames) == 1:
        return _MAIN in frames[0] and _STACK_GLOBAL in frames[0]
    # The name may be a string that was written before, in another frame.
    named = True in [_STACK_GLOBAL in frame for frame in frames]
    return named and True in [_MAIN in frame for frame in frames]


def _self_test() -> bool:
    """Tell whether preludes and functions that are written by hand are loaded as what they are."""
    number = 1
    table = DispatchTable(own={CodeType: reduce_code, CellType: reduce_cell})  # it asks no room
    add: Any = lambda x, y=2: x + y + number  # noqa: E731
    # Local functions have a qualified name that Python 3.10 does not know from their code.
    twice: Any = eval("lambda x, y=2: x * y", {"__name__": "__main__"})
    picklers = Picklers(lambda: table)
    try:
        written, prelude = picklers._written(add), picklers.prelude(twice, _FUNCTION)
        assert written is not None
        assert prelude is not None
        data, buffers, _ = picklers.dump_named([twice, twice], False, prelude, False)
        first, second = pickle.loads(data, buffers=buffers)
        return first is second and first(3) == 6 and pickle.loads(written)(3) == 6
    except Exception:
        return False


if not USABLE or not _self_test():  # there is no quick way in this Python: the caller goes on

    def _unusable(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    Picklers.dump = Picklers.dump_named = _unusable  # type: ignore[method-assign]
