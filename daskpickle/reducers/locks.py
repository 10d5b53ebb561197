"""Locks: one per process by token, which comes home as the original; nobody holds it on arrival.

Notes
-----
- Travels: a token, and the state that a lock has besides being held: the flag of an event, the
  value of a semaphore, the parties of a barrier, the lock of a condition. The first arrival in a
  process makes the object in the state in which it was submitted; later ones find it.
- Lost: whether it is held, by whom, and who waits for it. A lock that is held where it was pickled
  arrives free: its holder could never release it in another process.
- The action "fresh" makes a new object for each arrival. The lock of a condition goes by the action
  that is chosen for the class of that lock.

A condition that was made with a lock still shares it where both arrive: the lock has its own token.
Events, semaphores and barriers keep their counts in private attributes, the same ones in CPython
3.10 to 3.13 (``Lib/threading.py``); no public name tells the value or the bound of a semaphore.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from daskpickle import register
from daskpickle.handles import (
    add_state,
    extra_state,
    fixed,
    intern,
    remember,
    token_of,
    token_parts,
)

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]
Reduce = Callable[[Any], Reduced]

# Two functions until ``threading.Lock`` became a class in Python 3.13.
Lock: Any = type(threading.Lock())
RLock: Any = type(threading.RLock())
PythonRLock: Any = threading._RLock

HINT = "Make one inside the task, or choose the action 'process' or 'fresh' for it."


def register_lock(
    cls: type, travels: str, lost: str = "who holds it, who waits"
) -> Callable[[Reduce], Reduce]:
    """Register a reducer for the action "process", and one made of it for "fresh"."""
    facts: dict[str, Any] = {"hint": HINT, "travels": travels, "lost": lost, "refused": "nothing"}
    facts["subclasses"] = cls is not Lock  # which has none

    def add(reduce: Reduce) -> Reduce:
        def reduce_fresh(obj: Any) -> Reduced:
            rebuild, args = reduce(obj)
            return rebuild, (*args, True)

        if cls is Lock:  # has no state but its token
            reduce, reduce_fresh = fixed(reduce), fixed(reduce_fresh)
        register(cls, reduce, action="process", scope="process", **facts)
        register(cls, reduce_fresh, action="fresh", scope="fresh", **facts)
        return reduce

    return add


def arrive(token: str, make: Callable[[], Any], reduced: Reduced, fresh: bool) -> Any:
    """Return the object of this process that has ``token``; or a new one, if it is to be fresh."""
    if fresh:
        rebuild, args = reduced
        return remember(make(), (rebuild, (*args, True)))
    return intern(token, make, reduced)


def new(cls: type, base: Any, state: dict[str, Any], *args: Any) -> Any:
    """Make an instance of ``cls`` as ``base`` is made; no code of a subclass runs."""
    obj = base.__new__(cls)
    base.__init__(obj, *args)
    add_state(obj, state)
    return obj


@register_lock(Lock, travels="a token")
def reduce_lock(lock: Any) -> Reduced:
    """Say which lock it is, in two parts: of many locks, the first one is pickled once."""
    return rebuild_numbered_lock, token_parts(lock)


def rebuild_numbered_lock(process: str, number: int, fresh: bool = False) -> Any:
    """Make the lock of this process."""
    reduced = rebuild_numbered_lock, (process, number)
    return arrive(f"{process}{number:x}", threading.Lock, reduced, fresh)


def rebuild_lock(token: str, fresh: bool = False) -> Any:
    """Make the lock of this process; for what was written before its token had two parts."""
    return arrive(token, threading.Lock, (rebuild_lock, (token,)), fresh)


@register_lock(RLock, travels="a token")
@register_lock(PythonRLock, travels="a token")
def reduce_rlock(lock: Any) -> Reduced:
    """Say which lock it is; the one written in C and the one written in Python are two classes."""
    plain = PythonRLock() if isinstance(lock, PythonRLock) else RLock()
    return rebuild_rlock, (type(lock), token_of(lock), extra_state(lock, plain))


def rebuild_rlock(cls: type, token: str, state: dict[str, Any], fresh: bool = False) -> Any:
    """Make the re-entrant lock of this process."""
    base = PythonRLock if issubclass(cls, PythonRLock) else RLock
    reduced = rebuild_rlock, (cls, token, state)
    return arrive(token, lambda: new(cls, base, state), reduced, fresh)


@register_lock(threading.Condition, travels="a token, its lock", lost="who waits")
def reduce_condition(condition: Any) -> Reduced:
    """Say which condition it is, and which lock it uses."""
    lock = condition._lock
    state = extra_state(condition, threading.Condition(lock))
    return rebuild_condition, (type(condition), token_of(condition), lock, state)


def rebuild_condition(
    cls: type, token: str, lock: Any, state: dict[str, Any], fresh: bool = False
) -> Any:
    """Make the condition of this process, around a lock that has arrived before it."""
    reduced = rebuild_condition, (cls, token, lock, state)
    return arrive(token, lambda: new(cls, threading.Condition, state, lock), reduced, fresh)


@register_lock(threading.Event, travels="a token, its flag", lost="who waits")
def reduce_event(event: Any) -> Reduced:
    """Say which event it is, and whether it is set."""
    flag, state = threading.Event.is_set(event), extra_state(event, threading.Event())
    return rebuild_event, (type(event), token_of(event), flag, state)


def rebuild_event(
    cls: type, token: str, flag: bool, state: dict[str, Any], fresh: bool = False
) -> Any:
    """Make the event of this process, set if it was set when it was submitted."""

    def make() -> Any:
        event = new(cls, threading.Event, state)
        if flag:
            threading.Event.set(event)
        return event

    return arrive(token, make, (rebuild_event, (cls, token, flag, state)), fresh)


@register_lock(threading.Semaphore, travels="a token, its value", lost="who waits")
def reduce_semaphore(semaphore: Any) -> Reduced:
    """Say which semaphore it is, and how often it can be acquired."""
    state = extra_state(semaphore, threading.Semaphore())
    return rebuild_semaphore, (type(semaphore), token_of(semaphore), semaphore._value, state)


def rebuild_semaphore(
    cls: type, token: str, value: int, state: dict[str, Any], fresh: bool = False
) -> Any:
    """Make the semaphore of this process, with the value that it had when it was submitted."""
    reduced = rebuild_semaphore, (cls, token, value, state)
    return arrive(token, lambda: new(cls, threading.Semaphore, state, value), reduced, fresh)


@register_lock(
    threading.BoundedSemaphore, travels="a token, its value, its bound", lost="who waits"
)
def reduce_bounded_semaphore(semaphore: Any) -> Reduced:
    """Say also how often it may be released: up to the value that it was made with."""
    state = extra_state(semaphore, threading.BoundedSemaphore())
    facts = semaphore._value, semaphore._initial_value, state
    return rebuild_bounded_semaphore, (type(semaphore), token_of(semaphore), *facts)


def rebuild_bounded_semaphore(
    cls: type, token: str, value: int, bound: int, state: dict[str, Any], fresh: bool = False
) -> Any:
    """Make the semaphore of this process, with its bound and the value that it had."""

    def make() -> Any:
        semaphore = new(cls, threading.BoundedSemaphore, state, bound)
        semaphore._value = value
        return semaphore

    reduced = rebuild_bounded_semaphore, (cls, token, value, bound, state)
    return arrive(token, make, reduced, fresh)


@register_lock(
    threading.Barrier, "a token, its parties, action and timeout, whether it is broken", "who waits"
)
def reduce_barrier(barrier: Any) -> Reduced:
    """Say which barrier it is, for how many, what the last one calls, and whether it is broken."""
    facts = barrier._parties, barrier._action, barrier._timeout, barrier.broken
    state = extra_state(barrier, threading.Barrier(1))
    return rebuild_barrier, (type(barrier), token_of(barrier), *facts, state)


def rebuild_barrier(
    cls: type,
    token: str,
    parties: int,
    action: Callable[[], object] | None,
    timeout: float | None,
    broken: bool,
    state: dict[str, Any],
    fresh: bool = False,
) -> Any:
    """Make the barrier of this process; nobody waits at it yet."""

    def make() -> Any:
        barrier = new(cls, threading.Barrier, state, parties, action, timeout)
        if broken:
            threading.Barrier.abort(barrier)
        return barrier

    reduced = rebuild_barrier, (cls, token, parties, action, timeout, broken, state)
    return arrive(token, make, reduced, fresh)
