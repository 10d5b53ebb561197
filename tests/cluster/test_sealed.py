"""The ten traps of the mechanism, each closed; see ``docs/decisions/0001``."""

from __future__ import annotations

import asyncio
import copyreg
import multiprocessing.dummy
import os
import pickle
import threading
from functools import partial

import dask
import dask.array as da
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import pytest
from dask._task_spec import DataNode, Task, TaskRef
from dask.utils import SerializableLock
from distributed.protocol import deserialize, serialize
from distributed.protocol.serialize import to_serialize

import daskpickle
from daskpickle.cluster import sealed
from daskpickle.cluster.sealed import Sealed, SealedFunction, SealedTask

pytestmark = pytest.mark.cluster

LOCK = type(threading.Lock())


class Holder:
    """An object with one of ours in it, and a payload."""

    def __init__(self, payload: object = None) -> None:
        self.lock = threading.Lock()
        self.payload = payload


@pytest.fixture(autouse=True)
def installed():
    daskpickle.install()
    yield
    daskpickle.uninstall()


@pytest.fixture
def client(cluster_client):
    daskpickle.install(cluster_client)
    return cluster_client


def sent(expr: object) -> tuple[dict, list]:
    """Header and frames of a graph, as a client sends it."""
    return serialize(to_serialize(expr), on_error="raise")


def nbytes(frames: list) -> int:
    return sum(memoryview(frame).nbytes for frame in frames)


def test_scheduler_does_not_get_the_clients_own_expression(client):
    """Trap 1: a changed original does not change what was submitted."""
    frame = dd.from_pandas(pd.DataFrame({"x": [1, 2]}), npartitions=1)
    holder = Holder("as submitted")
    meta = {"x": int, "y": object}
    mapped = frame.map_partitions(lambda part: part.assign(y=holder.payload), meta=meta)
    blocker = distributed.Event("trap-1", client=client)
    blocked = client.map(lambda _: distributed.Event("trap-1").wait(), (1, 2), pure=False)
    future = client.compute(mapped)
    holder.payload = "changed"
    blocker.set()
    assert future.result()["y"].tolist() == ["as submitted"] * 2
    client.gather(blocked)


def test_what_copyreg_learns_late_is_known():
    """Trap 2: an entry made after the table was used, or replaced, counts."""

    class Late:
        pass

    daskpickle.dumps(threading.Lock())
    try:
        for name in ("first", "second"):
            copyreg.pickle(Late, partial(_reduce_late, name))
            assert daskpickle.loads(daskpickle.dumps([Late()])) == [name]
    finally:
        del copyreg.dispatch_table[Late]


def _reduce_late(name, obj):
    return str, (name,)


def test_a_shared_part_is_sent_once(client):
    """Trap 3: fifty tasks with one object of a megabyte make a graph of a megabyte."""
    holder = Holder(os.urandom(2**20))
    tasks = {f"t-{n}": Task(f"t-{n}", _payload_size, holder, n) for n in range(50)}
    _, frames = sent(dask._expr.LLGExpr(tasks))
    assert 2**20 < nbytes(frames) < 2**20 + 50_000
    assert (
        client.gather(client.map(lambda n, h: len(h.payload), range(50), h=holder)) == [2**20] * 50
    )


def _payload_size(holder, n):
    return len(holder.payload)


@pytest.mark.parametrize("order", ["argument first", "closure first"])
def test_aliasing_is_kept_in_a_call(client, order):
    """Trap 3: what a closure and an argument share is one object in the call."""
    holder = Holder()

    def same(arg, nested=None, box=None):
        return (
            arg is holder and nested[0] is holder and (box is None or box["h"].lock is holder.lock)
        )

    if order == "closure first":  # an earlier task of the same graph needs the function alone
        results = dask.compute(
            dask.delayed(same, pure=False)(holder, nested=[holder]),
            dask.delayed(same, pure=False)(holder, nested=[holder], box={"h": holder}),
            scheduler=client,
        )
    else:
        futures = [
            client.submit(same, holder, nested=[holder], pure=False),
            client.submit(same, holder, nested=[holder], box={"h": holder}, pure=False),
        ]
        results = tuple(client.gather(futures))
    assert results == (True, True)


