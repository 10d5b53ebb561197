"""Pools are made anew in the same size, and shared by tasks; futures arrive once they are done."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import daskpickle
from daskpickle import handles
from daskpickle.testing import ReducerContract, elsewhere

READY = threading.local()


class Labelled(Future):  # type: ignore[type-arg]
    """A future with an attribute of its own."""

    label = ""


class Sized(ThreadPoolExecutor):
    """A pool with parameters and attributes of its own; `_work` is no name of its base."""

    def __init__(self, words: list[Any]) -> None:
        super().__init__(len(words))
        self.queue, self._work = words, threading.Lock()


def prepare(word: str) -> None:
    READY.word = word


def word() -> str:
    return READY.word


def names(pool: Any) -> set[str]:
    """In which threads a pool runs things."""
    return set(pool.map(lambda _: threading.current_thread().name, range(4)))


class TestFuture(ReducerContract):
    def make(self) -> Any:
        future = Labelled()
        future.label = "seven"
        future.set_result([7])
        return future

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Labelled
        assert received.label == "seven"
        assert received.done()
        assert received.result(0) == [7]
        called: list[Any] = []
        received.add_done_callback(called.append)
        assert called == [received]

    def refused(self) -> list[Any]:
        return [(Future, "It is not done"), (self.running, "It is not done")]

    def running(self) -> Any:
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()
        return future

    @staticmethod
    def use(received: Any) -> Any:
        return received.result(0)


class TestFailedFuture(ReducerContract):
    def make(self) -> Any:
        # An exception that is imported as late as here: tblib pickles those that are there when
        # distributed is imported, which gives other bytes than an interpreter without it.
        from zipapp import ZipAppError

        future: Future[int] = Future()
        future.set_exception(ZipAppError("no"))
        return future

    def same(self, sent: Any, received: Any) -> None:
        with pytest.raises(ValueError, match=r"^no$"):
            received.result(0)

    @staticmethod
    def use(received: Any) -> Any:
        return repr(received.exception(0))


class TestCancelledFuture(ReducerContract):
    def make(self) -> Any:
        future: Future[int] = Future()
        future.cancel()
        return future

    def same(self, sent: Any, received: Any) -> None:
        assert received.cancelled()
        with pytest.raises(CancelledError):
            received.result(0)

    @staticmethod
    def use(received: Any) -> Any:
        return received.cancelled(), received.done()


class TestThreadPool(ReducerContract):
    def make(self) -> Any:
        pool = ThreadPoolExecutor(2, "workers", prepare, ("ready",))
        pool.submit(word).result()
        return pool

    def same(self, sent: Any, received: Any) -> None:
        assert received._max_workers == 2
        assert received.submit(word).result() == "ready"
        assert names(received) <= {"workers_0", "workers_1"}

    def state(self, obj: Any) -> Any:
        return obj._work_queue.qsize(), obj._shutdown

    def refused(self) -> list[Any]:
        return [(self.ending, "takes no more work")]

    def ending(self) -> Any:
        self.end = threading.Event()
        pool = ThreadPoolExecutor(1)
        pool.submit(self.end.wait)
        pool.shutdown(wait=False)
        return pool

    def close(self, obj: Any) -> None:
        if obj._shutdown:
            self.end.set()
        obj.shutdown()

    @staticmethod
    def use(received: Any) -> Any:
        with received as pool:
            return pool.submit(pow, 2, 5).result()


class TestThreadPoolThatEnded(ReducerContract):
    def make(self) -> Any:
        pool = Sized(["a"])
        with pool:
            pool.submit(word)
        return pool

    def same(self, sent: Any, received: Any) -> None:
        assert (type(received), received.queue) == (Sized, ["a"])
        with pytest.raises(RuntimeError, match="after shutdown"):
            received.submit(word)
        received.shutdown()

    def state(self, obj: Any) -> Any:
        return obj.queue, obj._shutdown


class TestProcessPoolThatEnded(ReducerContract):
    def make(self) -> Any:
        pool = ProcessPoolExecutor(1)
        pool.shutdown()
        return pool

    def same(self, sent: Any, received: Any) -> None:
        assert received._max_workers == 1
        with pytest.raises(RuntimeError, match="after shutdown"):
            received.submit(word)
        received.shutdown()


class TestThreadPoolSubclass(ReducerContract):
    def make(self) -> Any:
        return Sized(["a", "b", ["c"]])

    def same(self, sent: Any, received: Any) -> None:
        assert (received._max_workers, received.queue) == (3, sent.queue)
        assert received._work.acquire(timeout=1)
        received._work.release()
        assert received.submit(pow, 2, 5).result() == 32

    def state(self, obj: Any) -> Any:
        return obj.queue, obj._shutdown

    def close(self, obj: Any) -> None:
        obj.shutdown()


class TestProcessPool(ReducerContract):
    def make(self) -> Any:
        return ProcessPoolExecutor(1, get_context("spawn"), prepare, ("ready",))

    def same(self, sent: Any, received: Any) -> None:
        assert received._max_workers == 1
        assert received._mp_context.get_start_method() == "spawn"
        assert (received._initializer, received._initargs) == (prepare, ("ready",))

    def state(self, obj: Any) -> Any:
        return len(obj._pending_work_items), obj._shutdown_thread

    def refused(self) -> list[Any]:
        return [(self.broken, "takes no more work")]

    def broken(self) -> Any:
        pool = ProcessPoolExecutor(1, get_context("spawn"))
        assert pool.submit(os._exit, 1).exception() is not None
        return pool

    def close(self, obj: Any) -> None:
        obj.shutdown()


def test_a_process_pool_works_where_it_arrives() -> None:
    """Its processes run the initializer and the calls."""
    with ProcessPoolExecutor(1, get_context("spawn"), prepare, ("ready",)) as sent:
        data = daskpickle.dumps(sent)
        with elsewhere(), daskpickle.loads(data) as received:
            assert received.submit(word).result() == "ready"


def test_a_pool_comes_home_as_the_original() -> None:
    """What a task returns is, in the client's hands, its own pool."""
    with ThreadPoolExecutor(1, "mine") as sent:
        received = daskpickle.loads(daskpickle.dumps(sent))
        assert names(received) == names(sent) == {"mine_0"}


