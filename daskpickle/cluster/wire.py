"""What is sent: its version, and what a node without daskpickle, or with an old one, says about it.

Everything here that is read by a node before it is known whether it has daskpickle names only what
every Dask node has: Dask, toolz, the standard library.
"""

from __future__ import annotations

import builtins
import operator
import pickle
import socket
from typing import Any

import toolz
from dask._task_spec import Task
from dask.utils import import_required

import daskpickle
from daskpickle.errors import VersionError
from daskpickle.identity import settings

__all__ = ["check", "guard", "guarded_call", "host_name", "require", "told"]

SENTENCE = (
    "What was sent to the node {} needs daskpickle, which is not installed there "
    "(wire version " + str(daskpickle.WIRE_VERSION) + ", written by daskpickle "
    + daskpickle.__version__ + "). Install the same version of daskpickle on the scheduler and on "
    "all workers: pip install daskpickle."
)  # fmt: skip


def host_name() -> str:
    """Return what errors call this node: the address of its worker or scheduler, else its host."""
    return settings.host or socket.gethostname()


def check(wire_version: int, version: str) -> None:
    """Refuse what a newer daskpickle wrote.

    Raises
    ------
    VersionError
        If the wire version is newer than this package's. It names the node and both versions.
    """
    if wire_version > daskpickle.WIRE_VERSION:
        raise VersionError(
            f"What was sent to the node {host_name()} was written by daskpickle {version} (wire "
            f"version {wire_version}), but daskpickle {daskpickle.__version__} (wire version "
            f"{daskpickle.WIRE_VERSION}) is installed there. Install the same version on all nodes."
        )


def told(exc: Exception) -> Exception:
    """Return an error of loading that says on which node it was, and what to do.

    What is not about a module that is missing or another one is returned as it is.
    """
    where = f" on the node {host_name()}"
    if where in str(exc):
        return exc
    new: Exception
    if type(exc) is ModuleNotFoundError and exc.name:
        package = exc.name.partition(".")[0]
        advice = f"Install {package} there, or let it travel by value: call "
        advice += f"cloudpickle.register_pickle_by_value({package}) where you submit."
        said = f"{exc}{where}: what was sent there needs it. {advice}"
        new = ModuleNotFoundError(said, name=exc.name, path=exc.path)
    elif type(exc) is AttributeError and str(exc).startswith("Can't get attribute"):
        advice = "The module is another one there. Install the same version on all nodes."
        new = AttributeError(f"{exc}{where}: what was sent there needs it. {advice}")
    else:
        return exc
    return new.with_traceback(exc.__traceback__)


def _text(value: str) -> bytes:
    data = value.encode()
    return pickle.BINUNICODE + len(data).to_bytes(4, "little") + data


def _name(obj: Any) -> bytes:
    return pickle.GLOBAL + f"{obj.__module__}\n{obj.__qualname__}\n".encode()


def _call(function: bytes, *args: bytes) -> bytes:
    return function + pickle.MARK + b"".join(args) + pickle.TUPLE + pickle.REDUCE


def _make_guard() -> bytes:
    """Return opcodes that check the receiver and leave nothing on the stack.

    Written by hand because they must not touch the memo, which the stream behind them numbers.
    They do: ``getattr(import_required("daskpickle.cluster.wire", SENTENCE.format(gethostname())),
    "check")(wire_version, version)``.
    """
    sentence = _call(
        _call(_name(builtins.getattr), _text(SENTENCE), _text("format")),
        _call(_name(socket.gethostname)),
    )
    module = _call(_name(import_required), _text(__name__), sentence)
    checker = _call(_name(builtins.getattr), module, _text("check"))
    version = pickle.BININT1 + bytes([daskpickle.WIRE_VERSION]), _text(daskpickle.__version__)
    return _call(checker, *version) + pickle.POP


def require(module: str, sentence: str) -> bytes:
    """Return opcodes that say ``sentence`` where ``module`` cannot be imported."""
    return _call(_name(import_required), _text(module), _text(sentence)) + pickle.POP


#: Put before a stream that holds our types: a node that cannot read it says why in a sentence.
guard = _make_guard()

# The same for a task, which must load everywhere: `Task` evaluates its nested tasks in the task's
# thread, so that a node without daskpickle fails the task with the sentence, not the worker.
_GATE = Task(
    None,
    operator.attrgetter("run_sealed"),
    Task(
        None,
        import_required,
        "daskpickle.cluster.sealed",
        Task(None, SENTENCE.format, Task(None, socket.gethostname)),
    ),
)


def guarded_call(*args: Any) -> tuple[Any, ...]:
    """Return the function and arguments of a `Task` that calls ``run_sealed(*args)`` over there."""
    return (toolz.functoolz.apply, _GATE, daskpickle.WIRE_VERSION, daskpickle.__version__, *args)
