"""The pool: what is open in this process because it arrived, who holds it, when it is closed."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextlib import contextmanager, suppress
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

    __slots__ = ("__weakref__", "awaited", "failed", "key", "slots")

    def __init__(self, key: Hashable = None) -> None:
        self.key = key
        self.slots: list[Slot] = []
        self.awaited = False
        self.failed = False

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

    __slots__ = ("__weakref__",)

    def __del__(self, _finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not _finalizing():
            pool.end_thread(self)


this_thread = _Local()


def is_opening() -> bool:
    """Tell whether a task opens what was sealed for it, in this thread: then handles are real."""
    return this_thread.opening


_calls: dict[Hashable, Call] = {}
_task_of_thread: Callable[[], Hashable] = lambda: None  # noqa: E731


def watch_tasks(task_of_thread: Callable[[], Hashable]) -> None:
    """Let ``task_of_thread`` tell which task runs in this thread; `daskpickle.cluster` knows."""
    global _task_of_thread
    _task_of_thread = task_of_thread


def fired() -> None:
    """Note that what is being pickled holds one of our types."""
    this_thread.fired += 1


def count_fired() -> int:
    """Return how often a reducer of ours ran in this thread."""
    return this_thread.fired


def current_call() -> Call | None:
    """Return the call of the task that runs in this thread, if one does."""
    if this_thread.call is not None:
        return this_thread.call
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
    call, outer = Call(), this_thread.call
    this_thread.call = call
    failed = True
    try:
        yield call
        failed = False
    finally:
        this_thread.call = outer
        if not call.awaited:
            pool.end(call, failed=failed or call.failed)


@contextmanager
def opening(real: bool = True) -> Iterator[None]:
    """Make `rebuild_handle` return opened objects (``real``) or handles, in this thread."""
    outer, this_thread.opening = this_thread.opening, real
    try:
        yield
    finally:
        this_thread.opening = outer


# --- The pool itself ----------------------------------------------------------------------------

_unopened = object()


class Slot:
    """One opened object, and who holds it."""

    __slots__ = (
        "calls", "clean", "handles", "key", "lock", "obj", "parts", "recipe", "references",
        "thread", "used",
    )  # fmt: skip

    def __init__(self, key: tuple[Hashable, ...], recipe: Recipe) -> None:
        self.key = key
        self.recipe = recipe
        self.obj: Any = _unopened
        self.references = 0  # to the object when it was new: from here, and from itself
        self.parts: list[Any] = []  # other objects of the pool that it was opened from
        self.lock = threading.RLock()  # before `identity.guard`, never the other way round
        self.calls: list[Call] = []
        self.clean = False  # whether it was reset since a task had it
        self.handles: dict[int, weakref.ref[Handle]] = {}  # that opened it outside of any task
        self.used = time.monotonic()
        self.thread: weakref.ref[_Thread] | None = None

    def held(self) -> bool:
        """Tell whether a task holds the object, or a handle outside of tasks."""
        return bool(self.calls or self.handles)

    def held_by(self, call: Call | None, handle: Handle | None) -> bool:
        """Tell whether this task holds the object, or, outside of tasks, this handle."""
        return id(handle) in self.handles if call is None else call in self.calls

    def unopened(self) -> bool:
        """Tell whether there is no object: it is being opened, or has been closed."""
        return self.obj is _unopened

    def in_use(self) -> bool:
        """Tell whether somebody has the object, be it in a global variable, or is opening it."""
        if self.unopened() or self.held():
            return True
        return sys.getrefcount(self.obj) > self.references


class Pool:
    """All that is open in this process because it arrived from another one."""

    def __init__(self) -> None:
        self._slots: dict[Hashable, Slot] = {}
        self._ids: dict[int, Slot] = {}  # of objects without weak references
        self._retired: list[Slot] = []  # given to nobody any more; closed when nobody has them
        self._inherited: list[Any] = []  # opened by the process that forked this one
        self._reaper: threading.Thread | None = None
        self._wake = _locked()
        self.counts: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._slots)

    def _count(self, event: str, recipe: Recipe) -> None:
        with identity.guard:
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
        thread = this_thread.thread
        if thread is None:
            thread = this_thread.thread = _Thread()
        if self._retired:
            self._close_retired()
        if call is None and recipe.scope != "fresh":
            original = identity.identities.find(str(recipe.token))
            known = identity.identities.of(original)
            if known is not None:
                home = known.home  # None in a fork: it is the parent's
                if home == threading.get_ident() or (home and recipe.scope == "process"):
                    return original
        where: Hashable = None
        if recipe.scope == "thread":
            where = id(thread)
        elif recipe.scope == "fresh":
            # Two that were at different places of one file are two: the recipe is the identity.
            where = (id(call or handle or thread), id(recipe) if handle is None else id(handle))
        key = (recipe.token, where, recipe.state)
        slot = self._slots.get(key)
        if slot is not None and slot.held_by(call, handle):
            slot.used = time.monotonic()
            obj = slot.obj
        else:
            obj = _unopened
        if obj is _unopened:
            obj = self._enter(key, recipe, call, handle, thread)
        if this_thread.slot is not None:  # what it is made of stays open as long as it
            this_thread.slot.parts.append(obj)
        return obj

    def _enter(
        self,
        key: tuple[Hashable, ...],
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
                    continue  # it was retired while this thread waited
                if slot.unopened():
                    self._open(slot, recipe, thread)
                elif not self._reset(slot, call):
                    self._retire(slot)
                    continue
                if call is not None:
                    if call not in slot.calls:
                        slot.calls.append(call)
                        call.slots.append(slot)
                elif handle is not None:
                    let_go = functools.partial(self._let_go, slot, id(handle))
                    slot.handles[id(handle)] = weakref.ref(handle, let_go)
                slot.used, slot.clean = time.monotonic(), False
                obj = slot.obj
            self._watch()
            return obj

    def _open(self, slot: Slot, recipe: Recipe, thread: _Thread) -> None:
        outer, this_thread.slot = this_thread.slot, slot
        try:
            with opening(False):
                slot.obj = recipe.open(*recipe.args, **recipe.kwargs)
        except Exception as exc:
            self._count("failures", recipe)
            why = f"{describe_type(exc)}: {exc}"
            raise HandleError(describe_type(recipe.cls), why, host=settings.host) from exc
        finally:
            this_thread.slot = outer
            if slot.unopened():
                self._slots.pop(slot.key, None)
        slot.references = sys.getrefcount(slot.obj)
        slot.thread = weakref.ref(thread)
        self._count("opens", recipe)
        if not recipe.snapshot:
            reduced = recipe.reduce()
            try:
                identity.note_arrival(slot.obj, reduced)
            except TypeError:
                self._ids[id(slot.obj)] = slot
        if recipe.scope != "fresh":
            _shadow_close(slot.obj, recipe)

    def _reset(self, slot: Slot, call: Call | None) -> bool:
        """Make an open object ready for its next task; tell whether it is."""
        if slot.calls or (call is None and slot.handles):
            return True  # another one is using it
        # A stream may have changed while it was idle; what else was reset is as it was left.
        if slot.recipe.reset is not None and (not slot.clean or slot.recipe.drop_on_failure):
            try:
                slot.recipe.reset(slot.obj)
            except Exception:
                return False
            self._count("resets", slot.recipe)
        self._count("reuses", slot.recipe)
        return True

    def _leave_clean(self, slot: Slot) -> None:
        """Reset what a task gives back: nothing of its waits, or makes others wait."""
        if slot.recipe.reset is None or not self._may_close(slot):
            return
        with slot.lock:
            if slot.held() or slot.unopened():
                return
            try:
                slot.recipe.reset(slot.obj)
            except Exception:
                self._retire(slot)
            else:
                slot.clean = True
                self._count("resets", slot.recipe)

    def _close(self, slot: Slot) -> None:
        """Close the object, whoever has it. Never raises."""
        obj, slot.obj = slot.obj, _unopened
        if obj is _unopened:
            return
        self._ids.pop(id(obj), None)
        recipe = slot.recipe
        _unshadow_close(obj, recipe)
        close = recipe.close or getattr(type(obj), "close", None)
        try:
            if close is not None:
                close(obj)
        except Exception:
            self._count("failures", recipe)
        self._count("closes", recipe)
        slot.handles.clear()
        slot.parts.clear()

    def _may_close(self, slot: Slot) -> bool:
        """Tell whether this thread may close the object."""
        owner = slot.thread() if slot.thread is not None else None
        return not slot.recipe.thread_bound or owner is None or owner is this_thread.thread

    def _retire(self, slot: Slot, *, now: bool = False) -> None:
        """Give it to nobody any more; close it ``now``, or else when nobody has it."""
        with slot.lock:
            self._unlink(slot)
        self._close_retired(slot if now else None)
        if self._retired:
            self._wake_reaper()

    def _unlink(self, slot: Slot) -> None:
        """Give it to nobody any more; its lock is held, so that nobody is getting it."""
        with identity.guard:
            if self._slots.get(slot.key) is slot:
                del self._slots[slot.key]
            if slot not in self._retired:
                self._retired.append(slot)

    def _close_retired(self, now: Slot | None = None) -> None:
        """Close, in the threads that may, what has been retired and nobody has."""
        for slot in list(self._retired):
            free = slot is now or slot.unopened() or not slot.in_use()
            if not free or not self._may_close(slot):
                continue
            if self._take_out(slot):
                self._close(slot)

    def _take_out(self, slot: Slot) -> bool:
        """Forget it; tell whether it was known: else another thread closes it."""
        with identity.guard:
            known = self._slots.get(slot.key) is slot
            if known:
                del self._slots[slot.key]
            if slot in self._retired:
                self._retired.remove(slot)
                known = True
        return known

    def _let_go(
        self,
        slot: Slot,
        handle_id: int,
        _ref: object,
        _finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        """Note that a handle has died. A collection may call this anywhere: it must not wait."""
        if _finalizing():
            return
        slot.handles.pop(handle_id, None)
        slot.used = time.monotonic()
        if slot.recipe.scope == "fresh" and self._slots.get(slot.key) is slot:
            self._retired.append(slot)
            self._slots.pop(slot.key, None)
            self._wake_reaper()

    def give_back(self, recipe: Recipe, handle: Handle | None = None) -> None:
        """Let go of what a handle opened, as ``close()`` of a handle does."""
        call = current_call()
        for slot in list(self._slots.values()):
            if slot.recipe.token != recipe.token or not slot.held_by(call, handle):
                continue
            _, where, _ = slot.key
            fresh = slot.recipe.scope == "fresh"
            if fresh and where[1] != id(handle):  # type: ignore[index]
                continue  # another one of this task
            if slot.recipe.scope == "thread" and where != id(this_thread.thread):
                continue
            if call is None:
                slot.handles.pop(id(handle), None)
            else:
                slot.calls.remove(call)
                call.slots.remove(slot)
            if fresh:
                self._retire(slot, now=True)

    def end(self, call: Call, *, failed: bool) -> None:
        """Give back all that ``call`` holds."""
        while call.slots:  # what was opened last goes first: it may hold what was opened before
            slot = call.slots.pop()
            if call in slot.calls:
                slot.calls.remove(call)
            slot.used = time.monotonic()
            if slot.recipe.scope == "fresh" or (failed and slot.recipe.drop_on_failure):
                # Its traceback holds what a failed task had; the result, what another one returns.
                with slot.lock:  # or another task would get it between the two
                    self._retire(slot, now=failed and not slot.held())
            else:
                self._leave_clean(slot)
        if self._retired:
            self._close_retired()

    def end_thread(self, thread: _Thread) -> None:
        """Close what a thread that ends had opened for itself."""
        for slot in [*self._slots.values(), *self._retired]:
            if slot.recipe.scope == "thread" and slot.key[1] == id(thread):
                if slot.recipe.thread_bound:
                    if self._take_out(slot):
                        self._close(slot)
                else:
                    self._retire(slot)

    def close_idle(self) -> float | None:
        """Close what no one holds and is old, or too many; return seconds until the next look."""
        now, timeout = time.monotonic(), settings.idle_timeout
        slots = sorted(self._slots.values(), key=lambda slot: slot.used)
        excess = len(slots) - settings.limit
        waits: list[float] = []
        for slot in slots:
            left = None if timeout is None else slot.used + timeout - now
            if not slot.in_use() and (excess > 0 or (left is not None and left <= 0)):
                excess -= 1
                self._unlink_idle(slot)
            elif left is not None:
                waits.append(left if left > 0 else timeout or 0)
        self._close_retired()
        if any(self._may_close(slot) for slot in self._retired):
            waits.append(1.0)  # nobody tells when a variable lets go of an object
        return min(waits, default=None)

    def _unlink_idle(self, slot: Slot) -> None:
        if slot.lock.acquire(blocking=False):  # else somebody wants it right now
            try:
                if not slot.in_use():
                    self._unlink(slot)
            finally:
                slot.lock.release()

    def close_all(self) -> None:
        """Close everything, and forget what was kept: the process, or its worker, ends."""
        identity.kept.clear()
        for slot in reversed([*self._retired, *self._slots.values()]):
            if slot.lock.acquire(blocking=False):  # else it is being opened: who knows how long
                try:
                    self._retire(slot, now=True)
                finally:
                    slot.lock.release()
        self._wake_reaper()

    def _watch(self) -> None:
        if len(self._slots) > settings.limit:
            self.close_idle()
        if self._reaper is None:
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
                if not self._slots and not self._retired:
                    self._reaper = None
                    return
            self._wake.acquire(timeout=60.0 if wait is None else min(60.0, max(0.05, wait)))

    def _wake_reaper(self) -> None:
        with suppress(RuntimeError):  # it has been woken already
            self._wake.release()

    def abandon(self) -> None:
        """In a child of `os.fork`: what the parent opened stays the parent's, unclosed, unused."""
        for slot in [*self._slots.values(), *self._retired]:
            self._inherited.append(slot.obj)
            slot.obj, slot.lock = _unopened, threading.RLock()
            slot.calls.clear()
            slot.handles.clear()
        self._slots.clear()
        self._ids.clear()
        self._retired.clear()
        self._reaper = None
        self._wake = _locked()


