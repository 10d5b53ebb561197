"""Pools of `multiprocessing.pool`: of the same size where they arrive; results that are ready.

Notes
-----
- Travels: how a pool was made; each task has one of its own, made at first use, which ends with the
  task. A result that is ready: what it returned or raised.
- Lost: the work that a pool has; it goes on where it is. The callbacks of a result: they have run.
- Refused: a pool that takes no more work, and subclasses of pools. A result that is not ready; the
  iterator that `imap` returns.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.pool import RUN, ApplyResult, IMapIterator, Pool, ThreadPool
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError

MAKE_INSIDE = "Make one inside the task, or pass an executor of concurrent.futures."
OF_POOL = ("_pool", "_cache", "_event", "_callback", "_error_callback")


def _how(pool: Any) -> tuple[Any, ...]:
    if pool._state != RUN:
        raise RefusedError(pool, "It takes no more work: it was closed or terminated.")
    return pool._processes, pool._initializer, pool._initargs


@register(
    Pool, action="remake", scope="fresh", travels="its size, start method and initializer",
    lost="its work, which stays", refused="closed; subclasses", hint=MAKE_INSIDE,
)  # fmt: skip
def reduce_pool(pool: Any) -> Recipe:
    """Say how it was made."""
    method = pool._ctx.get_start_method(allow_none=True)
    how = *_how(pool), pool._maxtasksperchild, method
    return Recipe(open_pool, *how, close=Pool.terminate)


def open_pool(
    size: int,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
    max_tasks: int | None,
    method: str | None,
) -> Any:
    """Start a pool of processes for a task."""
    return multiprocessing.get_context(method).Pool(size, initializer, initargs, max_tasks)


@register(
    ThreadPool, action="remake", scope="fresh", travels="its size and initializer",
    lost="its work, which stays", refused="closed; subclasses", hint=MAKE_INSIDE,
)  # fmt: skip
def reduce_thread_pool(pool: Any) -> Recipe:
    """Say how it was made."""
    return Recipe(open_thread_pool, *_how(pool), close=Pool.terminate)


def open_thread_pool(
    size: int, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
) -> Any:
    """Start a pool of threads for a task."""
    return ThreadPool(size, initializer, initargs)


@register(
    ApplyResult, subclasses=True, travels="what it returned or raised, once it is ready",
    lost="its callbacks", refused="not ready", hint="Wait for it with get(), and pass that.",
)  # fmt: skip
def reduce_result(result: Any) -> tuple[Any, ...]:
    """Say how it ended."""
    if not ApplyResult.ready(result):
        raise RefusedError(result, "It is not ready, and its pool works in this process.")
    state = {name: value for name, value in vars(result).items() if name not in OF_POOL}
    return rebuild_result, (type(result), state)


def rebuild_result(cls: type, state: dict[str, Any]) -> Any:
    """Make a result that is ready."""
    result: Any = object.__new__(cls)
    result._pool = result._callback = result._error_callback = None
    result._cache, result._event = {}, threading.Event()
    result._event.set()
    vars(result).update(state)
    return result


@register(
    IMapIterator, action="refuse", subclasses=True, veto=True, refused="always",
    hint="Pass a list of its items.",
)  # fmt: skip
def reduce_iterator(iterator: Any) -> Any:
    """Refuse it."""
    raise RefusedError(iterator, "Its items come from a pool in this process.")
