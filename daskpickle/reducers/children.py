"""Processes of `multiprocessing`: one that was not started, or has ended; what each has one of.

Notes
-----
- Travels: a process that has not been started: what it will do. One that has ended: its exit code.
  What each process has one of, as the resource tracker: the one of the receiver.
- Lost: the key of the parent: a process that is started there is a child of the process there.
- Refused: a process that runs, or that nobody has waited for: asking it here would reap it; one
  that is closed; the process itself. A finalizer that is still to be called.
"""

from __future__ import annotations

import os
import sys
from multiprocessing import current_process, forkserver, resource_sharer, resource_tracker
from multiprocessing.context import get_spawning_popen
from multiprocessing.popen_fork import Popen
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state

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
    type(resource_sharer._resource_sharer): "_resource_sharer",  # type: ignore[attr-defined]
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
