"""Schedulers arrive with their events, which run at the same time."""

from __future__ import annotations

import operator
import sched
import time
from typing import Any

import pytest

import daskpickle
from daskpickle.reducers import schedulers
from daskpickle.testing import ReducerContract


class Named(sched.scheduler):
    """With an argument and an attribute of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(time.time, time.sleep)
        self.name = name


def filled(scheduler: Any) -> Any:
    scheduler.enterabs(2, 1, operator.setitem, ([None], 0, 2))
    scheduler.enterabs(1, 2, operator.setitem, ([None], 0, 1))
    scheduler.enter(3600, 1, print, kwargs={"end": ""})
    return scheduler


class TestScheduler(ReducerContract):
    def make(self) -> Any:
        return filled(sched.scheduler())

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert (received.timefunc, received.delayfunc) == (sent.timefunc, sent.delayfunc)
        assert received.queue == sent.queue
        assert received._lock is not sent._lock
        first, second, last = received.queue
        received.run(blocking=False)
        assert (first.argument[0], second.argument[0]) == ([1], [2])
        assert received.queue == [last]
        assert received.enter(1, 1, print).sequence == 3
        assert len(sent.queue) == 3

    def state(self, obj: Any) -> Any:
        return obj.queue

    @staticmethod
    def use(received: Any) -> Any:
        return received.run(blocking=False) > 3000, len(received.queue)


class TestSubclass(TestScheduler):
    def make(self) -> Any:
        scheduler = filled(Named("jobs"))
        assert scheduler.name == "jobs"
        return scheduler


class TestEmptyScheduler(ReducerContract):
    def make(self) -> Any:
        return sched.scheduler(time.time)

    def same(self, sent: Any, received: Any) -> bool:
        return received.empty() and received.enter(0, 1, print).sequence == 0

    def state(self, obj: Any) -> Any:
        return obj.queue


@pytest.mark.parametrize("clock", [time.monotonic, time.perf_counter, time.time])
def test_on_another_host_its_events_run_at_the_same_time(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of a host counts from its own beginning."""
    scheduler = sched.scheduler(clock)
    event = scheduler.enterabs(1000.0, 1, print)
    data = daskpickle.dumps(scheduler)
    here = schedulers.started

    def started(timefunc: Any) -> int:
        zero = here(timefunc)
        return zero and zero - 500  # that host was started earlier

    monkeypatch.setattr(schedulers, "started", started)
    (moved,) = daskpickle.loads(data).queue
    assert moved.time - event.time == (0 if clock is time.time else 500)


def test_an_event_may_lead_back_to_it() -> None:
    """Its events are set after it was made."""
    scheduler = sched.scheduler()
    scheduler.enterabs(0, 1, scheduler.enterabs, (0, 2, print))
    received = daskpickle.loads(daskpickle.dumps(scheduler))
    assert received.queue[0].action.__self__ is received
