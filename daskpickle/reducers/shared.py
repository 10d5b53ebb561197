"""What processes of one host share by name: shared memory, and semaphores of `multiprocessing`.

Notes
-----
- Travels: the name; on the same host it is opened at first use, and is the very same: what one
  writes, the others see. The memory is known by its inode, too. It is never created there, and who
  attaches to it does not unlink it at its end, as the resource tracker of `multiprocessing` would.
  Locks, semaphores, conditions and events travel by the names of their semaphores, which they have
  if they were made for the start method "spawn" or "forkserver", while their maker runs.
- Lost: nothing.
- Refused: memory that was unlinked; locks without a name, which those for "fork" are; and what only
  a process that is being started can be given: queues, barriers, values and arrays.
"""

from __future__ import annotations

import _posixshmem  # type: ignore[import-not-found]
import os
import platform
import struct
from contextlib import suppress
from mmap import mmap
from multiprocessing import heap, queues, sharedctypes, synchronize
from multiprocessing.context import get_spawning_popen
from multiprocessing.shared_memory import ShareableList, SharedMemory
from pathlib import Path
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError, refused_as
from daskpickle.handles import real

SemLock: Any = synchronize.SemLock
Condition: Any = synchronize.Condition

USE_DASK = "Use distributed's Lock, Event, Semaphore, Queue or Variable between tasks."
PRIVATE = frozenset(("_name", "_fd", "_mmap", "_buf", "_size", "_flags", "_mode", "_track"))

# `multiprocessing` gives all of these to a process that it starts: its pickler is left alone.