def pipe():
    """Two ends that share two queues, each of which is locked by nothing else."""
    return multiprocessing.dummy.Pipe()


def passes(writer, reader):
    """Whether what goes in at one end comes out at the other, here."""
    writer.send(7)
    return reader._in.qsize() == 1 and reader.recv() == 7


@pytest.mark.parametrize("form", ["arguments", "list", "dict", "keywords", "closure", "map"])
def test_what_the_parts_of_a_task_share_stays_shared(client, form):
    """Wherever they are in the task; another task has its own."""
    writer, reader = pipe()
    if form == "arguments":
        futures = [client.submit(passes, writer, reader, pure=False) for _ in range(2)]
    elif form == "list":
        futures = [client.submit(lambda ends: passes(*ends), [writer, reader])]
    elif form == "dict":
        ends = {"writer": writer, "more": [reader]}
        futures = [client.submit(lambda d: passes(d["writer"], d["more"][0]), ends)]
    elif form == "keywords":
        futures = [client.submit(passes, writer=writer, reader=reader)]
    elif form == "closure":
        futures = [client.submit(lambda end: passes(writer, end), reader)]
    else:
        futures = client.map(lambda _, w, r: passes(w, r), range(3), w=writer, r=reader)
    assert all(client.gather(futures))


def test_two_parts_that_share_nothing_are_sealed_apart():
    """A third one of another task can go with either."""
    first, second = Holder(bytes(100_000)), Holder(bytes(100_000))
    graph = {
        "a": Task("a", lambda *holders: 1, first, second),
        "b": Task("b", lambda *holders: 1, first),
    }
    seal = sealed.Sealer(sealed._operands_in(graph.values()))
    nodes = {key: seal.node(task) for key, task in graph.items()}
    assert [type(arg) for arg in nodes["a"].args] == [Sealed, Sealed]
    assert nodes["a"].args[0] is nodes["b"].args[0]


def test_sealed_task_is_a_task_with_lazy_substitution():
    """Trap 5: Blockwise asserts a Task, renames it and puts other keys in."""
    holder = Holder("x")
    task = Task("a", lambda h, x, y: (h.payload, x, y), holder, TaskRef("x"), y=TaskRef("y"))
    node = sealed.Sealer().node(task)
    assert type(node) is SealedTask
    assert isinstance(node.args[0], Sealed)
    renamed = node.substitute({"x": "other"}, key="b")
    assert (type(renamed), renamed.key) == (SealedTask, "b")
    assert renamed.dependencies == {"other", "y"}
    assert renamed({"other": 1, "y": 2}) == ("x", 1, 2)
    fused = Task.fuse(DataNode("other", 5), DataNode("y", 6), renamed)
    assert fused({}) == ("x", 5, 6)


def test_nested_containers_keep_their_shape():
    """Trap 5: a container of arguments is still one, its elements are sealed."""
    task = Task("a", list, dask._task_spec.List(threading.Lock(), TaskRef("x")))
    node = sealed.Sealer().node(task)
    assert type(node.args[0]) is dask._task_spec.List
    assert isinstance(node.args[0].args[0], Sealed)
    lock, value = node({"x": 3})
    assert (type(lock), value) == (LOCK, 3)


def test_sealed_function_shows_what_dask_reads():
    """Trap 6: names, signature, and whether it is a coroutine function."""
    lock = threading.Lock()

    async def load(a, b=2, *, c=3):
        return lock

    function = sealed.Sealer().function(load)
    assert isinstance(function, SealedFunction)
    assert dask.utils.funcname(function) == "load"
    assert distributed.utils.iscoroutinefunction(function)
    assert dask.utils.has_keyword(function, "c")
    assert not dask.utils.has_keyword(function, "d")
    again = pickle.loads(pickle.dumps(function))
    assert distributed.utils.iscoroutinefunction(again)
    assert Task("k", again).is_coro


