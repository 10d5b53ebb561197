"""What belongs to `asyncio`: bound to no loop, bound to one that has ended, living in one."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from asyncio import transports, trsock
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Any

from corpus import Case

SINCE_3_11, SINCE_3_13 = ((3, 11), (3, 99)), ((3, 13), (3, 99))
UNTIL_3_13 = ((3, 10), (3, 13))
PART = "part of an event loop"


def true(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Check a condition."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


class Gate(asyncio.Lock):
    """With an argument and attributes of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Unique(asyncio.Queue):  # type: ignore[type-arg]
    """Keeps its items in a dictionary."""

    def _init(self, maxsize: int) -> None:
        self._queue: Any = {}

    def _put(self, item: Any) -> None:
        self._queue[item] = None

    def _get(self) -> Any:
        return self._queue.popitem()[0]


class Echo(asyncio.Protocol):
    """With its transport."""

    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport


def running(check: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Check in two loops, one after the other, with a time limit."""

    def run(received: Any) -> None:
        asyncio.run(asyncio.wait_for(check(received), 10))

    return run


async def excludes(lock: Any) -> None:
    """Check a lock: free, exclusive, and first come first served."""
    assert not lock.locked()
    order = []

    async def use(n: int) -> None:
        async with lock:
            order.append(n)
            await asyncio.sleep(0)
            order.append(n)

    await asyncio.gather(use(1), use(2), use(3))
    assert order == [1, 1, 2, 2, 3, 3]
    assert not lock.locked()


def opens(value: int, bound: int | None = None) -> Any:
    """Check a semaphore."""

    async def check(semaphore: Any) -> None:
        for _ in range(value):
            await semaphore.acquire()
        assert semaphore.locked()
        waiting = asyncio.ensure_future(semaphore.acquire())
        await asyncio.sleep(0)
        assert not waiting.done()
        semaphore.release()
        assert await waiting
        for _ in range(bound or value):
            semaphore.release()
        if bound is not None:
            with suppress(ValueError):
                semaphore.release()
                raise AssertionError("released too often")
            for _ in range(bound - value):
                await semaphore.acquire()

    return running(check)


def flag(is_set: bool) -> Any:
    """Check an event."""

    async def check(event: Any) -> None:
        assert event.is_set() is is_set
        event.clear()
        waiting = asyncio.ensure_future(event.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        event.set()
        assert await waiting
        if not is_set:
            event.clear()

    return running(check)


async def notifies(condition: Any) -> None:
    """Check a condition."""
    assert not condition.locked()

    async def wait() -> int:
        async with condition:
            await condition.wait()
        return 1

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    async with condition:
        condition.notify_all()
    assert await waiting == 1


def gives(*items: Any, maxsize: int = 0, join: bool = True) -> Any:
    """Check what a queue gives, that it takes more, and that ``join`` ends."""

    async def check(queue: Any) -> None:
        assert queue.maxsize == maxsize
        assert queue.qsize() == len(items)
        assert [await queue.get() for _ in items] == list(items)
        for _ in items:
            queue.task_done()
        await queue.join()
        getting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        await queue.put(7)
        assert await getting == 7
        queue.task_done()
        await queue.join()

    return running(check)


def filled(queue: Any, *items: Any) -> Any:
    for item in items:
        queue.put_nowait(item)
    return queue


def bound(make: Callable[[], Any], use: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Make what was used in a loop that has ended."""

    def made(stack: ExitStack) -> Any:
        async def main() -> Any:
            obj = make()
            await use(obj)
            return obj

        return asyncio.run(main())

    return made


def in_loop(start: Callable[[ExitStack], Coroutine[Any, Any, Any]]) -> Any:
    """Make what lives in a loop that runs in another thread until the end."""

    def made(stack: ExitStack) -> Any:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def end() -> None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

        stack.callback(end)
        return asyncio.run_coroutine_threadsafe(start(stack), loop).result(10)

    return made


async def waited_for(lock: Any) -> None:
    """Bind a lock to a loop, and leave it held."""
    await lock.acquire()
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(lock.acquire(), 0.01)


async def held_and_waited_for(stack: ExitStack) -> Any:
    lock = asyncio.Lock()
    await lock.acquire()
    cancel_at_end(stack, asyncio.ensure_future(lock.acquire()))
    await asyncio.sleep(0)
    return lock


async def awaited(event: Any) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), 0.01)


async def got(queue: Any) -> None:
    await queue.put(1)
    await queue.put(2)
    await queue.get()
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(queue.join(), 0.01)


