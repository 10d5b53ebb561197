"""Clusters of which not all nodes have the same daskpickle, or any: sentences, no dead workers."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, Future

import daskpickle

from .clusters import Nodes, environment, local_cluster, nodes, until, wait_for_workers
from .things import SECONDS, WORKS, Holder, Plain, in_main, truth

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(SECONDS + 20)]

#: A ``sitecustomize`` that hides daskpickle, and that it is installed, from an interpreter.
HIDE = """
import importlib, sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "daskpickle":
            raise ModuleNotFoundError("No module named 'daskpickle'", name="daskpickle")

sys.meta_path.insert(0, Hide())

def hide_distribution(metadata):
    found = metadata.distributions
    metadata.distributions = lambda **kwargs: (
        d for d in found(**kwargs) if d.metadata["Name"] != "daskpickle"
    )

hide_distribution(importlib.import_module("importlib.metadata"))
try:
    hide_distribution(importlib.import_module("importlib_metadata"))
except ModuleNotFoundError:
    pass
"""

#: One that makes the daskpickle of an interpreter an older one.
AGE = """
import daskpickle

daskpickle.WIRE_VERSION = 0
daskpickle.__version__ = "0.0.1"
"""

MISSING = r"(needs daskpickle, which is not installed there|has no daskpickle) .*pip install"
OLDER = r"wire version 1\), but daskpickle 0\.0\.1 \(wire version 0\) is installed there"


def with_sitecustomize(folder: Path, text: str) -> dict[str, str]:
    """The environment of an interpreter that runs ``text`` before anything else."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(text)
    env = environment()
    return {**env, "PYTHONPATH": f"{folder}:{env['PYTHONPATH']}"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Nodes]]:
    """A worker as it should be, one without daskpickle, and one with an older one."""
    folder = tmp_path_factory.mktemp("mixed")
    with local_cluster(n_workers=1) as client, nodes(folder) as started:
        daskpickle.install(client)
        for name, text in (("bare", HIDE), ("old", AGE)):
            env = with_sitecustomize(folder / name, text)
            started.worker(client.scheduler.address, "--no-nanny", "--name", name, env=env)
        wait_for_workers(client, 3)
        yield client, started
        daskpickle.uninstall()


@pytest.fixture
def client(mixed: tuple[Client, Nodes]) -> Iterator[Client]:
    """A client of the mixed cluster; no worker may have died of a test, nor come back."""
    client, started = mixed
    before = named(client)
    yield client
    assert named(client) == before, started.log()
    assert [process.poll() for process in started.started] == [None, None], started.log()


def named(client: Client) -> dict[str, str]:
    """The addresses of the workers, by name."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {str(worker["name"]): address for address, worker in workers.items()}


def on(client: Client, name: str) -> dict[str, Any]:
    """Keywords of ``submit`` for a task that runs on one worker."""
    return {"workers": [named(client)[name]], "pure": False}


def submit_argument(client: Client, name: str) -> Future:
    return client.submit(truth, threading.Lock(), **on(client, name))


def submit_closure(client: Client, name: str) -> Future:
    lock = threading.Lock()
    return client.submit(lambda: truth(lock), **on(client, name))


def submit_main_class(client: Client, name: str) -> Future:
    holder = in_main()["MainHolder"](threading.Lock())
    return client.submit(lambda holder: truth(holder.lock), holder, **on(client, name))


def map_keyword(client: Client, name: str) -> Future:
    check = lambda n, *, thing: truth(thing.lock)
    return client.map(check, [0], thing=Holder(threading.Lock()), **on(client, name))[0]


def submit_delayed(client: Client, name: str) -> Future:
    with dask.annotate(workers=on(client, name)["workers"]):
        return client.compute(dask.delayed(truth)(threading.Lock()), optimize_graph=False)


def submit_array(client: Client, name: str) -> Future:
    lock = threading.Lock()
    with dask.annotate(workers=on(client, name)["workers"]):
        x = da.zeros(1).map_blocks(lambda block: block + (truth(lock) == WORKS), dtype=float)
        return client.compute(x, optimize_graph=False)


def submit_coroutine(client: Client, name: str) -> Future:
    lock = threading.Lock()

    async def check() -> str:
        return truth(lock)

    return client.submit(check, **on(client, name))


def submit_dependent(client: Client, name: str) -> Future:
    made = client.submit(threading.Lock, **on(client, "0"))
    return client.submit(truth, made, **on(client, name))


def submit_scattered(client: Client, name: str) -> Future:
    lock = client.scatter(threading.Lock(), workers=[named(client)["0"]], hash=False)
    return client.submit(truth, lock, **on(client, name))


FORMS = [
    submit_argument, submit_closure, submit_main_class, map_keyword, submit_delayed, submit_array,
    submit_coroutine, submit_dependent, submit_scattered,
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_node_with_daskpickle_works(client: Client, form: Callable[[Client, str], Future]) -> None:
    """What the tests below send to the other two workers arrives on one that is as it should be."""
    found = form(client, "0").result(SECONDS)
    assert found == WORKS or np.all(found == 1)


NODES = pytest.mark.parametrize(
    ("name", "sentence"), [("bare", MISSING), ("old", OLDER)], ids=["bare", "old"]
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@NODES
def test_task_fails_in_a_sentence(
    client: Client, form: Callable[[Client, str], Future], name: str, sentence: str
) -> None:
    """A task that needs daskpickle where there is none, or an old one, says so; no worker dies."""
    future = form(client, name)
    with pytest.raises(Exception, match=sentence):
        future.result(SECONDS)


@NODES
def test_run_fails_in_a_sentence(client: Client, name: str, sentence: str) -> None:
    """So does what is run outside of tasks."""
    lock = threading.Lock()
    with pytest.raises(Exception, match=sentence):
        client.run(lambda: truth(lock), workers=on(client, name)["workers"])


@NODES
def test_scatter_fails_in_a_sentence(client: Client, name: str, sentence: str) -> None:
    """So does data that is put there."""
    with pytest.raises(Exception, match=sentence):
        client.scatter(threading.Lock(), workers=on(client, name)["workers"], direct=True)


def test_result_cannot_leave_a_bare_worker(client: Client) -> None:
    """There Dask's own error is what the client gets: nothing of ours is there to say more."""
    future = client.submit(threading.Lock, **on(client, "bare"))
    with pytest.raises(TypeError, match=r"Could not serialize|cannot pickle"):
        future.result(SECONDS)