def test_plain_payloads_keep_their_bytes():
    """Trap 7: a graph that holds none of ours names us nowhere."""
    expr = dask._expr.LLGExpr({"t": Task("t", lambda x: x + 1, 1)})
    _, frames = sent(expr)
    assert b"daskpickle" not in b"".join(bytes(frame) for frame in frames)
    task = Task("t", lambda x: x + 1, 1)
    assert b"daskpickle" not in distributed.protocol.pickle.dumps(task)


def test_ours_beside_plain_functions_leave_them_plain():
    """Trap 7: in a graph that holds ours, what does not is not sealed."""
    tasks = {"a": Task("a", _payload_size, Holder(b""), 0), "b": Task("b", len, "abc")}
    expr = deserialize(*sent(dask._expr.LLGExpr(tasks)))
    loaded = expr.__dask_graph__()
    assert type(loaded["a"]) is SealedTask
    assert type(loaded["b"]) is Task


def test_literals_in_expressions_become_sealed_on_the_scheduler(client):
    """Trap 8: a keyword of ``map_partitions`` is an operand until there are tasks."""
    frame = dd.from_pandas(pd.DataFrame({"x": range(4)}), npartitions=2)
    holder = Holder("kept")

    def work(part, options, lock):
        with lock:
            return part.assign(y=options["holder"].payload, z=options["holder"].lock is lock)

    meta = {"x": int, "y": object, "z": bool}
    result = frame.map_partitions(
        work, options={"holder": holder}, lock=holder.lock, meta=meta
    ).compute(scheduler=client)
    assert result["y"].tolist() == ["kept"] * 4
    assert result["z"].tolist() == [True] * 4


def test_arrays_with_keywords_and_fusion(client):
    """Trap 8: blocks, keywords and fused chains of an array."""
    lock = threading.Lock()

    def block(part, lock=None, offset=0):
        assert type(lock).__name__ == "lock"
        with lock:
            return part + offset

    array = da.ones((8,), chunks=4).map_blocks(block, lock=lock, offset=1, dtype=float)
    array = (array * 2).map_blocks(block, lock=lock, offset=2, dtype=float)
    assert array.sum().compute(scheduler=client) == 48.0


def test_buffers_stay_out_of_band():
    """Trap 9: a large array inside of a sealed part is a frame of its own, not copied."""
    array = np.arange(2**17)
    holder = Holder(array)
    header, frames = sent(dask._expr.LLGExpr({"t": Task("t", _payload_size, holder, 0)}))
    assert any(np.shares_memory(np.frombuffer(f, np.uint8), array) for f in frames[1:])
    expr = deserialize(header, frames)
    loaded = expr.__dask_graph__()["t"]
    task_frames: list = []
    run_spec = distributed.protocol.pickle.dumps(loaded, buffer_callback=task_frames.append)
    assert len(run_spec) < 10_000
    assert pickle.loads(run_spec, buffers=task_frames)({}) == 2**17


def test_coroutine_tasks_hold_what_they_opened_until_they_end(client):
    """Trap 10: a coroutine opens on the worker's loop; its handles are given back when it ends."""

    class Client:
        def __init__(self, url):
            self.url = url
            self.closed = False

        def close(self):
            self.closed = True

    daskpickle.register(Client, recipe=lambda c: (c.url,), open=Client, scope="fresh")
    try:
        mine = Client("here")

        async def work():
            before = mine.closed
            await asyncio.sleep(0)
            return before, mine.closed, type(mine).__name__

        assert client.submit(work).result() == (False, False, "Client")
    finally:
        daskpickle.unregister(Client)


def test_bound_methods_and_partials_are_sealed_whole(client):
    """A callable that is no function is opened as itself."""
    holder = HolderWithMethod("bound")
    assert client.submit(holder.read, 1).result() == ("bound", 1)
    assert client.submit(partial(holder.read, 2)).result() == ("bound", 2)
    assert client.submit(holder.lock.acquire, False).result() is True


class HolderWithMethod(Holder):
    def read(self, n):
        with self.lock:
            return self.payload, n


def test_locks_of_dask_travel_as_before(client):
    """What Dask knows already keeps its own pickling."""
    lock = SerializableLock("one")
    assert client.submit(lambda lock: lock.token, lock).result() == "one"
