"""Queues: a queue of the same size, with a snapshot of the items.

Notes
-----
- Travels: the size, and the items that are in it when it is pickled, in their order. Each arrival
  is a queue of its own, with locks of its own; so is what a task returns, with the items of then.
- Lost: who waits for it, and items that were taken and not yet reported by ``task_done``: nobody
  could report them there, so that ``join`` would never end.
- Refused: a `queue.SimpleQueue` that holds items. They can only be seen by taking them out.

Without a reducer here the copies of a queue in one process would share their conditions by token,
and a ``put`` into one would wake who waits for another.
"""

from __future__ import annotations

import queue
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state

HINT = "Use distributed.Queue between tasks, or make one inside the task."


@register(
    queue.Queue,
    travels="its size and a snapshot of its items",
    lost="who waits; items taken and not reported done",
    refused="nothing",
    hint=HINT,
    subclasses=True,
)
def reduce_queue(source: Any) -> tuple[Any, ...]:
    """Copy the items without taking its mutex, which the caller may hold.

    ``deque.copy`` and ``list.copy`` run in one piece under the interpreter lock; the iteration of a
    deque that another thread changes would raise.
    """
    state = extra_state(source, queue.Queue())
    if getattr(source, "is_shutdown", False):  # new in Python 3.13
        state["is_shutdown"] = True
    return rebuild_queue, (type(source), source.maxsize, source.queue.copy(), state)


def rebuild_queue(cls: type, maxsize: int, items: Any, state: dict[str, Any]) -> Any:
    """Make a queue around the items; no ``_init`` of a subclass runs."""
    target: Any = object.__new__(cls)
    add_state(target, vars(queue.Queue(maxsize)))
    add_state(target, {**state, "queue": items, "unfinished_tasks": len(items)})
    return target


@register(
    queue.SimpleQueue,
    travels="an empty one",
    lost="who waits",
    refused="while it holds items",
    hint="Use queue.Queue, whose items can be copied; between tasks, distributed.Queue.",
)
def reduce_simple_queue(source: Any) -> tuple[Any, ...]:
    """Say that it is empty."""
    if not source.empty():
        raise RefusedError(source, "Its items cannot be read without taking them out.")
    return rebuild_simple_queue, ()


def rebuild_simple_queue() -> Any:
    """Make an empty queue."""
    return queue.SimpleQueue()
