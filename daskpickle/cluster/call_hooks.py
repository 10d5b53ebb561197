"""The hooks around calls: what a task is called with, and what a client asks of its cluster."""

from __future__ import annotations

import functools
import inspect
import pickle
import re
from collections.abc import Callable
from typing import Any

from dask.tokenize import TokenizationError
from distributed.client import Client
from distributed.worker import thread_state

from daskpickle.cluster.delivery import asking, error_of
from daskpickle.cluster.hooks import Hook, Rebinding
from daskpickle.errors import RefusedError
from daskpickle.handles import Handle, as_handle, real
from daskpickle.pickler import Pickler, dumps
from daskpickle.pool import running_task, watch_tasks
from daskpickle.table import registry

__all__ = ["HOOKS"]

#: A longer list, tuple or dict that a task gets from another one is not searched for handles.
SEARCHED = 64


class CurrentTask(Hook):
    """Which task runs in this thread: handles are given back at its end."""

    def install(self) -> None:
        watch_tasks(lambda: getattr(thread_state, "key", None))

    def uninstall(self) -> None:
        watch_tasks(lambda: None)


class TaskRuns(Rebinding):
    """`distributed.worker._run_task_simple`: a task gets what it depends on opened, as real types.

    A handle that another task returned, or that was scattered, alone or in a small container, is
    opened in the task's thread, as what is sealed is. Deeper ones stay lazy. What the task returns
    is looked at while its thread is there: sqlite answers no other one. A task that depends on what
    could not be delivered fails, with the reason.
    """

    module, name = "distributed.worker", "_run_task_simple"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(task: Any, data: dict[Any, Any], time_delay: float) -> Any:
            error = next(filter(None, map(error_of, data.values())), None)
            if error is not None:
                return original(functools.partial(_raise, error), {}, time_delay)
            if not any(map(_holds_handle, data.values())):
                message = original(task, data, time_delay)
                if "result" in message:
                    _read(message["result"])
                return message
            with running_task() as call:
                try:
                    data = {key: _open(value) for key, value in data.items()}
                except Exception as exc:  # the original turns it into the failure of the task
                    task, data = functools.partial(_raise, exc), {}
                message = original(task, data, time_delay)
                data.clear()  # what nobody else holds is closed when the call ends
                if "result" in message:
                    message["result"] = as_handle(message["result"])
                    _read(message["result"])
                else:
                    call.failed = True
                return message

        return run


def _raise(exc: BaseException, data: Any) -> Any:
    raise exc


def _holds_handle(value: Any) -> bool:
    if type(value) in (list, tuple, dict) and len(value) <= SEARCHED:
        items = value.values() if type(value) is dict else value
        return any(issubclass(type(item), Handle) for item in items)
    return issubclass(type(value), Handle)


def _open(value: Any) -> Any:
    """Return a handle opened; or a copy of a small container with its handles opened."""
    if not _holds_handle(value):
        return value
    if type(value) is dict:
        return {key: real(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(real, value))
    return real(value)


def _read(result: Any) -> None:
    """Let the reducer of a result's class see it in the thread that made it."""
    if type(result) in registry.actions:
        try:
            Pickler.dispatch_table[type(result)](result)
        except Exception:
            return  # it may never move; if it does, it is refused then


class Requests(Hook):
    """`distributed.Client.sync`: what a client sends is refused before it leaves.

    Dask sends an error in the place of the value, and nobody sees it before the value is used. An
    object that can be read in the caller's thread only, while Dask pickles in its event loop, is
    pickled here instead, as it is now.
    """

    def __init__(self) -> None:
        self.own: Any = None

    def install(self) -> None:
        self.own = vars(Client).get("sync")
        original = Client.sync

        @functools.wraps(original)
        def sync(client: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
            token = asking.set(True)  # the event loop inherits the context of the call
            try:
                try:
                    result = original(client, func, *args, **kwargs)
                except RefusedError as exc:
                    if not exc.own_thread or exc.host is not None:
                        raise
                    args, kwargs = _pickled_here((args, kwargs))
                    result = original(client, func, *args, **kwargs)
            finally:
                asking.reset(token)
            return _asked(result) if inspect.iscoroutine(result) else result

        Client.sync = sync

    def uninstall(self) -> None:
        if self.own is None:
            del Client.sync
        else:
            Client.sync = self.own


class TokenErrors(Rebinding):
    """`dask.tokenize._tokenize_deterministic`: what cannot be pickled has no key, and says why.

    Expressions ask for keys before they are sent; Dask says "cannot be deterministically hashed".
    """

    module, name = "dask.tokenize", "_tokenize_deterministic"

    def make(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def tokenize_deterministic(*args: Any, **kwargs: Any) -> str:
            try:
                return str(original(*args, **kwargs))
            except TokenizationError as exc:
                try:
                    dumps(args, buffer_callback=lambda buffer: None)
                except RefusedError as refusal:
                    refusal.path = _name_operand(args, refusal.path or "")
                    raise refusal from exc
                raise

        return tokenize_deterministic


def _name_operand(args: tuple[Any, ...], path: str) -> str:
    """Return a path into the class and operands of an expression as one into the expression."""
    match = re.match(r"obj\[(\d+)\]", path)
    names = ("", *getattr(args[0], "_parameters", ()))
    if match is None or not 0 < int(match[1]) < len(names):
        return path
    return f"{args[0].__name__}.{names[int(match[1])]}{path[match.end() :]}"


def _pickled_here(value: Any) -> Any:
    buffers: list[pickle.PickleBuffer] = []
    return pickle.loads(dumps(value, buffer_callback=buffers.append), buffers=buffers)


async def _asked(coroutine: Any) -> Any:
    token = asking.set(True)
    try:
        return await coroutine
    finally:
        asking.reset(token)


#: In the order in which they are installed.
HOOKS: tuple[type[Hook], ...] = (CurrentTask, TaskRuns, Requests, TokenErrors)
