"""What travels in the path matrix, and what tells whether it arrived: imported on workers too."""

from __future__ import annotations

import socket
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from distributed import get_worker
from distributed.diagnostics.plugin import NannyPlugin, SchedulerPlugin, WorkerPlugin

#: What `truth` says of a lock that arrived as it should.
WORKS = "a lock that works"
SECONDS = 20


class PlainLock:
    """Travels without any help: on each path it must do what a lock does with help."""

    def __init__(self) -> None:
        self.identity = uuid.uuid4().hex
        self.held = False

    def acquire(self, timeout: float = -1) -> bool:
        if self.held:
            return False
        self.held = True
        return True

    def release(self) -> None:
        self.held = False


class StuckLock(PlainLock):
    """A lock for this process alone, as an object written in C without any pickling is."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("cannot pickle 'StuckLock' object")


LOCKS = (type(threading.Lock()), PlainLock, StuckLock)


class Holder:
    """Holds a lock in an attribute, and uses it in its methods."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock

    def method(self, *args: Any) -> str:
        return truth(self.lock, *args)

    def __call__(self, *args: Any) -> str:
        return truth(self.lock, *args)


class HolderError(Exception):
    """Holds a lock in an attribute of an exception."""

    def __init__(self, lock: Any) -> None:
        super().__init__("It holds a lock.")
        self.lock = lock


class HolderWarning(UserWarning):
    """Holds something in an attribute of a warning."""

    def __init__(self, thing: Any) -> None:
        super().__init__("It holds a thing.")
        self.thing = thing


def truth(*things: Any) -> str:
    """Say of each thing whether the lock in it is one, can be acquired, and released."""
    if not things:
        return "nothing arrived"
    for thing in things:
        lock = lock_in(thing)
        if type(lock) not in LOCKS:
            return f"no lock but {lock!r}"
        if not lock.acquire(timeout=5):
            return f"a lock that is held: {lock!r}"
        lock.release()
    return WORKS


def lock_in(thing: Any) -> Any:
    """Return the lock in what a nesting made."""
    if type(thing) in LOCKS:
        return thing
    if hasattr(thing, "lock"):
        return lock_in(thing.lock)
    return lock_in(thing()) if callable(thing) else thing


# --- Nestings: each makes a new lock, in something ------------------------------------------------


def make_lock(new: Callable[[], Any]) -> Any:
    return new()


def make_attribute(new: Callable[[], Any]) -> Holder:
    return Holder(new())


def make_closure(new: Callable[[], Any]) -> Callable[[], Any]:
    lock = new()
    return lambda: lock


def make_exception(new: Callable[[], Any]) -> HolderError:
    return HolderError(new())


#: Run in the real ``__main__`` of the client only: no worker can import anything of it,
#: though stock pickle in the client thinks so, and writes a reference.
MAIN = """
class MainHolder:
    def __init__(self, lock):
        self.lock = lock

class MainError(Exception):
    def __init__(self, thing):
        super().__init__("It is of __main__.")
        self.thing = thing

def make_main_class(new):
    return MainHolder(new())

def make_main_global(new):
    namespace = {"__name__": "__main__", "LOCK": new()}
    exec("def read_global(): return LOCK", namespace)
    return namespace["read_global"]

def main_function_of(thing, truth):
    namespace = {"__name__": "__main__", "THING": thing, "truth": truth}
    exec("def check_global(*args): return truth(THING, *args)", namespace)
    return namespace["check_global"]

def main_class_of(thing):
    return type("MainClass", (), {"__module__": "__main__", "things": [thing]})
"""


@cache
def in_main() -> dict[str, Any]:
    """Define `MAIN` in this process's ``__main__``; return its namespace."""
    namespace = vars(sys.modules["__main__"])
    exec(MAIN, namespace)
    return namespace


PLAIN_NESTINGS = {  # those that a plain pickle of stock Python can name
    "lock": make_lock,
    "attribute": make_attribute,
    "exception": make_exception,
}
NESTINGS = (*PLAIN_NESTINGS, "closure", "main_class", "main_global")


