"""`doctor` looks at each node, and says what is wrong with which, and what to do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from distributed import Client

import daskpickle
from daskpickle.cli import FOUND, OK, main
from daskpickle.cluster.doctor import (
    CLIENT,
    SAMPLES,
    SCHEDULER,
    Diagnosis,
    _diagnose,
    make_question,
)

from .clusters import local_cluster, nodes, wait_for_workers
from .test_mixed import HIDE, with_sitecustomize
from .things import SECONDS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster of two workers with daskpickle installed."""
    with local_cluster() as client:
        daskpickle.install(client)
        yield client
        daskpickle.uninstall(client)


def row(diagnosis: Diagnosis, item: str) -> Any:
    return next(row for row in diagnosis.rows if row.item == item)


def test_a_healthy_cluster(client: Client) -> None:
    """Versions are compared, hooks are on, and each kind comes back from each node."""
    found = daskpickle.doctor(client)
    assert found
    assert found.problems == ()
    assert set(found.nodes) == {CLIENT, SCHEDULER, *client.nthreads()}
    assert set(row(found, "daskpickle").answers.values()) == {daskpickle.__version__}
    kinds = [r for r in found.rows if r.item in SAMPLES]
    assert {r.item for r in kinds} == set(SAMPLES)
    assert {answer for r in kinds for answer in r.answers.values()} == {"travels"}
    assert set(row(found, "hooks").answers) == set(found.nodes)
    assert "off" not in row(found, "hooks").answers.values()


def test_the_table_fits_and_is_json(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """One table, at 80 columns and at 200, and the same as plain values."""
    found = daskpickle.doctor(client)
    for columns in (80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert max(map(len, repr(found).splitlines())) <= columns
    assert repr(found).endswith("Nothing is wrong.")
    assert json.loads(json.dumps(found.facts()))["healthy"] is True


def test_a_worker_that_fell_out_is_named(client: Client) -> None:
    """A worker where daskpickle was switched off is a problem, and only that worker."""
    worker = min(client.nthreads())

    def switch(on: bool) -> None:
        import daskpickle

        daskpickle.install() if on else daskpickle.uninstall()

    client.run(switch, False, workers=[worker])
    try:
        found = daskpickle.doctor(client)
    finally:
        client.run(switch, True, workers=[worker])
    assert not found
    (problem,) = found.problems
    assert problem.startswith(f"daskpickle is not switched on on the worker {worker}.")
    assert row(found, "hooks").answers[worker] == "off"


def test_an_asynchronous_client(client: Client) -> None:
    """The diagnosis is awaited then."""

    async def ask() -> Diagnosis:
        async with Client(client.scheduler.address, asynchronous=True) as inner:
            found = await daskpickle.doctor(inner)
            assert isinstance(found, Diagnosis)
            return found

    assert asyncio.run(ask())


def test_nodes_that_lack_it_are_named(tmp_path: Path) -> None:
    """A scheduler and a worker without daskpickle answer too; the command ends with one."""
    bare = with_sitecustomize(tmp_path / "bare", HIDE)
    with nodes(tmp_path) as started:
        address = started.scheduler(env=bare)
        started.worker(address, "--no-nanny", env=bare)
        with Client(address, timeout=SECONDS) as client:
            wait_for_workers(client, 1)
            found = daskpickle.doctor(client)
        done = CliRunner().invoke(main, ["doctor", address, "--json"])
    assert not found
    answers = row(found, "daskpickle").answers
    assert answers[SCHEDULER] == "missing"
    assert answers[CLIENT] == daskpickle.__version__
    assert [answers[node] for node in found.nodes[2:]] == ["missing"]
    missing = next(p for p in found.problems if "no working daskpickle" in p)
    assert re.search(
        r"on the scheduler, the worker tcp://\S+\. Install .*pip install daskpickle==", missing
    )
    assert done.exit_code == FOUND
    assert json.loads(done.output)["healthy"] is False


def test_the_command_on_a_healthy_cluster(client: Client) -> None:
    """It ends with nought."""
    done = CliRunner().invoke(main, ["doctor", client.scheduler.address])
    assert done.exit_code == OK, done.output
    assert "travels (2)" in done.output


# --- What answers mean, without a cluster ---------------------------------------------------------


def answers(**changed: Any) -> dict[str, Any]:
    """What a client, a scheduler and a worker answer; the worker's answer is changed."""
    ours = make_question(["cloudpickle"], {})()
    ours["hooks"] = ["Dumps"]
    return {CLIENT: ours, SCHEDULER: dict(ours), "tcp://a": {**ours, **changed}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Python": "3.9.1"}, r"runs on the worker tcp://a: functions"),
        ({"wire version": 0}, r"cannot be read on the worker tcp://a. Upgrade it"),
        ({"hooks": []}, r"daskpickle is not switched on on the worker tcp://a"),
    ],
)
def test_what_is_wrong_is_a_sentence(changed: dict[str, Any], said: str) -> None:
    """Each thing that does harm is a problem."""
    (problem,) = _diagnose(answers(**changed), {}, ["cloudpickle"]).problems
    assert said in problem


def test_a_library_of_another_version_is_a_note() -> None:
    """It is shown, and does no harm by itself."""
    found = _diagnose(answers(cloudpickle="0.1"), {}, ["cloudpickle"])
    assert found
    assert row(found, "cloudpickle").note == "differs"


def test_a_kind_that_does_not_come_back_is_named() -> None:
    """What the node said is passed on."""
    replies = answers(samples={"queue.Queue": "ValueError: no"})
    found = _diagnose(replies, {"queue.Queue": object()}, [])
    assert found.problems == (
        "A queue.Queue does not come back from the worker tcp://a: ValueError: no",
    )


def test_a_node_that_is_silent_is_named() -> None:
    """A node that gives no answer keeps no other from being looked at."""
    replies = {**answers(), "tcp://b": TimeoutError("It did not answer.")}
    found = _diagnose(replies, {}, [])
    assert found.problems == ("There is no answer from the worker tcp://b: It did not answer.",)
    assert row(found, "Python").answers["tcp://a"]
