"""The action "cluster" of queues: one queue for all workers."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import Client, get_client

import daskpickle
from daskpickle.errors import RefusedError

from .clusters import local_cluster
from .things import SECONDS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(SECONDS + 5)]

ALL = {"queue.Queue": "cluster", "_queue.SimpleQueue": "cluster"}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of two worker processes."""
    with local_cluster(threads_per_worker=2) as client:
        daskpickle.install(client)
        yield client
        daskpickle.uninstall()


def put(target: Any, *items: Any) -> int:
    """Put items into a queue, and say how many are in it."""
    for item in items:
        target.put(item, timeout=SECONDS)
    return int(target.qsize())


def take(source: Any, count: int) -> list[Any]:
    """Take items out of a queue; one that is a function is called."""
    items = [source.get(timeout=SECONDS) for _ in range(count)]
    return [item() if callable(item) else item for item in items]


def ends(target: Any) -> list[Any]:
    """Try what cannot be done, and what can, in a queue of one place."""
    seen: list[Any] = [target.empty(), target.full()]
    for options in ({"block": False}, {"timeout": 0.05}):
        with pytest.raises(queue.Empty):
            target.get(**options)
    target.put_nowait((1, b"x"))
    for options in ({"block": False}, {"timeout": 0.05}):
        with pytest.raises(queue.Full):
            target.put(2, **options)
    seen += [target.empty(), target.full(), target.get_nowait(), type(target).__name__]
    return seen


def put_future(target: Any) -> None:
    """Put a future of a task into a queue."""
    target.put(get_client().submit(int, "7", pure=False))


def result_of_first(source: Any) -> Any:
    """Take a future out of a queue, and wait for it."""
    return source.get(timeout=SECONDS).result(SECONDS)


@pytest.mark.parametrize("make", [queue.Queue, queue.SimpleQueue])
def test_what_one_worker_puts_another_one_takes(client: Client, make: Any) -> None:
    """Items travel as arguments do; the original is not among the queues that are one."""
    first, second = sorted(client.nthreads())
    source = make()
    with daskpickle.use_policy(ALL):
        taken = client.submit(take, source, 3, workers=[first], pure=False)
        client.submit(
            put, source, "a", {"n": (1,)}, lambda: 5, workers=[second], pure=False
        ).result(SECONDS)
    assert taken.result(SECONDS) == ["a", {"n": (1,)}, 5]
    assert source.empty()


def test_a_queue_of_the_cluster_says_when_it_is_full_or_empty(client: Client) -> None:
    """In the words of the standard library."""
    with daskpickle.use_policy(ALL):
        seen = client.submit(ends, queue.Queue(1), pure=False).result(SECONDS)
    assert seen == [True, False, False, True, (1, b"x"), "ClusterQueue"]


def test_a_future_is_an_item(client: Client) -> None:
    """It is kept while it is in the queue."""
    source: queue.Queue[Any] = queue.Queue()
    with daskpickle.use_policy(ALL):
        client.submit(put_future, source, pure=False).result(SECONDS)
        value = client.submit(result_of_first, source, pure=False)
    assert value.result(SECONDS) == 7


@pytest.mark.parametrize("make", [queue.LifoQueue, queue.PriorityQueue])
def test_what_dask_has_no_queue_for_is_refused(client: Client, make: Any) -> None:
    """A subclass gives its items in another order."""
    with daskpickle.use_policy(ALL), pytest.raises(RefusedError, match="no counterpart"):
        daskpickle.dumps(make())


def test_a_queue_with_items_is_refused(client: Client) -> None:
    """Loading it must not put anything."""
    source: queue.Queue[int] = queue.Queue()
    source.put(1)
    with daskpickle.use_policy(ALL), pytest.raises(RefusedError, match="starts empty"):
        daskpickle.dumps(source)