def maker(nesting: str, new: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function without arguments that makes a lock, with ``new``, in a nesting."""
    if nesting.startswith("main"):
        return partial(in_main()[f"make_{nesting}"], new)
    return partial(globals()[f"make_{nesting}"], new)


# --- What paths need on the other side ------------------------------------------------------------


def both(*truths: str) -> str:
    """Return the first truth that is not the one we want."""
    return next((t for t in truths if t != WORKS), WORKS)


def check_block(block: Any, *things: Any, thing: Any = None) -> Any:
    """Return ones in the shape of a block, if the things arrived."""
    arrived = things if thing is None else (*things, thing)
    return np.ones(np.shape(block)) * check_all(*arrived)


def check_frame(part: Any, thing: Any) -> Any:
    """Return a part with ones in its column, if the thing arrived."""
    return part.assign(k=check_all(thing))


def check_all(*things: Any) -> float:
    """Return one; raise what there is to say if one of the things did not arrive."""
    what = truth(*things)
    if what != WORKS:
        raise RuntimeError(what)
    return 1.0


def all_ones(block: Any) -> str:
    """Say whether each block of an array, or each row of a column, has been checked."""
    return WORKS if bool(np.all(np.asarray(block) == 1)) else "some were not checked"


class Source:
    """An array that is read under a lock, as one in a file is."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self.shape, self.dtype, self.ndim = (4,), np.dtype(float), 1

    def __getitem__(self, index: Any) -> Any:
        return check_block(np.zeros(4)[index], self.thing)


class Guard:
    """A lock of the user's own, for ``from_array(lock=)``."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def acquire(self) -> None:
        lock_in(self.thing).acquire()

    def release(self) -> None:
        lock_in(self.thing).release()


def objects(make: Callable[[], Any], *shape: int) -> Any:
    """An array of things."""
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        array[index] = make()
    return array


class Lab:
    """An actor."""

    thing: Any = None

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def check(self, *things: Any) -> str:
        return truth(self.thing, *things)

    def give(self) -> Any:
        return self.thing

    def fail(self) -> None:
        error = RuntimeError("The actor failed.")
        error.thing = self.thing  # type: ignore[attr-defined]
        raise error


class WorkerCarrier(WorkerPlugin):
    """A worker plugin that carries a thing and says on the worker whether it arrived."""

    def __init__(self, name: str, thing: Any) -> None:
        self.name = name
        self.thing = thing

    def setup(self, worker: Any) -> None:
        self.truth = truth(self.thing)


class NannyCarrier(NannyPlugin):
    """The same for nannies."""

    def __init__(self, name: str, thing: Any) -> None:
        self.name = name
        self.thing = thing

    def setup(self, nanny: Any) -> None:
        self.truth = truth(self.thing)


class SchedulerCarrier(SchedulerPlugin):
    """The same for the scheduler."""

    def __init__(self, name: str, thing: Any) -> None:
        self.name = name
        self.thing = thing


def plugin_truth(name: str, dask_worker: Any) -> str:
    """What a plugin on a worker or nanny said."""
    return str(dask_worker.plugins[name].truth)


def fail_once(name: str, *things: Any) -> str:
    """Fail the first time that it runs with a name on this worker."""
    worker = get_worker()
    seen = worker.__dict__.setdefault("seen_by_the_path_matrix", set())
    if name not in seen:
        seen.add(name)
        raise RuntimeError("The first attempt fails.")
    return truth(*things)


def spill(key: str, dask_worker: Any) -> bool:
    """Move a result of this worker to disk, and forget the objects it was made of."""
    data = dask_worker.data
    while key in data.fast:
        if data.evict() < 0:  # how a spill buffer says that it could not
            return False
    data.slow.cache.clear()
    return key in data.slow


@dataclass
class Plain:
    """Holds nothing of ours."""

    value: int


# --- What the tests of meaning use ----------------------------------------------------------------


def ping(connected: socket.socket) -> str:
    """Use a connection to a `line_server`."""
    connected.sendall(b"ping\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += connected.recv(16)
    return answer.decode().strip()


class LabClient:
    """A client of the user's own, as the documentation registers it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = tuple(address)
        self.connection = socket.create_connection(self.address, timeout=SECONDS)
        self.lock = threading.Lock()  # all threads of a worker share the client

    def ask(self) -> str:
        with self.lock:
            return ping(self.connection)

    def close(self) -> None:
        self.connection.close()
