"""A pool arrives as one of the same size, one for each task; a result if it is ready."""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.pool import ThreadPool
from typing import Any

from daskpickle.testing import ReducerContract


class TestThreadPool(ReducerContract):
    def make(self) -> Any:
        return ThreadPool(2, print, ("",))

    def close(self, obj: Any) -> None:
        obj.terminate()
        obj.join()

    def state(self, obj: Any) -> Any:
        return obj._state, obj._processes

    def same(self, sent: Any, received: Any) -> None:
        assert received is not sent
        assert received._processes == 2
        assert received.map(abs, [1, -2]) == [1, 2]

    def refused(self) -> list[Any]:
        return [(self.terminated, "It takes no more work")]

    def terminated(self) -> Any:
        pool = ThreadPool(1)
        pool.terminate()
        return pool

    @staticmethod
    def use(received: Any) -> Any:
        return received.map(abs, [1, -2])


class TestPool(ReducerContract):
    def make(self) -> Any:
        return multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=5)

    def close(self, obj: Any) -> None:
        obj.terminate()
        obj.join()

    def state(self, obj: Any) -> Any:
        return obj._state, obj._processes

    def same(self, sent: Any, received: Any) -> None:
        assert (received._processes, received._maxtasksperchild) == (1, 5)
        assert received._ctx.get_start_method() == "spawn"
        assert received.apply(abs, (-1,)) == 1


class TestResult(ReducerContract):
    def make(self) -> Any:
        with ThreadPool(1) as pool:
            result = pool.map_async(abs, [1, -2])
            result.wait()
        pool.join()
        return result

    def same(self, sent: Any, received: Any) -> None:
        assert received.get() == [1, 2]
        assert received.successful()

    def state(self, obj: Any) -> Any:
        return type(obj)

    def refused(self) -> list[Any]:
        return [(self.pending, "It is not ready"), (self.iterator, "Its items come from a pool")]

    def pending(self) -> Any:
        self.pool, self.event = ThreadPool(1), threading.Event()
        return self.pool.apply_async(self.event.wait)

    def iterator(self) -> Any:
        self.pool, self.event = ThreadPool(1), threading.Event()
        return self.pool.imap(abs, [1, 2])

    def close(self, obj: Any) -> None:
        if hasattr(self, "pool"):
            self.event.set()
            self.pool.terminate()
            self.pool.join()
            del self.pool

    @staticmethod
    def use(received: Any) -> Any:
        return received.get(), received.successful()
