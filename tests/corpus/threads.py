"""Threads and their locks, executors and their futures, processes that have ended."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any

from corpus import Case

RUNS = "running in this process"
GIVEN = "stands for a thread"


def true(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Check a condition."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


class Doubler(threading.Thread):
    """With a ``run`` and a result of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(name="doubler", daemon=True)
        self.number, self.result = number, 0

    def run(self) -> None:
        self.result = 2 * self.number


def has_doubled(received: Any) -> None:
    assert (received.result, received.is_alive()) == (8, False)
    assert "_target" in vars(received)  # its own ``run`` leaves it


class Owner:
    """Holds the thread that is to call it."""

    def __init__(self) -> None:
        self.runs = 0
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        self.runs += 1


class Owned(Future):  # type: ignore[type-arg]
    """With an attribute of its own."""

    owner = ""


class Bounded(ThreadPoolExecutor):
    """With a limit, and names that are none of its base."""

    def __init__(self, size: int) -> None:
        super().__init__(size, "bounded")
        self.queue, self.free = ["mine"], threading.BoundedSemaphore(size)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        assert self.free.acquire(timeout=20)
        future = super().submit(*args, **kwargs)
        future.add_done_callback(lambda future: self.free.release())
        return future


class Named(ProcessPoolExecutor):
    """With an attribute of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(1)
        self.name = name


class Level(threading.Semaphore):
    """With an attribute of its own."""

    name = ""


def elsewhere(function: Any, *args: Any) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    thread.join()
    return results[0]


def started(thread: Any) -> Any:
    thread.start()
    thread.join()
    return thread


def runs(received: Any) -> None:
    """Check a thread that appends to the list that it is given."""
    assert not received.is_alive()
    assert received.ident is None
    numbers, _ = received._args
    started(received)
    assert numbers == [1]


def has_ended(received: Any) -> None:
    assert not received.is_alive()
    assert received.name == "ended"
    received.join()
    try:
        received.start()
    except RuntimeError:
        return
    raise AssertionError("it was started twice")


def doubles(received: Any) -> None:
    assert vars(received)["number"] == 4
    assert (received.name, received.daemon, received.result) == ("doubler", True, 0)
    assert started(received).result == 8


def running(stack: ExitStack) -> Any:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    stack.callback(thread.join)
    stack.callback(end.set)
    return thread


def waiting_timer(stack: ExitStack) -> Any:
    timer = threading.Timer(60, print)
    timer.start()
    stack.callback(timer.join)
    stack.callback(timer.cancel)
    return timer


def dummy(stack: ExitStack) -> Any:
    found: list[Any] = []
    known, end, ended = threading.Event(), threading.Event(), threading.Event()

    def run() -> None:
        found.append(threading.current_thread())
        known.set()
        end.wait()
        threading._active.pop(threading.get_ident(), None)
        ended.set()

    _thread.start_new_thread(run, ())
    known.wait()
    stack.callback(ended.wait)
    stack.callback(end.set)
    return found[0]


def fires(received: Any) -> None:
    assert received.interval == 0
    numbers, _ = received.args
    started(received)
    assert numbers == [1]


def cancelled(stack: ExitStack) -> Any:
    timer = threading.Timer(0, list.append, ([], 1))
    timer.cancel()
    return timer


def does_nothing(received: Any) -> None:
    numbers = received.args[0]
    started(received)
    assert numbers == []


def calls_its_owner(received: Any) -> None:
    owner = getattr(received, "_target", None)
    owner = received if owner is None else owner.__self__
    started(owner.thread)
    assert owner.runs == 1


def excludes(received: Any) -> None:
    """Check a lock that is free."""
    assert received.acquire(False)
    assert elsewhere(received.acquire, False) is False
    received.release()
    with received:
        pass


def held(make: Any) -> Any:
    def made(stack: ExitStack) -> Any:
        lock = make()
        lock.acquire()
        stack.callback(lock.release)
        return lock

    return made


def is_recursive(received: Any) -> None:
    with received:
        excludes(received)
    excludes(received)


def notify(condition: Any) -> None:
    with condition:
        condition.notify()


def notifies(received: Any) -> None:
    with received:
        thread = threading.Thread(
            target=lambda: received.acquire() and [received.notify(), received.release()]
        )
        thread.start()
        assert received.wait(10)
    thread.join()


def flag(value: bool) -> Any:
    def check(received: Any) -> None:
        assert received.is_set() is value
        assert received.wait(0) is value

    return check


def set_event(stack: ExitStack) -> Any:
    event = threading.Event()
    event.set()
    return event


def counts(value: int) -> Any:
    def check(received: Any) -> None:
        for _ in range(value):
            assert received.acquire(False)
        assert not received.acquire(False)
        received.release(value)

    return check


def taken(make: Any) -> Any:
    def made(stack: ExitStack) -> Any:
        semaphore = make(3)
        semaphore.acquire()
        return semaphore

    return made


def level(stack: ExitStack) -> Any:
    semaphore = Level(2)
    semaphore.name = "deep"
    return semaphore


def is_level(received: Any) -> None:
    assert received.name == "deep"
    counts(2)(received)


def done(result: Any = None, error: Any = None, cls: Any = Future) -> Any:
    def made(stack: ExitStack) -> Any:
        future = cls()
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
        return future

    return made


def owned(stack: ExitStack) -> Any:
    future = done(5, cls=Owned)(stack)
    future.owner = "me"
    return future


def is_owned(received: Any) -> None:
    assert (received.owner, received.result(0)) == ("me", 5)


def has_failed(received: Any) -> None:
    assert received.exception(0).args == ("no",)
    assert wait([received], 0).not_done == set()


def cancelled_future(stack: ExitStack) -> Any:
    future: Future[Any] = Future()
    future.cancel()
    return future


def was_cancelled(received: Any) -> None:
    assert received.cancelled()
    assert received.done()
    assert wait([received], 0).not_done == set()


def called_back(received: Any) -> None:
    calls: list[Any] = []
    received.add_done_callback(calls.append)
    assert calls == [received]
    assert received.result(0) == 5


def pool(make: Any) -> Any:
    return lambda stack: stack.enter_context(make())


def works(received: Any) -> None:
    assert received.submit(int, "7").result(20) == 7
    assert list(received.map(abs, [-1, -2], timeout=20)) == [1, 2]


def bounds(received: Any) -> None:
    assert (received._max_workers, received.queue) == (1, ["mine"])
    works(received)
    assert received.submit(threading.current_thread).result(20).name.startswith("bounded")


def is_named(received: Any) -> None:
    assert (received.name, received._max_workers) == ("x", 1)
    works(received)


def shut_down(stack: ExitStack) -> Any:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    return executor


def shut_down_processes(stack: ExitStack) -> Any:
    executor = ProcessPoolExecutor(1)
    executor.shutdown()
    return executor


def takes_no_more(received: Any) -> None:
    try:
        received.submit(int, "7")
    except RuntimeError:
        received.shutdown()
    else:
        raise AssertionError


def ending(stack: ExitStack) -> Any:
    executor, end = ThreadPoolExecutor(1), threading.Event()
    executor.submit(end.wait)
    stack.callback(end.set)
    executor.shutdown(wait=False)
    return executor


def returned(**kwargs: Any) -> Any:
    process = subprocess.Popen([sys.executable, "-S", "-c", "print('said')"], **kwargs)
    process.communicate()
    return process


def has_read(received: Any) -> None:
    assert (received.wait(), received.communicate()) == (0, ("said\n", ""))
    assert received.stdout.closed
    assert received.stdin is None


def sleeping(stack: ExitStack) -> Any:
    process = subprocess.Popen(["sleep", "100"])
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def work(stack: ExitStack) -> Any:
    executor = stack.enter_context(ThreadPoolExecutor(1))
    end = threading.Event()
    executor.submit(end.wait)
    stack.callback(end.set)
    return executor.submit(time.sleep, 0)


CASES = [
    Case("lock", lambda stack: threading.Lock(), excludes),
    Case("lock.held", held(threading.Lock), excludes),
    Case(
        "lock.method", lambda s: threading.Lock().locked, lambda locked: locked() is False or 1 / 0
    ),
    Case("rlock", lambda stack: threading.RLock(), is_recursive),
    Case("rlock.held", held(threading.RLock), is_recursive),
    Case("rlock.python", lambda stack: threading._RLock(), is_recursive),  # type: ignore[attr-defined]
    Case("condition", lambda stack: threading.Condition(), notifies),
    Case("condition.lock", lambda s: threading.Condition(threading.Lock()), notifies),
    Case("condition.held", held(threading.Condition), notifies),
    Case("event", lambda stack: threading.Event(), flag(False)),
    Case("event.set", set_event, flag(True)),
    Case("semaphore", lambda stack: threading.Semaphore(2), counts(2)),
    Case("semaphore.taken", taken(threading.Semaphore), counts(2)),
    Case("semaphore.subclass", level, is_level),
    Case("semaphore.bounded", taken(threading.BoundedSemaphore), counts(2)),
    Case("barrier", lambda stack: threading.Barrier(1), true(lambda b: b.wait(1) == 0)),
    Case(
        "barrier.action",
        lambda s: threading.Barrier(1, print),
        lambda b: b._action is print or 1 / 0,
    ),
    Case("thread", lambda s: threading.Thread(target=list.append, args=([], 1)), runs),
    Case("thread.subclass", lambda stack: Doubler(4), doubles),
    Case("thread.owned", lambda stack: Owner(), calls_its_owner),
    Case("thread.cyclic", lambda stack: Owner().thread, calls_its_owner),
    Case("thread.ended", lambda stack: started(threading.Thread(name="ended")), has_ended),
    Case("thread.ended.subclass", lambda stack: started(Doubler(4)), has_doubled),
    Case("thread.running", running, refused=RUNS),
    Case("thread.main", lambda stack: threading.main_thread(), refused=GIVEN),
    Case("thread.dummy", dummy, refused=GIVEN),
    Case("timer", lambda stack: threading.Timer(0, list.append, ([], 1)), fires),
    Case("timer.cancelled", cancelled, does_nothing),
    Case("timer.waiting", waiting_timer, refused=RUNS),
    Case("future.done", done(5), called_back),
    Case("future.failed", done(error=ValueError("no")), has_failed),
    Case("future.cancelled", cancelled_future, was_cancelled),
    Case("future.subclass", owned, is_owned),
    Case("future.pending", lambda stack: Future(), refused="not done"),
    Case("future.queued", work, refused="not done"),
    Case("executor.threads", pool(lambda: ThreadPoolExecutor(2)), works),
    Case("executor.processes", pool(lambda: ProcessPoolExecutor(1)), works),
    Case("executor.threads.subclass", pool(lambda: Bounded(1)), bounds),
    Case("executor.processes.subclass", pool(lambda: Named("x")), is_named),
    Case("executor.threads.shut_down", shut_down, takes_no_more),
    Case("executor.processes.shut_down", shut_down_processes, takes_no_more),
    Case("executor.ending", ending, refused="no more work"),
    Case("process.ended", lambda stack: returned(stdout=-3), true(lambda p: p.poll() == 0)),
    Case("process.read", lambda stack: returned(stdout=-1, stderr=-1, text=True), has_read),
    Case("process.running", sleeping, refused=RUNS),
]
