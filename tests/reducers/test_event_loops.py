"""What `asyncio` binds to no loop yet arrives as new; what lives in a loop is refused."""

from __future__ import annotations

import asyncio
import pickle
import sys
from asyncio import subprocess, transports, trsock
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest import mock

import pytest

import daskpickle
from daskpickle.testing import ReducerContract

since_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="It is new in Python 3.11.")


class Gate(asyncio.Lock):
    """A lock with an argument and a slot of its own."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Unique(asyncio.Queue):  # type: ignore[type-arg]
    """A queue that keeps its items in a set."""

    def _init(self, maxsize: int) -> None:
        self._queue: Any = set()

    def _put(self, item: Any) -> None:
        self._queue.add(item)

    def _get(self) -> Any:
        return self._queue.pop()


async def wait_for_nothing(awaitable: Any) -> None:
    """Wait in vain: that binds what is waited for to the loop."""
    waiting = asyncio.ensure_future(awaitable)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


class AsWithoutDaskpickle:
    """They are loaded without daskpickle too."""

    def test_the_reduced_value_is_well_formed(self: Any) -> None:
        """It is the one of plain pickle, with another state."""
        with self._made() as sent:
            assert b"daskpickle" not in daskpickle.dumps(sent)
            state = pickle.loads(daskpickle.dumps(sent)).__dict__
            assert "_loop" not in state
            assert list(state) == [name for name in vars(sent) if name != "_loop"]


class TestLock(AsWithoutDaskpickle, ReducerContract):
    """It is held, and bound to a loop that has ended."""

    def make(self) -> Any:
        lock = self.new()

        async def use() -> None:
            await lock.acquire()
            await wait_for_nothing(lock.acquire())

        run(use())
        return lock

    def new(self) -> Any:
        return asyncio.Lock()

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert not received.locked()
        run(self.exclude(received))
        assert sent.locked()

    async def exclude(self, lock: Any) -> None:
        async with lock:
            await wait_for_nothing(lock.acquire())

    @staticmethod
    def use(received: Any) -> Any:
        async def acquire() -> Any:
            return await received.acquire(), received.locked()

        return asyncio.run(acquire())


class TestLockSubclass(TestLock):
    def new(self) -> Any:
        return Gate("front")

    def same(self, sent: Any, received: Any) -> None:
        assert received.name == "front"
        super().same(sent, received)


class TestEvent(AsWithoutDaskpickle, ReducerContract):
    def make(self) -> Any:
        event = asyncio.Event()
        run(wait_for_nothing(event.wait()))
        event.set()
        return event

    def same(self, sent: Any, received: Any) -> None:
        assert received.is_set()
        assert run(received.wait())
        received.clear()
        run(wait_for_nothing(received.wait()))
        assert sent.is_set()


class TestCondition(AsWithoutDaskpickle, ReducerContract):
    def make(self) -> Any:
        condition = asyncio.Condition()

        async def use() -> None:
            async with condition:
                await wait_for_nothing(condition.wait())
                await wait_for_nothing(condition.acquire())

        with suppress(RuntimeError):  # it was cancelled while it waited for its lock again
            run(use())
        assert condition._loop is not None  # type: ignore[attr-defined]
        return condition

    def same(self, sent: Any, received: Any) -> None:
        assert received.locked == received._lock.locked
        assert not received.locked()
        run(self.notify(received))

    async def notify(self, condition: Any) -> None:
        async def wait() -> bool:
            async with condition:
                return bool(await condition.wait())

        waiting = asyncio.ensure_future(wait())
        for _ in range(3):
            await asyncio.sleep(0)
        async with condition:
            condition.notify()
        assert await waiting


class TestSemaphore(AsWithoutDaskpickle, ReducerContract):
    def make(self) -> Any:
        semaphore = self.new()

        async def use() -> None:
            await semaphore.acquire()
            await semaphore.acquire()
            await wait_for_nothing(semaphore.acquire())
            semaphore.release()

        run(use())
        return semaphore

    def new(self) -> Any:
        return asyncio.Semaphore(2)

    def same(self, sent: Any, received: Any) -> None:
        assert not received.locked()
        run(received.acquire())
        assert received.locked()
        assert not sent.locked()
        self.release(received)

    def release(self, semaphore: Any) -> None:
        for _ in range(3):
            semaphore.release()


class TestBoundedSemaphore(TestSemaphore):
    def new(self) -> Any:
        return asyncio.BoundedSemaphore(2)

    def release(self, semaphore: Any) -> None:
        semaphore.release()
        semaphore.release()
        with pytest.raises(ValueError, match="released too many"):
            semaphore.release()


@since_3_11
class TestBarrier(AsWithoutDaskpickle, ReducerContract):
    def make(self) -> Any:
        barrier = asyncio.Barrier(2)  # type: ignore[attr-defined]
        run(self.meet(barrier))
        return barrier

    def same(self, sent: Any, received: Any) -> None:
        assert (received.parties, received.n_waiting, received.broken) == (2, 0, sent.broken)
        run(self.meet(received))

    async def meet(self, barrier: Any) -> None:
        assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]


class TestBrokenBarrier(TestBarrier):
    def make(self) -> Any:
        barrier = asyncio.Barrier(2)  # type: ignore[attr-defined]
        run(barrier.abort())
        return barrier

    async def meet(self, barrier: Any) -> None:
        with pytest.raises(asyncio.BrokenBarrierError):  # type: ignore[attr-defined]
            await barrier.wait()


class TestQueue(AsWithoutDaskpickle, ReducerContract):
    """One item was taken, and never reported done."""

    def make(self) -> Any:
        source: asyncio.Queue[Any] = asyncio.Queue(3)

        async def use() -> None:
            await wait_for_nothing(source.get())
            for item in range(3):
                await source.put([item])
            await source.get()

        run(use())
        return source

    def same(self, sent: Any, received: Any) -> None:
        assert (received.maxsize, received.qsize(), sent.qsize()) == (3, 2, 2)
        run(self.drain(received))

    async def drain(self, queue: Any) -> None:
        await wait_for_nothing(queue.join())
        assert [queue.get_nowait(), await queue.get()] == [[1], [2]]
        queue.task_done()
        queue.task_done()
        await queue.join()
        await wait_for_nothing(queue.get())

    def state(self, obj: Any) -> Any:
        return list(obj._queue), obj._unfinished_tasks

    @staticmethod
    def use(received: Any) -> Any:
        return [received.get_nowait() for _ in range(received.qsize())]


@pytest.mark.parametrize("make", [asyncio.LifoQueue, asyncio.PriorityQueue, Unique])
@pytest.mark.parametrize("is_bound", [False, True])
def test_queues_with_another_order_keep_it(make: Any, is_bound: bool) -> None:
    """No ``_init`` of a subclass runs where they arrive."""
    source = make()

    async def fill() -> None:
        if is_bound:
            await wait_for_nothing(source.get())
        for item in (2, 3, 1):
            source.put_nowait(item)

    run(fill())
    received = daskpickle.loads(daskpickle.dumps(source))
    assert type(received._queue) is type(source._queue)
    taken = [received.get_nowait() for _ in range(3)]
    assert sorted(taken) == [1, 2, 3]
    assert make is Unique or taken == [source.get_nowait() for _ in range(3)]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Queue.shutdown is new in Python 3.13.")
def test_a_queue_that_was_shut_down_arrives_shut_down() -> None:
    """It takes nothing."""
    source: asyncio.Queue[int] = asyncio.Queue()
    run(wait_for_nothing(source.get()))
    source.shutdown()  # type: ignore[attr-defined]
    with pytest.raises(asyncio.QueueShutDown):  # type: ignore[attr-defined]
        daskpickle.loads(daskpickle.dumps(source)).put_nowait(1)


def test_an_item_may_lead_back_to_its_queue() -> None:
    """Items are set after the queue was made."""
    source: asyncio.Queue[Any] = asyncio.Queue()
    run(wait_for_nothing(source.get()))
    source.put_nowait([source])
    received = daskpickle.loads(daskpickle.dumps(source))
    assert received.get_nowait() == [received]


class Policy(asyncio.DefaultEventLoopPolicy):
    """A policy with an attribute of its own."""


class TestPolicy(ReducerContract):
    def make(self) -> Any:
        policy: Any = Policy()
        policy.name = "mine"
        self.loop = policy.new_event_loop()
        policy.set_event_loop(self.loop)
        return policy

    def close(self, obj: Any) -> None:
        self.loop.close()

    def same(self, sent: Any, received: Any) -> None:
        assert received.name == "mine"
        received.set_event_loop(None)
        assert sent.get_event_loop() is self.loop
        loop = received.new_event_loop()
        assert loop.run_until_complete(asyncio.sleep(0, 3)) == 3
        loop.close()


class TestRefused(ReducerContract):
    """Parts of a loop that exists."""

    @pytest.fixture(autouse=True)
    def in_a_loop(self) -> Any:
        self.loop = asyncio.new_event_loop()
        yield
        self.loop.close()

    def done(self) -> Any:
        future = self.loop.create_future()
        future.set_result(1)
        return future

    def done_task(self) -> Any:
        task = self.loop.create_task(asyncio.sleep(0))
        self.loop.run_until_complete(task)
        return task

    def python_task(self) -> Any:
        task = asyncio.tasks._PyTask(asyncio.sleep(0), loop=self.loop)  # type: ignore[attr-defined]
        self.loop.run_until_complete(task)
        return task

    def writer(self) -> Any:
        return asyncio.StreamWriter(mock.Mock(), mock.Mock(), None, self.loop)

    def server(self) -> Any:
        return self.loop.run_until_complete(
            self.loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        )

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        makers: list[Callable[[], Any]] = [
            lambda: self.loop,
            self.loop.create_future,
            self.done,
            self.done_task,
            self.python_task,
            lambda: asyncio.futures._PyFuture(loop=self.loop),  # type: ignore[attr-defined]
            lambda: self.loop.call_soon(print),
            lambda: self.loop.call_later(5, print),
            lambda: transports._FlowControlMixin(loop=self.loop),
            lambda: asyncio.StreamReader(loop=self.loop),
            self.writer,
            lambda: asyncio.base_events.Server(self.loop, [], *[None] * 4),  # type: ignore[attr-defined,arg-type,call-arg]
            lambda: trsock.TransportSocket(mock.Mock()),
            lambda: subprocess.Process(mock.Mock(), mock.Mock(), self.loop),  # type: ignore[arg-type]
        ]
        return [(make, "It is part of an event loop of this process.") for make in makers]
