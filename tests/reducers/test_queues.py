"""Queues arrive in the same size, with a snapshot of the items."""

from __future__ import annotations

import queue
import sys
import threading
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract


class Labelled(queue.Queue):  # type: ignore[type-arg]
    """A queue with arguments and attributes of its own."""

    def __init__(self, label: str) -> None:
        super().__init__(5)
        self.label = label


class Unique(queue.Queue):  # type: ignore[type-arg]
    """A queue that keeps its items in a set."""

    def _init(self, maxsize: int) -> None:
        self.queue = set()  # type: ignore[assignment]

    def _put(self, item: Any) -> None:
        self.queue.add(item)  # type: ignore[attr-defined]

    def _get(self) -> Any:
        return self.queue.pop()


def drained(source: Any) -> list[Any]:
    return [source.get_nowait() for _ in range(source.qsize())]


def filled(target: Any, *items: Any) -> Any:
    for item in items:
        target.put_nowait(item)
    return target


class TestQueue(ReducerContract):
    def make(self) -> Any:
        source = filled(queue.Queue(3), 1, 2, 3)
        source.get_nowait()  # taken, and never reported done
        return source

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert received.maxsize == sent.maxsize == 3
        assert sent.qsize() == 2
        assert drained(received) == [2, 3]
        assert sent.qsize() == 2
        received.task_done()
        received.task_done()
        received.join()
        filled(received, 4, 5, 6)
        with pytest.raises(queue.Full):
            received.put_nowait(7)

    def state(self, obj: Any) -> Any:
        return list(obj.queue), obj.unfinished_tasks, obj.mutex.locked()

    @staticmethod
    def use(received: Any) -> Any:
        return [received.get_nowait() for _ in range(received.qsize())], received.maxsize


class TestHeldQueue(TestQueue):
    """The mutex is not needed to pickle it, and does not arrive held."""

    def make(self) -> Any:
        source = super().make()
        source.mutex.acquire()
        return source

    def same(self, sent: Any, received: Any) -> None:
        assert received.get_nowait() == 2
        assert sent.mutex.locked()


class TestLifoQueue(ReducerContract):
    def make(self) -> Any:
        return filled(queue.LifoQueue(), 1, 2, 3)

    def same(self, sent: Any, received: Any) -> bool:
        return drained(received) == [3, 2, 1]

    @staticmethod
    def use(received: Any) -> Any:
        return received.get_nowait()


class TestPriorityQueue(TestLifoQueue):
    def make(self) -> Any:
        return filled(queue.PriorityQueue(), 2, 3, 1)

    def same(self, sent: Any, received: Any) -> bool:
        return drained(received) == [1, 2, 3]


class TestQueueSubclass(ReducerContract):
    def make(self) -> Any:
        return filled(Labelled("jobs"), 1)

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Labelled
        assert (received.label, received.maxsize, drained(received)) == ("jobs", 5, [1])


class TestQueueOfASet(ReducerContract):
    def make(self) -> Any:
        return filled(Unique(), 7, 7)

    def same(self, sent: Any, received: Any) -> None:
        filled(received, 7)
        assert drained(received) == [7]
        assert sent.qsize() == 1


class LabelledSimple(queue.SimpleQueue):  # type: ignore[type-arg]
    """A simple queue with an attribute and a slot of its own, and a ``put`` of its own."""

    __slots__ = ("__dict__", "items")

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put([item])


class TestSimpleQueue(ReducerContract):
    items: tuple[Any, ...] = ()

    def make(self) -> Any:
        """Take so many that its items lie anywhere in what holds them."""
        source = filled(self.empty(), *range(100))
        for _ in range(100):
            source.get()
        return filled(source, *self.items)

    @staticmethod
    def empty() -> Any:
        return queue.SimpleQueue()

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert sent.qsize() == len(self.items)
        assert drained(filled(received, 8, 9)) == [*self.items, 8, 9]
        with pytest.raises(queue.Empty):
            received.get_nowait()

    def state(self, obj: Any) -> Any:
        return obj.qsize()

    @staticmethod
    def use(received: Any) -> Any:
        received.put(1)
        return [received.get(timeout=1) for _ in range(received.qsize())]


