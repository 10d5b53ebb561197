"""Processes, and pipes to them: one that has ended travels as what it returned.

Notes
-----
- Travels: a `subprocess.Popen` whose return code is known: its arguments, identifier and code; a
  process of `multiprocessing` that has not been started, or that has ended; a `multiprocessing`
  connection that is closed. What each process has one of, as the resource tracker, by reference.
- Lost: its pipes, which have been read to the end and closed.
- Refused: a process that runs, or that nobody has waited for: asking it here would reap it. An open
  connection: it pickles by itself, as the bare number of a file descriptor, which is another file
  or none in another process. (The pickler of `multiprocessing` itself sends the descriptor; it is
  left alone.)

The only thing that kept a running `subprocess.Popen` from being pickled is its ``_waitpid_lock``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from multiprocessing import current_process, forkserver, resource_sharer, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import get_spawning_popen
from multiprocessing.popen_fork import Popen
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state

PIPES = ("stdin", "stdout", "stderr")
# What `communicate` and `wait` keep for themselves: Lib/subprocess.py.
WORKING = (
    "_waitpid_lock",
    "_fileobj2output",
    "_input",
    "_input_offset",
    "_stdout_buff",
    "_stderr_buff",
)


@register(
    subprocess.Popen,
    travels="what it returned, once it has been waited for",
    lost="its pipes",
    refused="while it runs",
    hint="Start it inside the task, or wait for it and pass its output.",
    subclasses=True,
)
def reduce_popen(process: Any) -> tuple[Any, ...]:
    """Say how it ended."""
    if process.returncode is None:
        raise RefusedError(process, "It is running in this process, or nobody has waited for it.")
    if any(pipe is not None and not pipe.closed for pipe in map(vars(process).get, PIPES)):
        raise RefusedError(process, "Its pipes are open, and can be read in this process only.")
    state = {n: v for n, v in vars(process).items() if n not in (*PIPES, *WORKING)}
    return rebuild_popen, (type(process), state)


def rebuild_popen(cls: type, state: dict[str, Any]) -> Any:
    """Make a process that has ended."""
    process: Any = object.__new__(cls)
    add_state(process, state)
    process._waitpid_lock = threading.Lock()
    process.stdin = process.stdout = process.stderr = process._input = None
    return process


@register(
    Connection,
    travels="that it is closed",
    lost="nothing",
    refused="while it is open",
    hint="Use distributed.Queue between tasks, or make the pipe inside the task.",
    subclasses=True,
)
def reduce_connection(connection: Any) -> tuple[Any, ...]:
    """Refuse the descriptor."""
    if not connection.closed:
        raise RefusedError(connection, "Its file descriptor is a number of this process only.")
    return rebuild_connection, (type(connection), connection._readable, connection._writable)


def rebuild_connection(cls: type, readable: bool, writable: bool) -> Any:
    """Make a closed connection."""
    connection: Any = object.__new__(cls)
    connection._handle, connection._readable, connection._writable = None, readable, writable
    return connection


# What a process makes of its own, or has done with when it was started.
OF_PROCESS = frozenset(
    "_identity _config _parent_pid _parent_name _popen _closed _target _args _kwargs _name "
    "_sentinel".split()
)


@register(
    BaseProcess, subclasses=True, travels="what it will do, or how it ended",
    lost="the key of its parent", refused="running, closed, or the process itself",
    hint="Start it inside the task, or wait for it and pass its exit code.",
)  # fmt: skip
def reduce_process(process: Any) -> Any:
    """Say what it will do; or how it ended."""
    if get_spawning_popen() is not None:
        return NotImplemented
    if process is current_process() or process._parent_pid != os.getpid():
        raise RefusedError(process, "It is this process, or belongs to another one.")
    if process._closed:
        raise RefusedError(process, "It is closed.")
    popen, own, ended = process._popen, vars(process), None
    if popen is not None:
        if popen.returncode is None:
            raise RefusedError(process, "It is running, or nobody has waited for it.")
        ended = popen.pid, popen.returncode
    task = own.get("_target"), own.get("_args", ()), own.get("_kwargs", {})
    state = {name: value for name, value in own.items() if name not in OF_PROCESS}
    return rebuild_process, (type(process), process.name, process.daemon, *task, state, ended)


def rebuild_process(
    cls: type,
    name: str,
    daemon: bool,
    target: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    state: dict[str, Any],
    ended: tuple[int, int] | None = None,
) -> Any:
    """Make a process that can be started here, or one that has ended."""
    process: Any = object.__new__(cls)
    BaseProcess.__init__(process, None, target, name, args, kwargs, daemon=daemon)
    add_state(process, state)
    if ended is not None:
        popen: Any = object.__new__(Popen)
        popen.pid, popen.returncode = ended
        popen.finalizer = process._sentinel = None
        process._popen = popen
        del process._target, process._args, process._kwargs
    return process


SERVICES: dict[Any, str] = {
    type(resource_tracker._resource_tracker): "_resource_tracker",
    type(resource_sharer._resource_sharer): "_resource_sharer",
    type(forkserver._forkserver): "_forkserver",
}


def reduce_service(service: Any) -> str:
    """Say its name: the receiver has its own."""
    name = SERVICES[type(service)]
    if getattr(sys.modules[type(service).__module__], name) is not service:
        raise RefusedError(service, "It serves this process, and is not the usual one.")
    return name


for _cls in SERVICES:
    register(
        _cls, reduce_service, travels="a reference: the one of the process where it arrives",
        lost="its state", refused="other ones", hint="Leave it where it is.",
    )  # fmt: skip


@register(
    Finalize, subclasses=True, travels="if it has been called", lost="nothing",
    refused="active", hint="Make it inside the task, for an object there.",
)  # fmt: skip
def reduce_finalizer(finalizer: Any) -> Any:
    """Refuse what is still to be called; that is known in this process only."""
    if finalizer.still_active():
        raise RefusedError(finalizer, "It is called at the end of an object of this process.")
    return NotImplemented