async def notified(condition: Any) -> None:
    async with condition:
        await awaited_condition(condition)


async def awaited_condition(condition: Any) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(condition.wait(), 0.01)


def shared_lock(stack: ExitStack) -> Any:
    lock = asyncio.Lock()
    return {"of": {"lock": lock, "condition": asyncio.Condition(lock)}}


async def share(received: Any) -> None:
    lock, condition = received["of"].values()
    async with lock:
        assert condition.locked()
    await notifies(condition)


def cyclic(stack: ExitStack) -> Any:
    queue: Any = asyncio.Queue()
    return filled(queue, queue, 1)


def is_cyclic(queue: Any) -> None:
    assert queue.get_nowait() is queue
    assert queue.get_nowait() == 1
    filled(queue, queue, 1)


def shut_down(stack: ExitStack) -> Any:
    queue: Any = filled(asyncio.Queue(), 1)
    queue.shutdown()
    return queue


def is_shut_down(queue: Any) -> None:
    async def check() -> None:
        shut = asyncio.QueueShutDown  # type: ignore[attr-defined]
        assert await queue.get() == 1
        for use in (queue.get(), queue.put(1)):
            try:
                await use
            except shut:
                continue
            raise AssertionError("was not shut down")

    asyncio.run(check())


async def meet(barrier: Any) -> None:
    assert barrier.parties == 2
    assert barrier.n_waiting == 0
    assert not barrier.broken
    assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]


def broken(stack: ExitStack) -> Any:
    barrier = asyncio.Barrier(2)  # type: ignore[attr-defined]
    asyncio.run(barrier.abort())
    return barrier


async def is_broken(barrier: Any) -> None:
    assert barrier.broken
    try:
        await barrier.wait()
    except asyncio.BrokenBarrierError:  # type: ignore[attr-defined]
        return
    raise AssertionError("it waited")


def makes_loops(policy: Any) -> None:
    loop = policy.new_event_loop()
    try:
        assert loop.run_until_complete(asyncio.sleep(0, 5)) == 5
    finally:
        loop.close()
    if hasattr(policy, "set_event_loop"):
        policy.set_event_loop(None)


def policy_with_a_loop(stack: ExitStack) -> Any:
    policy = asyncio.DefaultEventLoopPolicy()
    loop = policy.new_event_loop()
    stack.callback(loop.close)
    policy.set_event_loop(loop)
    return policy


def loop(stack: ExitStack) -> Any:
    made = asyncio.new_event_loop()
    stack.callback(made.close)
    return made


def closed_loop(stack: ExitStack) -> Any:
    made = asyncio.new_event_loop()
    made.close()
    return made


def of_loop(make: Callable[[Any], Any]) -> Any:
    return lambda stack: make(loop(stack))


def done(loop: Any) -> Any:
    future = loop.create_future()
    future.set_result(1)
    return future


def python_future(loop: Any) -> Any:
    return asyncio.futures._PyFuture(loop=loop)  # type: ignore[attr-defined]


def cancel_at_end(stack: ExitStack, task: Any) -> None:
    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    loop = asyncio.get_running_loop()
    stack.callback(lambda: asyncio.run_coroutine_threadsafe(end(), loop).result(10))


async def task(stack: ExitStack) -> Any:
    made = asyncio.ensure_future(asyncio.sleep(60))
    cancel_at_end(stack, made)
    return made


async def done_task(stack: ExitStack) -> Any:
    made = asyncio.ensure_future(asyncio.sleep(0))
    await made
    return made


async def gathered(stack: ExitStack) -> Any:
    made = asyncio.gather(asyncio.sleep(0))
    await made
    return made


def pair(stack: ExitStack) -> socket.socket:
    first, second = socket.socketpair()
    stack.enter_context(first)
    stack.enter_context(second)
    return first


async def connection(stack: ExitStack) -> tuple[Any, Any]:
    loop = asyncio.get_running_loop()
    made, protocol = await loop.create_connection(Echo, sock=pair(stack))

    async def close() -> None:
        made.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    stack.callback(lambda: asyncio.run_coroutine_threadsafe(close(), loop).result(10))
    return made, protocol


async def transport(stack: ExitStack) -> Any:
    return (await connection(stack))[0]


async def protocol(stack: ExitStack) -> Any:
    return (await connection(stack))[1]


async def streams(stack: ExitStack) -> tuple[Any, Any]:
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(sock=pair(stack))

    async def close() -> None:
        writer.close()
        await writer.wait_closed()

    stack.callback(lambda: asyncio.run_coroutine_threadsafe(close(), loop).result(10))
    return reader, writer


