"""Queues."""

from __future__ import annotations

import queue
import sys
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


class Labelled(queue.SimpleQueue):  # type: ignore[type-arg]
    """With an attribute of its own."""

    label = ""


class Slotted(queue.SimpleQueue):  # type: ignore[type-arg]
    """With a place for another queue before its own."""

    __slots__ = ("items",)


def simple(cls: Any = queue.SimpleQueue, taken: int = 12) -> Any:
    """Make a queue of which some items were taken: its list begins with nothing."""

    def make(stack: ExitStack) -> Any:
        source = cls()
        for number in range(taken):
            source.put(number)
        source.put([2])
        for _ in range(taken):
            source.get()
        source.put(None)
        source.put(source)
        return source

    return make


def is_simple(received: Any) -> None:
    assert received.qsize() == 3
    assert [received.get(), received.get()] == [[2], None]
    assert received.get() is received
    assert received.empty()
    for item in ([2], None, received):
        received.put(item)


def labelled(stack: ExitStack) -> Any:
    source = simple(Labelled)(stack)
    source.label = "jobs"
    return source


def is_labelled(received: Any) -> None:
    assert vars(received) == {"label": "jobs"}
    is_simple(received)


def slotted(stack: ExitStack) -> Any:
    source = simple(Slotted)(stack)
    source.items = [1, 2]
    return source


def is_slotted(received: Any) -> None:
    assert received.items == [1, 2]
    is_simple(received)


def cyclic(stack: ExitStack) -> Any:
    source: queue.Queue[Any] = queue.Queue()
    source.put({"queue": source})
    return source


def is_cyclic(received: Any) -> None:
    item = received.get()
    assert item["queue"] is received
    received.put(item)


def unfit(stack: ExitStack) -> Any:
    source: queue.SimpleQueue[Any] = queue.SimpleQueue()
    source.put(sys._getframe())
    return source


CASES = [
    Case("queue.fifo", lambda stack: filled(queue.Queue(3)), gives(2, 1)),
    Case("queue.lifo", lambda stack: filled(queue.LifoQueue()), gives(1, 2)),
    Case("queue.priority", lambda stack: filled(queue.PriorityQueue()), gives(1, 2)),
    Case("queue.cyclic", cyclic, is_cyclic),
    Case("queue.simple", lambda stack: queue.SimpleQueue(), gives()),
    Case("queue.simple.filled", simple(taken=0), is_simple),
    Case("queue.simple.taken", simple(taken=7), is_simple),
    Case("queue.simple.taken.many", simple(taken=500), is_simple),
    Case("queue.simple.subclass", labelled, is_labelled),
    Case("queue.simple.slots", slotted, is_slotted),
    Case("queue.simple.frame", unfit, refused="call"),
    Case("queue.simple.python", simple(queue._PySimpleQueue), is_simple),  # type: ignore[attr-defined]
]
