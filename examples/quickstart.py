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
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyopencl as cl
import trustme
from distributed import Client, LocalCluster
from rich import box
from rich.console import Console
from rich.table import Table

import daskpickle

N_SENSORS, N_TASKS = 6, 60
KERNEL = """
__kernel void smooth(__global const float *x, __global const float *w, __global float *y) {
    int i = get_global_id(0);
    y[i] = w[0] * x[i] + w[1] * x[i + 1] + w[2] * x[i + 2];
}"""
ROWS = {
    "log": ("a logger", "works"),
    "lock": ("a lock", "{} locks"),
    "readings": ("a file", "{} files"),
    "database": ("SQLite", "{} connections"),
    "limits": ("TLS", "{} connections"),
    "queue": ("OpenCL queue", "{} queues"),
    "weights": ("OpenCL buffer", "a copy per task"),
}


def make_job(log, lock, readings, database, limits, queue, weights) -> Callable[[int], Any]:
    """Return a function as you would write it for one process: it closes over all that."""

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
    x = cl.Buffer(queue.context, cl.mem_flags.COPY_HOST_PTR, hostbuf=values)
    y = cl.Buffer(queue.context, cl.mem_flags.WRITE_ONLY, values.nbytes)
    result = np.empty(len(values) - 2, np.float32)
    cl.Program(queue.context, KERNEL).build().smooth(queue, result.shape, None, x, weights, y)
    cl.enqueue_copy(queue, result, y)
    return result


def main() -> None:
    """Run the job with Dask alone, then with daskpickle, and show what happened."""
    console = Console(highlight=False, width=80)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it logs what it cannot pickle
    sensors = [number % N_SENSORS for number in range(N_TASKS)]
    with tempfile.TemporaryDirectory() as folder, ingredients(Path(folder)) as (things, server):
        job, start = make_job(**things), things["readings"].tell()
        cluster = LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0")
        with console.status("Working on two workers ..."), cluster, Client(cluster) as client:
            alone = {name: submit_alone(client, thing) for name, thing in things.items()}

            daskpickle.install(client)  # this is the line

            results = client.gather(client.map(job, sensors, pure=False))
            counts = count_per_worker(results, server)
        here = []  # the same in this process, with the originals
        for sensor in range(N_SENSORS):
            things["readings"].seek(start)
            here.append(job(sensor)["answer"])
        deadline = time.monotonic() + 10
        while (left := len(server.ports)) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
    table = Table("the job holds", "Dask alone", box=box.HORIZONTALS, pad_edge=False)
    table.add_column("with daskpickle", no_wrap=True)
    for name, (what, works) in ROWS.items():
        table.add_row(what, alone[name], f"[green]{works.format(counts.get(name))}")
    right = sum(result["answer"] == here[s] for result, s in zip(results, sensors, strict=True))
    console.print(
        table,
        f"{right} of {N_TASKS} tasks computed what this process computes with the originals. Open "
        "in worker 1 + worker 2, of two threads each: one lock per worker, one connection and one "
        f"queue per thread, no file. Left afterwards: {left} TLS connection, ours.",
    )


def submit_alone(client: Client, thing: Any) -> str:
    """Submit a function that closes over one thing; return the first line of the error."""
    try:
        client.submit(lambda: type(thing), pure=False).result()
    except Exception as exc:
        return f"[red]{str(exc.__cause__ or exc).splitlines()[0][:80]}"
    return "[green]works"


def count_per_worker(results: list[dict[str, Any]], server: LimitServer) -> dict[str, str]:
    """Count what each worker has open, as its tasks, its process, and the server see it."""
    counts = defaultdict(list)
    for pid in sorted({result["pid"] for result in results}):
        files = [Path(file.path).name for file in psutil.Process(pid).open_files()]
        counts["readings"].append(files.count("readings.csv"))
        counts["database"].append(files.count("sensors.db"))
        used = [result["used"] for result in results if result["pid"] == pid]
        counts["lock"].append(len({one["lock"] for one in used}))
        counts["queue"].append(len({one["queue"] for one in used}))
        counts["limits"].append(len({one["limits"] for one in used} & server.ports))
    return {name: " + ".join(map(str, numbers)) for name, numbers in counts.items()}


@contextmanager
def ingredients(folder: Path) -> Iterator[tuple[dict[str, Any], LimitServer]]:
    """Make all that the job holds, and the server that it talks to; in the end, close it."""
    noise = np.random.default_rng(7).normal(20, 3, (1000, N_SENSORS))
    lines = [f"{sensor},{x:.3f}\n" for row in noise for sensor, x in enumerate(row)]
    (folder / "readings.csv").write_text("sensor,reading\n" + "".join(lines))
    queue, window = cl.CommandQueue(working_context()), np.array([1, 2, 1], np.float32) / 4
    weights = cl.Buffer(queue.context, cl.mem_flags.COPY_HOST_PTR, hostbuf=window)
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    with (
        LimitServer(authority) as server,
        socket.create_connection(server.server_address) as raw,
        trust.wrap_socket(raw, server_hostname="localhost") as limits,
        (folder / "readings.csv").open("rb") as readings,
        closing(sqlite3.connect(folder / "sensors.db")) as database,
    ):
        readings.readline()  # the job reads on from here
        database.execute("CREATE TABLE s (id INTEGER PRIMARY KEY, name TEXT, gain REAL)")
        rows = [(sensor, f"sensor {sensor}", 1 + sensor / 10) for sensor in range(N_SENSORS)]
        database.executemany("INSERT INTO s VALUES (?, ?, ?)", rows)
        database.commit()
        log, lock = logging.getLogger("quickstart"), threading.Lock()
        things = log, lock, readings, database, limits, queue, weights
        yield dict(zip(ROWS, things, strict=True)), server
        server.shutdown()


def working_context() -> cl.Context:
    """Return a context of the first OpenCL device whose compiler knows this processor."""
    for device in (device for platform in cl.get_platforms() for device in platform.get_devices()):
        with suppress(cl.Error):
            return cl.Program(cl.Context([device]), KERNEL).build().context
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


if __name__ == "__main__":
    main()