@pytest.mark.parametrize("name", ["bare", "old"])
def test_plain_functions_run(client: Client, name: str) -> None:
    """What needs nothing of daskpickle runs everywhere, though a hooked client has pickled it."""
    cell, where = Plain(2), on(client, name)
    cls = in_main()["MainHolder"]
    assert client.submit(lambda x: x + cell.value, 1, **where).result(SECONDS) == 3
    assert client.submit(lambda holder: holder.lock, cls(5), **where).result(SECONDS) == 5
    mapped = client.map(lambda x, y: (x, y), [1], y=[cell], **where)
    assert client.gather(mapped) == [(1, [Plain(2)])]
    array = client.submit(np.ones, 3, **where)
    assert client.submit(lambda a: a.sum(), array, **where).result(SECONDS) == 3
    (data,) = client.scatter([{"k": cell}], workers=where["workers"], hash=False)
    assert client.submit(lambda d: d["k"].value, data, **where).result(SECONDS) == 2
    assert list(client.run(lambda: cell, workers=where["workers"]).values()) == [Plain(2)]


def test_plain_exceptions_come_back(client: Client) -> None:
    """So does an error that holds nothing of ours."""

    def fail(x: int) -> None:
        raise ValueError(f"It is {x}.")

    with pytest.raises(ValueError, match=r"It is 3\."):
        client.submit(fail, 3, **on(client, "bare")).result(SECONDS)


def test_late_worker_without_daskpickle_starts(tmp_path: Path) -> None:
    """A worker without daskpickle that joins after `install` starts, and says what it lacks."""
    with local_cluster(n_workers=0) as client, nodes(tmp_path) as started:
        daskpickle.install(client)
        env = with_sitecustomize(tmp_path / "bare", HIDE)
        started.worker(client.scheduler.address, "--name", "bare", env=env)  # under a nanny
        wait_for_workers(client, 1)
        assert client.submit(lambda x: x + 1, 1).result(SECONDS) == 2
        events = until(lambda: client.get_events("daskpickle"), "the worker says what it lacks")
        assert "has no daskpickle" in events[0][1]["sentence"]
        with pytest.raises(Exception, match=MISSING):
            client.submit(truth, threading.Lock()).result(SECONDS)
        assert "has no daskpickle" in started.log()
    daskpickle.uninstall()


@pytest.fixture
def bare_scheduler(tmp_path: Path) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """A scheduler without daskpickle, and a worker that has it."""
    with nodes(tmp_path) as started:
        address = started.scheduler(env=with_sitecustomize(tmp_path / "bare", HIDE))
        worker = started.worker(address, "--no-nanny")
        with Client(address, timeout=SECONDS) as client:
            wait_for_workers(client, 1)
            yield client, worker


def test_scheduler_without_daskpickle(
    bare_scheduler: tuple[Client, subprocess.Popen[bytes]],
) -> None:
    """`install(client)` says what is missing where; graphs that need it do; all else works."""
    client, worker = bare_scheduler
    try:
        with pytest.raises(RuntimeError, match=r"scheduler .* has no daskpickle"):
            daskpickle.install(client)
        lock = threading.Lock()
        with pytest.raises(RuntimeError, match="deserialization of the task graph") as caught:
            client.submit(lambda: truth(lock)).result(SECONDS)
        assert re.search(MISSING, str(caught.value.__cause__))  # Dask's own sentence is around it
        assert client.submit(lambda x: x + 1, 1).result(SECONDS) == 2
        assert worker.poll() is None
    finally:
        daskpickle.uninstall()
