"""The pool: what is open in this process because it arrived, who holds it, when it is closed."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from daskpickle import identity
from daskpickle.errors import HandleError, describe_type
from daskpickle.identity import settings

if TYPE_CHECKING:
    from daskpickle.handles import Handle, Recipe

__all__ = [
    "Call",
    "Pool",
    "arrived",
    "count_fired",
    "end_task",
    "fired",
    "is_opening",
    "opening",
    "pool",
    "running_task",
    "watch_tasks",
]

T = TypeVar("T")


# --- Which task is running ----------------------------------------------------------------------


class Call:
    """One task's use of handles, from its start to its end."""

    __slots__ = ("__weakref__", "awaited", "key", "slots")

    def __init__(self, key: Hashable = None) -> None:
        self.key = key
        self.slots: list[Slot] = []
        self.awaited = False

    async def until(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Hold on until ``coroutine``, which the call returned, has ended."""
        failed = True
        try:
            result = await coroutine
            failed = False
            return result
        finally:
            pool.end(self, failed=failed)


class _Local(threading.local):
    call: Call | None = None
    slot: Slot | None = None  # whose object is being opened
    opening = False
    fired = 0
    thread: _Thread | None = None


class _Thread:
    """Dies with its thread, in that thread, and closes what only that thread may close."""

    __slots__ = ("__weakref__", "expired")

    def __init__(self) -> None:
        self.expired = False

    def __del__(self, _finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not _finalizing():
            pool.end_thread(self)


_local = _Local()


def is_opening() -> bool:
    """Tell whether a task opens what was sealed for it, in this thread: then handles are real."""
    return _local.opening


_calls: dict[Hashable, Call] = {}
_task_of_thread: Callable[[], Hashable] = lambda: None  # noqa: E731


def watch_tasks(task_of_thread: Callable[[], Hashable]) -> None:
    """Let ``task_of_thread`` tell which task runs in this thread; `daskpickle.cluster` knows."""
    global _task_of_thread
    _task_of_thread = task_of_thread


def fired() -> None:
    """Note that what is being pickled holds one of our types."""
    _local.fired += 1


def count_fired() -> int:
    """Return how often a reducer of ours ran in this thread."""
    return _local.fired


def current_call() -> Call | None:
    """Return the call of the task that runs in this thread, if one does."""
    if _local.call is not None:
        return _local.call
    key = _task_of_thread()
    if key is None:
        return None
    call = _calls.get(key)
    return _calls.setdefault(key, Call(key)) if call is None else call


def end_task(key: Hashable, *, failed: bool) -> None:
    """Note that the task with ``key`` has ended: its handles are given back."""
    call = _calls.pop(key, None)
    if call is not None:
        pool.end(call, failed=failed)


@contextmanager
def running_task() -> Iterator[Call]:
    """Bracket one call of a task: what it opens is given back at its end."""
    call, outer = Call(), _local.call
    _local.call = call
    failed = True
    try:
        yield call
        failed = False
    finally:
        _local.call = outer
        if not call.awaited:
            pool.end(call, failed=failed)


@contextmanager
def opening(real: bool = True) -> Iterator[None]:
    """Make `rebuild_handle` return opened objects (``real``) or handles, in this thread."""
    outer, _local.opening = _local.opening, real
    try:
        yield
    finally:
        _local.opening = outer


# --- The pool itself ----------------------------------------------------------------------------

_unopened = object()


class Slot:
    """One opened object, and who holds it."""

    __slots__ = (
        "calls", "failed", "key", "lock", "obj", "owner", "parts", "recipe", "references", "thread",
        "used",
    )  # fmt: skip

    def __init__(self, key: Hashable, recipe: Recipe) -> None:
        self.key = key
        self.recipe = recipe
        self.obj: Any = _unopened
        self.references = 0  # to the object when it was new: from here, and from itself
        self.parts: list[Any] = []  # other objects of the pool that it was opened from
        self.lock = threading.RLock()
        self.calls: list[Call | None] = []
        self.failed = False
        self.used = time.monotonic()
        self.owner: weakref.ref[Any] | None = None  # the handle that opened it outside of any task
        self.thread: weakref.ref[_Thread] | None = None

    def in_use(self) -> bool:
        """Tell whether a task, a handle outside of tasks, or somebody else holds the object."""
        if any(call is not None for call in self.calls):
            return True
        if self.owner is not None and self.owner() is not None:
            return True
        return sys.getrefcount(self.obj) > self.references


class Pool:
    """All that is open in this process because it arrived from another one."""

    def __init__(self) -> None:
        self._slots: dict[Hashable, Slot] = {}
        self._ids: dict[int, Slot] = {}  # of objects without weak references
        self._escaped: list[Slot] = []  # fresh objects that outlived their task
        self._inherited: list[Slot] = []  # opened by the process that forked this one
        self._reaper: threading.Thread | None = None
        self._wake = threading.Event()
        self.counts: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._slots)

    def _count(self, event: str, recipe: Recipe) -> None:
        self.counts[event, describe_type(recipe.cls)] += 1

    def reduced(self, obj: object) -> tuple[Any, ...] | None:
        """Return what an object that this pool opened is pickled as."""
        slot = self._ids.get(id(obj))
        return slot.recipe.reduce() if slot is not None and slot.obj is obj else None

    def acquire(self, recipe: Recipe, handle: Handle | None = None) -> Any:
        """Return the object of ``recipe`` for this scope; open it if it is not open.

        Raises
        ------
        HandleError
            If it cannot be opened; the cause is chained.
        """
        call = current_call()
        thread = _local.thread
        if thread is None:
            thread = _local.thread = _Thread()
        elif thread.expired:
            self._close_expired(thread)
        if call is None and recipe.scope != "fresh":
            original = identity.live.get(str(recipe.token))
            if original is not None and (
                recipe.scope == "process" or identity.home.get(original) == threading.get_ident()
            ):
                return original
        where: object = None
        if recipe.scope == "thread":
            where = id(thread)
        elif recipe.scope == "fresh":
            # Two that were at different places of one file are two: the recipe is the identity.
            where = (id(call or handle or thread), id(recipe) if handle is None else id(handle))
        key = (recipe.token, where, recipe.state)
        slot = self._slots.get(key)
        if slot is not None and call in slot.calls and not slot.failed:
            slot.used = time.monotonic()
            obj = slot.obj
        else:
            obj = self._enter(key, recipe, call, handle, thread)
        if _local.slot is not None:  # what it is made of stays open as long as it
            _local.slot.parts.append(obj)
        return obj

    def _enter(
        self,
        key: Hashable,
        recipe: Recipe,
        call: Call | None,
        handle: Handle | None,
        thread: _Thread,
    ) -> Any:
        while True:
            with identity.guard:
                slot = self._slots.get(key)
                if slot is None:
                    slot = self._slots[key] = Slot(key, recipe)
            with slot.lock:  # only those who want this very object wait while it opens
                if self._slots.get(key) is not slot:
                    continue  # it was closed while this thread waited
                if slot.obj is not _unopened:
                    self._reset(slot, recipe)
                if slot.obj is _unopened:
                    self._open(slot, recipe, thread)
                if call not in slot.calls:
                    slot.calls.append(call)
                    if call is not None:
                        call.slots.append(slot)
                if call is None and handle is not None:
                    slot.owner = weakref.ref(handle)
                    if recipe.scope == "fresh":
                        weakref.finalize(handle, self._remove, slot).atexit = False
                slot.used = time.monotonic()
                obj = slot.obj
            self._watch()
            return obj

    def _open(self, slot: Slot, recipe: Recipe, thread: _Thread) -> None:
        slot.recipe, slot.failed = recipe, False
        outer, _local.slot = _local.slot, slot
        try:
            with opening(False):
                slot.obj = recipe.open(*recipe.args, **recipe.kwargs)
        except Exception as exc:
            self._slots.pop(slot.key, None)
            self._count("failures", recipe)
            why = f"{describe_type(exc)}: {exc}"
            raise HandleError(describe_type(recipe.cls), why, host=settings.host) from exc
        finally:
            _local.slot = outer
        slot.references = sys.getrefcount(slot.obj)
        slot.thread = weakref.ref(thread)
        self._count("opens", recipe)
        if not recipe.snapshot:
            try:
                identity.arrivals.set(slot.obj, recipe.reduce())
            except TypeError:
                self._ids[id(slot.obj)] = slot
        if recipe.scope != "fresh":
            _shadow_close(slot.obj, recipe)

    def _reset(self, slot: Slot, recipe: Recipe) -> None:
        """Make an open object ready for its next task, or close it."""
        if any(call is not None for call in slot.calls) and not slot.failed:
            return  # another task is using it
        ready = not slot.failed and slot.recipe.same(recipe)
        if ready and recipe.reset is not None:
            try:
                recipe.reset(slot.obj)
                self._count("resets", recipe)
            except Exception:
                ready = False
        if ready:
            self._count("reuses", recipe)
        else:
            self._close(slot)

    def _close(self, slot: Slot) -> None:
        """Close the object; the slot stays, unopened. Never raises."""
        obj, slot.obj = slot.obj, _unopened
        if obj is _unopened:
            return
        self._ids.pop(id(obj), None)
        recipe = slot.recipe
        close = recipe.close or getattr(type(obj), "close", None)
        try:
            if close is not None:
                close(obj)
        except Exception:
            self._count("failures", recipe)
        self._count("closes", recipe)
        slot.parts.clear()

    def _remove(self, slot: Slot) -> None:
        with slot.lock, identity.guard:
            if self._slots.get(slot.key) is slot:
                del self._slots[slot.key]
        self._close(slot)

    def _may_close(self, slot: Slot) -> bool:
        """Tell whether this thread may close the object."""
        owner = slot.thread() if slot.thread is not None else None
        return not slot.recipe.thread_bound or owner is None or owner is _local.thread

    def give_back(self, recipe: Recipe, handle: Handle | None = None) -> None:
        """Let go of what a handle opened, as ``close()`` of a handle does."""
        call = current_call()
        thread = _local.thread
        for slot in list(self._slots.values()):
            if slot.recipe.token != recipe.token or call not in slot.calls:
                continue
            if recipe.scope == "thread" and (slot.thread is None or slot.thread() is not thread):
                continue
            if recipe.scope == "fresh":
                if handle is not None and slot.key[1][1] == id(handle):  # type: ignore[index]
                    self._remove(slot)
            else:
                slot.calls.remove(call)
                slot.owner = None

    def end(self, call: Call, *, failed: bool) -> None:
        """Give back all that ``call`` holds."""
        while call.slots:  # what was opened last goes first: it may hold what was opened before
            slot = call.slots.pop()
            if call in slot.calls:
                slot.calls.remove(call)
            slot.used = time.monotonic()
            if slot.recipe.scope == "fresh":
                with identity.guard:
                    if self._slots.get(slot.key) is slot:
                        del self._slots[slot.key]
                if failed or not slot.in_use():
                    self._close(slot)
                else:
                    self._escaped.append(slot)  # the result, or a global, still holds it
            elif failed and slot.recipe.drop_on_failure:
                slot.failed = True
                if self._may_close(slot):
                    self._remove(slot)
        if self._escaped:
            self._close_escaped()

    def _close_escaped(self) -> None:
        for slot in [slot for slot in self._escaped if not slot.in_use()]:
            self._escaped.remove(slot)
            self._close(slot)

    def end_thread(self, thread: _Thread) -> None:
        """Close what a thread that ends had opened for itself."""
        for slot in list(self._slots.values()):
            if slot.recipe.scope == "thread" and slot.key[1] == id(thread):  # type: ignore[index]
                self._remove(slot)

    def _close_expired(self, thread: _Thread) -> None:
        thread.expired = False
        for slot in list(self._slots.values()):
            if slot.failed and slot.thread is not None and slot.thread() is thread:
                self._remove(slot)

    def _expire(self, slot: Slot) -> None:
        """Close an idle object, or ask the one thread that may to do so."""
        if self._may_close(slot):
            self._remove(slot)
        elif slot.thread is not None and (thread := slot.thread()) is not None:
            slot.failed = thread.expired = True

    def close_idle(self) -> float | None:
        """Close what no one holds and is old, or too many; return seconds until the next is old."""
        self._close_escaped()
        idle = sorted(
            (s for s in list(self._slots.values()) if not s.in_use()), key=lambda s: s.used
        )
        excess = len(self._slots) - settings.limit
        now, timeout = time.monotonic(), settings.idle_timeout
        wait: float | None = None
        for number, slot in enumerate(idle):
            left = None if timeout is None else slot.used + timeout - now
            if number < excess or (left is not None and left <= 0):
                self._expire(slot)
            elif left is not None:
                wait = left if wait is None else min(wait, left)
        return wait

    def close_all(self) -> None:
        """Close everything, and forget what was kept: the process, or its worker, ends."""
        identity.kept.clear()
        for slot in self._escaped:
            self._close(slot)
        self._escaped.clear()
        for slot in list(self._slots.values()):
            self._expire(slot)
        self._wake.set()

    def _watch(self) -> None:
        if len(self._slots) > settings.limit:
            self.close_idle()
        if self._reaper is None and settings.idle_timeout is not None:
            with identity.guard:
                if self._reaper is None:
                    self._reaper = threading.Thread(
                        target=self._reap, name="daskpickle-reaper", daemon=True
                    )
                    self._reaper.start()

    def _reap(self) -> None:
        """Close idle handles until there are none; runs in a thread of its own."""
        while True:
            wait = self.close_idle()
            with identity.guard:
                if not self._slots and not self._escaped:
                    self._reaper = None
                    return
            self._wake.wait(min(60.0, max(0.05, wait if wait is not None else 60.0)))
            self._wake.clear()

    def abandon(self) -> None:
        """In a child of `os.fork`: what the parent opened stays the parent's, unclosed, unused."""
        self._inherited += [*self._slots.values(), *self._escaped]
        self._slots.clear()
        self._ids.clear()
        self._escaped.clear()
        self._reaper = None
        self._wake = threading.Event()


def _shadow_close(obj: Any, recipe: Recipe) -> None:
    """Let ``obj.close()`` of a shared object do nothing, where its class allows that."""
    name = recipe.close_name
    if isinstance(getattr(obj, "__dict__", None), dict) and callable(
        getattr(type(obj), name, None)
    ):
        obj.__dict__[name] = _detach


def _detach(*args: Any, **kwargs: Any) -> None:
    """Stands for the ``close()`` of a shared object: others use it, the pool closes it."""


pool = Pool()


def _after_fork() -> None:
    identity.guard._at_fork_reinit()  # type: ignore[attr-defined] # as the logging module does
    _calls.clear()
    pool.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(pool.close_all)


def arrived(obj: object) -> tuple[Any, ...] | None:
    """Return what ``obj`` arrived as, or None if it was made here."""
    reduced: tuple[Any, ...] | None = identity.arrivals.get(obj)
    return pool.reduced(obj) if reduced is None else reduced
