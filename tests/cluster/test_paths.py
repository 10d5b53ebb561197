"""Every path by which Dask moves objects, a lock in every nesting, every kind of cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

import daskpickle

from .clusters import environment, local_cluster, nodes, wait_for_workers
from .paths import CASES, Case, process_pool
from .things import SECONDS, WORKS, PlainLock, maker

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(SECONDS + 5)]


@contextmanager
def apart(folder: Path) -> Iterator[Client]:
    """A scheduler in a process of its own, and two workers under nannies."""
    with nodes(folder) as started:
        address = started.scheduler()
        started.worker(address, "--nworkers", "2")
        with Client(address, timeout=SECONDS) as client:
            wait_for_workers(client, 2)
            yield client


START: dict[str, Callable[[Path], AbstractContextManager[Client]]] = {
    "tcp": lambda folder: local_cluster(),
    "inproc": lambda folder: local_cluster(processes=False),
    "ws": lambda folder: local_cluster(protocol="ws://"),
    "tls": lambda folder: local_cluster(protocol="tls://", security=True),
    "apart": apart,
}


CORE = [case for case in CASES if case.core]


class Stand:
    """A cluster that many tests share; a failure may leave it broken, then a new one takes over."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.restart()

    def restart(self) -> None:
        if hasattr(self, "stack"):
            self.close()
        self.stack = ExitStack()
        self.client = self.stack.enter_context(START[self.kind](self.folder))
        self.stack.callback(daskpickle.uninstall)
        daskpickle.install(self.client)
        self.workers = set(self.client.nthreads())

    def close(self) -> None:
        if process_pool.cache_info().currsize:
            process_pool().shutdown(cancel_futures=True)
            process_pool.cache_clear()
        self.stack.close()

    def run(self, case: Case, nesting: str, new: Callable[[], Any] = threading.Lock) -> str:
        """Return what arrived; also check that no worker died of it."""
        healthy = False
        try:
            arrived = case.run(self.client, maker(nesting, new))
            healthy = set(self.client.nthreads()) == self.workers
        except Exception:
            healthy = set(self.client.nthreads()) == self.workers
            raise
        finally:
            if not healthy:  # nor after a timeout, which is none of Exception
                self.restart()
        return arrived if healthy else "a worker died"


@pytest.fixture(scope="module")
def stand(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """A cluster of the kind that is asked for, with daskpickle installed through its client."""
    stand = Stand(request.param, tmp_path_factory.mktemp(request.param))
    if request.param == "tcp":
        process_pool().submit(int)  # the threads and pipes of the pool are no leaks of a test
    yield stand
    stand.close()


def nested(cases: Iterable[Case]) -> list[object]:
    """Each of the cases with each of its nestings."""
    return [
        pytest.param(case, nesting, id=f"{case.id}-{nesting}")
        for case in cases
        for nesting in case.nestings
    ]


@pytest.mark.parametrize(("case", "nesting"), nested(CASES))
@pytest.mark.parametrize("stand", ["tcp"], indirect=True)
def test_path(stand: Stand, case: Case, nesting: str) -> None:
    """A lock arrives as a lock, can be acquired and released, and no worker dies of it."""
    assert stand.run(case, nesting) == WORKS


@pytest.mark.parametrize(("case", "nesting"), nested(CORE))
@pytest.mark.parametrize("stand", ["inproc", "ws", "tls", "apart"], indirect=True)
def test_core_path(stand: Stand, case: Case, nesting: str) -> None:
    """So it does over every transport, and when the scheduler is not in the client's process."""
    assert stand.run(case, nesting) == WORKS


@pytest.mark.parametrize(("case", "nesting"), nested(CORE))
@pytest.mark.parametrize("stand", ["tcp"], indirect=True)
def test_core_path_of_plain_objects(stand: Stand, case: Case, nesting: str) -> None:
    """What needs no help travels as it did before, and the paths themselves are right."""
    assert stand.run(case, nesting, PlainLock) == WORKS


PRELOAD = "['daskpickle.cluster.preload']"
WAYS = {
    "preload": {f"DASK_DISTRIBUTED__{node}__PRELOAD": PRELOAD for node in
                ("CLIENT", "SCHEDULER", "WORKER", "NANNY")},
    "key": {"DASK_DASKPICKLE__INSTALL": "true"},
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What arrived on each path, in a process where only the environment switches daskpickle on."""
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.run_paths"],
        env=environment(**WAYS[request.param]),
        cwd=tmp_path_factory.mktemp(request.param),
        capture_output=True,
        timeout=120,
    )
    found: dict[str, str] = {}
    for line in done.stdout.decode().splitlines():
        found.update(json.loads(line))
    found["stderr"] = done.stderr.decode(errors="replace")
    return found


@pytest.mark.timeout(130)
@pytest.mark.parametrize("outcomes", WAYS, indirect=True)
@pytest.mark.parametrize("case", CORE, ids=lambda case: case.id)
def test_switched_on_by_environment(outcomes: dict[str, str], case: Case) -> None:
    """With no call of ``install`` at all, locks arrive in every nesting."""
    found = {nesting: outcomes.get(f"{case.id}-{nesting}") for nesting in case.nestings}
    assert found == dict.fromkeys(case.nestings, WORKS), outcomes["stderr"]
