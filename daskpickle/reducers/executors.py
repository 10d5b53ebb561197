"""Executors and their futures: a pool of the same size where it arrives; a future that is done.

Notes
-----
- Travels: how a pool was made. It is made at first use, once per process, and shared by the tasks
  there: ``shutdown``, and the end of ``with``, wait for what their own thread has submitted and
  leave the pool to the others. A future that is done travels as its result, its exception, or as
  cancelled.
- Lost: the work that a pool has; it goes on where it is. The callbacks of a future: they have run.
- Refused: a future that is not done, for what fills it in runs in this process; a pool that takes
  no more work; subclasses of the pools, of which nobody knows how they are made.

The only thing that kept a pending future from being pickled is the lock in its condition.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state

WAIT_FOR_IT = "Wait for it with result(), and pass that."
MAKE_INSIDE = "Make one inside the task."
NO_WORK = "It takes no more work: it was shut down, or it is broken."


@register(
    Future,
    travels="its result or exception, once it is done",
    lost="its callbacks",
    refused="while it is pending or running",
    hint=WAIT_FOR_IT,
    subclasses=True,
)
def reduce_future(future: Any) -> tuple[Any, ...]:
    """Say how it ended."""
    if not Future.done(future):
        raise RefusedError(future, "It is not done, and what fills it in runs in this process.")
    cancelled = Future.cancelled(future)
    error = None if cancelled else Future.exception(future)
    result = None if cancelled or error is not None else Future.result(future)
    facts = result, error, extra_state(future, Future())  # a result may lead back to it
    return rebuild_future, (type(future), cancelled, None, None, {}), facts, None, None, fill_future


def rebuild_future(
    cls: type, cancelled: bool, result: Any, error: BaseException | None, state: dict[str, Any]
) -> Any:
    """Make a future that is done."""
    future: Any = object.__new__(cls)
    Future.__init__(future)
    if cancelled:
        Future.cancel(future)
        Future.set_running_or_notify_cancel(future)  # else `wait` would wait for it
    elif error is not None:
        Future.set_exception(future, error)
    else:
        Future.set_result(future, result)
    add_state(future, state)
    return future


def fill_future(future: Any, facts: tuple[Any, BaseException | None, dict[str, Any]]) -> None:
    """Say how it ended; its attributes have these names in CPython 3.10 to 3.13."""
    result, error, state = facts
    add_state(future, {**state, "_result": result, "_exception": error})


def share(pool: Any) -> Any:
    """Make nobody shut down a pool that tasks share: in place, so that it keeps its type."""
    submit, local = pool.submit, threading.local()

    def submit_mine(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call, and note which thread did."""
        future: Future[Any] = submit(fn, *args, **kwargs)
        mine = vars(local).setdefault("futures", set())
        mine.add(future)
        future.add_done_callback(mine.discard)
        return future

    def shutdown_mine(wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what this thread has submitted, or cancel it; the pool goes on."""
        mine = list(vars(local).get("futures", ()))
        if cancel_futures:
            for future in mine:
                future.cancel()
        if wait:
            wait_for(mine)

    pool.submit, pool.shutdown = submit_mine, shutdown_mine
    return pool


@register(
    ThreadPoolExecutor,
    action="remake",
    scope="process",
    travels="its size, name and initializer",
    lost="its work, which stays",
    refused="after shutdown; subclasses",
    hint=MAKE_INSIDE,
    subclasses=True,
)
def reduce_thread_pool(pool: Any) -> Recipe:
    """Say how it was made."""
    if pool._shutdown or pool._broken:
        raise RefusedError(pool, NO_WORK)
    how = pool._max_workers, pool._thread_name_prefix, pool._initializer, pool._initargs
    return Recipe(open_thread_pool, *how, close=close_thread_pool)


def open_thread_pool(
    size: int, name: str, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
) -> ThreadPoolExecutor:
    """Make a pool for this process; its threads start when work comes."""
    return share(ThreadPoolExecutor(size, name, initializer, initargs))  # type: ignore[no-any-return]


def close_thread_pool(pool: ThreadPoolExecutor) -> None:
    """Let its threads end after the work that they have; nobody waits for them."""
    ThreadPoolExecutor.shutdown(pool, wait=False)


@register(
    ProcessPoolExecutor,
    action="remake",
    scope="process",
    travels="its size, start method and initializer",
    lost="its work, which stays",
    refused="after shutdown; subclasses",
    hint=MAKE_INSIDE,
    subclasses=True,
)
def reduce_process_pool(pool: Any) -> Recipe:
    """Say how it was made.

    Workers that a nanny started are daemons, which `multiprocessing` does not let have children:
    there its first ``submit`` raises, unless ``distributed.worker.daemon`` is false.
    """
    if pool._shutdown_thread or pool._broken:
        raise RefusedError(pool, NO_WORK)
    method = pool._mp_context.get_start_method(allow_none=True)
    more = getattr(pool, "_max_tasks_per_child", None)  # new in Python 3.11
    how = pool._max_workers, method, pool._initializer, pool._initargs, more
    return Recipe(open_process_pool, *how, close=close_process_pool)


def open_process_pool(
    size: int,
    method: str | None,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
    max_tasks_per_child: int | None = None,
) -> ProcessPoolExecutor:
    """Make a pool for this process; its processes start when work comes."""
    more = {} if max_tasks_per_child is None else {"max_tasks_per_child": max_tasks_per_child}
    context = multiprocessing.get_context(method)
    return share(ProcessPoolExecutor(size, context, initializer, initargs, **more))  # type: ignore[no-any-return]


def close_process_pool(pool: ProcessPoolExecutor) -> None:
    """Let its processes end after the work that they have; nobody waits for them."""
    ProcessPoolExecutor.shutdown(pool, wait=False)
