"""The paths by which Dask moves objects. Each is a function of a client and of what makes a thing.

A path sends what ``make`` makes, or lets a worker make and send it, and returns what `truth` says
on the other side. ``make`` travels too, and what it makes is one of the nestings of `things`. The
two paths that are no paths (a raw ``log_event``; objects in a table of Arrow) check the error.
"""

from __future__ import annotations

import asyncio
import operator
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import pytest
from dask._task_spec import Task
from dask.base import tokenize
from distributed import Client, Event, Nanny, Queue, Variable, get_worker, worker_client
from distributed.protocol import to_serialize
from distributed.protocol.serialize import ToPickle

from .things import (
    NESTINGS,
    PLAIN_NESTINGS,
    SECONDS,
    WORKS,
    Guard,
    Holder,
    HolderError,
    HolderWarning,
    Lab,
    NannyCarrier,
    SchedulerCarrier,
    Source,
    WorkerCarrier,
    all_ones,
    both,
    check_all,
    check_block,
    check_frame,
    fail_once,
    in_main,
    objects,
    plugin_truth,
    spill,
    truth,
)

Make = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One path.

    Attributes
    ----------
    id
        Its name in reports.
    run
        ``run(client, make)`` returns what arrived.
    core
        Whether it is one of the few that are tried on every transport.
    needs
        What a cluster must have: "nanny", "processes" (workers that are no threads of the client).
    nestings
        In what a lock may be nested on this path.
    """

    id: str
    run: Callable[[Client, Make], str]
    core: bool
    needs: frozenset[str]
    nestings: tuple[str, ...]


CASES: list[Case] = []


def path(
    *, core: bool = False, needs: str = "", nestings: tuple[str, ...] = NESTINGS
) -> Callable[[Callable[[Client, Make], str]], Callable[[Client, Make], str]]:
    """Add a function to the paths."""

    def add(run: Callable[[Client, Make], str]) -> Callable[[Client, Make], str]:
        CASES.append(Case(run.__name__, run, core, frozenset(needs.split()), nestings))
        return run

    return add


def name() -> str:
    return uuid.uuid4().hex


def two_workers(client: Client) -> tuple[str, str]:
    first, second = sorted(client.nthreads())[:2]
    return first, second


# --- submit and map -------------------------------------------------------------------------------


@path(core=True)
def submit_argument(client: Client, make: Make) -> str:
    return client.submit(truth, make()).result()


@path()
def submit_argument_in_list(client: Client, make: Make) -> str:
    return client.submit(lambda things: truth(*things[1:]), [1, make(), make()]).result()


@path()
def submit_argument_in_dict(client: Client, make: Make) -> str:
    return client.submit(lambda d: truth(d["k"][0]["k"]), {"k": ({"k": make()},)}).result()


@path()
def submit_keyword(client: Client, make: Make) -> str:
    return client.submit(lambda *, thing: truth(thing), thing=make()).result()


@path(core=True)
def submit_closure(client: Client, make: Make) -> str:
    thing = make()
    return client.submit(lambda: truth(thing)).result()


@path()
def submit_default(client: Client, make: Make) -> str:
    def check(thing: Any = make()) -> str:
        return truth(thing)

    return client.submit(check).result()


@path()
def submit_partial(client: Client, make: Make) -> str:
    return client.submit(partial(truth, make()), make()).result()


@path()
def submit_bound_method(client: Client, make: Make) -> str:
    return client.submit(Holder(make()).method, make()).result()


@path()
def submit_callable_object(client: Client, make: Make) -> str:
    return client.submit(Holder(make()), make()).result()


@path()
def submit_attribute(client: Client, make: Make) -> str:
    return client.submit(operator.methodcaller("method"), Holder(make())).result()


@path()
def submit_beside_lambda(client: Client, make: Make) -> str:
    holder = Holder(make())
    holder.check = lambda: truth(holder.lock)  # type: ignore[attr-defined]
    return client.submit(operator.methodcaller("check"), holder).result()


@path(core=True)
def submit_main_global(client: Client, make: Make) -> str:
    return client.submit(in_main()["main_function_of"](make(), truth), make()).result()


@path(core=True)
def submit_main_class(client: Client, make: Make) -> str:
    return client.submit(
        lambda holder: truth(holder.lock), in_main()["MainHolder"](make())
    ).result()


@path()
def submit_class_attribute(client: Client, make: Make) -> str:
    cls = in_main()["main_class_of"](make())
    return client.submit(lambda obj: truth(*obj.things, *type(obj).things), cls()).result()


@path()
def submit_class_itself(client: Client, make: Make) -> str:
    return client.submit(
        lambda cls: truth(*cls.things), in_main()["main_class_of"](make())
    ).result()


@path()
def submit_beside_future(client: Client, make: Make) -> str:
    first = client.submit(operator.add, 1, 1)
    check = client.submit(lambda pair, n: (pair[0], n, truth(pair[1])), [first, make()], first)
    two, also_two, what = check.result()
    return what if two == also_two == 2 else "the future beside it was lost"


@path(core=True)
def submit_alias(client: Client, make: Make) -> str:
    """The argument is the object in the closure, and twice in the list."""
    cell = make()

    def check(arg: Any, several: list[Any]) -> str:
        if not (arg is cell is several[0] is several[1]):
            return "several objects where one was sent"
        return truth(arg)

    return client.submit(check, cell, [cell, cell]).result()


@path()
def submit_coroutine(client: Client, make: Make) -> str:
    thing = make()

    async def check(arg: Any) -> str:
        await asyncio.sleep(0)
        return truth(arg, thing)

    return client.submit(check, make()).result()


@path()
def submit_chain(client: Client, make: Make) -> str:
    thing = make()
    future = client.submit(lambda: truth(thing))
    for _ in range(3):
        future = client.submit(lambda before, arg: both(before, truth(arg, thing)), future, thing)
    return future.result()


@path()
def submit_annotated(client: Client, make: Make) -> str:
    """With a priority, resources of its own, and one worker to run on."""
    worker, _ = two_workers(client)
    with dask.annotate(priority=5):
        return client.submit(truth, make(), workers=[worker], priority=3, pure=False).result()


@path(core=True)
def map_arguments(client: Client, make: Make) -> str:
    return both(*client.gather(client.map(truth, [make(), make(), make()])))


@path()
def map_several_arguments(client: Client, make: Make) -> str:
    things = [make(), make()]
    return both(*client.gather(client.map(truth, things, things, batch_size=1)))


@path()
def map_keyword(client: Client, make: Make) -> str:
    futures = client.map(lambda n, *, thing: truth(thing), range(4), thing=make())
    return both(*client.gather(futures))


@path()
def map_closure(client: Client, make: Make) -> str:
    thing = make()
    return both(*client.gather(client.map(lambda n: truth(thing), range(4), pure=False)))


@path(core=True)
def map_shares_one_megabyte(client: Client, make: Make) -> str:
    """50 tasks with one holder of 1 MB: the graph that is sent has about 1 MB, not 50."""
    holder = Holder(make())
    holder.data = name().encode() * (2**20 // 32)  # type: ignore[attr-defined]

    def check(n: int, arg: Holder) -> str:
        return truth(arg.lock, holder.lock) if arg is holder else "several holders"

    config = {"distributed.admin.large-graph-warning-threshold": "1.5 MiB"}
    with dask.config.set(config), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        futures = client.map(check, range(50), arg=holder, pure=False)
        what = both(*client.gather(futures))
    large = [str(w.message) for w in seen if "large graph" in str(w.message)]
    return large[0] if large else what


@path()
def executor_submit(client: Client, make: Make) -> str:
    with client.get_executor(pure=False) as executor:
        first = executor.submit(truth, make()).result(SECONDS)
        return both(first, *executor.map(truth, [make(), make()], timeout=SECONDS))


@path(core=True)
def retries(client: Client, make: Make) -> str:
    worker, _ = two_workers(client)
    thing = make()
    check = lambda arg: fail_once(key, arg, thing)
    key = name()
    return client.submit(check, thing, retries=2, workers=[worker], key=key).result()


@path()
def retry_by_hand(client: Client, make: Make) -> str:
    worker, _ = two_workers(client)
    future = client.submit(fail_once, name(), make(), workers=[worker])
    distributed.wait(future, timeout=SECONDS)
    future.retry()
    return future.result()


@path(core=True)
def work_stealing(client: Client, make: Make) -> str:
    """A task that waits on one worker is taken by the other."""
    victim, thief = two_workers(client)
    event = Event(name(), client=client)
    blocker = client.submit(lambda e: e.wait(SECONDS), event, workers=[victim], pure=False)
    thing = make()
    check = client.submit(
        lambda arg: (get_worker().address, truth(arg, thing)),
        thing, workers=[victim], allow_other_workers=True, pure=False, key=name(),
    )  # fmt: skip

    async def steal(key: str, dask_scheduler: Any) -> None:
        while key not in dask_scheduler.tasks or not dask_scheduler.tasks[key].processing_on:
            await asyncio.sleep(0.01)
        task, workers = dask_scheduler.tasks[key], dask_scheduler.workers
        dask_scheduler.extensions["stealing"].move_task_request(
            task, workers[victim], workers[thief]
        )

    client.run_on_scheduler(steal, check.key)
    where, what = check.result()
    event.set()
    assert blocker.result() is True
    return what if where == thief else "the task was not stolen"


@path()
def worker_client_submit(client: Client, make: Make) -> str:
    thing = make()

    def check(arg: Any) -> str:
        with worker_client(separate_thread=True) as inner:
            return both(
                inner.submit(truth, arg, pure=False).result(),
                inner.submit(lambda: truth(thing), pure=False).result(),
                truth(inner.submit(make, pure=False).result()),
            )

    return client.submit(check, make()).result()


@path()
def as_completed_results(client: Client, make: Make) -> str:
    futures = client.map(lambda n: make(), range(3), pure=False)
    done = distributed.as_completed(futures, with_results=True, timeout=SECONDS)
    return both(*(truth(result) for _, result in done))


# --- delayed and raw graphs -----------------------------------------------------------------------


@path(core=True)
def delayed_argument(client: Client, make: Make) -> str:
    return dask.delayed(truth)(make()).compute(scheduler=client)


@path()
def delayed_closure(client: Client, make: Make) -> str:
    thing = make()
    return dask.delayed(lambda: truth(thing), pure=False)().compute(scheduler=client)


@path()
def delayed_nested(client: Client, make: Make) -> str:
    check = dask.delayed(lambda thing, d: truth(thing, *d["k"]))
    return check(make(), {"k": [make(), dask.delayed(make)()]}).compute(scheduler=client)


@path()
def delayed_literal(client: Client, make: Make) -> str:
    literal = dask.delayed(make(), pure=False)
    return dask.delayed(truth)(literal, literal).compute(scheduler=client)


@path()
def delayed_method(client: Client, make: Make) -> str:
    return dask.delayed(Holder(make()), pure=False).method(make()).compute(scheduler=client)


@path()
def delayed_tree(client: Client, make: Make) -> str:
    thing = make()
    leaves = [dask.delayed(truth)(thing, make()) for _ in range(4)]
    return dask.delayed(lambda truths: both(*truths))(leaves).compute(scheduler=client)


@path()
def delayed_fused(client: Client, make: Make) -> str:
    """Linear chains become one task before the graph is sent."""
    thing = make()
    step = dask.delayed(lambda before, arg: both(before, truth(arg, thing)))
    chain = dask.delayed(truth)(thing)
    for _ in range(4):
        chain = step(chain, thing)
    with dask.config.set({"optimization.fuse.active": True}):
        return chain.compute(scheduler=client, optimize_graph=True)


@path()
def compute_several(client: Client, make: Make) -> str:
    futures = client.compute([dask.delayed(truth)(make()), dask.delayed(truth)(make())])
    return both(*client.gather(futures))


@path()
def persist(client: Client, make: Make) -> str:
    persisted = client.persist(dask.delayed(lambda arg: arg, pure=False)(make()))
    return dask.delayed(truth)(persisted).compute(scheduler=client)


@path()
def raw_graph(client: Client, make: Make) -> str:
    """A dict of tuples, as old code has it."""
    thing, first, second, third = make(), name(), name(), name()
    graph = {
        first: thing,
        second: (truth, thing, first),
        third: (lambda truths: both(*truths, truth(thing)), [second, second]),
    }
    return client.get(graph, third)


@path()
def raw_graph_of_tasks(client: Client, make: Make) -> str:
    key = name()
    return client.get({key: Task(key, truth, make())}, key)


# --- array ----------------------------------------------------------------------------------------


@path(core=True)
def array_map_blocks(client: Client, make: Make) -> str:
    thing = make()
    x = da.zeros(4, chunks=2).map_blocks(lambda block: check_block(block, thing), dtype=float)
    return all_ones(x.compute(scheduler=client))


@path()
def array_map_blocks_argument(client: Client, make: Make) -> str:
    thing = Holder(make())
    x = da.map_blocks(check_block, da.zeros(4, chunks=2), thing, dtype=float)
    return all_ones(x.compute(scheduler=client))


@path()
def array_map_blocks_keyword(client: Client, make: Make) -> str:
    x = da.zeros(4, chunks=2).map_blocks(check_block, thing=make(), dtype=float)
    return all_ones(x.compute(scheduler=client))


@path(core=True)
def array_fused_chain(client: Client, make: Make) -> str:
    """Blockwise layers fuse to one: tasks that hold a graph of their own."""
    thing = make()
    x = da.ones(8, chunks=2)
    for _ in range(3):
        x = x.map_blocks(lambda block: block * check_block(block, thing), dtype=float) + 0
    x = x.map_blocks(lambda block, *, thing: block * check_block(block, thing), thing=thing)
    return all_ones(x.compute(scheduler=client))


@path()
def array_reduction(client: Client, make: Make) -> str:
    thing = make()

    def chunk(block: Any, axis: Any, keepdims: Any) -> Any:
        return np.min(check_block(block, thing), axis=axis, keepdims=keepdims)

    def aggregate(block: Any, axis: Any, keepdims: Any) -> Any:
        return np.min(block * check_block(block, thing), axis=axis, keepdims=keepdims)

    x = da.reduction(da.zeros(8, chunks=2), chunk, aggregate, dtype=float, split_every=2)
    return all_ones(x.compute(scheduler=client))


@path()
def array_blockwise_literal(client: Client, make: Make) -> str:
    x = da.blockwise(
        check_block, "i", da.zeros(4, chunks=2), "i", Holder(make()), None, dtype=float
    )
    return all_ones(x.compute(scheduler=client))


@path()
def array_from_source(client: Client, make: Make) -> str:
    x = da.from_array(Source(make()), chunks=2, name=name(), asarray=True, meta=np.zeros(0))
    return all_ones((x + 0).compute(scheduler=client))


@path()
def array_from_array_lock(client: Client, make: Make) -> str:
    """``from_array(lock=)``, the place where Dask itself asks users for a lock."""
    x = da.from_array(Source(make()), chunks=2, name=name(), lock=Guard(make()), meta=np.zeros(0))
    return all_ones((x + 0).compute(scheduler=client))


@path()
def object_array_in_graph(client: Client, make: Make) -> str:
    return client.submit(lambda array: truth(*array.ravel()), objects(make, 2, 2)).result()


@path()
def object_array_in_result(client: Client, make: Make) -> str:
    return truth(*client.submit(objects, make, 2, 2, pure=False).result().ravel())


@path()
def array_p2p_rechunk_of_objects(client: Client, make: Make) -> str:
    with dask.config.set({"array.rechunk.method": "p2p"}):
        x = da.from_array(objects(make, 4, 4), chunks=(1, 4)).rechunk((4, 1))
        x = x.map_blocks(lambda block: check_block(block, *block.ravel()), dtype=float)
        return all_ones(x.compute(scheduler=client))


# --- dataframe and bag ----------------------------------------------------------------------------


def frame(**columns: Any) -> Any:
    return dd.from_pandas(pd.DataFrame({"k": [0, 1, 2, 3], **columns}), npartitions=2)


META = pd.DataFrame({"k": pd.Series(dtype=float)})


@path(core=True)
def dataframe_map_partitions(client: Client, make: Make) -> str:
    thing = make()
    df = frame().map_partitions(lambda part: check_frame(part, thing), meta=META)
    return all_ones(df.compute(scheduler=client).k)


@path()
def dataframe_map_partitions_argument(client: Client, make: Make) -> str:
    df = frame().map_partitions(check_frame, Holder(make()), meta=META)
    return all_ones(df.compute(scheduler=client).k)


@path()
def dataframe_map_partitions_keyword(client: Client, make: Make) -> str:
    df = frame().map_partitions(check_frame, thing=make(), meta=META)
    return all_ones(df.compute(scheduler=client).k)


@path()
def dataframe_fused(client: Client, make: Make) -> str:
    thing = make()
    df = frame()
    for _ in range(3):
        df = df.map_partitions(lambda part: check_frame(part, thing), meta=META)[["k"]]
    return all_ones(df.compute(scheduler=client).k)


@path()
def dataframe_apply(client: Client, make: Make) -> str:
    thing = make()
    ones = frame().k.apply(lambda k: check_all(thing), meta=("k", float))
    return all_ones(ones.compute(scheduler=client))


@path()
def dataframe_from_map(client: Client, make: Make) -> str:
    thing = make()
    df = dd.from_map(
        lambda arg: pd.DataFrame({"k": [check_all(arg, thing)]}),
        [make(), make()],
        meta=META,
    )
    return all_ones(df.compute(scheduler=client).k)


@path()
def dataframe_from_delayed(client: Client, make: Make) -> str:
    thing = make()
    part = dask.delayed(lambda arg: check_frame(pd.DataFrame({"k": [0]}), arg))
    df = dd.from_delayed([part(thing), part(thing)], meta=META, verify_meta=False)
    return all_ones(df.compute(scheduler=client).k)


@path()
def dataframe_persisted(client: Client, make: Make) -> str:
    thing = make()
    df = frame().map_partitions(lambda part: check_frame(part, thing), meta=META)
    df = client.persist(df)
    return all_ones(df.k.compute(scheduler=client))


def objects_shuffled(client: Client, make: Make, method: str) -> str:
    with dask.config.set({"dataframe.convert-string": False}):
        df = frame(thing=objects(make, 4)).shuffle("k", shuffle_method=method, npartitions=2)
        df = df.map_partitions(
            lambda part: part.assign(k=[check_all(t) for t in part.thing])[["k"]],
            meta=META,
        )
        return all_ones(df.compute(scheduler=client).k)


@path()
def dataframe_tasks_shuffle_of_objects(client: Client, make: Make) -> str:
    return objects_shuffled(client, make, "tasks")


@path()
def dataframe_p2p_shuffle_of_objects(client: Client, make: Make) -> str:
    """Arrow has no type for objects; no pickler is asked. It says so."""
    with pytest.raises(Exception, match=r"(?s)Could not convert|Expected bytes|P2P"):
        objects_shuffled(client, make, "p2p")
    return WORKS


@path()
def bag_map(client: Client, make: Make) -> str:
    thing = make()
    bag = db.from_sequence(range(4), npartitions=2).map(lambda n: truth(thing))
    return both(*bag.compute(scheduler=client))


@path()
def bag_keyword(client: Client, make: Make) -> str:
    bag = db.from_sequence(range(4), npartitions=2).map(lambda n, thing: truth(thing), thing=make())
    return both(*bag.compute(scheduler=client))


@path()
def bag_of_things(client: Client, make: Make) -> str:
    bag = db.from_sequence([make() for _ in range(4)], npartitions=2).map(truth)
    return both(*bag.compute(scheduler=client))


@path()
def bag_fold(client: Client, make: Make) -> str:
    thing = make()
    bag = db.from_sequence([WORKS] * 4, npartitions=2)
    fold = bag.fold(lambda a, b: both(a, b, truth(thing)), lambda a, b: both(a, b, truth(thing)))
    return fold.compute(scheduler=client)


# --- results and data -----------------------------------------------------------------------------


@path(core=True)
def result(client: Client, make: Make) -> str:
    return truth(client.submit(make, pure=False).result())


@path()
def result_attribute(client: Client, make: Make) -> str:
    return truth(client.submit(lambda: Holder(make()), pure=False).result().lock)


@path()
def result_list(client: Client, make: Make) -> str:
    _, *things = client.submit(lambda: [1, make(), make()], pure=False).result()
    return truth(*things)


@path()
def result_list_thing_first(client: Client, make: Make) -> str:
    thing, other, _ = client.submit(lambda: (make(), make(), 1), pure=False).result()
    return truth(thing, other)


@path()
def result_nested_dict(client: Client, make: Make) -> str:
    found = client.submit(lambda: {1: {"k": [{"k": make()}]}}, pure=False).result()
    return truth(found[1]["k"][0]["k"])


@path(core=True)
def result_main_class(client: Client, make: Make) -> str:
    cls = in_main()["MainHolder"]
    return truth(client.submit(lambda: cls(make()), pure=False).result().lock)


@path()
def result_closure(client: Client, make: Make) -> str:
    def make_closure() -> Callable[[], str]:
        thing = make()
        return lambda: truth(thing)

    return client.submit(make_closure, pure=False).result()()


@path()
def result_of_argument(client: Client, make: Make) -> str:
    """There and back."""
    return truth(*client.submit(lambda *things: things, make(), make()).result())


@path()
def result_twice(client: Client, make: Make) -> str:
    future = client.submit(make, pure=False)
    return truth(future.result(), future.result())


@path()
def gather_direct(client: Client, make: Make) -> str:
    futures = client.map(lambda n: make(), range(3), pure=False)
    return truth(*client.gather(futures, direct=True))


@path()
def gather_nested(client: Client, make: Make) -> str:
    found = client.gather({"k": [client.submit(make, pure=False)]})
    return truth(found["k"][0])


@path(core=True)
def worker_to_worker(client: Client, make: Make) -> str:
    first, second = two_workers(client)
    thing = client.submit(make, workers=[first], pure=False)
    return client.submit(truth, thing, workers=[second], pure=False).result()


@path()
def worker_to_worker_nested(client: Client, make: Make) -> str:
    first, second = two_workers(client)
    things = client.submit(lambda: [1, {"k": Holder(make())}], workers=[first], pure=False)
    check = lambda found: truth(found[1]["k"].lock)
    return client.submit(check, things, workers=[second], pure=False).result()


@path(core=True)
def scatter(client: Client, make: Make) -> str:
    return client.submit(truth, client.scatter(make())).result()


@path()
def scatter_list(client: Client, make: Make) -> str:
    _, *things = client.scatter([1, make(), make()], hash=True)
    return both(client.submit(truth, *things).result(), truth(*client.gather(things)))


@path()
def scatter_dict(client: Client, make: Make) -> str:
    found = client.scatter({name(): make(), name(): [make()]})
    return both(*(client.submit(truth, f).result() for f in list(found.values())[:1]))


@path()
def scatter_without_hash(client: Client, make: Make) -> str:
    future = client.scatter(Holder(make()), hash=False)
    return client.submit(operator.methodcaller("method"), future).result()


@path()
def scatter_direct_broadcast(client: Client, make: Make) -> str:
    thing = client.scatter(make(), direct=True, broadcast=True)
    checks = [client.submit(truth, thing, workers=[w], pure=False) for w in two_workers(client)]
    return both(*client.gather(checks))


@path()
def replicate(client: Client, make: Make) -> str:
    first, second = two_workers(client)
    future = client.submit(make, workers=[first], pure=False)
    distributed.wait(future, timeout=SECONDS)
    client.replicate(future, n=2)
    held = client.who_has(future)[future.key]
    if len(held) != 2:
        return "it was not replicated"
    return client.submit(truth, future, workers=[second], pure=False).result()


@path(core=True)
def spilled(client: Client, make: Make) -> str:
    worker, _ = two_workers(client)
    future = client.submit(lambda: [1, {"k": make()}], workers=[worker], key=name())
    distributed.wait(future, timeout=SECONDS)
    if client.run(spill, future.key, workers=[worker]) != {worker: True}:
        return "it was not spilled"
    check = client.submit(lambda found: truth(found[1]["k"]), future, workers=[worker], pure=False)
    return both(check.result(), truth(future.result()[1]["k"]))


# --- run ------------------------------------------------------------------------------------------


@path(core=True)
def run_argument(client: Client, make: Make) -> str:
    return both(*client.run(truth, make()).values())


@path()
def run_closure(client: Client, make: Make) -> str:
    thing = make()
    return both(*client.run(lambda: truth(thing)).values())


@path(core=True)
def run_result(client: Client, make: Make) -> str:
    return truth(*client.run(make).values())


@path()
def run_result_nested(client: Client, make: Make) -> str:
    return truth(*(found[1]["k"] for found in client.run(lambda: [1, {"k": make()}]).values()))


@path()
def run_coroutine(client: Client, make: Make) -> str:
    thing = make()

    async def check(arg: Any) -> list[Any]:
        await asyncio.sleep(0)
        return [truth(arg, thing), make()]

    found = client.run(check, make()).values()
    return both(*(what for what, _ in found), truth(*(made for _, made in found)))


@path(needs="nanny")
def run_on_nanny(client: Client, make: Make) -> str:
    thing = make()
    return both(*client.run(lambda arg: truth(arg, thing), make(), nanny=True).values())


@path(core=True)
def run_on_scheduler(client: Client, make: Make) -> str:
    thing = make()
    found = client.run_on_scheduler(lambda arg: [truth(arg, thing), make()], make())
    return both(found[0], truth(found[1]))


# --- actors ---------------------------------------------------------------------------------------


@path(core=True)
def actor_init(client: Client, make: Make) -> str:
    lab = client.submit(Lab, make(), actor=True, pure=False).result()
    return lab.check().result(SECONDS)


@path()
def actor_of_main(client: Client, make: Make) -> str:
    """A class that travels by value, with a class attribute."""
    cls = type("MainLab", (Lab,), {"__module__": "__main__", "others": [make()]})
    lab = client.submit(cls, make(), actor=True, pure=False).result()
    return both(lab.check().result(SECONDS), truth(*lab.others))


@path()
def actor_method_argument(client: Client, make: Make) -> str:
    lab = client.submit(Lab, make(), actor=True, pure=False).result()
    return lab.check(make(), make()).result(SECONDS)


@path()
def actor_method_result(client: Client, make: Make) -> str:
    lab = client.submit(lambda: Lab(make()), actor=True, pure=False).result()
    return truth(lab.give().result(SECONDS))


@path()
def actor_attribute(client: Client, make: Make) -> str:
    lab = client.submit(Lab, make(), actor=True, pure=False).result()
    return truth(lab.thing)


@path()
def actor_exception(client: Client, make: Make) -> str:
    lab = client.submit(Lab, make(), actor=True, pure=False).result()
    with pytest.raises(RuntimeError, match=r"The actor failed\.") as caught:
        lab.fail().result(SECONDS)
    return truth(caught.value.thing)  # type: ignore[attr-defined]


@path()
def actor_called_by_task(client: Client, make: Make) -> str:
    lab = client.submit(Lab, make(), actor=True, pure=False).result()
    return client.submit(lambda lab, thing: lab.check(thing).result(SECONDS), lab, make()).result()


# --- exceptions and warnings ----------------------------------------------------------------------


@path(core=True)
def exception_attribute(client: Client, make: Make) -> str:
    def fail() -> None:
        raise HolderError(make())

    return truth(client.submit(fail, pure=False).exception(timeout=SECONDS).lock)


@path()
def exception_of_argument(client: Client, make: Make) -> str:
    def fail(thing: Any) -> None:
        raise HolderError(thing)

    with pytest.raises(HolderError, match=r"It holds a lock\.") as caught:
        client.submit(fail, make()).result()
    return truth(caught.value.lock)


@path(core=True)
def exception_of_main(client: Client, make: Make) -> str:
    cls = in_main()["MainError"]

    def fail() -> None:
        raise cls(make())

    return truth(client.submit(fail, pure=False).exception(timeout=SECONDS).thing)


@path()
def exception_from_run(client: Client, make: Make) -> str:
    def fail(thing: Any) -> None:
        raise HolderError(thing)

    with pytest.raises(HolderError, match=r"It holds a lock\.") as caught:
        client.run(fail, make())
    return truth(caught.value.lock)


@path()
def exception_of_dependency(client: Client, make: Make) -> str:
    def fail() -> None:
        raise HolderError(make())

    failed = client.submit(fail, pure=False)
    return truth(client.submit(truth, failed, pure=False).exception(timeout=SECONDS).lock)


@path()
def warning_from_task(client: Client, make: Make) -> str:
    worker, _ = two_workers(client)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn = lambda: distributed.warn(HolderWarning(make()))
        client.submit(warn, pure=False, workers=[worker]).result()
        for _ in range(SECONDS * 100):  # it comes on a stream of its own
            things = [w.message.thing for w in seen if isinstance(w.message, HolderWarning)]
            if things:
                return truth(*things)
            client.sync(asyncio.sleep, 0.01)
    return "no warning came"


# --- coordination ---------------------------------------------------------------------------------


@path(core=True)
def queue(client: Client, make: Make) -> str:
    there, back = Queue(name(), client=client), Queue(name(), client=client)
    there.put(make(), timeout=SECONDS)
    there.put([1, {"k": make()}], timeout=SECONDS)

    def pass_on(there: Queue, back: Queue) -> str:
        first, (_, second) = there.get(timeout=SECONDS), there.get(timeout=SECONDS)
        back.put([first, second["k"]], timeout=SECONDS)
        return truth(first, second["k"])

    what = client.submit(pass_on, there, back, pure=False).result()
    return both(what, truth(*back.get(timeout=SECONDS)))


@path()
def variable(client: Client, make: Make) -> str:
    shared = Variable(name(), client=client)
    shared.set(make())
    what = client.submit(lambda v: truth(v.get(timeout=SECONDS)), shared, pure=False).result()
    return both(what, truth(shared.get(timeout=SECONDS)))


@path(core=True)
def publish(client: Client, make: Make) -> str:
    key = name()
    client.publish_dataset(make(), name=key)
    thing = client.get_dataset(key)
    client.unpublish_dataset(key)
    return truth(thing)


@path()
def publish_list(client: Client, make: Make) -> str:
    key, future = name(), client.submit(make, pure=False)
    distributed.wait(future, timeout=SECONDS)  # old schedulers may hear of the data set before
    client.publish_dataset([1, make(), future], name=key)
    _, thing, future = client.get_dataset(key)
    client.unpublish_dataset(key)
    return truth(thing, future.result())


@path()
def metadata(client: Client, make: Make) -> str:
    keys = [name(), "k"]
    client.set_metadata(keys, make())
    return truth(client.get_metadata(keys))


@path()
def annotations(client: Client, make: Make) -> str:
    key = name()
    with dask.annotate(things=[make()]):
        future = client.submit(operator.add, 1, 1, key=key)
    check = lambda dask_scheduler: truth(*dask_scheduler.tasks[key].annotations["things"])
    return client.run_on_scheduler(check) if future.result() == 2 else "the sum is wrong"


@path()
def log_event_raw(client: Client, make: Make) -> str:
    """Dask takes only what msgpack takes, on purpose; it says so."""
    thing = make()
    with pytest.raises(TypeError, match="must be msgpack serializable"):
        client.log_event(name(), thing)
    with pytest.raises(TypeError, match="must be msgpack serializable"):
        client.submit(lambda: get_worker().log_event("topic", thing), pure=False).result()
    return WORKS


@path()
def log_event_wrapped(client: Client, make: Make) -> str:
    topic = name()
    client.log_event(topic, ToPickle(make()))
    ((_, thing),) = client.get_events(topic)
    return truth(thing)


@path()
def log_event_serialized(client: Client, make: Make) -> str:
    topic = name()
    client.log_event(topic, {"k": to_serialize(make())})
    ((_, event),) = client.get_events(topic)
    return truth(event["k"])


# --- plugins --------------------------------------------------------------------------------------


@path(core=True)
def worker_plugin(client: Client, make: Make) -> str:
    plugin = WorkerCarrier(name(), make())
    client.register_plugin(plugin)
    truths = client.run(plugin_truth, plugin.name)
    client.unregister_worker_plugin(plugin.name)
    return both(*truths.values())


@path(needs="nanny")
def nanny_plugin(client: Client, make: Make) -> str:
    plugin = NannyCarrier(name(), make())
    client.register_plugin(plugin)
    truths = client.run(plugin_truth, plugin.name, nanny=True)
    client.unregister_worker_plugin(plugin.name, nanny=True)
    return both(*truths.values())


@path()
def scheduler_plugin(client: Client, make: Make) -> str:
    plugin = SchedulerCarrier(name(), make())
    client.register_plugin(plugin)
    check = lambda name, dask_scheduler: truth(dask_scheduler.plugins[name].thing)
    what = client.run_on_scheduler(check, plugin.name)
    client.unregister_scheduler_plugin(plugin.name)
    return what


@path()
def worker_callback(client: Client, make: Make) -> str:
    key, thing = name(), make()

    def note(dask_worker: Any) -> None:
        setattr(dask_worker, key, truth(thing))

    client.register_worker_callbacks(note)
    return both(*client.run(lambda dask_worker: getattr(dask_worker, key)).values())


@path(needs="nanny", nestings=tuple(PLAIN_NESTINGS))
def nanny_spawn(client: Client, make: Make) -> str:
    """The arguments of a worker that a nanny starts: multiprocessing pickles them."""
    plugin = WorkerCarrier(name(), make())

    async def spawn() -> str:
        address = client.scheduler.address
        nanny = Nanny(
            address, nthreads=1, plugins=[plugin], security=client.security, host="127.0.0.1"
        )
        async with nanny:
            workers = [nanny.worker_address]
            truths = await client._run(plugin_truth, plugin.name, workers=workers)
        return both(*truths.values())

    return client.sync(spawn)


# --- without a wire, or without a cluster ---------------------------------------------------------


@path(needs="processes")
def recreate_task_locally(client: Client, make: Make) -> str:
    thing = make()
    future = client.submit(lambda arg: truth(arg, thing), make())
    return both(future.result(), client.recreate_task_locally(future))


@path(needs="processes")
def recreate_error_locally(client: Client, make: Make) -> str:
    thing = make()

    def fail(arg: Any) -> None:
        raise RuntimeError(truth(arg, thing))

    future = client.submit(fail, make())
    distributed.wait(future, timeout=SECONDS)
    with pytest.raises(RuntimeError, match=WORKS) as caught:
        client.recreate_error_locally(future)
    return str(caught.value)


@path(core=True)
def tokens(client: Client, make: Make) -> str:
    """Keys: the same for the same thing, different for different ones, and no refusal."""
    one, other = make(), make()
    with dask.config.set({"tokenize.ensure-deterministic": True}):
        if tokenize(one) != tokenize(one) or tokenize([one], k=one) != tokenize([one], k=one):
            return "one thing has several tokens"
        if tokenize(one) == tokenize(other):
            return "two things have one token"
    return truth(one, other)


@cache
def process_pool() -> ProcessPoolExecutor:
    """The pool of the scheduler "processes", kept because each child imports Dask first."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


@path()
def processes_scheduler(client: Client, make: Make) -> str:
    """Dask's scheduler "processes": argument, closure and result."""
    thing = make()
    check = dask.delayed(lambda arg: [truth(arg, thing), make()], pure=False)
    with dask.config.set(pool=process_pool()):
        what, made = check(make()).compute(scheduler="processes")
    return both(what, truth(made))
