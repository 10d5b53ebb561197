"""Quickstart: a job that holds what Dask cannot pickle, and the one line that makes it run.

Run it with ``make demo``, or with ``python examples/quickstart.py``.
"""

from __future__ import annotations

import logging
import os
import socket
import socketserver
import sqlite3
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyopencl as cl
import trustme
from distributed import Client, LocalCluster
from rich.console import Console
from rich.table import Table

import daskpickle

N_SENSORS, N_TASKS = 6, 60
KERNEL = """
__kernel void smooth(__global const float *x, __global const float *w, __global float *y) {
    int i = get_global_id(0);
    y[i] = w[0] * x[i] + w[1] * x[i + 1] + w[2] * x[i + 2];
}
"""

# --- The job: a function as you would write it for one process -----------------------------------


def make_job(log, lock, readings, database, limits, queue, weights) -> Callable[[int], dict]:
    """Return a function that closes over a logger, a lock, a file, two connections, a device."""

    def job(sensor: int) -> dict[str, Any]:
        mine = [line.split(b",")[1] for line in readings if line.startswith(b"%d," % sensor)]
        name, gain = database.execute("SELECT name, gain FROM s WHERE id = ?", [sensor]).fetchone()
        limits.sendall(b"%d\n" % sensor)
        limit = float(limits.recv(100))
        with lock:  # one task at a time computes on the device
            peak = gain * smooth(queue, weights, np.array(mine, np.float32)).max()
        log.info("The peak of %s is %s.", name, peak)
        used = {"lock": id(lock), "limits": limits.getsockname()[1], "queue": queue.int_ptr}
        return {"answer": (name, peak, peak > limit), "pid": os.getpid(), "used": used}

    return job


def smooth(queue: cl.CommandQueue, weights: cl.Buffer, values: np.ndarray) -> np.ndarray:
    """Smooth the values on the OpenCL device of the queue."""
    flags = cl.mem_flags
    x = cl.Buffer(queue.context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=values)
    y = cl.Buffer(queue.context, flags.WRITE_ONLY, values.nbytes)
    result = np.empty(len(values) - 2, np.float32)
    cl.Program(queue.context, KERNEL).build().smooth(queue, result.shape, None, x, weights, y)
    cl.enqueue_copy(queue, result, y)
    return result


# --- What happens to it --------------------------------------------------------------------------


def main() -> None:
    """Run the job with Dask alone, then with daskpickle, and show what happened."""
    console = Console(highlight=False)
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    with tempfile.TemporaryDirectory() as folder, ingredients(Path(folder)) as (things, server):
        start, job = things["readings"].tell(), make_job(**things)
        with (
            console.status("Working ..."),
            LocalCluster(**options) as cluster,
            Client(cluster) as client,
        ):
            logging.getLogger("distributed").setLevel(logging.CRITICAL)
            alone = {name: submit_alone(client, thing) for name, thing in things.items()}

            daskpickle.install(client)  # this is the line

            sensors = [number % N_SENSORS for number in range(N_TASKS)]
            results = client.gather(client.map(job, sensors, pure=False))
            show(console, alone, count_per_worker(results, server))
        deadline = time.monotonic() + 10
        while len(server.ports) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        here = []
        for sensor in range(N_SENSORS):
            things["readings"].seek(start)
            here.append(job(sensor)["answer"])
    right = sum(r["answer"] == here[s] for r, s in zip(results, sensors, strict=True))
    console.print(
        f"{right} of {N_TASKS} tasks found what this process finds with the originals. After the "
        f"cluster\nwas closed, {len(server.ports)} connection was left: that of this process."
    )


def submit_alone(client: Client, thing: Any) -> str:
    """Submit a function that closes over one thing; return the first line of the error."""
    try:
        client.submit(lambda: type(thing), pure=False).result()
    except Exception as exc:
        cause = exc.__cause__ or exc
        return f"[red]{type(cause).__name__}: {str(cause).splitlines()[0]}"
    return "[green]works"