def test_a_task_that_shuts_a_shared_pool_down_leaves_it_to_the_others() -> None:
    """The end of ``with`` waits for what the task submitted; the next task uses the same pool."""
    with ThreadPoolExecutor(1) as sent:
        data = daskpickle.dumps(sent)
    done = threading.Event()
    with elsewhere():
        with handles.running_task(), handles.opening():
            pool = daskpickle.loads(data)
            with pool:
                future = pool.submit(done.set)
            assert future.done()
            pool.shutdown(cancel_futures=True)
        with handles.running_task(), handles.opening():
            again = daskpickle.loads(data)
            assert again is pool
            assert again.submit(pow, 2, 5).result() == 32


def test_a_task_cancels_only_what_it_submitted() -> None:
    """``shutdown(cancel_futures=True)`` leaves the work of another thread alone."""
    with ThreadPoolExecutor(1) as sent:
        data = daskpickle.dumps(sent)
    end, others = threading.Event(), []
    with elsewhere():
        pool = daskpickle.loads(data)
        thread = threading.Thread(
            target=lambda: others.extend([pool.submit(end.wait), pool.submit(pow, 2, 5)])
        )
        thread.start()
        thread.join()
        mine = pool.submit(pow, 2, 6)
        pool.shutdown(wait=False, cancel_futures=True)
        end.set()
        assert mine.cancelled()
        assert others[1].result() == 32


def test_a_result_may_lead_back_to_its_future() -> None:
    """It is set after the future was made."""
    future: Future[Any] = Future()
    future.set_result([future])
    received = daskpickle.loads(daskpickle.dumps(future))
    assert received.result() == [received]
