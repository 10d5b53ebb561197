"""What every test stands on: a leak guard, a fresh interpreter, and no silent skips on CI."""

from __future__ import annotations

import copyreg
import gc
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pytest

# pyopencl would keep a cache in the home folder, and the file open.
os.environ.setdefault("PYOPENCL_NO_CACHE", "1")

ON_CI = os.environ.get("CI") == "true"
CALL_FAILED = pytest.StashKey[bool]()

# Pools of threads that Dask makes once per process and never shuts down.
FOREVER_THREADS = ("Dask-Offload", "TCP-Executor")
# Threads that a running cluster starts when it needs them, and ends when it ends.
CLUSTER_THREADS = ("AsyncProcess", "Dask-", "IO loop", "Profile", "asyncio_")
GRACE_SECONDS = 5.0


def open_descriptors() -> dict[int, str]:
    """What each file descriptor of this process points to; nothing where there is no /proc."""
    found = {}
    with suppress(FileNotFoundError):
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # the descriptor that lists the folder is closed by now
                found[int(entry.name)] = str(entry.readlink())
    return found


def allowed_descriptors() -> set[int]:
    """Those that others hold for good reason, by number."""
    # The pipes to multiprocessing's helper processes, which live as long as this process.
    allowed = {
        multiprocessing.resource_tracker._resource_tracker._fd,
        multiprocessing.forkserver._forkserver._forkserver_alive_fd,
    }
    if cluster_is_up():
        # The connections of a cluster that several tests share: its pool grows with the tests.
        iostream = sys.modules["tornado.iostream"].IOStream
        streams = [obj for obj in gc.get_objects() if isinstance(obj, iostream)]
        allowed |= {stream.socket.fileno() for stream in streams if not stream.closed()}
    return allowed


def allowed_threads() -> set[threading.Thread]:
    """The same for threads."""
    scheduler_pool = getattr(sys.modules.get("dask.threaded"), "default_pool", None)
    names = FOREVER_THREADS + (CLUSTER_THREADS if cluster_is_up() else ())
    # A worker in this process puts its name, a number, before those of its threads.
    named = {t for t in threading.enumerate() if t.name.lstrip("0123456789-").startswith(names)}
    return named | set(getattr(scheduler_pool, "_threads", ()))


def cluster_is_up() -> bool:
    """Whether a cluster or client that several tests share outlives this test."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    clients = [c for c in distributed.Client._instances if c.status not in ("closed", "closing")]
    clusters = [c for c in distributed.SpecCluster._instances if c.status.name == "running"]
    return bool(clients or clusters)


def leaks(descriptors: dict[int, str], threads: set[threading.Thread]) -> list[str]:
    """What this process holds now, did not hold then, and should not hold; in words."""
    new = dict(open_descriptors().items() - descriptors.items())
    new_threads = set(threading.enumerate()) - threads
    if not new and not new_threads:
        return []
    allowed = allowed_descriptors()
    return [
        *(f"descriptor {number}: {new[number]}" for number in sorted(new) if number not in allowed),
        *(f"thread {thread.name!r}" for thread in new_threads - allowed_threads()),
    ]


@pytest.fixture(autouse=True)
def leak_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves open descriptors or running threads behind, after a short grace."""
    marker = request.node.get_closest_marker("leaks")
    if marker is not None and not (marker.args or marker.kwargs.get("reason")):
        pytest.fail("The marker `leaks` needs a reason.")
    descriptors, threads = open_descriptors(), set(threading.enumerate())
    yield
    # The traceback of a failed test keeps what the test had open.
    if marker is not None or request.node.stash.get(CALL_FAILED, False):
        return
    deadline = time.monotonic() + GRACE_SECONDS
    while found := leaks(descriptors, threads):
        if time.monotonic() > deadline:
            pytest.fail("The test left behind: " + ", ".join(found), pytrace=False)
        gc.collect()
        time.sleep(0.02)


@pytest.fixture
def without_tblib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as in a process that has not imported Dask, also after a test that has."""
    for cls, reducer in list(copyreg.dispatch_table.items()):
        if getattr(reducer, "__module__", "") == "tblib.pickling_support" or cls is TracebackType:
            monkeypatch.delitem(copyreg.dispatch_table, cls)


@pytest.fixture
def fresh_process(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Return a function that runs code in a new interpreter, and returns what it prints.

    The interpreter starts in an empty folder and has imported nothing. ``payload`` is its standard
    input, ``env`` is added to its environment. The test fails with its traceback if it fails.
    """

    def run(
        code: str, payload: bytes = b"", *, env: dict[str, str] | None = None, timeout: float = 60
    ) -> bytes:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            input=payload,
            capture_output=True,
            cwd=tmp_path_factory.mktemp("fresh"),
            env=environ | (env or {}),
            timeout=timeout,
        )
        if done.returncode:
            pytest.fail(
                f"The fresh interpreter ended with {done.returncode}:\n"
                + done.stderr.decode(errors="replace"),
                pytrace=False,
            )
        return done.stdout

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport | None]:
    """On CI a skipped service test is a failure: the run would look green and have tested less."""
    report = yield
    service = item.get_closest_marker("service") is not None
    if report.skipped and ON_CI and service and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"A service test must not be skipped on CI. It says: {report.longrepr[-1]}"
        )
    if report.failed:
        item.stash[CALL_FAILED] = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Iterator[pytest.CollectReport | None]:
    """The same for a module of service tests that skips itself whole, before it has any test."""
    report = yield
    if report.skipped and ON_CI and "mark.service" in collector.path.read_text(encoding="utf-8"):
        report.outcome = "failed"
        report.longrepr = f"Service tests must not be skipped on CI. It says: {report.longrepr[-1]}"
    return report
