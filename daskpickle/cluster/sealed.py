"""Sealed payloads: what a task needs of ours travels as inert bytes, and opens when the task runs.

Dask's scheduler unpickles a graph and pickles each task again, later, and again on retry; workers
unpickle tasks on their event loop. Both see bytes only. The task's thread opens them, once per
call: a lock is then a lock and a connection a connection, as they were when they were submitted.

Only what holds our types is sealed, function by function and argument by argument; all else keeps
its shape, which Dask looks at. An object that several sealed parts share is a part of its own, so
that it is sent once and is one object in the call. See ``docs/decisions/0001``.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import cloudpickle
from dask._expr import Expr, SingletonExpr
from dask._task_spec import (
    DataNode,
    GraphNode,
    NestedContainer,
    Task,
    TaskRef,
    _execute_subgraph,
    convert_legacy_graph,
)
from dask.sizeof import sizeof
from dask.tokenize import tokenize
from dask.utils import funcname
from distributed.utils import iscoroutinefunction

from daskpickle.cluster import wire
from daskpickle.cluster.tasks import dump_task
from daskpickle.handles import as_handle
from daskpickle.pickler import Pickler, current_table
from daskpickle.pool import count_fired, fired, opening, running_task
from daskpickle.quick import Dumped, Picklers

__all__ = ["Sealed", "SealedFunction", "SealedTask", "dump_graph", "run_sealed", "seal_tasks"]

_ATOMS = (str, bytes, int, float, complex, bool, type(None), TaskRef)

#: What may be in two parts of a task that are sealed apart: nobody can tell that it is not one.
_CONSTANT = (
    *_ATOMS, tuple, frozenset, type, property, staticmethod, classmethod, types.FunctionType,
    types.BuiltinFunctionType, types.CodeType, types.ModuleType,
)  # fmt: skip


#: Owners of what Dask looks into before a task runs: it slices frames and arrays on the scheduler.
_LOOKED_INTO = ("dask", "distributed", "numpy", "pandas", "tlz", "toolz")


class _Opening(threading.local):
    opened: dict[int, tuple[Any, Any]] | None = None  # what this call has opened already, by part
    part: Sealed | None = None  # the part that is being opened
    real = True


_local = _Opening()


def open_part(index: int) -> Any:
    """Return a part of the sealed object that is being opened; stands in its bytes."""
    assert _local.part is not None, "Parts can be opened only while their whole is opened."
    return _local.part.parts[index]()


class Sealed(GraphNode):
    """An object that holds ours, as bytes. As a graph node, so that the task's thread opens it."""

    __slots__ = ("blob", "buffers", "parts", "size")

    def __init__(
        self,
        blob: Any,
        buffers: tuple[Any, ...] = (),
        parts: tuple[Sealed, ...] = (),
        size: int = 0,
    ) -> None:
        self.key: Any = None  # type: ignore[misc] # a slot of the base
        self._dependencies: frozenset[Any] = frozenset()  # type: ignore[misc]
        self.blob, self.buffers, self.parts, self.size = blob, buffers, parts, size

    def __call__(self, values: Any = ()) -> Any:
        if _local.opened is None:
            return self.load(real=False)
        entry = _local.opened.get(id(self))
        if entry is None:
            entry = _local.opened[id(self)] = (self, self.load(real=_local.real))
        return entry[1]

    def load(self, *, real: bool) -> Any:
        """Open it: ``real`` handles for a task, or lazy ones for data that outlives the call."""
        outer, _local.part = _local.part, self
        try:
            with opening(real):
                return _loads(self.blob, self.buffers)
        finally:
            _local.part = outer

    def substitute(self, subs: Any, key: Any = None) -> Sealed:
        return self

    def copy(self) -> Sealed:
        return self

    def __sizeof__(self) -> int:
        # What Dask takes the original for: it decides by size which shape a graph has.
        return self.size

    def __repr__(self) -> str:
        return "<sealed>"

    def __dask_tokenize__(self) -> Any:
        return "daskpickle.Sealed", bytes(self.blob), [bytes(b) for b in self.buffers], self.parts

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Sealed and tokenize(self) == tokenize(other))

    def __hash__(self) -> int:
        return hash(bytes(self.blob))

    def __reduce__(self) -> tuple[Any, ...]:
        return Sealed, (self.blob, tuple(map(_carried, self.buffers)), self.parts, self.size)


