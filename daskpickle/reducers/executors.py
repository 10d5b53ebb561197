"""Executors and their futures: a pool of the same size where it arrives; a future that is done.

Notes
-----
- Travels: how a pool was made, and what a subclass has added. It is made at first use, once per
  process, and shared by the tasks there: ``shutdown``, and the end of ``with``, wait for what their
  own thread has submitted and leave the pool to the others. No ``__init__`` of a subclass runs. A
  pool that was shut down, and whose threads have ended, arrives as one. A future that is done
  travels as its result, its exception, or as cancelled.
- Lost: the work that a pool has; it goes on where it is. The callbacks of a future: they have run.
- Refused: a future that is not done, for what fills it in runs in this process; a pool that is
  broken, or that ends its work before it is shut down.

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
HOW = "how it was made, and what a subclass has added; or that it was shut down"
NOT = "while it ends its work; if it is broken"


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


def added_to(pool: Any, base: Any) -> tuple[Any, ...]:
    """Say which subclass it is, and what that has set; nothing of a pool of the library.

    What the base sets has names with an underscore, and its ``__init__`` tells them.
    """
    if type(pool) is base:
        return ()
    made = {name for name in base.__init__.__code__.co_names if name[0] == "_"}
    state = {name: value for name, value in extra_state(pool, None).items() if name not in made}
    return type(pool), state


def make_pool(
    base: Any, cls: Any, state: dict[str, Any] | None, /, *args: Any, **kwargs: Any
) -> Any:
    """Make a pool of this class, as its base is made."""
    pool = object.__new__(cls or base)
    base.__init__(pool, *args, **kwargs)
    add_state(pool, state or {})
    return share(pool)


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
    travels=HOW,
    lost="its work, which stays",
    refused=NOT,
    hint=MAKE_INSIDE,
    subclasses=True,
)
def reduce_thread_pool(pool: Any) -> Any:
    """Say how it was made; one that has ended is plain data."""
    if pool._shutdown and not any(thread.is_alive() for thread in pool._threads):
        return object.__reduce_ex__(pool, 4)
    if pool._shutdown or pool._broken:
        raise RefusedError(pool, NO_WORK)
    how = pool._max_workers, pool._thread_name_prefix, pool._initializer, pool._initargs
    added = added_to(pool, ThreadPoolExecutor)
    return Recipe(open_thread_pool, *how, *added, close=close_thread_pool)


def open_thread_pool(
    size: int,
    name: str,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
    cls: type | None = None,
    state: dict[str, Any] | None = None,
) -> Any:
    """Make a pool for this process; its threads start when work comes."""
    return make_pool(ThreadPoolExecutor, cls, state, size, name, initializer, initargs)


def close_thread_pool(pool: ThreadPoolExecutor) -> None:
    """Let its threads end after the work that they have; nobody waits for them."""
    ThreadPoolExecutor.shutdown(pool, wait=False)


@register(
    ProcessPoolExecutor,
    action="remake",
    scope="process",
    travels=HOW,
    lost="its work, which stays",
    refused=NOT,
    hint=MAKE_INSIDE,
    subclasses=True,
)
def reduce_process_pool(pool: Any) -> Any:
    """Say how it was made.

    Workers that a nanny started are daemons, which `multiprocessing` does not let have children:
    there its first ``submit`` raises, unless ``distributed.worker.daemon`` is false.
    """
    if pool._shutdown_thread and pool._processes is None and not pool._broken:
        return object.__reduce_ex__(pool, 4)  # one that has ended is plain data
    if pool._shutdown_thread or pool._broken:
        raise RefusedError(pool, NO_WORK)
    method = pool._mp_context.get_start_method(allow_none=True)
    more = getattr(pool, "_max_tasks_per_child", None)  # new in Python 3.11
    how = pool._max_workers, method, pool._initializer, pool._initargs, more
    added = added_to(pool, ProcessPoolExecutor)
    return Recipe(open_process_pool, *how, *added, close=close_process_pool)


def open_process_pool(
    size: int,
    method: str | None,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
    max_tasks_per_child: int | None = None,
    cls: type | None = None,
    state: dict[str, Any] | None = None,
) -> Any:
    """Make a pool for this process; its processes start when work comes."""
    more = {} if max_tasks_per_child is None else {"max_tasks_per_child": max_tasks_per_child}
    how = size, multiprocessing.get_context(method), initializer, initargs
    return make_pool(ProcessPoolExecutor, cls, state, *how, **more)


def close_process_pool(pool: ProcessPoolExecutor) -> None:
    """Let its processes end after the work that they have; nobody waits for them."""
    ProcessPoolExecutor.shutdown(pool, wait=False)
