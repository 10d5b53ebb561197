"""Memory and semaphores that have a name are the very same on the same host; others are refused."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.shared_memory import ShareableList, SharedMemory
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import HandleError, RefusedError
from daskpickle.reducers import shared
from daskpickle.testing import ReducerContract
from daskpickle.testing.contract import elsewhere

FORK, SPAWN = map(multiprocessing.get_context, ("fork", "spawn"))


class Labelled(SharedMemory):
    """Has an attribute of its own."""

    label = ""


class TestSharedMemory(ReducerContract):
    def make(self) -> Any:
        memory = Labelled(create=True, size=8)
        memory.label = "mine"
        memory.buf[0] = 7
        return memory

    def close(self, obj: Any) -> None:
        obj.close()
        if Path("/dev/shm", obj.name).exists():
            obj.unlink()

    def same(self, sent: Any, received: Any) -> None:
        assert (received.name, received.size, received.label) == (sent.name, sent.size, "mine")
        received.buf[1] = sent.buf[1] + 1
        assert sent.buf[1] == received.buf[1]

    def refused(self) -> list[Any]:
        return [(self.unlinked, "It was unlinked")]

    def unlinked(self) -> Any:
        memory = SharedMemory(create=True, size=8)
        memory.unlink()
        return memory

    @staticmethod
    def use(received: Any) -> Any:
        return received.buf[0]


class TestShareableList(ReducerContract):
    def make(self) -> Any:
        return ShareableList([1, "a", None, 2.5, b"x"])

    def close(self, obj: Any) -> None:
        obj.shm.close()
        obj.shm.unlink()

    def same(self, sent: Any, received: Any) -> None:
        assert list(received) == list(sent)
        received[0] = sent[0] + 1
        assert sent[0] == received[0]

    @staticmethod
    def use(received: Any) -> Any:
        return list(received)[1:]


class TestLock(ReducerContract):
    def make(self) -> Any:
        return SPAWN.Lock()

    def same(self, sent: Any, received: Any) -> None:
        assert sent.acquire(block=False)
        assert not received.acquire(block=False)
        received.release()
        with received:
            assert not sent.acquire(block=False)

    def refused(self) -> list[Any]:
        return [(FORK.Lock, "It has no name")]

    @staticmethod
    def use(received: Any) -> Any:
        return received.acquire(block=False), received.release()


class TestSemaphore(TestLock):
    def make(self) -> Any:
        return SPAWN.BoundedSemaphore(2)

    def same(self, sent: Any, received: Any) -> None:
        with received:
            assert sent.get_value() == 1

    def refused(self) -> list[Any]:
        return [(lambda: FORK.Semaphore(2), "It has no name")]


class TestCondition(ReducerContract):
    def make(self) -> Any:
        return SPAWN.Condition(SPAWN.Lock())

    def same(self, sent: Any, received: Any) -> None:
        with received:
            assert not sent.acquire(block=False)
            received.notify()

    def state(self, obj: Any) -> Any:
        return obj._sleeping_count.get_value()

    @staticmethod
    def use(received: Any) -> Any:
        with received:
            return received.wait(0.01)


class TestEvent(ReducerContract):
    def make(self) -> Any:
        event = SPAWN.Event()
        event.set()
        return event

    def same(self, sent: Any, received: Any) -> None:
        received.clear()
        assert not sent.is_set()
        received.set()
        assert sent.is_set()

    def state(self, obj: Any) -> Any:
        return obj.is_set()

    @staticmethod
    def use(received: Any) -> Any:
        return received.is_set()


@pytest.mark.leaks(reason="multiprocessing keeps one heap for all values of a process")
class TestInherited(ReducerContract):
    def refused(self) -> list[Any]:
        makers = (
            SPAWN.SimpleQueue, lambda: SPAWN.Barrier(2), lambda: SPAWN.Value("i", 1),
            lambda: SPAWN.Array("i", 2),
        )  # fmt: skip
        return [(make, "child processes only") for make in makers]


def test_refusals_are_runtime_errors() -> None:
    """As those of multiprocessing itself are."""
    with pytest.raises(RuntimeError) as caught:
        daskpickle.dumps([SPAWN.SimpleQueue()])
    assert isinstance(caught.value, RefusedError)


def test_a_name_that_another_one_has_now() -> None:
    """The memory is known by its inode: another one of the same name is not taken for it."""
    memory = SharedMemory(create=True, size=8)
    data = daskpickle.dumps(memory)
    memory.unlink()
    other = SharedMemory(memory.name, create=True, size=8)
    try:
        with elsewhere():
            received = daskpickle.loads(data)
            with pytest.raises(HandleError, match="not the one that was submitted"):
                received.size  # noqa: B018
        with pytest.raises(RefusedError, match="its name is that of another one"):
            daskpickle.dumps(memory)
    finally:
        memory.close()
        other.close()
        other.unlink()


def test_a_lock_is_of_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere its name means nothing."""
    lock = SPAWN.Lock()
    data = daskpickle.dumps(lock)
    monkeypatch.setattr(shared, "_host", lambda: "another")
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match="another host"):
            received.acquire()


def test_a_lock_that_was_sent_stays() -> None:
    """The sender may forget it; who has its name can open it as long as the sender runs."""
    data = daskpickle.dumps(SPAWN.Lock())
    with elsewhere():
        received = daskpickle.loads(data)
        with received:
            pass


def test_the_receiver_does_not_unlink_memory() -> None:
    """Neither it nor its resource tracker, at its end; and it says nothing about it."""
    memory = SharedMemory(create=True, size=8)
    try:
        code = "import sys, pickle; print(pickle.load(sys.stdin.buffer).buf[0])"
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", code], input=daskpickle.dumps(memory), capture_output=True,
            env=environ, timeout=60,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == (b"0\n", b"")
        assert Path("/dev/shm", memory.name).exists()
    finally:
        memory.close()
        memory.unlink()


def use_all(lock: Any, event: Any, queue: Any, value: Any, memory: Any, results: Any) -> None:
    with lock:
        event.set()
    value.value = 7
    memory.buf[0] = 9
    results.append(type(lock).__name__)
    queue.put(type(memory).__name__)


def test_multiprocessing_still_gives_them_to_its_children() -> None:
    """Also where daskpickle is installed: its pickler for children is left alone."""
    daskpickle.install()
    memory = SharedMemory(create=True, size=8)
    manager = SPAWN.Manager()
    try:
        lock, event, value, queue = SPAWN.Lock(), SPAWN.Event(), SPAWN.Value("i", 1), SPAWN.Queue()
        results = manager.list()
        args = lock, event, queue, value, memory, results
        process = SPAWN.Process(target=use_all, args=args)
        process.start()
        assert queue.get(timeout=60) == "SharedMemory"
        process.join()
        assert (process.exitcode, event.is_set(), value.value, memory.buf[0]) == (0, True, 7, 9)
        assert list(results) == ["Lock"]
        queue.close()
        queue.join_thread()
        process.close()
    finally:
        daskpickle.uninstall()
        manager.shutdown()
        memory.close()
        memory.unlink()
