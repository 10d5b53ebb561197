"""The hooks of distributed, and of what it imports.

Where a name is held by several modules of distributed, because they imported it, it is rebound in
all of them; modules that are imported later get the hooked one.
"""

from __future__ import annotations

import functools
import io
import logging
import pickle
import re
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dask._expr import Expr
from dask._task_spec import GraphNode, Task
from dask.local import reraise
from dask.tokenize import normalize_token
from distributed import actor
from distributed.worker import Worker

from daskpickle.cluster import sealed, wire
from daskpickle.cluster.delivery import (
    Undelivered,
    asking,
    caught,
    error_frames,
    error_of,
    gathering,
    note,
)
from daskpickle.cluster.hooks import Hook, Rebinding, module_of
from daskpickle.cluster.locks import ClusterActions
from daskpickle.cluster.queues import QueueActions
from daskpickle.cluster.tasks import TaskState
from daskpickle.errors import RefusedError, describe_type
from daskpickle.handles import Handle
from daskpickle.pickler import Pickler, current_table, dumps
from daskpickle.pool import count_fired
from daskpickle.quick import Picklers, dumps_or

__all__ = ["HOOKS"]

logger = logging.getLogger("daskpickle")


class Dumps(Rebinding):
    """`distributed.protocol.pickle.dumps`: all that Dask sends and spills goes through it.

    In one pass, where Dask's own tries three picklers one after the other. A graph is sealed. The
    net of the scheduler: a task that cannot be pickled becomes one that raises, instead of
    breaking the connection to its worker.
    """

    module, name = "distributed.protocol.pickle", "dumps"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        return dumps_or(_dumps)


_picklers = Picklers(current_table)


def _dumps(x: Any, buffer_callback: Any, protocol: int | None) -> bytes:
    protocol = protocol or pickle.HIGHEST_PROTOCOL
    out_of_band = buffer_callback is not None and protocol >= 5
    buffers: Sequence[pickle.PickleBuffer]
    try:
        if issubclass(type(x), (GraphNode, Expr)):
            data, buffers = sealed.dump_graph(x, protocol, out_of_band)
        else:
            data, buffers = _dump_value(x, protocol, out_of_band)
    except Exception as exc:
        if isinstance(x, GraphNode):
            logger.warning("The task %r cannot be sent.", x.key, exc_info=True)
            return pickle.dumps(_raising(x.key, exc), protocol)
        if isinstance(exc, RefusedError):
            is_graph = isinstance(x, Expr)
            note(exc, None if is_graph else x, submitted=is_graph)
        raise
    for buffer in buffers:
        buffer_callback(buffer)
    return data


def _dump_value(
    x: Any, protocol: int, out_of_band: bool
) -> tuple[bytes, Sequence[pickle.PickleBuffer]]:
    """Return the pickle of a value, which says so if it needs daskpickle, and its buffers."""
    if protocol == 5:
        try:
            return _picklers.dump(x, out_of_band, wire.guard)[:2]
        except Exception:  # it is raised again here, in words for people
            pass
    before = count_fired()
    file = io.BytesIO()
    buffers: list[Any] = []
    Pickler(file, protocol, buffer_callback=buffers.append if out_of_band else None).dump(x)
    guard = wire.guard if count_fired() != before else b""
    return guard + file.getvalue(), buffers


def _raising(key: Any, exc: Exception) -> Any:
    """Return a task that raises ``exc``, or, if that does not travel, its sentence."""
    try:
        pickle.loads(pickle.dumps(exc))
    except Exception:
        exc = RuntimeError(f"{describe_type(exc)}: {exc}")
    return Task(key, reraise, exc)


#: How the stream of a plain task starts: with its class, as stock pickle or `dump_task` has it. A
#: looser match would take a graph whose tasks cannot be loaded for a task, and swallow its failure.
_IS_TASK = re.compile(
    rb"\x80[\x02-\x05](?:\x95.{8})?\x8c.dask\._task_spec\x94?\x8c.(?:Task|DataNode|Alias)[\x93\x94]",
    re.S,
).match


class Loads(Rebinding):
    """`distributed.protocol.pickle.loads`: the net of the workers.

    A task that cannot be loaded becomes one that raises. In Dask it closes the worker.
    """

    module, name = "distributed.protocol.pickle", "loads"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def loads(x: Any, *, buffers: Any = ()) -> Any:
            try:
                return pickle.loads(x, buffers=buffers) if buffers else pickle.loads(x)
            except Exception as exc:
                error = wire.told(exc)
                if _IS_TASK(bytes(memoryview(x)[:64])):
                    logger.warning("A task cannot be loaded.", exc_info=True)
                    return _raising("unloadable", error)
                if gathering.get():
                    return Undelivered(error)
                if error is exc:
                    raise
                raise error from None

        return loads