def count_per_worker(results: list[dict], server: LimitServer) -> dict[str, str]:
    """Count what each worker has open, as its tasks, its process, and the server see it."""
    counts: dict[str, list[int]] = {}
    for pid in sorted({result["pid"] for result in results}):
        files = [Path(file.path).name for file in psutil.Process(pid).open_files()]
        counts.setdefault("readings", []).append(files.count("readings.csv"))
        counts.setdefault("database", []).append(files.count("sensors.db"))
        used = [result["used"] for result in results if result["pid"] == pid]
        for name in ("lock", "queue", "limits"):
            found = {one[name] for one in used}
            counts.setdefault(name, []).append(
                len(found & server.ports if name == "limits" else found)
            )
    return {name: " + ".join(map(str, numbers)) for name, numbers in counts.items()}


def show(console: Console, alone: dict[str, str], counts: dict[str, str]) -> None:
    """Print what came of each thing."""
    table = Table("", "Dask alone", "with daskpickle: open in worker 1 + 2", width=80)
    for name, what, sentence in (
        ("log", "logger", "travels by its name, as before"),
        ("lock", "lock", "{}: one per process, for all its tasks"),
        ("readings", "file", "{}: each task read on from line 2, and closed it"),
        ("database", "SQLite connection", "{}: one per thread, says the process"),
        ("limits", "TLS connection", "{}: one per thread, says the server"),
        ("queue", "OpenCL queue", "{}: one per thread, in one context per process"),
        ("weights", "OpenCL buffer", "its bytes, in that context, for each task"),
    ):
        table.add_row(what, alone[name], sentence.format(counts.get(name)))
    console.print(table)


# --- What it holds -------------------------------------------------------------------------------


@contextmanager
def ingredients(folder: Path) -> Iterator[tuple[dict[str, Any], LimitServer]]:
    """Make all that the job holds, and the server that it talks to; in the end, close it."""
    noise = np.random.default_rng(7).normal(20, 3, (1000, N_SENSORS))
    lines = [f"{sensor},{x:.3f}\n" for row in noise for sensor, x in enumerate(row)]
    (folder / "readings.csv").write_text("sensor,reading\n" + "".join(lines))
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    queue = cl.CommandQueue(working_context())
    flags, weights = cl.mem_flags, np.array([0.25, 0.5, 0.25], np.float32)
    with (
        LimitServer(authority) as server,
        socket.create_connection(server.server_address) as raw,
        trust.wrap_socket(raw, server_hostname="localhost") as limits,
        (folder / "readings.csv").open("rb") as readings,
        closing(sqlite3.connect(folder / "sensors.db")) as database,
    ):
        readings.readline()
        database.execute("CREATE TABLE s (id INTEGER PRIMARY KEY, name TEXT, gain REAL)")
        rows = [(sensor, f"sensor {sensor}", 1 + sensor / 10) for sensor in range(N_SENSORS)]
        database.executemany("INSERT INTO s VALUES (?, ?, ?)", rows)
        database.commit()
        yield (
            {
                "log": logging.getLogger("quickstart"),
                "lock": threading.Lock(),
                "readings": readings,
                "database": database,
                "limits": limits,
                "queue": queue,
                "weights": cl.Buffer(queue.context, flags.COPY_HOST_PTR, hostbuf=weights),
            },
            server,
        )
        server.shutdown()


def working_context() -> cl.Context:
    """Return a context of the first OpenCL device whose compiler knows this processor."""
    for platform in cl.get_platforms():
        for device in platform.get_devices():
            context = cl.Context([device])
            try:
                cl.Program(context, KERNEL).build()
            except cl.Error:
                continue
            return context
    raise SystemExit("No OpenCL device here can build a kernel.")


class LimitServer(socketserver.ThreadingTCPServer):
    """A TLS server that tells the limit of a sensor, and knows the ports of those it talks to."""

    daemon_threads = True

    def __init__(self, authority: trustme.CA) -> None:
        super().__init__(("localhost", 0), self.answer)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self.context)
        self.ports: set[int] = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, request: socket.socket, address: tuple[str, int], server: Any) -> None:
        """Answer the lines of one connection."""
        with self.context.wrap_socket(request, server_side=True) as tls:
            self.ports.add(address[1])
            for line in tls.makefile("rb"):
                tls.sendall(b"%d" % (30 + int(line)))
        self.ports.discard(address[1])


if __name__ == "__main__":
    main()
