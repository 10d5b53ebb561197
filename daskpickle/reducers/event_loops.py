"""Event loops: what `asyncio` binds to none yet travels, as new; what lives in one does not.

Notes
-----
- Travels: locks, events, conditions, semaphores, barriers and queues, with their flag, value, size
  and a snapshot of the items; a policy, as one that has made no loop yet. Each arrival is an object
  of its own, bound to the loop that first waits for it there: tasks do not share it, since each may
  run in another loop. A `threading.Lock` is shared by the tasks of a worker.
- Lost: the loop it is bound to, who holds it, and who waits for it.
- Refused: loops, tasks, futures, also those that are done, transports, streams, servers, processes,
  and handles of callbacks: they are parts of a loop that runs in this process.

Their state is in private attributes, the same ones in CPython 3.10 to 3.13
(``Lib/asyncio/locks.py``, ``queues.py``); a new object of the class shows what they are at first.
"""

from __future__ import annotations

import asyncio
import copy
from asyncio import (
    base_events,
    events,
    futures,
    locks,
    selector_events,
    sslproto,
    tasks,
    transports,
    trsock,
)
from asyncio import subprocess as subprocesses
from collections.abc import Callable
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state, neutral

Reduce = Callable[[Any], tuple[Any, ...]]
HINT = "Make one inside the task; a threading.Lock is shared by the tasks of a worker."
LOST = "its loop, who waits"
BaseLoop: Any = selector_events.BaseSelectorEventLoop
BasePolicy: Any = getattr(events, "_BaseDefaultEventLoopPolicy", None)  # its name since Python 3.14
BasePolicy = BasePolicy or events.BaseDefaultEventLoopPolicy


def reduce_as(base: Any, obj: Any, *args: Any, **facts: Any) -> tuple[Any, ...]:
    """Reduce it as without daskpickle, but for what ``base(*args)`` has at first, and ``facts``.

    So nodes that have no daskpickle can load it, as they can what nobody has waited for.
    """
    make, made_of, state = obj.__reduce_ex__(4)[:3]
    own, slots = state if type(state) is tuple else (state, None)
    own = {**own, **vars(base(*args)), **facts}
    own.pop("_loop", None)
    return make, made_of, own if slots is None else (own, slots)


def register_primitive(
    cls: Any, travels: str, lost: str = LOST, refused: str = "nothing"
) -> Callable[[Reduce], Reduce]:
    """Register a reducer for a class and its subclasses."""

    def add(reduce: Reduce) -> Reduce:
        return register(
            cls, neutral(reduce), travels=travels, lost=lost, refused=refused, hint=HINT,
            subclasses=True,
        )  # fmt: skip

    return add


@register_primitive(locks.Lock, "a free one", "its loop, who holds it, who waits")
def reduce_lock(lock: Any) -> tuple[Any, ...]:
    """Say that it is one."""
    return reduce_as(locks.Lock, lock)


@register_primitive(locks.Event, "its flag")
def reduce_event(event: Any) -> tuple[Any, ...]:
    """Say whether it is set."""
    return reduce_as(locks.Event, event, _value=event._value)


@register_primitive(locks.Condition, "its lock")
def reduce_condition(condition: Any) -> tuple[Any, ...]:
    """Say which lock it uses."""
    return reduce_as(locks.Condition, condition, condition._lock)


@register_primitive(locks.Semaphore, "its value")
def reduce_semaphore(semaphore: Any) -> tuple[Any, ...]:
    """Say how often it can be acquired."""
    return reduce_as(locks.Semaphore, semaphore, semaphore._value)


@register_primitive(locks.BoundedSemaphore, "its value, its bound")
def reduce_bounded_semaphore(semaphore: Any) -> tuple[Any, ...]:
    """Say also how often it may be released."""
    bound = semaphore._bound_value
    return reduce_as(locks.BoundedSemaphore, semaphore, bound, _value=semaphore._value)


Barrier: Any = getattr(locks, "Barrier", None)  # new in Python 3.11
if Barrier is not None:

    @register_primitive(Barrier, "its parties, whether it is broken")
    def reduce_barrier(barrier: Any) -> tuple[Any, ...]:
        """Say for how many it is; nobody waits at it there."""
        facts = {"_state": barrier._state} if barrier.broken else {}
        return reduce_as(Barrier, barrier, barrier._parties, **facts)


@register_primitive(
    asyncio.Queue,
    "its size and a snapshot of its items",
    "its loop, who waits; items taken and not reported done",
    "if an item cannot travel",
)
def reduce_queue(queue: Any) -> tuple[Any, ...]:
    """Copy the items; those that were taken and not reported done are nobody's there."""
    facts: dict[str, Any] = {"_queue": copy.copy(queue._queue)}
    if queue._queue:
        facts |= {"_unfinished_tasks": len(queue._queue), "_finished": locks.Event()}
    if getattr(queue, "_is_shutdown", False):  # new in Python 3.13
        facts["_is_shutdown"] = True
    return reduce_as(asyncio.Queue, queue, queue._maxsize, **facts)


@register(
    BasePolicy,
    travels="its class and attributes",
    lost="the loops it has made, its watcher of children",
    refused="nothing",
    hint="Set it inside the task.",
    subclasses=True,
)
def reduce_policy(policy: Any) -> tuple[Any, ...]:
    """Say of which class it is, and what was set on it."""
    state = {n: v for n, v in extra_state(policy, None).items() if n != "_local"}
    if "_watcher" in state:
        state["_watcher"] = None
    return rebuild_policy, (type(policy), state)


def rebuild_policy(cls: type, state: dict[str, Any]) -> Any:
    """Make a policy that has made no loop; it is not set."""
    policy: Any = object.__new__(cls)
    BasePolicy.__init__(policy)
    add_state(policy, state)
    return policy


def refuse(obj: Any) -> Any:
    """Refuse: it is of no use without its loop."""
    raise RefusedError(obj, "It is part of an event loop of this process.")


REFUSED: dict[str, tuple[Any, ...]] = {
    "Call asyncio.get_running_loop() or asyncio.run() inside the task.": (BaseLoop,),
    "Await it and pass its result, or pass the function: Dask awaits what that returns.": (
        asyncio.Future, asyncio.Task, futures._PyFuture, tasks._PyTask,  # type: ignore[attr-defined]
    ),
    "Pass the function that it calls.": (asyncio.Handle,),
    "Open the connection inside the task.": (
        asyncio.StreamReader, asyncio.StreamWriter, transports._FlowControlMixin,
        sslproto._SSLProtocolTransport, trsock.TransportSocket,
    ),
    "Start it inside the task, or pass its address to connect to.": (base_events.Server,),
    "Start it inside the task, or pass what it returned.": (subprocesses.Process,),
}  # fmt: skip
for hint, classes in REFUSED.items():
    for cls in classes:
        register(cls, refuse, action="refuse", refused="always", hint=hint, subclasses=True)
