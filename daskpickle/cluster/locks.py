"""The action "cluster" of locks: one for all workers, kept by the scheduler, by token.

Notes
-----
- Travels: a token; the value of a semaphore. Where they arrive, Dask's own primitives of that name
  do the work: tasks on different workers exclude each other.
- Lost: who holds it. The original is not among them: it goes on excluding threads of its process.
- Refused: re-entrant locks, conditions and barriers: Dask has no counterpart of them.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import distributed

from daskpickle import identity
from daskpickle.cluster.hooks import Hook
from daskpickle.errors import RefusedError
from daskpickle.identity import intern, token_of
from daskpickle.table import Reducer, register, registry, unregister

__all__ = ["ClusterActions", "ClusterEvent", "ClusterLock", "ClusterSemaphore"]

ACTION = "cluster"
HINT = "Choose the action 'process' for it, or use a Dask lock: distributed.Lock(name)."

Lock: type = type(threading.Lock())
RLock: type = type(threading.RLock())


def arrive(token: str, make: Callable[[], Any], reduced: tuple[Any, ...]) -> Any:
    """Return the original, where it is; else what this process has for it, made if need be."""
    original = identity.identities.find(token)
    if original is not None and identity.identities.is_original(original):
        return original
    return intern(f"{ACTION}:{token}", make, reduced)


def reduce_lock(lock: Any) -> tuple[Any, ...]:
    """Say which lock it is."""
    return rebuild_cluster_lock, (token_of(lock),)


def rebuild_cluster_lock(token: str) -> Any:
    """Make the lock of this process's workers; it asks the scheduler when it is first used."""
    return arrive(token, lambda: ClusterLock(token), (rebuild_cluster_lock, (token,)))


def reduce_semaphore(semaphore: Any) -> tuple[Any, ...]:
    """Say which semaphore it is, and how many may hold it."""
    bound = getattr(semaphore, "_initial_value", semaphore._value)
    return rebuild_cluster_semaphore, (token_of(semaphore), bound)


def rebuild_cluster_semaphore(token: str, value: int) -> Any:
    """Make the semaphore of this process's workers."""
    reduced = (rebuild_cluster_semaphore, (token, value))
    return arrive(token, lambda: ClusterSemaphore(token, value), reduced)


def reduce_event(event: Any) -> tuple[Any, ...]:
    """Say which event it is; one that is set is refused, because loading must not set anything."""
    if event.is_set():
        raise RefusedError(event, "It is set, and an event of the cluster starts unset.")
    return rebuild_cluster_event, (token_of(event),)


def rebuild_cluster_event(token: str) -> Any:
    """Make the event of this process's workers."""
    return arrive(token, lambda: ClusterEvent(token), (rebuild_cluster_event, (token,)))


def refuse(lock: Any) -> Any:
    """Refuse what Dask has no counterpart of."""
    raise RefusedError(lock, "It has no counterpart among the locks that Dask shares in a cluster.")


class Named(ABC):
    """One of Dask's primitives by name, made when it is first used: that asks the scheduler."""

    def __init__(self, token: str) -> None:
        self.name = f"daskpickle-{token}"
        self._guard = threading.Lock()
        self._made: Any = None

    @abstractmethod
    def _make(self) -> Any: ...

    @property
    def _dask(self) -> Any:
        with self._guard:
            if self._made is None:
                self._made = self._make()
            return self._made

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class ClusterSemaphore(Named):
    """A semaphore of all workers, with the methods of `threading.Semaphore`."""

    def __init__(self, token: str, value: int) -> None:
        super().__init__(token)
        self.value = value

    def _make(self) -> Any:
        return distributed.Semaphore(max_leases=self.value, name=self.name)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Acquire it; ``timeout`` in seconds."""
        if timeout is not None and timeout < 0:
            timeout = None
        return bool(self._dask.acquire(timeout=timeout if blocking else 0))

    __enter__ = acquire

    def release(self, n: int = 1) -> None:
        """Release it, ``n`` times."""
        for _ in range(n):
            self._dask.release()

    def __exit__(self, *args: object) -> None:
        self.release()


class ClusterLock(ClusterSemaphore):
    """A lock of all workers, with the methods of `threading.Lock`."""

    def __init__(self, token: str) -> None:
        super().__init__(token, 1)

    def locked(self) -> bool:
        """Tell whether a task on any worker holds it."""
        return bool(self._dask.get_value())


class ClusterEvent(Named):
    """An event of all workers, with the methods of `threading.Event`."""

    def _make(self) -> Any:
        return distributed.Event(self.name)

    def is_set(self) -> bool:
        """Tell whether a task on any worker has set it."""
        return bool(self._dask.is_set())

    def set(self) -> None:
        """Set it for all."""
        self._dask.set()

    def clear(self) -> None:
        """Unset it for all."""
        self._dask.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for ``timeout`` seconds; tell whether it is set."""
        return bool(self._dask.wait(timeout))


class ClusterActions(Hook):
    """The action "cluster" in the table; it needs distributed, which a room must not import."""

    reducers: ClassVar[tuple[tuple[type, Reducer], ...]] = (
        (Lock, reduce_lock),
        (threading.Semaphore, reduce_semaphore),
        (threading.BoundedSemaphore, reduce_semaphore),
        (threading.Event, reduce_event),
        (RLock, refuse),
        (threading.Condition, refuse),
        (threading.Barrier, refuse),
    )

    facts: ClassVar[dict[str, Any]] = {"travels": "a token", "lost": "who holds it", "hint": HINT}

    def install(self) -> None:
        for cls, reducer in self.reducers:
            registry.discover_mro(cls)  # what the room registers first is the default
            facts = {"refused": "always" if reducer is refuse else ""} | self.facts
            register(cls, reducer, action=ACTION, scope="process", replace=True, **facts)

    def uninstall(self) -> None:
        for cls, _ in self.reducers:
            unregister(cls, ACTION)
