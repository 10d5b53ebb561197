"""Quickstart: a job that holds what Dask cannot pickle, and the one line that makes it run.

Run it with ``make demo``, or ``python examples/quickstart.py``.
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
import warnings
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


# --- The job: a function as one writes it for one process ---------------------------------------


def make_job(log, lock, readings, database, limits, queue, weights) -> Callable[[int], dict]:
    """Return a function that closes over a logger, a lock, a file, two connections, a device."""

    def job(sensor: int) -> dict[str, Any]:
        mine = [line.split(b",") for line in readings if line.startswith(b"%d," % sensor)]
        name, gain = database.execute("SELECT name, gain FROM s WHERE id = ?", [sensor]).fetchone()
        limits.sendall(b"%d\n" % sensor)
        limit = float(limits.recv(100))
        with lock:  # one task at a time on the device
            values = smooth(queue, weights, [gain * float(value) for _, value in mine])
        log.debug("%s has a peak of %s", name, values.max())
        where = {"lock": id(lock), "tls": limits.getsockname()[1], "opencl": queue.int_ptr}
        return {"name": name, "peak": round(float(values.max()), 3), "limit": limit, "pid": os.getpid(), **where}

    return job


def smooth(queue: cl.CommandQueue, weights: cl.Buffer, values: list[float]) -> np.ndarray:
    """Smooth the values on the OpenCL device of the queue."""
    flags = cl.mem_flags
    out = np.empty(len(values) - 2, np.float32)
    x = cl.Buffer(queue.context, flags.COPY_HOST_PTR, hostbuf=np.array(values, np.float32))
    y = cl.Buffer(queue.context, flags.WRITE_ONLY, out.nbytes)
    cl.Program(queue.context, KERNEL).build().smooth(queue, out.shape, None, x, weights, y)
    cl.enqueue_copy(queue, out, y)
    return out
