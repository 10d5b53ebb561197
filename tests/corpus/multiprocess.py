"""multiprocessing, processes, and what an interpreter and a terminal say of themselves."""

from __future__ import annotations

import atexit
import cProfile
import curses
import importlib.util
import multiprocessing
import multiprocessing.connection
import multiprocessing.dummy
import multiprocessing.heap
import multiprocessing.managers
import multiprocessing.pool
import multiprocessing.resource_sharer
import multiprocessing.resource_tracker
import multiprocessing.util
import operator
import os
import pstats
import queue
import resource
import signal
import subprocess
import symtable
import sys
import threading
import time
import timeit
import trace
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.shared_memory import ShareableList, SharedMemory
from pathlib import Path
from typing import Any

from corpus import Case

FORK = multiprocessing.get_context("fork")
SPAWN = multiprocessing.get_context("spawn")
SERVER = multiprocessing.get_context("forkserver")


def true(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Check a condition."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


def same(expected: Any) -> Callable[[Any], None]:
    """Check that what arrives equals this."""

    def check(received: Any) -> None:
        assert received == expected, received

    return check


# --- Locks by name ------------------------------------------------------------------------------


def works(received: Any) -> None:
    assert received.acquire(timeout=5)
    received.release()
    with received:
        pass


def held(stack: ExitStack) -> Any:
    lock = SPAWN.Lock()
    lock.acquire()
    stack.callback(lock.release)
    return lock


def is_held(received: Any) -> None:
    assert not received.acquire(timeout=0.01)


def taken(stack: ExitStack) -> Any:
    semaphore = SPAWN.Semaphore(2)
    semaphore.acquire()
    return semaphore


def one_left(received: Any) -> None:
    assert received.get_value() == 1
    works(received)


def bounded(received: Any) -> None:
    works(received)
    try:
        received.release()
    except ValueError:
        return
    raise AssertionError("It has no bound.")


def is_set(stack: ExitStack) -> Any:
    event = SERVER.Event()
    event.set()
    return event


def set_works(received: Any) -> None:
    assert received.is_set()
    received.clear()
    assert not received.wait(0.01)
    received.set()
    assert received.wait(5)


def notifies(received: Any) -> None:
    with received:
        received.notify()
        assert not received.wait(0.01)


# --- Shared memory ------------------------------------------------------------------------------


def memory(stack: ExitStack) -> Any:
    made = SharedMemory(create=True, size=8)
    stack.callback(made.unlink)
    stack.callback(made.close)
    made.buf[:4] = b"abcd"
    return made


def memory_works(received: Any) -> None:
    assert bytes(received.buf[:4]) == b"abcd"
    assert received.size >= 8
    received.buf[5] = 7  # the very same: what is written here is seen there
    assert Path("/dev/shm", received.name).read_bytes()[5] == 7
    received.buf[5] = 0


def closed_memory(stack: ExitStack) -> Any:
    made = memory(stack)
    made.close()
    return made


def unlinked(stack: ExitStack) -> Any:
    made = SharedMemory(create=True, size=8)
    made.unlink()
    stack.callback(made.close)
    return made


def replaced(stack: ExitStack) -> Any:
    made = unlinked(stack)
    other = SharedMemory(made.name, create=True, size=8)
    stack.callback(other.unlink)
    stack.callback(other.close)
    return made


def items(stack: ExitStack) -> Any:
    made = ShareableList([1, "a", None, 2.5, b"x", True])
    stack.callback(made.shm.unlink)
    stack.callback(made.shm.close)
    return made


def items_work(received: Any) -> None:
    assert list(received) == [1, "a", None, 2.5, b"x", True]
    assert (len(received), received.count(1), received.index("a")) == (6, 2, 1)
    received[0] = 5
    assert received[0] == 5
    received[0] = 1


# --- Processes ----------------------------------------------------------------------------------


class Job(SPAWN.Process):  # type: ignore[name-defined,misc]
    """A process with an attribute of its own."""

    label = ""


def job(stack: ExitStack) -> Any:
    made = Job(target=operator.add, args=(1, 2), name="job", daemon=True)
    made.label = "mine"
    return made


def job_works(received: Any) -> None:
    assert (received.name, received.daemon, received.label) == ("job", True, "mine")
    assert (received.pid, received.is_alive(), received.exitcode) == (None, False, None)


def starts(received: Any) -> None:
    received.start()
    received.join(15)
    assert received.exitcode == 0


def ended(stack: ExitStack) -> Any:
    made = FORK.Process(target=os._exit, args=(3,))
    made.start()
    made.join()
    return made


def ended_works(received: Any) -> None:
    assert (received.exitcode, received.is_alive()) == (3, False)
    assert received.pid > 0
    received.join()
    received.close()


def running(stack: ExitStack) -> Any:
    made = FORK.Process(target=time.sleep, args=(100,), daemon=True)
    made.start()
    stack.callback(made.join)
    stack.callback(made.terminate)
    return made


def closed(stack: ExitStack) -> Any:
    made = ended(stack)
    made.close()
    return made


# --- Pools --------------------------------------------------------------------------------------


def pool(make: Callable[[], Any]) -> Callable[[ExitStack], Any]:
    def made(stack: ExitStack) -> Any:
        result = make()
        stack.callback(result.join)
        stack.callback(result.terminate)
        return result

    return made


def pool_works(received: Any) -> None:
    assert received.map(abs, [1, -2, 3]) == [1, 2, 3]
    assert received.apply(abs, (-1,)) == 1
    assert received.apply_async(abs, (-1,)).get(5) == 1
    assert list(received.imap(abs, [-1])) == [1]


def terminated(stack: ExitStack) -> Any:
    made = multiprocessing.pool.ThreadPool(1)
    made.terminate()
    made.join()
    return made


def result(method: str, *args: Any) -> Callable[[ExitStack], Any]:
    def make(stack: ExitStack) -> Any:
        threads = pool(lambda: multiprocessing.pool.ThreadPool(1))(stack)
        made = getattr(threads, method)(*args)
        made.wait(5)
        return made

    return make


def failed(received: Any) -> None:
    assert received.ready()
    assert not received.successful()
    try:
        received.get()
    except TypeError:
        return
    raise AssertionError("It did not fail.")


def pending(stack: ExitStack) -> Any:
    event = threading.Event()
    threads = pool(lambda: multiprocessing.pool.ThreadPool(1))(stack)
    stack.callback(event.set)
    return threads.apply_async(event.wait)


def half_read(stack: ExitStack) -> Any:
    threads = pool(lambda: multiprocessing.pool.ThreadPool(1))(stack)
    return threads.imap(abs, [1, 2])


# --- Managers -----------------------------------------------------------------------------------


def manager(stack: ExitStack) -> Any:
    return stack.enter_context(multiprocessing.managers.SyncManager(ctx=FORK))


def proxy(name: str, *args: Any) -> Callable[[ExitStack], Any]:
    def make(stack: ExitStack) -> Any:
        made: Any = multiprocessing.managers.SyncManager(ctx=FORK)
        stack.enter_context(made)
        return getattr(made, name)(*args)

    return make


def key(stack: ExitStack) -> Any:
    return multiprocessing.current_process().authkey


# --- Interpreter, terminal, operating system ----------------------------------------------------


def profile(stack: ExitStack) -> Any:
    made = cProfile.Profile()
    made.runcall(abs, 1)
    return made


def traced(stack: ExitStack) -> Any:
    tracemalloc.start()
    try:
        return tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()


def tcl(stack: ExitStack) -> Any:
    import tkinter

    return tkinter.Tcl()


def variable(stack: ExitStack) -> Any:
    interpreter = tcl(stack)
    return sys.modules["tkinter"].StringVar(interpreter, "x")


def running_popen(stack: ExitStack) -> Any:
    made = subprocess.Popen(["sleep", "100"])
    stack.callback(made.wait)
    stack.callback(made.terminate)
    return made


def popen(stack: ExitStack) -> Any:
    return stack.enter_context(os.popen("echo hello"))


def listener(stack: ExitStack) -> Any:
    return stack.enter_context(multiprocessing.connection.Listener())


def pipe(stack: ExitStack) -> Any:
    ends = multiprocessing.Pipe()
    for end in ends:
        stack.callback(end.close)
    return ends[0]


def closed_pipe(stack: ExitStack) -> Any:
    with ExitStack() as inner:
        return pipe(inner)


def info(stack: ExitStack) -> Any:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    return signal.sigwaitinfo([signal.SIGUSR1])


FINISH = "child processes only"
NO_NAME = "It has no name"

CASES = [
    *(
        Case(f"mp.{name}", lambda stack, name=name: getattr(SPAWN, name)(), works)
        for name in ("Lock", "RLock", "Semaphore", "Condition")
    ),
    Case("mp.Lock.forkserver", lambda stack: SERVER.Lock(), works),
    Case("mp.Lock.held", held, is_held),
    Case("mp.Semaphore.taken", taken, one_left),
    Case("mp.BoundedSemaphore", lambda stack: SPAWN.BoundedSemaphore(2), bounded),
    Case("mp.Condition.of.lock", lambda stack: SPAWN.Condition(SPAWN.Lock()), notifies),
    Case("mp.Event", is_set, set_works),
    *(
        Case(f"mp.{name}.fork", lambda stack, name=name: getattr(FORK, name)(), refused=NO_NAME)
        for name in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Event", "Condition")
    ),
    Case("mp.Barrier", lambda stack: SPAWN.Barrier(2), refused=FINISH),
    *(
        Case(f"mp.{name}", lambda stack, name=name: getattr(SPAWN, name)(), refused=FINISH)
        for name in ("Queue", "JoinableQueue", "SimpleQueue")
    ),
    Case("mp.Value", lambda stack: multiprocessing.Value("i", 3), refused=FINISH),
    Case("mp.Array", lambda stack: multiprocessing.Array("i", 3), refused=FINISH),
    Case("mp.Array.chars", lambda stack: multiprocessing.Array("c", b"abc"), refused=FINISH),
    Case("mp.RawValue", lambda stack: multiprocessing.RawValue("i", 3), refused=FINISH),
    Case("mp.RawArray", lambda stack: multiprocessing.RawArray("i", 3), refused=FINISH),
    Case("mp.heap", lambda stack: multiprocessing.heap.Heap(), refused=FINISH),
    Case("mp.arena", lambda stack: multiprocessing.heap.Arena(4096), refused=FINISH),
    Case("mp.SharedMemory", memory, memory_works),
    Case("mp.SharedMemory.closed", closed_memory, memory_works),
    Case("mp.SharedMemory.unlinked", unlinked, refused="It was unlinked"),
    Case("mp.SharedMemory.replaced", replaced, refused="its name is that of another"),
    Case("mp.ShareableList", items, items_work),
    Case("mp.Process", job, job_works),
    Case("mp.Process.starts", lambda stack: SPAWN.Process(target=abs, args=(1,)), starts),
    Case("mp.Process.ended", ended, ended_works),
    Case("mp.Process.running", running, refused="It is running"),
    Case("mp.Process.closed", closed, refused="It is closed"),
    Case(
        "mp.Process.current",
        lambda stack: multiprocessing.current_process(),
        refused="It is this process",
    ),
    Case("mp.Pool", pool(lambda: SPAWN.Pool(1)), pool_works),
    Case("mp.ThreadPool", pool(lambda: multiprocessing.pool.ThreadPool(2)), pool_works),
    Case("mp.dummy.Pool", pool(lambda: multiprocessing.dummy.Pool(2)), pool_works),
    Case("mp.ThreadPool.terminated", terminated, refused="It takes no more work"),
    Case(
        "mp.result",
        result("apply_async", abs, (-1,)),
        true(lambda r: r.get() == 1 and r.successful()),
    ),
    Case("mp.result.map", result("map_async", abs, [-1, 2]), true(lambda r: r.get() == [1, 2])),
    Case("mp.result.failed", result("apply_async", abs, ("x",)), failed),
    Case("mp.result.pending", pending, refused="It is not ready"),
    Case("mp.imap", half_read, refused="Its items come from a pool"),
    Case("mp.Manager", manager, refused="It belongs to this process"),
    Case(
        "mp.Manager.unstarted",
        lambda stack: multiprocessing.managers.SyncManager(),
        refused="It belongs to this process",
    ),
    Case(
        "mp.Manager.memory",
        lambda stack: multiprocessing.managers.SharedMemoryManager(),
        refused="It belongs to this process",
    ),
    Case(
        "mp.Manager.server",
        lambda stack: multiprocessing.managers.BaseManager().get_server(),
        refused="It belongs to this process",
    ),
    *(
        Case(f"mp.proxy.{name}", proxy(name, *args), refused="no other is known to have", routes="")
        for name, args in {
            "dict": (),
            "list": (),
            "Lock": (),
            "Queue": (),
            "Namespace": (),
            "Value": ("i", 1),
        }.items()
    ),
    Case("mp.key", key, refused="It is a key", routes="argument closure"),  # data: as any bytes
    Case("mp.context", lambda stack: SPAWN, true(lambda c: c.get_start_method() == "spawn")),
    Case("mp.pipe", pipe, refused="Its file descriptor"),
    Case("mp.pipe.closed", closed_pipe, true(lambda c: c.closed)),
    Case("mp.listener", listener, refused="listening"),
    Case(
        "mp.finalizer",
        lambda stack: multiprocessing.util.Finalize(None, print, exitpriority=1),
        refused="It is called at the end",
    ),
    Case(
        "mp.tracker",
        lambda stack: multiprocessing.resource_tracker._resource_tracker,
        true(lambda t: t is multiprocessing.resource_tracker._resource_tracker),
    ),
    Case(
        "mp.sharer",
        lambda stack: multiprocessing.resource_sharer._resource_sharer,
        true(lambda t: t is multiprocessing.resource_sharer._resource_sharer),
    ),
    Case(
        "mp.dummy.pipe",
        lambda stack: multiprocessing.dummy.Pipe(),
        true(lambda ends: (ends[0].send(1), ends[1].recv())[1] == 1),
    ),
    Case(
        "mp.dummy.Queue",
        lambda stack: multiprocessing.dummy.Queue(),
        true(lambda q: isinstance(q, queue.Queue) and q.empty()),
    ),
    Case(
        "mp.error",
        lambda stack: multiprocessing.TimeoutError("x"),
        true(lambda e: e.args == ("x",)),
    ),
    Case("popen.running", running_popen, refused="It is running"),
    Case("os.popen", popen, refused="an end of a pipe"),
    Case(
        "subprocess.completed",
        lambda stack: subprocess.run(["true"], capture_output=True),
        true(lambda p: p.returncode == 0),
    ),
    Case("os.sched_param", lambda stack: os.sched_param(3), same(os.sched_param(3))),
    Case(
        "os.stat",
        lambda stack: Path("/").stat(),
        true(lambda s: s.st_dev == Path("/").stat().st_dev),
    ),
    Case(
        "os.terminal_size",
        lambda stack: os.terminal_size((80, 24)),
        same(os.terminal_size((80, 24))),
    ),
    Case("os.times", lambda stack: os.times(), true(lambda t: t.elapsed > 0)),
    Case(
        "resource.usage",
        lambda stack: resource.getrusage(resource.RUSAGE_SELF),
        true(lambda u: u.ru_utime >= 0),
    ),
    Case("signal.number", lambda stack: signal.SIGINT, true(lambda s: s is signal.SIGINT)),
    Case(
        "signal.handler",
        lambda stack: signal.getsignal(signal.SIGINT),
        true(lambda h: h is signal.default_int_handler),
    ),
    Case("signal.info", info, true(lambda i: i.si_signo == signal.SIGUSR1)),
    *(
        Case(
            f"sys.{name}",
            lambda stack, name=name: getattr(sys, name),
            true(lambda received, name=name: received is getattr(sys, name)),
        )
        for name in ("flags", "float_info", "hash_info", "int_info", "thread_info", "version_info")
    ),
    Case(
        "sys.implementation",
        lambda stack: sys.implementation,
        true(lambda i: (i.name, i.version) == (sys.implementation.name, sys.version_info)),
    ),
    Case("atexit", lambda stack: atexit.register, true(lambda f: f is atexit.register)),
    Case(
        "curses.version",
        lambda stack: curses.ncurses_version,
        true(lambda v: v is curses.ncurses_version),
    ),
    *(
        # Not through a cluster: Tcl ends the process when another thread collects the garbage.
        Case(f"tkinter.{name}", make, refused="tied to this process", routes="")
        for name, make in {"interpreter": tcl, "variable": variable}.items()
        if importlib.util.find_spec("_tkinter") is not None
    ),
    Case("profile", profile, refused="tied to this process"),
    Case(
        "profile.stats",
        lambda stack: pstats.Stats(profile(stack)),
        true(lambda s: s.total_calls > 0),
    ),
    Case(
        "trace",
        lambda stack: trace.Trace(count=1, trace=0),
        true(lambda t: t.runfunc(abs, -1) == 1),
    ),
    Case("timeit", lambda stack: timeit.Timer("x", "x = 1"), true(lambda t: t.timeit(1) >= 0)),
    Case("tracemalloc", traced, true(lambda s: s.traceback_limit == 1)),
    Case(
        "symtable",
        lambda stack: symtable.symtable("x = 1", "f", "exec"),
        refused="tied to this process",
    ),
]