def _host() -> str:
    """Name this host since it was started."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return platform.node()


def _stamp(fd: int) -> tuple[str, int, int, int]:
    status = os.fstat(fd)
    return _host(), status.st_dev, status.st_ino, status.st_size


@register(
    SharedMemory, scope="process", subclasses=True, travels="its name, on the same host",
    lost="nothing", refused="unlinked", hint="Send its bytes: bytes(memory.buf).",
)  # fmt: skip
def reduce_shared_memory(memory: Any) -> Any:
    """Say its name, and which of all that ever had this name it is."""
    if get_spawning_popen() is not None:
        return NotImplemented
    try:
        fd = _posixshmem.shm_open(memory._name, os.O_RDONLY, mode=0o600)
    except OSError:
        raise RefusedError(memory, "It was unlinked: nobody can find it any more.") from None
    try:
        stamp = _stamp(fd)
    finally:
        os.close(fd)
    if memory._fd >= 0 and _stamp(memory._fd) != stamp:
        raise RefusedError(memory, "It was unlinked, and its name is that of another one.")
    state = {name: value for name, value in vars(memory).items() if name not in PRIVATE}
    return Recipe(open_shared_memory, type(memory), memory._name, stamp, state)


def open_shared_memory(
    cls: Any, name: str, stamp: tuple[str, int, int, int], state: dict[str, Any]
) -> Any:
    """Attach to it as `SharedMemory` does, but leave it to its maker to unlink it."""
    memory = cls.__new__(cls)
    memory._name, memory._track = name, False
    memory._fd = _posixshmem.shm_open(name, os.O_RDWR, mode=0o600)
    if _stamp(memory._fd) != stamp:
        memory.close()
        raise OSError(f"The shared memory {name} of this host is not the one that was submitted.")
    memory._size = stamp[3]
    memory._mmap = mmap(memory._fd, memory._size)
    memory._buf = memoryview(memory._mmap)
    vars(memory).update(state)
    return memory


@register(
    ShareableList, scope="process", subclasses=True, travels="its shared memory, on the same host",
    lost="nothing", refused="unlinked", hint="Send a list of its items.",
)  # fmt: skip
def reduce_shareable_list(items: Any) -> Any:
    """Say in which shared memory it is."""
    if get_spawning_popen() is not None:
        return NotImplemented
    return Recipe(open_shareable_list, type(items), items.shm)


def open_shareable_list(cls: Any, memory: Any) -> Any:
    """Read from the shared memory where its items are."""
    items = cls.__new__(cls)
    items.shm = real(memory)
    items._list_len = len(items)
    offsets = struct.unpack_from(items._format_size_metainfo, items.shm.buf, 8)
    items._allocated_offsets = list(offsets)
    return items


# A lock removes its semaphore when it goes; one that was sent stays as long as this process.
_sent: dict[str, Any] = {}


@register(
    SemLock, scope="process", subclasses=True, travels="its name, on the same host",
    lost="nothing", refused="of the start method 'fork'", hint=USE_DASK,
)  # fmt: skip
def reduce_semaphore(lock: Any) -> Any:
    """Say its name."""
    if get_spawning_popen() is not None:
        return NotImplemented
    semaphore = lock._semlock
    if semaphore.name is None:
        # In the words of multiprocessing (Lib/multiprocessing/context.py).
        why = "It has no name: it can only be shared between processes through inheritance."
        raise refused_as(RuntimeError)(lock, why)
    _sent[semaphore.name] = lock
    facts = semaphore.kind, semaphore.maxvalue, semaphore.name
    return Recipe(open_semaphore, type(lock), _host(), *facts)


def open_semaphore(cls: Any, host: str, kind: int, maxvalue: int, name: str) -> Any:
    """Open the semaphore; its maker removes it."""
    if _host() != host:
        raise OSError("It is a semaphore of another host.")
    lock = cls.__new__(cls)
    try:
        SemLock.__setstate__(lock, (0, kind, maxvalue, name))
    except FileNotFoundError:
        raise FileNotFoundError(f"{name} is gone: the process that made it has ended.") from None
    return lock


@register(
    Condition, scope="process", subclasses=True,
    travels="its lock and semaphores, on the same host", lost="nothing",
    refused="of the start method 'fork'", hint=USE_DASK,
)  # fmt: skip
def reduce_condition(condition: Any) -> Any:
    """Say its lock, and the semaphores by which it wakes who waits."""
    if get_spawning_popen() is not None:
        return NotImplemented
    names = "_lock", "_sleeping_count", "_woken_count", "_wait_semaphore"
    parts = [getattr(condition, name) for name in names]
    return Recipe(open_condition, type(condition), *parts)


def open_condition(cls: Any, *parts: Any) -> Any:
    """Make the condition of its parts."""
    condition = cls.__new__(cls)
    Condition.__setstate__(condition, tuple(map(real, parts)))
    return condition


@register(
    synchronize.Event, scope="process", subclasses=True,
    travels="its condition and flag, on the same host", lost="nothing",
    refused="of the start method 'fork'", hint=USE_DASK,
)  # fmt: skip
def reduce_event(event: Any) -> Any:
    """Say its condition, and the semaphore that is its flag."""
    if get_spawning_popen() is not None:
        return NotImplemented
    return Recipe(open_event, type(event), event._cond, event._flag)


def open_event(cls: Any, condition: Any, flag: Any) -> Any:
    """Make the event of its parts."""
    event = cls.__new__(cls)
    event._cond, event._flag = real(condition), real(flag)
    return event


INHERITED: tuple[type, ...] = (
    queues.Queue, queues.SimpleQueue, synchronize.Barrier, sharedctypes.SynchronizedBase,
    heap.BufferWrapper, heap.Arena, heap.Heap,
)  # fmt: skip


def reduce_inherited(obj: Any) -> Any:
    """Refuse it."""
    if get_spawning_popen() is not None:
        return NotImplemented
    raise refused_as(RuntimeError)(obj, "It is shared with child processes only, as they start.")


for _cls in INHERITED:
    register(
        _cls, reduce_inherited, action="refuse", hint=USE_DASK, refused="always", subclasses=True,
        veto=True,
    )  # fmt: skip
