"""Schedulers of `sched`."""

from __future__ import annotations

import operator
import sched
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from corpus import Case

EVENTS: list[Any] = []


def true(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Check a condition."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


class Jobs(sched.scheduler):
    """With an argument and an attribute of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(time.time, time.sleep)
        self.name = name


class Clock:
    """Events that lead back to the scheduler."""

    def __init__(self) -> None:
        self.scheduler = sched.scheduler(delayfunc=lambda seconds: None)
        self.ticks = 0
        self.scheduler.enter(0, 1, self.tick)

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks < 3:
            self.scheduler.enter(0, 1, self.tick)


def empty(scheduler: Any) -> None:
    assert scheduler.empty()
    assert (scheduler.timefunc, scheduler.delayfunc) == (time.monotonic, time.sleep)
    calls: list[int] = []
    scheduler.enter(0, 1, calls.append, (1,))
    scheduler.run()
    assert calls == [1]


def filled(scheduler: Any) -> Any:
    scheduler.enterabs(5, 2, operator.setitem, ([None], 0, 2))
    scheduler.enterabs(5, 1, operator.setitem, ([None], 0, 1))
    scheduler.enter(3600, 1, print, (), {"end": ""})
    return scheduler


def runs(scheduler: Any) -> None:
    first, second, last = scheduler.queue
    assert (first.priority, second.priority) == (1, 2)
    assert 3000 < last.time - scheduler.timefunc() <= 3600
    assert (last.action, last.kwargs) == (print, {"end": ""})
    scheduler.run(blocking=False)
    assert (first.argument[0], second.argument[0]) == ([1], [2])
    assert scheduler.queue == [last]
    again = scheduler.enterabs(last.time, 1, print)
    assert again.sequence == last.sequence + 1
    scheduler.cancel(again)
    scheduler.cancel(last)
    assert scheduler.empty()


def of_its_own(jobs: Any) -> None:
    assert jobs.name == "jobs"
    assert jobs.timefunc is time.time
    runs(jobs)


def ticks(received: Any) -> None:
    clock = getattr(received, "__self__", received)
    clock.scheduler.run()
    assert clock.ticks == 3


def unfit(stack: ExitStack) -> Any:
    scheduler = sched.scheduler()
    scheduler.enter(1, 1, print, (sys._getframe(),))
    return scheduler


def cyclic(stack: ExitStack) -> Any:
    return Clock().scheduler


def is_cyclic(scheduler: Any) -> None:
    clock = scheduler.queue[0].action.__self__
    assert clock.scheduler is scheduler
    ticks(clock)


CASES = [
    Case("sched", lambda stack: sched.scheduler(), empty),
    Case("sched.filled", lambda stack: filled(sched.scheduler()), runs),
    Case("sched.subclass", lambda stack: filled(Jobs("jobs")), of_its_own),
    Case("sched.of_object", lambda stack: Clock(), ticks),
    Case("sched.cyclic", cyclic, is_cyclic),
    Case(
        "sched.event",
        lambda s: sched.scheduler().enter(1, 2, print),
        lambda e: e.action is print or 1 / 0,
    ),
    Case("sched.frame", unfit, refused="call"),
]
