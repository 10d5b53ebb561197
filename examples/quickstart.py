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
    console = Console(highlight=False, width=80)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it logs what it cannot pickle
    with tempfile.TemporaryDirectory() as folder, ingredients(Path(folder)) as (things, server):
        job, start = make_job(**things), things["readings"].tell()
        sensors = [number % N_SENSORS for number in range(N_TASKS)]
        cluster = LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None)
        with console.status("Working on two workers ..."), cluster, Client(cluster) as client:
            alone = {name: submit_alone(client, thing) for name, thing in things.items()}
            daskpickle.install(client)  # this is the line
            results = client.gather(client.map(job, sensors, pure=False))
            counts = count_per_worker(results, server)
        here = []  # the same again in this process, with the originals
        for sensor in range(N_SENSORS):
            things["readings"].seek(start)
            here.append(job(sensor)["answer"])
        server.wait_for_clients(1)
        right = sum(r["answer"] == here[s] for r, s in zip(results, sensors, strict=True))
        left = len(server.ports)
    table = Table("the job holds", "Dask alone", "open per\nworker", "with daskpickle", width=80)
    for name, what, sentence in (
        ("log", "logger", "by its name, as before"),
        ("lock", "lock", "one for each process"),
        ("readings", "file", "each task read on from line 2"),
        ("database", "SQLite connection", "one for each thread"),
        ("limits", "TLS connection", "one for each thread; the server counts them"),
        ("queue", "OpenCL queue", "one for each thread"),
        ("weights", "OpenCL buffer", "copied for each task"),
    ):
        table.add_row(what, alone[name], counts.get(name, ""), sentence)
    console.print(table)
    console.print(
        f"{right} of {N_TASKS} tasks computed what this process computes with the originals. "
        f"Now that the cluster is closed, the server has {left} connection: that of this process."
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
    counts: dict[str, list[int]] = {"lock": [], "queue": [], "limits": []}
    for pid in sorted({result["pid"] for result in results}):
        used = [result["used"] for result in results if result["pid"] == pid]
        for name in ("lock", "queue"):
            counts[name].append(len({one[name] for one in used}))
        counts["limits"].append(len({one["limits"] for one in used} & server.ports))
        files = [Path(file.path).name for file in psutil.Process(pid).open_files()]
        counts.setdefault("readings", []).append(files.count("readings.csv"))
        counts.setdefault("database", []).append(files.count("sensors.db"))
    return {name: " + ".join(map(str, numbers)) for name, numbers in counts.items()}


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
    for device in (device for platform in cl.get_platforms() for device in platform.get_devices()):
        context = cl.Context([device])
        try:
            cl.Program(context, KERNEL).build()
        except cl.Error:
            continue
        return context
    raise SystemExit("No OpenCL device here can build a kernel.")


class LimitServer(socketserver.ThreadingTCPServer):
    """A TLS server that tells the limit of a sensor, and knows the ports of its clients."""

    daemon_threads = True

    def __init__(self, authority: trustme.CA) -> None:
        super().__init__(("localhost", 0), self.answer)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self.context)
        self.ports: set[int] = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, request: socket.socket, address: tuple[str, int], server: Any) -> None:
        """Answer the lines of one client."""
        with self.context.wrap_socket(request, server_side=True) as tls:
            self.ports.add(address[1])
            for line in tls.makefile("rb"):
                tls.sendall(b"%d" % (30 + int(line)))
        self.ports.remove(address[1])

    def wait_for_clients(self, number: int) -> None:
        """Wait until no more clients than these are connected, or for ten seconds."""
        deadline = time.monotonic() + 10
        while len(self.ports) > number and time.monotonic() < deadline:
            time.sleep(0.01)


if __name__ == "__main__":
    main()
