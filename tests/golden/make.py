"""Write golden pickles: what a room has sent once must load for ever.

``python tests/golden/make.py locks`` writes ``locks.<n>.pkl`` and ``locks.<n>.json`` with the next
free number; without a room it does so for each that has none. It never writes over a file: a new
wire shape is one more number. Numbers 1 were made on the oldest supported Python, 2 on the newest.
"""

from __future__ import annotations

import _pydecimal
import _threading_local
import asyncio
import decimal
import json
import logging
import multiprocessing
import platform
import queue
import sched
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context, ContextVar
from importlib.metadata import version
from pathlib import Path
from typing import Any

import daskpickle

FOLDER = Path(__file__).parent
LIBRARIES = {"opencl": "pyopencl"}


def locks(stack: ExitStack) -> dict[str, Any]:
    lock = threading.Lock()
    event, cleared = threading.Event(), threading.Event()
    event.set()
    semaphore, bounded = threading.Semaphore(3), threading.BoundedSemaphore(3)
    semaphore.acquire()
    bounded.acquire()
    made = {
        "lock": lock,
        "rlock": threading.RLock(),
        "python rlock": threading._RLock(),  # type: ignore[attr-defined]
        "condition": threading.Condition(),
        "condition of lock": threading.Condition(lock),
        "event": event,
        "cleared": cleared,
        "semaphore": semaphore,
        "bounded": bounded,
        "barrier": threading.Barrier(2, action=print, timeout=1.5),
    }
    return made


def fresh_locks(stack: ExitStack) -> dict[str, Any]:
    made = locks(stack)
    daskpickle.dumps(made)  # so that their classes are registered
    names = {r.cls_name: "fresh" for r in daskpickle.registrations() if r.action == "fresh"}
    stack.enter_context(daskpickle.use_policy(names))
    return made


def running(stack: ExitStack) -> dict[str, Any]:
    ended = threading.Thread(name="ended")
    ended.start()
    ended.join()
    cancelled = threading.Timer(1.5, print)
    cancelled.cancel()
    return {
        "thread": threading.Thread(None, print, "new", (1,), {"end": ""}, daemon=True),
        "ended": ended,
        "timer": threading.Timer(1.5, print, [1], {"end": ""}),
        "cancelled": cancelled,
    }


def processes(stack: ExitStack) -> dict[str, Any]:
    process = subprocess.Popen(["false"])
    process.wait()
    left, right = multiprocessing.Pipe()
    left.close()
    right.close()
    return {"process": process, "closed connection": left}


def executors(stack: ExitStack) -> dict[str, Any]:
    done, failed, cancelled = Future[int](), Future[int](), Future[int]()
    done.set_result(7)
    failed.set_exception(ValueError("no"))
    cancelled.cancel()
    threads = stack.enter_context(ThreadPoolExecutor(2, "threads", print, ("hello",)))
    context = multiprocessing.get_context("spawn")
    processes = stack.enter_context(ProcessPoolExecutor(2, context, print, ("hello",)))
    return {
        "done": done,
        "failed": failed,
        "cancelled": cancelled,
        "threads": threads,
        "processes": processes,
    }


def queues(stack: ExitStack) -> dict[str, Any]:
    made = {
        "queue": queue.Queue(3),
        "stack": queue.LifoQueue(),
        "heap": queue.PriorityQueue(),
    }
    for source in made.values():
        source.put(2)
        source.put(1)
    simple, python = queue.SimpleQueue[Any](), queue._PySimpleQueue()  # type: ignore[attr-defined]
    simple.put([1])
    python.put([1])
    return {**made, "simple": queue.SimpleQueue(), "filled": simple, "python": python}


def contexts(stack: ExitStack) -> dict[str, Any]:
    mine: ContextVar[Any] = ContextVar("mine", default=(1,))
    context = Context()
    context.run(mine.set, 2)
    context.run(lambda: setattr(decimal.getcontext(), "prec", 5))
    held = _pydecimal._current_context_var  # type: ignore[attr-defined]
    bare: ContextVar[Any] = ContextVar("bare")
    return {"variable": mine, "bare": bare, "held": held, "context": context, "empty": Context()}


def event_loops(stack: ExitStack) -> dict[str, Any]:
    semaphore, items = asyncio.BoundedSemaphore(3), asyncio.Queue[int](3)

    async def use() -> None:
        await semaphore.acquire()
        await items.put(1)

    asyncio.run(use())
    made = {"policy": asyncio.DefaultEventLoopPolicy(), "semaphore": semaphore, "queue": items}
    return {**made, "lock": asyncio.Lock(), "condition": asyncio.Condition()}


def schedulers(stack: ExitStack) -> dict[str, Any]:
    scheduler, absolute = sched.scheduler(), sched.scheduler(time.time)
    scheduler.enter(5, 1, print, ("hello",), {"end": ""})
    absolute.enterabs(5, 1, print)
    return {"monotonic": scheduler, "absolute": absolute}


def thread_locals(stack: ExitStack) -> dict[str, Any]:
    local, python = threading.local(), _threading_local.local()
    local.number, python.number = [1], [2]
    return {"local": local, "python": python}


def logs(stack: ExitStack) -> dict[str, Any]:
    handler = logging.FileHandler("job.log", delay=True)
    handler.baseFilename = "job.log"  # it had put the folder of whoever runs this before it
    return {"handler": handler}


