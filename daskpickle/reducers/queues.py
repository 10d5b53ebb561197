"""Queues: a queue of the same size, with a snapshot of the items.

Notes
-----
- Travels: the size, and the items that are in it when it is pickled, in their order. Each arrival
  is a queue of its own, with locks of its own; so is what a task returns, with the items of then.
- Lost: who waits for it, and items that were taken and not yet reported by ``task_done``: nobody
  could report them there, so that ``join`` would never end.
- Refused: if an item cannot travel.

Without a reducer here the copies of a queue in one process would share their conditions by token,
and a ``put`` into one would wake who waits for another.
"""

from __future__ import annotations

import gc
import queue
import sys
from collections.abc import Iterable
from functools import partial
from operator import methodcaller
from typing import Any

from daskpickle import register
from daskpickle.handles import add_state, extra_state

HINT = "Use distributed.Queue between tasks, or make one inside the task."
CANNOT = "if an item cannot travel"


@register(
    queue.Queue,
    travels="its size and a snapshot of its items",
    lost="who waits; items taken and not reported done",
    refused=CANNOT,
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
    facts = source.queue.copy(), state  # an item may lead back to the queue
    return rebuild_queue, (type(source), source.maxsize, (), {}), facts, None, None, fill_queue


def rebuild_queue(cls: type, maxsize: int, items: Any, state: dict[str, Any]) -> Any:
    """Make a queue around the items; no ``_init`` of a subclass runs."""
    target: Any = object.__new__(cls)
    add_state(target, vars(queue.Queue(maxsize)))
    fill_queue(target, (items, state))
    return target


def fill_queue(target: Any, facts: tuple[Any, dict[str, Any]]) -> None:
    """Give it its items."""
    items, state = facts
    add_state(target, {**state, "queue": items, "unfinished_tasks": len(items)})


def reduce_simple_queue(source: Any) -> tuple[Any, ...]:
    """Copy the items without taking them."""
    python = isinstance(source, queue._PySimpleQueue)  # type: ignore[attr-defined]
    items = tuple(source._queue.copy()) if python else items_of(source)
    own = extra_state(source, queue._PySimpleQueue() if python else None)  # type: ignore[attr-defined]
    return rebuild_simple_queue, (type(source),), (items, own), None, None, fill_simple_queue


def items_of(source: Any) -> tuple[Any, ...]:
    """Return the items of a queue written in C; the garbage collector tells them.

    Up to Python 3.12 they are the end of a list, of which the start was taken (``lst_pos`` in
    ``_queuemodule.c``), then they are told one by one. Its type comes after them. A `map` of
    functions in C runs in one piece under the interpreter lock: size and items are of one moment.
    """
    new = sys.version_info >= (3, 13)
    told = partial(gc.get_referents, source) if new else gc.get_referents(source)[-2].copy
    size, held = map(methodcaller("__call__"), (source.qsize, told))
    end = len(held) - new
    return tuple(held[end - size : end])


def rebuild_simple_queue(cls: Any = queue.SimpleQueue) -> Any:
    """Make an empty queue."""
    base = next(base for base in SIMPLE if issubclass(cls, base))
    target = base.__new__(cls)
    base.__init__(target)
    return target


def fill_simple_queue(target: Any, facts: tuple[Iterable[Any], dict[str, Any]]) -> None:
    """Give it its items."""
    items, state = facts
    add_state(target, state)
    base = next(base for base in SIMPLE if isinstance(target, base))
    for item in items:
        base.put(target, item)


SIMPLE: tuple[Any, ...] = (queue.SimpleQueue, queue._PySimpleQueue)  # type: ignore[attr-defined]
for cls in dict.fromkeys(SIMPLE):
    register(
        cls, reduce_simple_queue, travels="a snapshot of its items", lost="who waits",
        refused=CANNOT, hint=HINT, subclasses=True,
    )  # fmt: skip