async def reader(stack: ExitStack) -> Any:
    return (await streams(stack))[0]


async def writer(stack: ExitStack) -> Any:
    return (await streams(stack))[1]


async def server(stack: ExitStack) -> Any:
    loop = asyncio.get_running_loop()
    made = await asyncio.start_server(print, "127.0.0.1", 0)

    async def close() -> None:
        made.close()
        await asyncio.sleep(0)

    stack.callback(lambda: asyncio.run_coroutine_threadsafe(close(), loop).result(10))
    return made


def process(stack: ExitStack) -> Any:
    async def main() -> Any:
        made = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await made.wait()
        return made

    return asyncio.run(main())


async def entered_timeout(stack: ExitStack) -> Any:
    made = asyncio.timeout(60)  # type: ignore[attr-defined]
    async with made:
        pass
    return made


async def entered_group(stack: ExitStack) -> Any:
    async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
        pass
    return group


async def grouped(group: Any) -> None:
    async with group:
        made = group.create_task(asyncio.sleep(0, 3))
    assert made.result() == 3
    group.__init__()


async def times_out(timeout: Any) -> None:
    try:
        async with timeout:
            await asyncio.sleep(5)
    except TimeoutError:
        pass
    else:
        raise AssertionError("it waited")
    timeout.__init__(0)


def runs(runner: Any) -> None:
    with runner:
        assert runner.run(asyncio.sleep(0, 4)) == 4
    runner.__init__()


def entered_runner(stack: ExitStack) -> Any:
    runner = stack.enter_context(asyncio.Runner())  # type: ignore[attr-defined]
    runner.get_loop()
    return runner


def closed_runner(stack: ExitStack) -> Any:
    with asyncio.Runner() as runner:  # type: ignore[attr-defined]
        runner.run(asyncio.sleep(0))
    return runner


def is_closed(runner: Any) -> None:
    coroutine = asyncio.sleep(0)
    try:
        runner.run(coroutine)
    except RuntimeError:
        coroutine.close()
        return
    raise AssertionError("was not closed")


async def wrapped(stack: ExitStack) -> Any:
    return asyncio.wrap_future(Future())


def plain(received: Any) -> None:
    assert vars(received) == {"name": "jobs"}


def named(obj: Any) -> Any:
    obj.name = "jobs"
    return obj


def simple(make: Callable[[], Any]) -> Any:
    return lambda stack: make()


def unique(received: Any) -> None:
    assert {received.get_nowait() for _ in range(received.qsize())} == {1, 2}
    filled(received, 1, 2)


def gate(received: Any) -> None:
    assert received.name == "front"
    running(excludes)(received)


def function_of(lock: Any) -> Any:
    async def use(received: Any = None) -> Any:
        async with lock:
            return lock.locked()

    return use


