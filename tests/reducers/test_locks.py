"""Locks: one per process by token, home as the original, in the state in which they were sent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import RefusedError
from daskpickle.testing import ReducerContract, elsewhere

Lock = type(threading.Lock())
RLock = type(threading.RLock())


class Flag(threading.Event):
    """A subclass with arguments, attributes and a slot of its own."""

    __slots__ = ("colour",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.colour = "red"


class NamedRLock(RLock):
    name = ""


class NamedPythonRLock(threading._RLock):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Guarded:
    """What users write: one lock, alone and inside a condition."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ready = threading.Condition(self.lock)


class Weird(threading.Event):
    """A subclass that says itself how it is pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Weird, ()


def set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def taken_semaphore() -> threading.Semaphore:
    semaphore = threading.Semaphore(3)
    semaphore.acquire()
    return semaphore


def taken_bounded() -> threading.BoundedSemaphore:
    semaphore = threading.BoundedSemaphore(3)
    semaphore.acquire()
    return semaphore


def held(make: Callable[[], Any]) -> Any:
    lock = make()
    lock.acquire()
    return lock


def named_rlock() -> Any:
    lock = NamedRLock()
    lock.name = "left"
    return lock


MAKERS: dict[str, Callable[[], Any]] = {
    "lock": threading.Lock,
    "rlock": threading.RLock,
    "python rlock": threading._RLock,
    "condition": threading.Condition,
    "condition with a lock": lambda: threading.Condition(threading.Lock()),
    "event": threading.Event,
    "set event": set_event,
    "semaphore": taken_semaphore,
    "bounded semaphore": taken_bounded,
    "barrier": lambda: threading.Barrier(2, action=print, timeout=5.0),
    "flag": lambda: Flag("stop"),
    "rlock subclass": named_rlock,
    "python rlock subclass": lambda: NamedPythonRLock("right"),
}
every_kind = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
every_lock = pytest.mark.parametrize(
    "make",
    [threading.Lock, threading.RLock, threading._RLock],
    ids=["lock", "rlock", "python rlock"],
)


def elsewhere_loads(data: bytes) -> Any:
    """What another process makes of it."""
    with elsewhere():
        return daskpickle.loads(data)


def excludes(lock: Any) -> bool:
    """Whether another thread has to wait for it while it is held."""
    with lock:
        return not try_in_thread(lock)


def try_in_thread(lock: Any) -> bool:
    """Whether another thread can acquire it now."""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def attempt() -> None:
        got = lock.acquire(blocking=False)
        if got:
            lock.release()
        answers.put(got)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return answers.get_nowait()


class TestLock(ReducerContract):
    def make(self) -> Any:
        return threading.Lock()

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert excludes(received)

    @staticmethod
    def use(received: Any) -> Any:
        return received.acquire(), received.locked(), received.release(), received.locked()


class TestHeldLock(TestLock):
    """Nobody holds it where it arrives; it stays held where it was pickled."""

    def make(self) -> Any:
        return held(threading.Lock)

    def same(self, sent: Any, received: Any) -> None:
        assert sent.locked()
        assert not received.locked()
        assert excludes(received)


class TestFreshLock(TestLock):
    policy = {"_thread.lock": "fresh"}


class TestRLock(ReducerContract):
    def make(self) -> Any:
        return held(threading.RLock)

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        with received:
            assert excludes(received)

    @staticmethod
    def use(received: Any) -> Any:
        with received, received:
            return received._is_owned()


class TestFreshRLock(TestRLock):
    policy = {"_thread.RLock": "fresh"}


class TestPythonRLock(TestRLock):
    def make(self) -> Any:
        return held(threading._RLock)


class TestRLockSubclass(TestRLock):
    def make(self) -> Any:
        return named_rlock()

    def same(self, sent: Any, received: Any) -> None:
        super().same(sent, received)
        assert received.name == "left"


class TestPythonRLockSubclass(TestRLock):
    def make(self) -> Any:
        return NamedPythonRLock("right")

    def same(self, sent: Any, received: Any) -> None:
        super().same(sent, received)
        assert received.name == "right"


class TestCondition(ReducerContract):
    def make(self) -> Any:
        return threading.Condition()

    def same(self, sent: Any, received: Any) -> None:
        assert type(received._lock) is type(sent._lock)
        with received:
            thread = threading.Thread(target=notify, args=[received])
            thread.start()
            assert received.wait(10)
        thread.join()

    @staticmethod
    def use(received: Any) -> Any:
        with received:
            return received.wait(0)


def notify(condition: threading.Condition) -> None:
    with condition:
        condition.notify()


class TestConditionOfLock(TestCondition):
    def make(self) -> Any:
        return threading.Condition(threading.Lock())


class TestFreshCondition(TestCondition):
    policy = {"threading.Condition": "fresh"}


class TestEvent(ReducerContract):
    def make(self) -> Any:
        return set_event()

    def same(self, sent: Any, received: Any) -> bool:
        return received.is_set() == sent.is_set()

    @staticmethod
    def use(received: Any) -> Any:
        return received.wait(0), received.clear(), received.is_set()


class TestClearEvent(TestEvent):
    def make(self) -> Any:
        return threading.Event()


class TestFreshEvent(TestEvent):
    policy = {"threading.Event": "fresh"}


class TestEventSubclass(TestEvent):
    def make(self) -> Any:
        return Flag("stop")

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Flag
        assert (received.name, received.colour) == ("stop", "red")
        assert not received.is_set()


class TestSemaphore(ReducerContract):
    def make(self) -> Any:
        return taken_semaphore()

    def same(self, sent: Any, received: Any) -> None:
        assert received._value == sent._value == 2

    @staticmethod
    def use(received: Any) -> Any:
        return [received.acquire(blocking=False) for _ in range(4)]


class TestFreshSemaphore(TestSemaphore):
    policy = {"threading.Semaphore": "fresh"}


class TestBoundedSemaphore(TestSemaphore):
    def make(self) -> Any:
        return taken_bounded()

    def same(self, sent: Any, received: Any) -> None:
        received.release()
        with pytest.raises(ValueError, match="too many times"):
            received.release()
        assert received.acquire(blocking=False)


class TestBarrier(ReducerContract):
    def make(self) -> Any:
        return threading.Barrier(2, action=threading.get_ident, timeout=5.0)

    def same(self, sent: Any, received: Any) -> None:
        assert received.parties == sent.parties
        assert received._action is sent._action
        assert received._timeout == sent._timeout
        thread = threading.Thread(target=received.wait)
        thread.start()
        received.wait()
        thread.join()

    @staticmethod
    def use(received: Any) -> Any:
        return received.parties, received.n_waiting, received.broken


class TestBrokenBarrier(TestBarrier):
    def make(self) -> Any:
        barrier = threading.Barrier(2)
        barrier.abort()
        return barrier

    def same(self, sent: Any, received: Any) -> bool:
        return received.broken


class TestFreshBarrier(TestBarrier):
    policy = {"threading.Barrier": "fresh"}


@every_kind
def test_it_comes_home_as_the_original(make: Callable[[], Any]) -> None:
    """Where the original is alive, what comes back is the original."""
    sent = make()
    assert daskpickle.loads(daskpickle.dumps(sent)) is sent


@every_kind
def test_one_token_gives_one_object_in_a_process(make: Callable[[], Any]) -> None:
    """What arrives twice arrives as one object; another one stays another one."""
    sent, other = make(), make()
    first, second = daskpickle.dumps(sent), daskpickle.dumps([sent])
    with elsewhere():
        arrived = daskpickle.loads(first)
        assert daskpickle.loads(second)[0] is arrived
        assert daskpickle.loads(daskpickle.dumps(arrived)) is arrived
        assert daskpickle.loads(daskpickle.dumps(other)) is not arrived


@every_kind
def test_two_objects_have_different_bytes(make: Callable[[], Any]) -> None:
    """The bytes tell two locks apart, by either action."""
    first, second = make(), make()
    assert daskpickle.dumps(first) != daskpickle.dumps(second)
    fresh = dict.fromkeys(fresh_names(first), "fresh")
    with daskpickle.use_policy(fresh):
        assert daskpickle.dumps(first) != daskpickle.dumps(second)


def fresh_names(obj: Any) -> list[str]:
    """The names of the registered classes that ``obj`` is an instance of."""
    return [
        registration.cls_name
        for registration in daskpickle.registrations()
        if registration.action == "fresh" and isinstance(obj, registration.cls)
    ]


@every_kind
def test_fresh_gives_a_new_one_for_each_arrival(make: Callable[[], Any]) -> None:
    """With the action "fresh" nothing is shared, here or there, and it stays fresh on its way."""
    sent = make()
    daskpickle.dumps(sent)  # so that the class is registered
    with daskpickle.use_policy(dict.fromkeys(fresh_names(sent), "fresh")):
        data = daskpickle.dumps(sent)
    first, second = daskpickle.loads(data), daskpickle.loads(data)
    assert type(first) is type(sent)
    assert len({id(sent), id(first), id(second)}) == 3
    again = daskpickle.dumps(first)
    assert again == data
    assert daskpickle.loads(again) is not first


@every_lock
def test_a_held_lock_arrives_free(make: Callable[[], Any]) -> None:
    """No held state travels; the sender still holds its own."""
    sent = held(make)
    received = elsewhere_loads(daskpickle.dumps(sent))
    assert try_in_thread(received)
    assert not try_in_thread(sent)


def test_a_condition_and_its_lock_stay_together() -> None:
    """The lock that a condition was made with is the lock beside it, in one payload and in two."""
    sent = Guarded()
    whole, lock, ready = (daskpickle.dumps(obj) for obj in (sent, sent.lock, sent.ready))
    with elsewhere():
        received = daskpickle.loads(whole)
        assert received.ready._lock is received.lock
        assert daskpickle.loads(lock) is received.lock
        assert daskpickle.loads(ready) is received.ready
        with received.lock:
            received.ready.notify()
    home = daskpickle.loads(whole)
    assert home.lock is sent.lock
    assert home.ready is sent.ready


def test_the_first_arrival_decides_the_state() -> None:
    """An event is made as it was submitted; a later arrival does not set or clear it."""
    sent = threading.Event()
    early = daskpickle.dumps(sent)
    sent.set()
    late = daskpickle.dumps(sent)
    assert early != late
    with elsewhere():
        received = daskpickle.loads(early)
        assert not daskpickle.loads(late).is_set()
        assert daskpickle.loads(late) is received
    with elsewhere():
        assert daskpickle.loads(late).is_set()


def test_a_subclass_that_says_itself_how_it_is_pickled_is_left_alone() -> None:
    """Its own ``__reduce__`` is used, as without daskpickle."""
    data = daskpickle.dumps(Weird())
    assert b"daskpickle" not in data
    assert type(daskpickle.loads(data)) is Weird


def test_a_policy_may_refuse_the_lock_inside() -> None:
    """A refused lock class is refused inside a condition too, with its path."""
    policy = daskpickle.use_policy({"_thread.RLock": "refuse"})
    with policy, pytest.raises(RefusedError, match="The policy refuses it") as caught:
        daskpickle.dumps({"ready": threading.Condition()})
    assert caught.value.path == "obj['ready']._lock"


def test_bound_methods_keep_their_lock() -> None:
    """A bound ``acquire`` acquires the lock that came with it."""
    lock = threading.Lock()
    data = daskpickle.dumps([lock, lock.acquire])
    with elsewhere():
        received, acquire = daskpickle.loads(data)
        acquire()
        assert received.locked()


def test_eight_threads_that_load_one_token_get_one_object() -> None:
    """Of 2,000 tokens that eight threads load at once, each gives one object of its own."""
    rounds, threads = 2000, 8
    payloads = [daskpickle.dumps(threading.Lock()) for _ in range(rounds)]
    start = threading.Barrier(threads)
    found: list[list[Any]] = [[] for _ in range(threads)]

    def load_all(mine: list[Any]) -> None:
        for data in payloads:
            start.wait()
            mine.append(daskpickle.loads(data))

    with elsewhere():
        workers = [threading.Thread(target=load_all, args=[mine]) for mine in found]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    one_each = [len({id(lock) for lock in locks}) for locks in zip(*found, strict=True)]
    assert one_each == [1] * rounds
    assert len({id(lock) for lock in found[0]}) == rounds


def test_eight_threads_that_pickle_one_lock_give_it_one_token() -> None:
    """The token is made once, whoever pickles first."""
    rounds, threads = 200, 8
    locks = [threading.Lock() for _ in range(rounds)]
    start = threading.Barrier(threads)
    found: list[list[bytes]] = [[] for _ in range(threads)]

    def dump_all(mine: list[bytes]) -> None:
        for lock in locks:
            start.wait()
            mine.append(daskpickle.dumps(lock))

    workers = [threading.Thread(target=dump_all, args=[mine]) for mine in found]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [len(set(data)) for data in zip(*found, strict=True)] == [1] * rounds
