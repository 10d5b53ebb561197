"""A connection to test handles with: it knows who opened it, who used it, and who closed it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import daskpickle
from daskpickle import Recipe, handles, register, unregister
from daskpickle.handles import opening, running_task


class Lab:
    """Open until it is closed; closing it twice is a mistake."""

    opened: list[Lab] = []  # by any open function here, in order
    opened_lock = threading.Lock()

    def __init__(self, name: Any = "lab") -> None:
        self.name = name
        self.opener: int | None = None
        self.closer: int | None = None
        self.resets = 0
        self.closed = threading.Event()

    def close(self) -> None:
        assert not self.closed.is_set(), "It is closed already."
        self.closer = threading.get_ident()
        self.closed.set()

    def ping(self) -> int:
        assert not self.closed.is_set(), "It is closed."
        return id(self)


class Lab2(Lab):
    """Another class, for another registration."""


class Slim:
    """Takes no weak references."""

    __slots__ = ("name",)

    def __init__(self, name: Any) -> None:
        self.name = name


def open_lab(name: Any, *more: Any, **options: Any) -> Lab:
    """Open it for good, and note that."""
    lab = Lab(name)
    lab.opener = threading.get_ident()
    with Lab.opened_lock:
        Lab.opened.append(lab)
    return lab


def reset_lab(lab: Lab) -> None:
    """Make it ready for the next task."""
    lab.resets += 1
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
        Lab.opened.clear()


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
    """Run it in threads that start at once; return what they returned, in order."""
    barrier, results = threading.Barrier(n), [None] * n

    def run(index: int) -> None:
        barrier.wait()
        results[index] = work(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
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
