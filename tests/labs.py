"""A connection to test handles with: it knows who opened it, who used it, and who closed it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import daskpickle
from daskpickle import Recipe, handles, register, unregister
from daskpickle.handles import opening, running_task


class Record:
    """What became of a lab; it does not hold the lab."""

    def __init__(self, name: Any, number: int) -> None:
        self.name = name
        self.number = number
        self.opener = threading.get_ident()
        self.closer: int | None = None
        self.resets = 0
        self.closed = threading.Event()


class Lab:
    """Open until it is closed; closing it twice is a mistake."""

    opened: list[Record] = []  # by any open function here, in order
    lock = threading.Lock()
    made = 0

    def __init__(self, name: Any = "lab") -> None:
        with Lab.lock:
            Lab.made += 1
            self.record = Record(name, -Lab.made)
        self.name = name

    def close(self) -> None:
        assert not self.record.closed.is_set(), "It is closed already."
        self.record.closer = threading.get_ident()
        self.record.closed.set()

    def ping(self) -> int:
        """Return its number: a negative one if it was made here, or else that of its opening."""
        assert not self.record.closed.is_set(), "It is closed."
        return self.record.number


class Slim:
    """Takes no weak references."""

    __slots__ = ("name",)

    def __init__(self, name: Any) -> None:
        self.name = name


def closes(index: int) -> bool:
    """Wait until the lab that was opened as number ``index`` is closed."""
    return Lab.opened[index].closed.wait(20)


def open_lab(name: Any, *more: Any, **options: Any) -> Lab:
    """Open it for good, and note that."""
    lab = Lab(name)
    with Lab.lock:
        lab.record = Record(name, len(Lab.opened))
        Lab.opened.append(lab.record)
    return lab


def reset_lab(lab: Lab) -> None:
    """Make it ready for the next task."""
    lab.record.resets += 1
    if lab.name == "cannot be reset":
        raise ConnectionError("gone")


def close_lab(lab: Lab) -> None:
    """Close it by its method."""
    lab.close()


@contextmanager
def registered(scope: str, cls: type = Lab, **facts: Any) -> Iterator[None]:
    """Let labs travel, with these facts in their recipe."""
    register(cls, lambda obj: Recipe(open_lab, obj.name, **facts), scope=scope)
    try:
        yield
    finally:
        unregister(cls)


def sent(scope: str, obj: Any = None, **facts: Any) -> bytes:
    """Return a lab as it travels."""
    obj = Lab() if obj is None else obj
    with registered(scope, type(obj), **facts):
        return daskpickle.dumps(obj)


def as_task(data: bytes, use: Callable[[Any], Any] = Lab.ping) -> Any:
    """Do what a task does: open what was sent, use it, and give it back."""
    with running_task(), opening():
        return use(daskpickle.loads(data))


def in_threads(n: int, work: Callable[[int], Any]) -> list[Any]:
    """Run it in threads that start at once and switch often; return what they returned."""
    barrier, results = threading.Barrier(n), [None] * n

    def run(index: int) -> None:
        barrier.wait()
        results[index] = work(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(n)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return results


@contextmanager
def set_to(**values: Any) -> Iterator[None]:
    """Change settings for a while."""
    before = {name: getattr(handles.settings, name) for name in values}
    for name, value in values.items():
        setattr(handles.settings, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(handles.settings, name, value)
