"""The action "cluster" of queues: one for all workers, kept by the scheduler, by token.

Notes
-----
- Travels: a token and the size. Where it arrives, `distributed.Queue` does the work; its items are
  pickled where they are put in, and loaded where they are taken.
- Lost: who waits, ``task_done`` and ``join``. The original stays a queue of its own process.
- Refused: a queue that holds items, since loading must not put anything; stacks, priority queues
  and other subclasses: Dask has no counterpart of them.
"""

from __future__ import annotations

import asyncio
import queue
from typing import Any, ClassVar

import distributed

from daskpickle.cluster.locks import ClusterActions, Named, arrive
from daskpickle.errors import RefusedError
from daskpickle.identity import token_of
from daskpickle.pickler import dumps, loads

__all__ = ["ClusterQueue", "QueueActions"]

SOON = 5.0  # seconds that the scheduler has to do what it can do at once


def reduce_queue(source: Any) -> tuple[Any, ...]:
    """Say which queue it is; one that is not empty is refused."""
    if type(source) not in (queue.Queue, queue.SimpleQueue):
        raise RefusedError(source, "It has no counterpart among the queues that Dask shares.")
    if source.qsize():
        raise RefusedError(source, "It holds items, and a queue of the cluster starts empty.")
    return rebuild_cluster_queue, (token_of(source), getattr(source, "maxsize", 0))


def rebuild_cluster_queue(token: str, maxsize: int) -> Any:
    """Make the queue of this process's workers; it asks the scheduler when it is first used."""
    reduced = (rebuild_cluster_queue, (token, maxsize))
    return arrive(token, lambda: ClusterQueue(token, maxsize), reduced)


class ClusterQueue(Named):
    """A queue of all workers, with the methods of `queue.Queue` but ``task_done`` and ``join``."""

    def __init__(self, token: str, maxsize: int) -> None:
        super().__init__(token)
        self.maxsize = maxsize

    def _make(self) -> Any:
        return distributed.Queue(self.name, maxsize=max(self.maxsize, 0))

    def qsize(self) -> int:
        """Return how many items are in it."""
        return int(self._dask.qsize())

    def empty(self) -> bool:
        """Tell whether nothing is in it."""
        return not self.qsize()

    def full(self) -> bool:
        """Tell whether it takes nothing more."""
        return 0 < self.maxsize <= self.qsize()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item into it; wait until there is a place, or for ``timeout`` seconds."""
        if not block and self.full():
            raise queue.Full
        value = item if isinstance(item, distributed.Future) else dumps(item)
        try:
            self._dask.put(value, timeout=timeout if block else SOON)
        except asyncio.TimeoutError:
            raise queue.Full from None

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take an item out of it; wait until there is one, or for ``timeout`` seconds."""
        if not block and self.empty():
            raise queue.Empty
        try:
            value = self._dask.get(timeout=timeout if block else SOON)
        except asyncio.TimeoutError:
            raise queue.Empty from None
        return value if isinstance(value, distributed.Future) else loads(value)

    def put_nowait(self, item: Any) -> None:
        """Put an item into it, if there is a place."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """Take an item out of it, if there is one."""
        return self.get(block=False)


class QueueActions(ClusterActions):
    """The action in the table, for queues."""

    reducers = ((queue.Queue, reduce_queue), (queue.SimpleQueue, reduce_queue))
    facts: ClassVar[dict[str, Any]] = {
        "travels": "a token, its size",
        "lost": "who waits",
        "refused": "while it holds items; subclasses",
        "hint": "Choose the action 'rebuild' for it, or use distributed.Queue(name).",
        "subclasses": True,
    }