class SealedItem(GraphNode):
    """One of several objects that are sealed together, because they share others."""

    __slots__ = ("index", "whole")

    def __init__(self, whole: Sealed, index: int) -> None:
        self.key: Any = None  # type: ignore[misc] # a slot of the base
        self._dependencies: frozenset[Any] = frozenset()  # type: ignore[misc]
        self.whole, self.index = whole, index

    def __call__(self, values: Any = ()) -> Any:
        return self.whole()[self.index]

    def substitute(self, subs: Any, key: Any = None) -> SealedItem:
        return self

    def copy(self) -> SealedItem:
        return self

    def __sizeof__(self) -> int:
        return self.whole.size

    def __repr__(self) -> str:
        return "<sealed>"

    def __dask_tokenize__(self) -> Any:
        return "daskpickle.SealedItem", self.whole, self.index

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is SealedItem and tokenize(self) == tokenize(other))

    def __hash__(self) -> int:
        return hash((self.whole, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return SealedItem, (self.whole, self.index)


#: Before 3.13 the garbage collector may crash on a memoryview in a cycle (CPython gh-77894), such
#: as an exception and its frames: what arrives out of band is copied then, into bytes.
_COPIED = sys.version_info < (3, 13)


class _Carried:
    """An out-of-band buffer that is loaded as bytes, or a bytearray if it is writable."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def __reduce__(self) -> tuple[Any, ...]:
        make = bytes if memoryview(self.buffer).readonly else bytearray
        return make, (pickle.PickleBuffer(self.buffer),)


def _carried(buffer: Any) -> Any:
    return _Carried(buffer) if _COPIED else pickle.PickleBuffer(buffer)


class _Inert:
    """Keeps a sealed object closed where a task would open it."""

    def __init__(self, sealed: Sealed) -> None:
        self.sealed = sealed


class SealedFunction:
    """A sealed callable; has what Dask reads off a function before it runs."""

    def __init__(self, sealed: Sealed, facts: dict[str, Any]) -> None:
        self.sealed = sealed
        self.__dict__.update(facts)
        self._facts = facts

    @classmethod
    def of(cls, function: Any, sealed: Sealed) -> SealedFunction:
        """Return ``function``, sealed."""
        facts: dict[str, Any] = {"__name__": funcname(function)}
        for name in ("__qualname__", "__module__", "__doc__"):
            value = getattr(function, name, None)
            if isinstance(value, str):
                facts[name] = value
        if iscoroutinefunction(function):
            facts["__tornado_coroutine__"] = True  # what `distributed.utils` looks for
        try:
            parameters = inspect.signature(function).parameters.values()
            facts["__signature__"] = inspect.Signature(
                [p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else None)
                 for p in parameters]
            )  # fmt: skip
        except (TypeError, ValueError):
            pass  # builtins may have no signature
        return cls(sealed, facts)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.sealed()(*args, **kwargs)

    def __dask_tokenize__(self) -> Any:
        return "daskpickle.SealedFunction", self.sealed

    def __repr__(self) -> str:
        return f"<sealed function {self._facts['__name__']}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return SealedFunction, (self.sealed, self._facts)


class SealedTask(Task):
    """A task with sealed parts; opens them when it is called, and gives back what they held."""

    __slots__ = ()

    def __call__(self, values: Any = ()) -> Any:
        if _local.opened is not None:  # inside of another one, which does it for both
            return super().__call__(values)
        with running_task() as call:
            _local.opened, _local.real = {}, not _makes_actor()
            try:
                result = super().__call__(values)
            finally:
                _local.opened = None  # before the call ends: what nobody else holds is closed then
            if inspect.iscoroutine(result):
                call.awaited = True
                return _as_handle_later(call.until(result))
            return as_handle(result)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return a plain `Task`, which loads on any worker, around this one as bytes."""
        buffers: list[pickle.PickleBuffer] = []
        blob = _dump(_GraphForm, self, buffers.append)
        deps = tuple(self.dependencies)
        call = wire.guarded_call(
            len(buffers), deps, blob, *map(_carried, buffers), *map(TaskRef, deps)
        )
        if self.is_coro:
            call = asyncio.wait_for, Task(None, *call), None
        return Task, (self.key, *call)


async def _as_handle_later(coroutine: Any) -> Any:
    return as_handle(await coroutine)


def rebuild_task(*state: Any) -> SealedTask:
    """Make a sealed task again, where it is known that daskpickle is there."""
    task = SealedTask.__new__(SealedTask)
    task.__setstate__(state)
    return task


def run_sealed(
    wire_version: int, version: str, n_buffers: int, deps: tuple[Any, ...], *args: Any
) -> Any:
    """Run the task that a plain `Task` brought here as bytes; in the task's thread."""
    wire.check(wire_version, version)
    blob, buffers, values = args[0], args[1 : n_buffers + 1], args[n_buffers + 1 :]
    task = _loads(blob, buffers)
    return task(dict(zip(deps, values, strict=True)))


def _loads(blob: Any, buffers: Iterable[Any]) -> Any:
    """Load what was sealed; its error says on which node it was."""
    try:
        return pickle.loads(blob, buffers=buffers)
    except Exception as exc:
        error = wire.told(exc)
        if error is exc:
            raise
        raise error from None


def _makes_actor() -> bool:
    """Tell whether the running task makes an actor, which outlives its call."""
    from distributed.worker import thread_state

    worker = getattr(thread_state, "execution_state", {}).get("worker")
    return worker is not None and thread_state.key in worker.state.actors


# --- Pickling -----------------------------------------------------------------------------------


def _dump(
    cls: Any,
    obj: Any,
    buffer_callback: Any = None,
    *args: Any,
    protocol: int | None = None,
    prefix: bytes = b"",
) -> bytes:
    file = io.BytesIO()
    file.write(prefix)
    cls(file, protocol, *args, buffer_callback=buffer_callback).dump(obj)
    return file.getvalue()


class _GraphForm(Pickler):
    """Pickles sealed tasks as themselves, for a scheduler or inside of bytes."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is SealedTask:
            return _reduce_as_itself(obj)
        return super().reducer_override(obj)


def _reduce_as_itself(task: SealedTask) -> tuple[Any, ...]:
    return rebuild_task, task.__getstate__()


#: For the first pass over a graph, which is plain.
_picklers = Picklers(current_table, {SealedTask: _reduce_as_itself}, remembers=True)


def _first_pass(obj: Any, protocol: int, out_of_band: bool) -> Dumped:
    """Return the pickle of a graph, its buffers, and all that was in it if it holds ours."""
    if protocol == 5:
        try:
            if type(obj) is Task:
                return dump_task(obj, out_of_band)
            return _picklers.dump(obj, out_of_band)
        except Exception:  # it is raised again here, in words for people
            pass
    before = count_fired()
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    callback = buffers.append if out_of_band else None
    pickler = _GraphForm(file, protocol, buffer_callback=callback)
    pickler.dump(obj)
    if count_fired() == before:
        return file.getvalue(), buffers, None
    return file.getvalue(), buffers, [entry[1] for entry in pickler.memo.copy().values()]


def _operands_in(seen: Iterable[Any]) -> dict[int, Any]:
    """Return, by id, the objects that several of these tasks and expressions refer to directly."""
    owners: dict[int, int] = {}
    shared: dict[int, Any] = {}
    for obj in seen:
        if issubclass(type(obj), (GraphNode, Expr)):  # not isinstance, which asks a dead proxy
            for owner, operand in _operands_of(obj):
                if owners.setdefault(id(operand), owner) != owner:
                    shared[id(operand)] = operand
    return shared


def _operands_of(node: GraphNode | Expr) -> Iterator[tuple[int, Any]]:
    """Yield what a node refers to, itself or in a list, tuple or dict; and the id of its owner."""
    values: Iterable[Any] = ()
    if isinstance(node, Task):
        values = (node.func, *node.args, *node.kwargs.values())
    elif isinstance(node, DataNode):
        values = (node.value,)
    elif isinstance(node, Expr):
        values = node.operands
    for value in values:
        if type(value) in (list, tuple, dict):
            owner, items = id(value), value.values() if type(value) is dict else value
        else:
            owner, items = id(node), (value,)
        for item in items:
            if not issubclass(type(item), (*_ATOMS, GraphNode)):
                yield owner, item


class _Envelope(Pickler):
    """Pickles one part; what other parts are, or may become, it refers to."""

    def __init__(
        self, file: Any, protocol: Any, sealer: Sealer, roots: tuple[Any, ...], **kwargs: Any
    ) -> None:
        super().__init__(file, protocol, **kwargs)
        self.sealer, self.roots = sealer, roots
        self.parts: list[Sealed] = []

    def reducer_override(self, obj: Any) -> Any:
        part: Sealed | None = None
        if type(obj) is SealedFunction:
            obj = obj.sealed
        if type(obj) is Sealed:
            part = obj
        elif id(obj) in self.sealer.shared and not any(obj is root for root in self.roots):
            part = self.sealer.seal(obj)
        if part is None:
            return super().reducer_override(obj)
        fired()
        for index, known in enumerate(self.parts):
            if known is part:
                return open_part, (index,)
        self.parts.append(part)
        return open_part, (len(self.parts) - 1,)


class Sealer:
    """Seals the parts of one graph; each object once."""

    def __init__(self, shared: Mapping[int, Any] | None = None) -> None:
        self.shared = shared or {}
        self._sealed: dict[int, tuple[Any, Sealed | None]] = {}
        self._clean: dict[int, Any] = {}  # what was seen in objects that hold none of ours
        self._inside: dict[int, dict[int, Any]] = {}  # by id, what in a sealed one can change
        self._wholes: dict[tuple[int, ...], tuple[Any, Sealed]] = {}
        self._items: dict[int, SealedItem] = {}  # of the task that is being sealed
        self._grouped: dict[int, SealedItem] = {}  # of expressions

    def seal(self, obj: Any) -> Sealed | None:
        """Return ``obj`` sealed, or None if it holds nothing of ours."""
        entry = self._sealed.get(id(obj))
        if entry is None:
            self._sealed[id(obj)] = (obj, None)  # what refers back to it meanwhile holds it itself
            entry = self._sealed[id(obj)] = (obj, self._seal(obj, (obj,)))
        return entry[1]

    def _seal(self, obj: Any, roots: tuple[Any, ...]) -> Sealed | None:
        before = count_fired()
        file = io.BytesIO()
        buffers: list[pickle.PickleBuffer] = []
        pickler = _Envelope(file, None, self, roots, buffer_callback=buffers.append)
        pickler.dump(obj)
        if count_fired() == before:
            for memo_id, (_, seen) in pickler.memo.copy().items():
                self._clean[memo_id] = seen
            return None
        shared_variables = set(map(id, pickler.globals_ref.values()))
        self._inside[id(obj)] = {
            memo_id: seen for memo_id, (_, seen) in pickler.memo.copy().items()
            if not issubclass(type(seen), _CONSTANT) and memo_id not in shared_variables
        }  # fmt: skip
        return Sealed(file.getvalue(), tuple(buffers), tuple(pickler.parts), sizeof(obj))

    def holds_none(self, obj: Any) -> bool:
        """Tell whether ``obj`` was seen in something that holds nothing of ours."""
        return id(obj) in self._clean

    def function(self, function: Any) -> Any:
        """Return a task's function, sealed if it holds ours."""
        if isinstance(function, SealedFunction) or _by_reference(function):
            return function
        sealed = self.literal(function)
        return function if sealed is None else SealedFunction.of(function, sealed)

    def argument(self, value: Any) -> Any:
        """Return a task's argument, sealed if it holds ours."""
        if isinstance(value, (*_ATOMS, _Inert)):
            return value
        if isinstance(value, Task):
            return self._task(value)
        if type(value) is DataNode:
            return self.literal(value.value) or value
        return value if isinstance(value, GraphNode) else self.literal(value) or value

    def literal(self, value: Any) -> Sealed | SealedItem | None:
        if isinstance(value, SealedFunction):
            return value.sealed
        if isinstance(value, (Sealed, SealedItem)):
            return value
        key = id(value)
        return self._items.get(key) or self._grouped.get(key) or self.seal(value)

    def group(self, operands: Iterable[Any]) -> None:
        """Seal together those operands of an expression that share others."""
        self._grouped.update(self._together(operands))

    def _together(self, objects: Iterable[Any]) -> dict[int, SealedItem]:
        """Return, by id, those objects that must be sealed together, as they share others."""
        parts = {id(part): part for part in objects if self.seal(part) is not None}
        inside = [self._inside.get(key, {}) for key in parts]
        if len(parts) < 2 or len(set().union(*inside)) == sum(map(len, inside)):
            return {}
        key, roots = tuple(parts), tuple(parts.values())
        entry = self._wholes.get(key)
        if entry is None:
            whole = self._seal(roots, roots)
            assert whole is not None, "One of them holds ours."
            entry = self._wholes[key] = (roots, whole)
        return {part: SealedItem(entry[1], index) for index, part in enumerate(parts)}

    def node(self, node: Any, *, within: bool = False) -> Any:
        """Return a node of a graph, or one within a task, with its parts sealed."""
        if type(node) is DataNode:
            sealed = self.literal(node.value)
            if sealed is None:
                return node
            if within:
                return SealedTask(node.key, _itself, sealed)
            # Data outlives the call: what it holds arrives as lazy handles.
            return SealedTask(node.key, _load_data, _Inert(sealed))
        return self._task(node) if isinstance(node, Task) else node

    def _task(self, task: Any) -> Any:
        if type(task) not in (Task, SealedTask) and not isinstance(task, NestedContainer):
            return task
        if self._items:  # within another one
            return self._sealed_task(task)
        self._items = self._together(_parts_of(task))
        try:
            return self._sealed_task(task)
        finally:
            self._items = {}

    def _sealed_task(self, task: Any) -> Any:
        if task.func is _execute_subgraph:
            inner = {key: self.node(node, within=True) for key, node in task.args[0].items()}
            func = task.func
            args = (inner, *task.args[1:3], *map(self.argument, task.args[3:]))
            changed = any(isinstance(node, SealedTask) for node in inner.values())
        else:
            nested = isinstance(task, NestedContainer)
            func = task.func if nested else self.function(task.func)
            args = tuple(map(self.argument, task.args))
            changed = isinstance(func, SealedFunction)
        changed = changed or any(map(_holds_sealed, args))
        kwargs = {k: v if k == "constructor" else self.argument(v) for k, v in task.kwargs.items()}
        if not changed and not any(map(_holds_sealed, kwargs.values())):
            return task
        cls: Any = SealedTask if type(task) is Task else type(task)
        new = cls.__new__(cls)
        new.__setstate__(task.__getstate__())
        new.func, new.args, new.kwargs = func, args, {**new.kwargs, **kwargs}
        return new


def _holds_sealed(value: Any) -> bool:
    if isinstance(value, NestedContainer):
        return any(map(_holds_sealed, value.args))
    return isinstance(value, (Sealed, SealedItem, SealedTask, _Inert))


_KEPT = (*_ATOMS, GraphNode, _Inert, SealedFunction)


def _parts_of(task: Any) -> Iterator[Any]:
    """Yield what may be sealed of a task and of those within it: functions and arguments."""
    func = task.func
    if func is _execute_subgraph:
        return  # its tasks are sealed one by one
    if not isinstance(task, NestedContainer) and type(func) is not SealedFunction:
        yield from () if _by_reference(func) else (func,)
    for name, value in (*((None, arg) for arg in task.args), *task.kwargs.items()):
        if issubclass(type(value), Task):
            yield from _parts_of(value)
        elif type(value) is DataNode:
            yield value.value
        elif name != "constructor" and not issubclass(type(value), _KEPT):
            yield value


def _by_reference(function: Any) -> bool:
    if isinstance(function, (types.FunctionType, type)):
        return bool(cloudpickle.cloudpickle._should_pickle_by_reference(function))
    return isinstance(function, types.BuiltinFunctionType) and isinstance(
        function.__self__, (types.ModuleType, type(None))
    )


def _itself(obj: Any) -> Any:
    return obj


def _load_data(inert: _Inert) -> Any:
    return inert.sealed.load(real=False)


class _Second(_GraphForm):
    """The second pass, for graphs that hold ours: seals them."""

    def __init__(self, file: Any, protocol: Any, sealer: Sealer, **kwargs: Any) -> None:
        super().__init__(file, protocol, **kwargs)
        self.sealer = sealer

    def reducer_override(self, obj: Any) -> Any:
        cls = type(obj)
        if cls in (Task, DataNode) or issubclass(cls, NestedContainer):
            node = self.sealer.node(obj)
            if node is obj:
                return NotImplemented
            return (
                super().reducer_override(node) if cls in (Task, DataNode) else node.__reduce_ex__(5)
            )
        if issubclass(cls, Expr):
            self.sealer.group(self._parts_of(obj))
        if issubclass(cls, SingletonExpr):
            return _reduce_expr(obj)
        if issubclass(cls, (GraphNode, Expr, SealedFunction, _Marked, _Inert)):
            return super().reducer_override(obj)
        if self.sealer.holds_none(obj) or issubclass(cls, type) or self._is_structure(cls):
            return super().reducer_override(obj)
        if callable(obj):
            function = self.sealer.function(obj)
            if function is not obj:
                return function.__reduce__()
        else:
            sealed = self.sealer.literal(obj)
            if sealed is not None:
                return sealed.__reduce__()
        return super().reducer_override(obj)

    def _parts_of(self, expr: Expr) -> Iterator[Any]:
        """Yield what an expression has for each of its tasks: a function, keyword arguments."""
        for operand in expr.operands:
            for value in operand.values() if type(operand) is dict else (operand,):
                kept = (*_KEPT, Expr, list, tuple, dict, type)
                if not (
                    issubclass(type(value), kept)
                    or self.sealer.holds_none(value)
                    or self._is_structure(type(value))
                    or _by_reference(value)
                ):
                    yield value

    def _is_structure(self, cls: type) -> bool:
        """Tell whether Dask may look into such an object before a task runs."""
        if cls in (types.ModuleType, types.CodeType):
            return True
        owner = str(cls.__module__).partition(".")[0]
        return owner in _LOOKED_INTO and self.dispatch_table.get(cls) is None


class _Marked:
    """An expression that holds sealed objects, so that its tasks are sealed."""

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    def __reduce__(self) -> tuple[Any, ...]:
        return mark, (self.expr,)


def mark(expr: Expr) -> Expr:
    """Let an expression that holds sealed objects seal the tasks that are made of it.

    In the instance, and not by a hook: the scheduler of a client that calls `uninstall` meanwhile
    has none. By a weak reference: graphs are large, and must not wait for the garbage collector.
    """
    own, make_graph = weakref.ref(expr), type(expr).__dask_graph__
    expr.__dict__["__dask_graph__"] = lambda: seal_tasks(convert_legacy_graph(make_graph(own())))
    return expr


def _reduce_expr(expr: Any) -> tuple[Any, ...]:
    reduced = expr.__reduce__()
    return (rebuild_expr, reduced[1]) if reduced[0] == Expr._reconstruct else reduced


def rebuild_expr(cls: Any, *rest: Any) -> Expr:
    """Rebuild an expression without looking for a living equal one.

    Where client and scheduler share a process, `SingletonExpr` would give the scheduler the
    client's own instance, with its live objects.
    """
    *operands, token, cache = rest
    expr = Expr.__new__(cls, *operands, _determ_token=token)
    expr.__dict__.update(cache)
    return expr


def dump_graph(
    obj: Any, protocol: int, out_of_band: bool
) -> tuple[bytes, Sequence[pickle.PickleBuffer]]:
    """Return the pickle of an expression or a task, with what holds our types sealed.

    And its buffers, if they are wanted out of band.
    """
    buffers: list[pickle.PickleBuffer] = []
    callback = buffers.append if out_of_band else None
    if type(obj) is SealedTask:
        return _dump(Pickler, obj, callback, protocol=protocol), buffers
    data, plain_buffers, seen = _first_pass(obj, protocol, out_of_band)
    if seen is None:
        return data, plain_buffers
    sealer = Sealer(_operands_in(seen))
    if isinstance(obj, GraphNode):
        data = _dump(Pickler, sealer.node(obj), callback, protocol=protocol)
    else:
        data = _dump(_Second, _Marked(obj), callback, sealer, protocol=protocol, prefix=wire.guard)
    return data, buffers


def seal_tasks(graph: dict[Any, Any]) -> dict[Any, Any]:
    """Seal what the tasks hold that the scheduler has just made of an expression."""
    sealer = Sealer()
    return {key: sealer.node(node) for key, node in graph.items()}