def files(stack: ExitStack) -> dict[str, Any]:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    path = Path(folder, "text.txt")
    path.write_text("one\ntwo\n")
    text = stack.enter_context(path.open(encoding="utf-8"))
    text.readline()
    return {
        "text": text,
        "binary": stack.enter_context(path.open("rb")),
        "raw": stack.enter_context(path.open("rb", buffering=0)),
    }


def sockets(stack: ExitStack) -> dict[str, Any]:
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    connected = stack.enter_context(socket.create_connection(server.getsockname()))
    stack.enter_context(server.accept()[0])
    return {
        "connected": connected,
        "unconnected": stack.enter_context(socket.socket()),
        "datagrams": stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)),
        "context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    }


def sqlite(stack: ExitStack) -> dict[str, Any]:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    memory, disk = sqlite3.connect(":memory:"), sqlite3.connect(Path(folder, "data.db"))
    for connection in (memory, disk):
        stack.callback(connection.close)
        connection.execute("CREATE TABLE numbers (number)")
        connection.commit()
    return {"memory": memory, "disk": disk, "cursor": disk.cursor()}


def opencl(stack: ExitStack) -> dict[str, Any]:
    import numpy
    import pyopencl as cl

    device = cl.get_platforms()[0].get_devices()[0]
    context = cl.Context([device])
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    return {
        "device": device,
        "context": context,
        "queue": cl.CommandQueue(context),
        "buffer": cl.Buffer(context, flags, hostbuf=numpy.arange(4.0)),
    }


MAKERS: dict[str, list[Callable[[ExitStack], dict[str, Any]]]] = {
    "contexts": [contexts],
    "event_loops": [event_loops],
    "executors": [executors],
    "files": [files],
    "locks": [locks, fresh_locks],
    "logs": [logs],
    "opencl": [opencl],
    "processes": [processes],
    "queues": [queues],
    "running": [running],
    "schedulers": [schedulers],
    "sockets": [sockets],
    "sqlite": [sqlite],
    "thread_locals": [thread_locals],
}

#: What is written down of an object beside its class, and compared where it is loaded.
FACTS: dict[str, Callable[[Any], Any]] = {
    "_contextvars.Context": lambda c: sorted([v.name, str(value)] for v, value in c.items()),
    "_contextvars.ContextVar": lambda v: [v.name, str(Context().run(v.get, None))],
    "_queue.SimpleQueue": lambda q: None if q.empty() else [q.qsize(), q.get()],
    "_thread._local": vars,
    "_threading_local.local": vars,
    "asyncio.locks.BoundedSemaphore": lambda s: [s._value, s._bound_value, s._loop],
    "asyncio.queues.Queue": lambda q: [q.maxsize, list(q._queue), q._unfinished_tasks, q._loop],
    "concurrent.futures._base.Future": lambda f: f.cancelled() or repr(f.exception() or f.result()),
    "logging.FileHandler": lambda h: [h.mode, h.baseFilename],
    "multiprocessing.connection.Connection": lambda c: c.closed,
    "queue.LifoQueue": lambda q: [q.maxsize, list(q.queue)],
    "queue.PriorityQueue": lambda q: [q.maxsize, list(q.queue)],
    "queue.Queue": lambda q: [q.maxsize, list(q.queue)],
    "queue._PySimpleQueue": lambda q: [q.qsize(), q.empty() or q.get()],
    "sched.scheduler": lambda s: [len(s.queue), str(s.timefunc)],
    "subprocess.Popen": lambda p: [p.args, p.wait()],
    "threading.Barrier": lambda b: [b.parties, b._timeout, b.broken],
    "threading.BoundedSemaphore": lambda s: [s._value, s._initial_value],
    "threading.Event": lambda e: e.is_set(),
    "threading.Semaphore": lambda s: s._value,
    "threading.Thread": lambda t: [t.name, t.daemon, t.ident is None, t.is_alive()],
    "threading.Timer": lambda t: [t.interval, t.args, t.kwargs, t.finished.is_set()],
}


def describe(obj: Any) -> list[Any]:
    """The class that an object, or what a handle stands for, has; and facts that tell its state."""
    cls = obj.__class__
    name = f"{cls.__module__}.{cls.__qualname__}"
    return [name, FACTS[name](obj) if name in FACTS else None]


def write(room: str, folder: Path = FOLDER) -> Path:
    """Pickle what a room makes under the next free number."""
    number = 1 + len(list(folder.glob(f"{room}.*.pkl")))
    path = folder / f"{room}.{number}.pkl"
    objects: dict[str, list[Any]] = {}
    payloads: list[bytes] = []
    for make in MAKERS[room]:
        with ExitStack() as stack:
            made = make(stack)
            payloads.append(daskpickle.dumps(made))
            objects |= {f"{make.__name__}: {name}": describe(made[name]) for name in made}
    facts = {
        "daskpickle": daskpickle.__version__,
        "wire": daskpickle.WIRE_VERSION,
        "python": platform.python_version(),
        **{name: version(name) for name in [LIBRARIES.get(room)] if name},
        "sizes": [len(payload) for payload in payloads],
        "objects": objects,
    }
    with path.open("xb") as file:
        file.write(b"".join(payloads))
    with path.with_suffix(".json").open("x", encoding="utf-8") as file:
        json.dump(facts, file, indent=2)
        file.write("\n")
    return path


if __name__ == "__main__":
    for chosen in sys.argv[1:] or [r for r in MAKERS if not list(FOLDER.glob(f"{r}.*.pkl"))]:
        print(write(chosen).name)
