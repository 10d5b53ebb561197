"""Processes, and pipes to them: one that has ended travels as what it returned.

Notes
-----
- Travels: a `subprocess.Popen` whose return code is known: its arguments, identifier and code, what
  `communicate` has read, and that its pipes are closed; a `multiprocessing` connection that is
  closed.
- Lost: that a pipe was not buffered.
- Refused: a process that runs, or that nobody has waited for: asking it here would reap it. An open
  connection: it pickles by itself, as the bare number of a file descriptor, which is another file
  or none in another process. (The pickler of `multiprocessing` itself sends the descriptor; it is
  left alone.)

The only thing that kept a running `subprocess.Popen` from being pickled is its ``_waitpid_lock``.
"""

from __future__ import annotations

import io
import subprocess
import threading
from multiprocessing.connection import Connection
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
    lost="that its pipes were not buffered",
    refused="while it runs, or its pipes are open",
    hint="Start it inside the task, or wait for it and pass its output.",
    subclasses=True,
)
def reduce_popen(process: Any) -> tuple[Any, ...]:
    """Say how it ended."""
    if process.returncode is None:
        raise RefusedError(process, "It is running in this process, or nobody has waited for it.")
    pipes = {name: pipe for name in PIPES if (pipe := vars(process).get(name)) is not None}
    if not all(pipe.closed for pipe in pipes.values()):
        raise RefusedError(process, "Its pipes are open, and can be read in this process only.")
    state = {n: v for n, v in vars(process).items() if n not in (*PIPES, *WORKING)}
    read = getattr(process, "_fileobj2output", None) or {}
    said = {
        name: (getattr(pipe, "encoding", None), getattr(pipe, "errors", None), read.get(pipe))
        for name, pipe in pipes.items()
    }
    return rebuild_popen, (type(process), state, said)


def rebuild_popen(
    cls: type, state: dict[str, Any], pipes: dict[str, tuple[Any, ...]] | None = None
) -> Any:
    """Make a process that has ended; its pipes are closed."""
    process: Any = object.__new__(cls)
    add_state(process, state)
    process._waitpid_lock = threading.Lock()
    process.stdin = process.stdout = process.stderr = process._input = None
    read: dict[Any, Any] = {}
    for name, (encoding, errors, chunks) in (pipes or {}).items():
        pipe: Any = (io.BufferedWriter if name == "stdin" else io.BufferedReader)(io.BytesIO())
        if encoding is not None:
            pipe = io.TextIOWrapper(pipe, encoding, errors)
        pipe.close()
        setattr(process, name, pipe)
        if chunks is not None:
            read[pipe] = chunks
    if read:
        process._fileobj2output = read
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
