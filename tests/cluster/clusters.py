"""Clusters to test on: in this process's care, or of processes that share nothing with it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

from .things import SECONDS, ping

#: The folder from which this package is imported.
ROOT = Path(__file__).parents[__name__.count(".")]


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait until a condition is true, and return what it returned; fail after a while."""
    deadline = time.monotonic() + SECONDS
    while not (found := true()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"In {SECONDS} s it did not happen that {what}.")
        time.sleep(0.01)
    return found


@contextmanager
def local_cluster(**options: Any) -> Iterator[Client]:
    """Start a `LocalCluster` of two workers and a client; close both, whatever their state."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", **options}
    cluster = LocalCluster(**options)
    try:
        client = Client(cluster, timeout=SECONDS)
        try:
            yield client
        finally:
            client.close(timeout=5)
    finally:
        cluster.close(timeout=10)


def environment(**variables: str) -> dict[str, str]:
    """The environment of a process that can import what this one can."""
    folders = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders)} | variables


class Nodes:
    """Schedulers and workers that are processes of their own, started from the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.logs: list[Path] = []

    def _start(self, *command: str, env: dict[str, str] | None) -> subprocess.Popen[bytes]:
        log = self.folder / f"{command[0]}-{len(self.started)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                stdout=out, stderr=subprocess.STDOUT, cwd=self.folder, env=env or environment(),
            )  # fmt: skip
        self.started.append(process)
        self.logs.append(log)
        return process

    def scheduler(self, env: dict[str, str] | None = None) -> str:
        """Start a scheduler; return its address."""
        file = self.folder / f"scheduler-{len(self.started)}.json"
        process = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(file), env=env,
        )  # fmt: skip

        def address() -> str | None:
            if process.poll() is not None:
                raise RuntimeError(f"The scheduler ended: {self.log()}")
            with suppress(OSError, json.JSONDecodeError):
                return str(json.loads(file.read_text())["address"])
            return None

        return str(until(address, "the scheduler listens"))

    def worker(
        self, address: str, *options: str, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        return self._start(
            "worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", *options,
            env=env,
        )  # fmt: skip

    def log(self) -> str:
        """What all of them have written."""
        return "\n".join(log.read_text(errors="replace") for log in self.logs)

    def close(self) -> None:
        for process in reversed(self.started):  # a worker says good-bye to its scheduler
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)


@contextmanager
def nodes(folder: Path) -> Iterator[Nodes]:
    """Start nodes, and end them all."""
    started = Nodes(folder)
    try:
        yield started
    finally:
        started.close()


def wait_for_workers(client: Client, count: int) -> list[str]:
    """Wait for workers; return their addresses."""
    client.wait_for_workers(count, timeout=SECONDS)
    return sorted(client.nthreads())


class LineServer:
    """A `line_server` in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.line_server"],
            stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = ("127.0.0.1", int(self.process.stdout.readline()))

    def connect(self) -> socket.socket:
        """Return a connection that has been used once, and so is counted."""
        connected = socket.create_connection(self.address, timeout=SECONDS)
        ping(connected)
        return connected

    def counts(self) -> tuple[int, int, int]:
        """Return how many connections there were, are, and were at most at the same time."""
        with socket.create_connection(self.address, timeout=SECONDS) as connected:
            connected.sendall(b"count\n")
            found = connected.makefile("r").readline().split()
        return int(found[0]), int(found[1]), int(found[2])

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=10)
