"""`sched.scheduler`: its events travel, to run at the same time by the clock of the receiver.

Notes
-----
- Travels: its functions of time and delay, and a snapshot of its events. Each arrival is a
  scheduler of its own, with a lock of its own, on which ``run`` may be called.
- Lost: that it runs. `time.monotonic` counts from when a host was started: on another host its
  times are moved by the difference, which is known to a second.
- Refused: if an event cannot travel.

Without a reducer here the copies of one scheduler in a process would share its lock by token.
"""

from __future__ import annotations

import itertools
import sched
import time
from collections.abc import Callable
from typing import Any

from daskpickle import register
from daskpickle.handles import add_state, extra_state

OF_THE_HOST = (time.monotonic, time.perf_counter)


def started(timefunc: Callable[[], Any]) -> int:
    """Return when a clock was zero, in whole seconds; 0 of one that all hosts share."""
    return round(time.time() - timefunc()) if timefunc in OF_THE_HOST else 0


@register(
    sched.scheduler,
    travels="its functions and a snapshot of its events",
    lost="that it runs",
    refused="if an event cannot travel",
    hint="Make it inside the task.",
    subclasses=True,
)
def reduce_scheduler(scheduler: Any) -> tuple[Any, ...]:
    """Say what will run and when; an event may lead back to it."""
    how = scheduler.timefunc, scheduler.delayfunc
    state = extra_state(scheduler, sched.scheduler())
    facts = scheduler._queue.copy(), started(scheduler.timefunc), state
    return rebuild_scheduler, (type(scheduler), *how), facts, None, None, fill_scheduler


def rebuild_scheduler(
    cls: type, timefunc: Callable[[], Any], delayfunc: Callable[[Any], object]
) -> Any:
    """Make one without events; no code of a subclass runs."""
    scheduler: Any = object.__new__(cls)
    sched.scheduler.__init__(scheduler, timefunc, delayfunc)
    return scheduler


def fill_scheduler(scheduler: Any, facts: tuple[list[Any], int, dict[str, Any]]) -> None:
    """Give it its events."""
    events, zero, state = facts
    later = zero - started(scheduler.timefunc)
    if abs(later) > 1:  # another host, or the same one after it was started anew
        events = [event._replace(time=event.time + later) for event in events]
    scheduler._queue[:] = events
    used = max((event.sequence for event in events), default=-1)
    scheduler._sequence_generator = itertools.count(used + 1)
    add_state(scheduler, state)