CASES = [
    Case("aio.lock", simple(asyncio.Lock), running(excludes)),
    Case("aio.lock.held", bound(asyncio.Lock, lambda lock: lock.acquire()), running(excludes)),
    Case("aio.lock.bound", bound(asyncio.Lock, waited_for), running(excludes)),
    Case("aio.lock.waited_for", in_loop(held_and_waited_for), running(excludes)),
    Case("aio.lock.subclass", lambda stack: Gate("front"), gate),
    Case(
        "aio.lock.function", lambda stack: function_of(asyncio.Lock()), lambda f: asyncio.run(f())
    ),
    Case("aio.event", simple(asyncio.Event), flag(False)),
    Case("aio.event.set", bound(asyncio.Event, lambda e: asyncio.sleep(0, e.set())), flag(True)),
    Case("aio.event.bound", bound(asyncio.Event, awaited), flag(False)),
    Case("aio.condition", simple(asyncio.Condition), running(notifies)),
    Case("aio.condition.bound", bound(asyncio.Condition, notified), running(notifies)),
    Case("aio.condition.lock", shared_lock, running(share)),
    Case("aio.semaphore", lambda stack: asyncio.Semaphore(2), opens(2)),
    Case("aio.semaphore.zero", lambda stack: asyncio.Semaphore(0), true(lambda s: s.locked())),
    Case(
        "aio.semaphore.taken", bound(lambda: asyncio.Semaphore(2), lambda s: s.acquire()), opens(1)
    ),
    Case("aio.semaphore.bound", bound(asyncio.Semaphore, waited_for), opens(0)),
    Case("aio.bounded", lambda stack: asyncio.BoundedSemaphore(2), opens(2, 2)),
    Case(
        "aio.bounded.taken",
        bound(lambda: asyncio.BoundedSemaphore(2), lambda s: s.acquire()),
        opens(1, 2),
    ),
    Case("aio.queue", lambda stack: asyncio.Queue(3), gives(maxsize=3)),
    Case(
        "aio.queue.filled",
        lambda stack: filled(asyncio.Queue(), 2, 1),
        true(lambda q: len(q._queue) == 2),
    ),
    Case("aio.queue.bound", bound(asyncio.Queue, got), true(lambda q: q.qsize() == 1)),
    Case("aio.queue.cyclic", cyclic, is_cyclic),
    Case("aio.queue.subclass", lambda stack: filled(Unique(), 1, 2), unique),
    Case("aio.queue.shut_down", shut_down, is_shut_down, versions=SINCE_3_13),
    Case("aio.lifo", lambda stack: asyncio.LifoQueue(2), gives(maxsize=2)),
    Case("aio.priority", lambda stack: asyncio.PriorityQueue(), gives()),
    Case("aio.queue.of_a_lock", lambda stack: filled(asyncio.Queue(), pair(stack)), refused="peer"),
    Case("aio.barrier", lambda s: asyncio.Barrier(2), running(meet), versions=SINCE_3_11),  # type: ignore[attr-defined]
    Case("aio.barrier.broken", broken, running(is_broken), versions=SINCE_3_11),
    Case(
        "aio.barrier.bound",
        bound(lambda: asyncio.Barrier(2), lambda b: asyncio.gather(b.wait(), b.wait())),  # type: ignore[attr-defined,arg-type,return-value]
        running(meet),
        versions=SINCE_3_11,
    ),
    Case("aio.policy", simple(asyncio.DefaultEventLoopPolicy), makes_loops, versions=UNTIL_3_13),
    Case("aio.policy.loop", policy_with_a_loop, makes_loops, versions=UNTIL_3_13),
    Case("aio.loop", loop, refused=PART),
    Case("aio.loop.closed", closed_loop, refused=PART),
    Case("aio.loop.method", of_loop(lambda loop: loop.call_soon_threadsafe), refused=PART),
    Case("aio.future.pending", of_loop(lambda loop: loop.create_future()), refused=PART),
    Case("aio.future.done", of_loop(done), refused=PART),
    Case("aio.future.python", of_loop(python_future), refused=PART),
    Case("aio.future.gather", in_loop(gathered), refused=PART),
    Case("aio.future.wrapped", in_loop(wrapped), refused=PART),
    Case("aio.task", in_loop(task), refused=PART),
    Case("aio.task.done", in_loop(done_task), refused=PART),
    Case("aio.handle", of_loop(lambda loop: loop.call_soon(print)), refused=PART),
    Case("aio.timer", of_loop(lambda loop: loop.call_later(1, print)), refused=PART),
    Case("aio.transport", in_loop(transport), refused=PART),
    Case(
        "aio.transport.base",
        lambda s: transports.BaseTransport({"a": 1}),
        true(lambda t: t.get_extra_info("a") == 1),
    ),
    Case("aio.protocol", lambda stack: named(Echo()), plain),
    Case("aio.protocol.connected", in_loop(protocol), refused=PART),
    Case("aio.reader", in_loop(reader), refused=PART),
    Case("aio.writer", in_loop(writer), refused=PART),
    Case("aio.server", in_loop(server), refused=PART),
    Case("aio.socket", lambda stack: trsock.TransportSocket(pair(stack)), refused=PART),
    Case("aio.process", process, refused=PART),
    Case("aio.timeout", lambda stack: asyncio.Timeout(0), running(times_out), versions=SINCE_3_11),  # type: ignore[attr-defined]
    Case("aio.timeout.entered", in_loop(entered_timeout), refused=PART, versions=SINCE_3_11),
    Case("aio.group", lambda stack: asyncio.TaskGroup(), running(grouped), versions=SINCE_3_11),  # type: ignore[attr-defined]
    Case("aio.group.entered", in_loop(entered_group), refused=PART, versions=SINCE_3_11),
    Case("aio.runner", lambda stack: asyncio.Runner(), runs, versions=SINCE_3_11),  # type: ignore[attr-defined]
    Case("aio.runner.entered", entered_runner, refused=PART, versions=SINCE_3_11),
    Case("aio.runner.closed", closed_runner, is_closed, versions=SINCE_3_11),
]
