"""What runs is refused; a thread that has not started, or has ended, arrives as that."""

from __future__ import annotations

import _thread
import queue
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import RefusedError
from daskpickle.testing import ReducerContract, elsewhere


class Doubler(threading.Thread):
    """A thread with a ``run`` and a result of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(name="doubler", daemon=True)
        self.number = number
        self.result: int | None = None

    def run(self) -> None:
        self.result = 2 * self.number


class Waiting(threading.Thread):
    """A thread that runs until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.end = threading.Event()
        self.start()

    def run(self) -> None:
        self.end.wait()


class Portable(threading.Thread):
    """A thread that says itself how it is pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Portable, ()


class Dummy:
    """Makes what `threading` makes up for a thread that it did not start."""

    def __init__(self) -> None:
        self.end = threading.Lock()
        self.end.acquire()
        self.thread: queue.Queue[threading.Thread] = queue.Queue()
        _thread.start_new_thread(self.run, ())

    def run(self) -> None:
        self.thread.put(threading.current_thread())
        self.end.acquire()
        threading._active.pop(threading.get_ident(), None)
        self.thread.put(threading.main_thread())


def count(numbers: list[int], last: int = 0) -> None:
    numbers.append(last)


def numbers() -> Iterator[int]:
    yield 1
    yield 2


async def later() -> int:
    return 1


async def numbers_later() -> AsyncIterator[int]:
    yield 1


def begun() -> Iterator[int]:
    generator = numbers()
    next(generator)
    return generator


class TestThread(ReducerContract):
    def make(self) -> Any:
        return threading.Thread(
            target=count, name="counter", args=([1],), kwargs={"last": 2}, daemon=True
        )

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is threading.Thread
        assert (received.name, received.daemon, received.ident) == ("counter", True, None)
        arguments = received._args[0]
        received.start()
        received.join()
        assert arguments == [1, 2]
        assert not sent.is_alive()
        assert sent.ident is None

    @staticmethod
    def use(received: Any) -> Any:
        before = received.is_alive(), received.ident
        received.start()
        received.join()
        return before, received.is_alive(), received.ident is None


class TestThreadSubclass(ReducerContract):
    def make(self) -> Any:
        return Doubler(21)

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Doubler
        received.start()
        received.join()
        assert received.result == 42
        assert sent.result is None

    @staticmethod
    def use(received: Any) -> Any:
        received.start()
        received.join()
        return received.result


class TestEndedThread(ReducerContract):
    """One that has ended cannot be started; what it has computed is there."""

    def make(self) -> Any:
        thread = Doubler(21)
        thread.start()
        thread.join()
        return thread

    def same(self, sent: Any, received: Any) -> None:
        assert received.result == 42
        assert received.ident == sent.ident
        assert not received.is_alive()
        received.join()
        received.join(0.1)
        assert "stopped" in repr(received)
        with pytest.raises(RuntimeError, match="only be started once"):
            received.start()

    @staticmethod
    def use(received: Any) -> Any:
        return received.result, received.is_alive(), received.join()


class TestTimer(ReducerContract):
    def make(self) -> Any:
        return threading.Timer(0.0, count, args=[[1]], kwargs={"last": 2})

    def same(self, sent: Any, received: Any) -> None:
        arguments = received.args[0]
        received.start()
        received.join()
        assert arguments == [1, 2]
        assert not sent.finished.is_set()

    @staticmethod
    def use(received: Any) -> Any:
        received.start()
        received.join()
        return received.args[0], received.finished.is_set()


class TestCancelledTimer(TestTimer):
    """A timer that was cancelled before its start does nothing when it is started."""

    def make(self) -> Any:
        timer = super().make()
        timer.cancel()
        return timer

    def same(self, sent: Any, received: Any) -> None:
        arguments = received.args[0]
        received.start()
        received.join()
        assert arguments == [1]


class TestRunning(ReducerContract):
    """What runs, or is half-way through."""

    def refused(self) -> list[Any]:
        return [
            (begun, "Its place inside its function"),
            (numbers, "Its place inside its function"),
            (numbers_later, "Its place inside its function"),
            (later, "Its place inside its function"),
            (sys._getframe, "It is a call of this process"),
            (Waiting, "It is running in this process"),
            (threading.main_thread, "It stands for a thread that"),
            (self.timer, "It is running in this process"),
            (self.dummy, "It stands for a thread that"),
        ]

    def timer(self) -> threading.Thread:
        timer = threading.Timer(60.0, print)
        timer.start()
        return timer

    def dummy(self) -> threading.Thread:
        self.made = Dummy()
        return self.made.thread.get()

    def close(self, obj: Any) -> None:
        if isinstance(obj, threading.Timer):
            obj.cancel()
            obj.join()
        elif isinstance(obj, Waiting):
            obj.end.set()
            obj.join()
        elif isinstance(obj, threading._DummyThread):
            self.made.end.release()
            self.made.thread.get()
        elif hasattr(obj, "cr_frame"):
            obj.close()


def test_two_copies_of_a_timer_do_not_cancel_each_other() -> None:
    """Each arrival has an event of its own, although events are shared by token elsewhere."""
    data = daskpickle.dumps(threading.Timer(0.0, count, args=[[1]]))
    first, second = daskpickle.loads(data), daskpickle.loads(data)
    for timer in (first, second):
        timer.start()
        timer.join()
    assert (first.args, second.args) == ([[1, 0]], [[1, 0]])


def test_a_thread_that_arrived_is_refused_while_it_runs() -> None:
    """Nothing is remembered of a thread: what it arrived as is not true once it is started."""
    end = threading.Event()
    sent = threading.Thread(target=end.wait)
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(sent))
        assert daskpickle.dumps(received) == daskpickle.dumps(sent)
        received.start()
        with pytest.raises(RefusedError, match="it is running"):
            daskpickle.dumps([received])
        received._target.__self__.set()
        received.join()
        assert daskpickle.loads(daskpickle.dumps(received)).ident == received.ident


def test_a_thread_that_says_itself_how_it_is_pickled_is_left_alone() -> None:
    """Its own ``__reduce__`` is used, as without daskpickle."""
    data = daskpickle.dumps(Portable())
    assert b"daskpickle" not in data
    assert type(daskpickle.loads(data)) is Portable


class Owner:
    """Holds the thread, or the timer, that is to call it."""

    def __init__(self, made: type, *args: Any) -> None:
        self.thread = made(*args, self.run)
        self.runs = 0

    def run(self) -> None:
        self.runs += 1


@pytest.mark.parametrize("args", [(threading.Thread, None), (threading.Timer, 0)])
def test_what_a_thread_calls_may_lead_back_to_it(args: tuple[Any, ...]) -> None:
    """It is set after the thread was made."""
    thread = daskpickle.loads(daskpickle.dumps(Owner(*args).thread))
    owner = getattr(thread, "function", None) or thread._target
    assert owner.__self__.thread is thread
    thread.start()
    thread.join()
    assert owner.__self__.runs == 1
