"""A process of multiprocessing arrives if it has not been started, or has ended."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import pickle
import sys
from multiprocessing import forkserver, resource_tracker
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import RefusedError
from daskpickle.testing import ReducerContract


class Labelled(multiprocessing.get_context("spawn").Process):  # type: ignore[name-defined,misc]
    """A process with an attribute of its own."""

    label = ""


class TestProcess(ReducerContract):
    """It can be started where it arrives, by whoever it arrived at."""

    def make(self) -> Any:
        process = Labelled(target=sys.exit, args=(3,), name="job", daemon=True)
        process.label = "mine"
        return process

    def same(self, sent: Any, received: Any) -> None:
        assert (received.name, received.daemon, received.label) == ("job", True, "mine")
        received.start()
        received.join()
        assert received.exitcode == 3
        received.close()

    def refused(self) -> list[Any]:
        return [
            (self.running, "It is running"),
            (self.closed, "It is closed"),
            (multiprocessing.current_process, "It is this process"),
        ]

    def running(self) -> Any:
        process = multiprocessing.get_context("fork").Process(target=input)
        process.start()
        return process

    def closed(self) -> Any:
        process = self.make()
        process.close()
        return process

    def state(self, obj: Any) -> Any:
        return sorted(vars(obj))

    def close(self, obj: Any) -> None:
        if not obj._closed and obj.pid is not None and obj is not multiprocessing.current_process():
            obj.terminate()
            obj.join()
            obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.name, received.exitcode, received.is_alive()


class TestEnded(TestProcess):
    """Of one that has ended, its exit code."""

    def make(self) -> Any:
        process = Labelled(target=sys.exit, args=(3,), name="job", daemon=True)
        process.label = "mine"
        process.start()
        process.join()
        return process

    def same(self, sent: Any, received: Any) -> None:
        assert (received.name, received.pid, received.exitcode) == ("job", sent.pid, 3)
        received.join()
        assert not received.is_alive()
        received.close()

    def refused(self) -> list[Any]:
        return [(self.running, "It is running")]


class TestFinalizer(ReducerContract):
    def refused(self) -> list[Any]:
        def make() -> Any:
            return multiprocessing.util.Finalize(None, print, exitpriority=1)

        return [(make, "It is called at the end")]

    def close(self, obj: Any) -> None:
        obj.cancel()


def test_a_finalizer_that_was_called_travels() -> None:
    """It does nothing, there as here."""
    finalizer = multiprocessing.util.Finalize(None, int, exitpriority=1)
    finalizer()
    assert not pickle.loads(daskpickle.dumps(finalizer)).still_active()


def test_each_process_has_its_own_services() -> None:
    """The resource tracker and its like arrive as the ones of the receiver."""
    services = [resource_tracker._resource_tracker, forkserver._forkserver]
    assert pickle.loads(daskpickle.dumps(services)) == services
    with pytest.raises(RefusedError, match="is not the usual one"):
        daskpickle.dumps(resource_tracker.ResourceTracker())