class SerializeErrors(Rebinding):
    """`distributed.protocol.serialize.serialize`: a refusal reaches the client as itself.

    Dask wraps it in ``TypeError(message, str(x))``, and computes ``str`` of the whole thing.
    """

    module, name = "distributed.protocol.serialize", "serialize"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def serialize(
            x: Any,
            serializers: Any = None,
            on_error: Any = "message",
            context: Any = None,
            iterate_collection: bool | None = None,
        ) -> Any:
            outer = caught.raising
            raising = outer or on_error == "raise" or asking.get()
            caught.begin(raising=raising)
            try:
                header, frames = original(x, serializers, "message", context, iterate_collection)
            finally:
                caught.raising = outer
            if header.get("serializer") != "error":
                return header, frames
            error = caught.error
            if error is None:  # not a refusal: as Dask has it
                return original(x, serializers, on_error, context, iterate_collection)
            if raising:
                raise error
            return error_frames(error)

        return serialize


class Shuffle(Hook):
    """The name ``pickle`` in two modules of P2P, which rechunk arrays of objects with it."""

    modules = ("distributed.shuffle._core", "distributed.shuffle._pickle")

    def install(self) -> None:
        shim = types.SimpleNamespace(**{**vars(pickle), "dumps": dumps})
        for name in self.modules:
            module_of(name).pickle = shim  # type: ignore[attr-defined]

    def uninstall(self) -> None:
        for name in self.modules:
            module_of(name).pickle = pickle  # type: ignore[attr-defined]


class ShuffleErrors(Rebinding):
    """`distributed.shuffle._core.handle_transfer_errors`: columns of objects say what to do.

    P2P sends the rows of a dataframe through Arrow, which has no place for objects, and says
    "failed during transfer phase".
    """

    module, name = "distributed.shuffle._core", "handle_transfer_errors"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def handle_transfer_errors(id: Any) -> Iterator[None]:  # noqa: A002 - Dask's name for it
            try:
                with original(id):
                    yield
            except RuntimeError as exc:
                cause = exc.__cause__
                if type(cause).__module__.partition(".")[0] != "pyarrow":
                    raise
                why = (
                    "A P2P shuffle sends its column through Arrow, which cannot hold it: "
                    f"{'. '.join(map(str, cause.args))}."  # type: ignore[union-attr]
                )
                hint = "Pass shuffle_method='tasks', or set dataframe.shuffle.method to 'tasks'."
                raise RefusedError(object, why, hint) from cause

        return handle_transfer_errors


class ActorReplies(Hook):
    """`distributed.actor`: a method's result that could not be delivered is the method's error.

    Dask drops the error on the client's event loop, and the call never returns.
    """

    def __init__(self) -> None:
        self.getattr: Any = None
        self.ok: Any = None

    def install(self) -> None:
        self.getattr, self.ok = vars(actor.Actor)["__getattr__"], actor._OK

        def __getattr__(this: Any, name: str) -> Any:  # noqa: N807
            method = self.getattr(this, name)
            return _calling_actor(method) if isinstance(method, types.FunctionType) else method

        def _OK(result: Any) -> Any:  # noqa: N802
            error = error_of(result)
            return self.ok(result) if error is None else actor._Error(error)

        actor.Actor.__getattr__, actor._OK = __getattr__, _OK

    def uninstall(self) -> None:
        actor.Actor.__getattr__, actor._OK = self.getattr, self.ok


def _calling_actor(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        token = gathering.set(True)  # what the loop does for this call inherits the context
        try:
            return method(*args, **kwargs)
        finally:
            gathering.reset(token)

    return call


class Tokens(Hook):
    """`dask.tokenize`: a handle's key comes from its token, not from pickling it."""

    def install(self) -> None:
        normalize_token.register(Handle, _normalize_handle)

    def uninstall(self) -> None:
        for cls in [cls for cls in normalize_token._lookup if issubclass(cls, Handle)]:
            del normalize_token._lookup[cls]


def _normalize_handle(handle: Handle) -> Any:
    _, (cls, scope, token, _, args, kwargs, *_) = handle.__reduce_ex__(5)
    return "daskpickle.Handle", describe_type(cls), scope, token, args, kwargs


class Gathering(Hook):
    """`distributed.worker.Worker`, while it fetches what its tasks need, or what it replicates."""

    methods = ("gather_dep", "gather")

    def __init__(self) -> None:
        self.originals: dict[str, Any] = {}

    def install(self) -> None:
        for name in self.methods:
            original = self.originals[name] = vars(Worker)[name]
            self._set(name, _while_gathering(original))

    def uninstall(self) -> None:
        for name, original in self.originals.items():
            self._set(name, original)

    def _set(self, name: str, function: Any) -> None:
        setattr(Worker, name, function)
        for worker in list(Worker._instances):
            if name in worker.handlers:  # bound when the worker was made
                worker.handlers[name] = getattr(worker, name)


def _while_gathering(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def gather(*args: Any, **kwargs: Any) -> Any:
        token = gathering.set(True)
        try:
            return await original(*args, **kwargs)
        finally:
            gathering.reset(token)

    return gather


#: In the order in which they are installed.
HOOKS: tuple[type[Hook], ...] = (
    Dumps, Loads, TaskState, SerializeErrors, Shuffle, ShuffleErrors, Gathering,
    ActorReplies, Tokens, ClusterActions, QueueActions,
)  # fmt: skip
