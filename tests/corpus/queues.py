"""Queues."""

from __future__ import annotations

import queue
from contextlib import ExitStack
from typing import Any

from corpus import Case


def filled(source: Any) -> Any:
    """Put two items into a queue."""
    source.put(2)
    source.put(1)
    return source


def gives(*items: Any) -> Any:
    """Check what a queue gives, and that it takes more."""

    def check(received: Any) -> None:
        assert [received.get_nowait() for _ in items] == list(items)
        assert received.empty()
        received.put(3)
        assert received.get() == 3

    return check


def simple(stack: ExitStack) -> Any:
    source: queue.SimpleQueue[int] = queue.SimpleQueue()
    source.put(1)
    return source


CASES = [
    Case("queue.fifo", lambda stack: filled(queue.Queue(3)), gives(2, 1)),
    Case("queue.lifo", lambda stack: filled(queue.LifoQueue()), gives(1, 2)),
    Case("queue.priority", lambda stack: filled(queue.PriorityQueue()), gives(1, 2)),
    Case("queue.simple", lambda stack: queue.SimpleQueue(), gives()),
    Case("queue.simple.filled", simple, refused="cannot be read"),
]