class TestFilledSimpleQueue(TestSimpleQueue):
    items = (None, [1], "two", None)


class TestPythonSimpleQueue(TestFilledSimpleQueue):
    @staticmethod
    def empty() -> Any:
        return queue._PySimpleQueue()  # type: ignore[attr-defined]


class TestSimpleQueueSubclass(ReducerContract):
    def make(self) -> Any:
        source = LabelledSimple()
        source.put(1)
        source.put(2)
        source.items, source.label = [3], "jobs"
        return source

    def same(self, sent: Any, received: Any) -> None:
        assert (received.items, received.label) == ([3], "jobs")
        assert drained(received) == [[1], [2]]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Queue.shutdown is new in Python 3.13.")
def test_a_queue_that_was_shut_down_arrives_shut_down() -> None:
    """It gives away what it has, and takes nothing."""
    source = filled(queue.Queue(), 1)
    source.shutdown()
    received = daskpickle.loads(daskpickle.dumps(source))
    assert received.get() == 1
    with pytest.raises(queue.ShutDown):
        received.put(2)


def test_copies_in_one_process_do_not_share_their_conditions() -> None:
    """A ``put`` into one copy does not use up the wake-up of who waits for the other."""
    data = daskpickle.dumps(queue.Queue())
    first, second = daskpickle.loads(data), daskpickle.loads(data)
    assert first.mutex is not second.mutex
    assert first.not_empty._lock is first.mutex
    waiting = threading.Thread(target=first.get)
    waiting.start()
    second.put(1)
    first.put(2)
    waiting.join()
    assert (first.qsize(), second.qsize()) == (0, 1)


def test_a_queue_that_arrived_travels_on_with_the_items_of_then() -> None:
    """Nothing is remembered of a queue: a result holds what the task has put into it."""
    received = daskpickle.loads(daskpickle.dumps(filled(queue.Queue(), 1)))
    received.put(2)
    assert drained(daskpickle.loads(daskpickle.dumps(received))) == [1, 2]


def test_a_queue_can_be_pickled_while_others_use_it() -> None:
    """The copy of the items is made in one piece."""
    source: queue.Queue[int] = queue.Queue()
    end = threading.Event()

    def turn() -> None:
        while not end.is_set():
            source.put(1)
            source.get()

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        sizes = {daskpickle.loads(daskpickle.dumps(source)).qsize() for _ in range(300)}
    finally:
        end.set()
        thread.join()
    assert sizes <= {0, 1}


@pytest.mark.parametrize("make", [queue.SimpleQueue, queue._PySimpleQueue])  # type: ignore[attr-defined]
def test_a_simple_queue_can_be_pickled_while_others_use_it(make: Any) -> None:
    """Its items are those of one moment: none is missing between two of them."""
    source = filled(make(), *range(3))
    end = threading.Event()

    def turn() -> None:
        number = 3
        while not end.is_set():
            source.put(number)
            source.get()
            number += 1

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        found = [drained(daskpickle.loads(daskpickle.dumps(source))) for _ in range(300)]
    finally:
        end.set()
        thread.join()
    assert all(items == list(range(items[0], items[0] + len(items))) for items in found)
    assert {len(items) for items in found} <= {3, 4}


@pytest.mark.parametrize("make", [queue.Queue, queue.SimpleQueue, queue._PySimpleQueue])  # type: ignore[attr-defined]
def test_an_item_may_lead_back_to_its_queue(make: Any) -> None:
    """Items are put in after the queue was made."""
    source = make()
    source.put([source])
    received = daskpickle.loads(daskpickle.dumps(source))
    assert received.get() == [received]