def _locked() -> Any:
    """Return a lock that is taken. Unlike an event it can be set where a collection runs."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _shadow_close(obj: Any, recipe: Recipe) -> None:
    """Let ``obj.close()`` of a shared object do nothing, where its class allows that."""
    name = recipe.close_name
    if isinstance(getattr(obj, "__dict__", None), dict) and callable(
        getattr(type(obj), name, None)
    ):
        obj.__dict__[name] = _detach


def _unshadow_close(obj: Any, recipe: Recipe) -> None:
    """Undo `_shadow_close`: a function that closes ``obj`` may call the method."""
    attributes = getattr(obj, "__dict__", None)
    if isinstance(attributes, dict) and attributes.get(recipe.close_name) is _detach:
        del attributes[recipe.close_name]


def _detach(*args: Any, **kwargs: Any) -> None:
    """Stands for the ``close()`` of a shared object: others use it, the pool closes it."""


pool = Pool()


def _after_fork() -> None:
    identity.after_fork()
    _calls.clear()
    if this_thread.call is not None:
        this_thread.call.slots.clear()
    pool.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(pool.close_all)


def arrived(obj: object) -> tuple[Any, ...] | None:
    """Return what ``obj`` arrived as, or None if it was made here."""
    known = identity.identities.of(obj)
    reduced = None if known is None else known.arrival
    return pool.reduced(obj) if reduced is None else reduced
