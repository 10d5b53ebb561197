"""Handles: a recipe travels, and is opened where it is used: once per scope, counted, reset, closed.

Words: a *handle* is a live object tied to one process. Its *recipe* says how to open it again. Its
*token* is its identity in all processes: one token gives one object within its *scope*.

This module knows neither Dask nor any library; it only holds what is open in this process.
"""

from __future__ import annotations

import atexit
import copyreg
import hashlib
import os
import pickle
import sys
import threading
import time
import uuid
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from daskpickle.errors import HandleError, describe_type

__all__ = [
    "Contents",
    "Handle",
    "Recipe",
    "Settings",
    "add_state",
    "extra_state",
    "intern",
    "pool",
    "real",
    "rebuild_handle",
    "remember",
    "settings",
    "token_of",
]

T = TypeVar("T")

SCOPES = ("process", "thread", "fresh")


class Settings:
    """What the user may set; `daskpickle.cluster` fills it from Dask's configuration."""

    idle_timeout: float | None = 300.0  # seconds that a handle stays open when no task holds one
    limit: int = 256  # open handles per process; beyond it the least recently used is closed
    contents_limit: int = 2**20  # bytes; a smaller file that is open for reading travels with its bytes
    keep: bool = False  # True on workers: what arrived by token lives until worker teardown
    host: str = ""  # what errors call this process


settings = Settings()


# --- Identity: tokens, and what arrived ---------------------------------------------------------


class IdentityMap:
    """A mapping from objects, by identity, that holds none of them alive."""

    def __init__(self) -> None:
        self._items: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def get(self, obj: object) -> Any:
        item = self._items.get(id(obj))
        return item[1] if item is not None and item[0]() is obj else None

    def set(self, obj: object, value: Any) -> None:
        key = id(obj)

        def forget(ref: weakref.ref[Any], items: dict[int, Any] = self._items) -> None:
            item = items.get(key)
            if item is not None and item[0] is ref:
                del items[key]

        self._items[key] = (weakref.ref(obj, forget), value)


_guard = threading.RLock()  # re-entrant: a collection may run finalizers that come back here
_tokens = IdentityMap()
_arrived = IdentityMap()
_live: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_kept: dict[str, Any] = {}
_home = IdentityMap()  # from an original to the thread in which it was first pickled


def token_of(obj: object) -> str:
    """Return the token of ``obj``: made when it is first asked for, the same ever after.

    Raises
    ------
    TypeError
        If the type of ``obj`` has no weak references; its token is then its canonical recipe.
    """
    token = _tokens.get(obj)
    if token is None:
        with _guard:
            token = _tokens.get(obj)
            if token is None:
                token = uuid.uuid4().hex
                _live[token] = obj
                _tokens.set(obj, token)
    return str(token)


def intern(token: str, make: Callable[[], Any], reduced: tuple[Any, ...]) -> Any:
    """Return the one object of this process that has ``token``; make it if there is none.

    ``make`` must be quick and must not fail: it runs under a lock, on event loops too. The object
    is pickled again as ``reduced``, whatever the policy is here.
    """
    with _guard:
        obj = _live.get(token)
        if obj is None:
            obj = make()
            _live[token] = obj
            _tokens.set(obj, token)
            _arrived.set(obj, reduced)
        if settings.keep:
            _kept[token] = obj
        return obj


def remember(obj: Any, reduced: tuple[Any, ...]) -> Any:
    """Note that ``obj`` arrived as ``reduced``, so that it is pickled again as the same bytes."""
    _arrived.set(obj, reduced)
    return obj


def arrived(obj: object) -> tuple[Any, ...] | None:
    """Return what ``obj`` arrived as, or None if it was made here."""
    reduced: tuple[Any, ...] | None = _arrived.get(obj)
    return pool.reduced(obj) if reduced is None else reduced


def extra_state(obj: object, plain: object) -> dict[str, Any]:
    """Return the attributes of ``obj`` that ``plain``, an object of its base class, does not have.

    For reducers of subclasses; `add_state` sets them where the object is rebuilt.
    """
    state = {n: getattr(obj, n) for n in copyreg._slotnames(type(obj)) if hasattr(obj, n)}  # type: ignore[attr-defined]
    state.update(getattr(obj, "__dict__", {}))
    own = getattr(plain, "__dict__", {})
    return {name: value for name, value in state.items() if name not in own}


def add_state(obj: object, state: dict[str, Any]) -> None:
    """Set what `extra_state` returned; no ``__setattr__`` of a subclass runs."""
    for name, value in state.items():
        object.__setattr__(obj, name, value)


class Contents:
    """Bytes that travel out of band where the protocol can (PEP 574), each time they are pickled.

    For the arguments of a `Recipe`. Equal by digest, so that comparing them is cheap.
    """

    __slots__ = ("data", "digest")

    def __init__(self, data: Any, digest: str = "") -> None:
        self.data = data
        self.digest = digest or hashlib.sha256(data).hexdigest()[:32]

    def __eq__(self, other: object) -> bool:
        return type(other) is Contents and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<contents {self.digest}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        data = pickle.PickleBuffer(self.data) if protocol >= 5 else bytes(self.data)
        return Contents, (data, self.digest)


# --- Recipes and handles ------------------------------------------------------------------------


class Recipe:
    """How a handle is opened again: ``open(*args, **kwargs)``, in the thread that uses it.

    Parameters
    ----------
    open
        A callable that travels.
    *args, **kwargs
        Its arguments; plain values, or objects that travel themselves.
    close
        Called with the opened object when the pool lets it go. Default: its method ``close``, if any.
    reset
        Called with the opened object when it passes from one task to the next. If it raises, the
        object is closed and opened anew.
    token
        The identity of the handle, where its type has no weak references.
    thread_bound
        Whether only the thread that opened it may close it. Default: whether the scope is "thread".
    drop_on_failure
        Whether to close it when its task failed, half-way through a stream. Default: whether the
        scope is "thread" and there is no ``reset``.
    """

    __slots__ = (
        "args", "close", "cls", "drop_on_failure", "kwargs", "open", "reset", "scope", "state",
        "thread_bound", "token",
    )  # fmt: skip

    def __init__(
        self,
        open: Callable[..., Any],  # noqa: A002
        /,
        *args: Any,
        close: Callable[[Any], object] | None = None,
        reset: Callable[[Any], object] | None = None,
        token: str | None = None,
        thread_bound: bool | None = None,
        drop_on_failure: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self.open = open
        self.args = args
        self.kwargs = kwargs
        self.close = close
        self.reset = reset
        self.token = token
        self.thread_bound = thread_bound
        self.drop_on_failure = drop_on_failure
        self.cls: type = object
        self.scope = ""
        try:
            # A token says which object; the state says as it was when it was submitted.
            self.state: Hashable = (args, tuple(kwargs.items()))
            hash(self.state)
        except TypeError:
            self.state = None

    def __repr__(self) -> str:
        return f"<Recipe of {describe_type(self.cls)}, scope {self.scope!r}>"  # never the arguments

    def bind(self, obj: object, cls: type, scope: str) -> Recipe:
        """Fill in what the registration knows and the token of ``obj``."""
        self.cls, self.scope = cls, self.scope or scope
        if self.thread_bound is None:
            self.thread_bound = self.scope == "thread"
        if self.drop_on_failure is None:
            self.drop_on_failure = self.scope == "thread" and self.reset is None
        if self.token is None:
            try:
                self.token = token_of(obj)
            except TypeError:
                facts = pickle.dumps((self.open, self.args, self.kwargs), 5)
                self.token = hashlib.sha256(facts).hexdigest()[:32]
            else:
                if _home.get(obj) is None:
                    _home.set(obj, threading.get_ident())
        return self

    def reduce(self) -> tuple[Any, ...]:
        """Return the reduced value: plain facts, `rebuild_handle` first."""
        return rebuild_handle, (
            self.cls, self.scope, self.token, self.open, self.args, self.kwargs, self.close,
            self.reset, self.thread_bound, self.drop_on_failure,
        )  # fmt: skip

    def same(self, other: Recipe) -> bool:
        """Tell whether ``other`` opens the same thing in the same state."""
        if self is other or self.token != other.token:
            return self is other
        if self.state is not None or other.state is not None:
            return self.state == other.state
        try:
            return bool(self.args == other.args and self.kwargs == other.kwargs)
        except Exception:  # an ``__eq__`` that does not answer yes or no, as arrays have
            return True


def rebuild_handle(
    cls: type,
    scope: str,
    token: str,
    open: Callable[..., Any],  # noqa: A002
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    close: Callable[[Any], object] | None = None,
    reset: Callable[[Any], object] | None = None,
    thread_bound: bool = False,
    drop_on_failure: bool = False,
) -> Any:
    """Make a `Handle`; or, where a task opens what was sealed for it, the real thing."""
    recipe = Recipe(
        open, *args, close=close, reset=reset, token=token, thread_bound=thread_bound,
        drop_on_failure=drop_on_failure, **kwargs,
    )  # fmt: skip
    recipe.cls, recipe.scope = cls, scope
    if _local.opening:
        return pool.acquire(recipe)
    return handle_type(cls)(recipe)


_recipe = "_daskpickle_recipe"


class Handle:
    """Stands for an object that is opened at its first real use, in the thread that uses it.

    It is an instance of the object's class as far as `isinstance` can tell, and is inert to
    introspection: isinstance, hash, repr, bool, ``==`` and the look-up of special attributes
    open nothing. ``close()`` gives the object back to the pool; it does not close it for others.
    """

    __slots__ = (_recipe, "__weakref__")

    def __init__(self, recipe: Recipe) -> None:
        object.__setattr__(self, _recipe, recipe)

    def __getattribute__(self, name: str) -> Any:
        recipe: Recipe = object.__getattribute__(self, _recipe)
        if name == "__class__":
            return recipe.cls
        if name[:2] == "__" == name[-2:]:
            return object.__getattribute__(self, name)
        if name == _close_name(recipe):
            return lambda *args, **kwargs: pool.give_back(recipe, self)
        return getattr(pool.acquire(recipe, self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(pool.acquire(object.__getattribute__(self, _recipe), self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(pool.acquire(object.__getattribute__(self, _recipe), self), name)

    def __repr__(self) -> str:
        return f"<handle of {describe_type(object.__getattribute__(self, _recipe).cls)}>"

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, _recipe).token)

    def __eq__(self, other: object) -> bool:
        if not issubclass(type(other), Handle):
            return NotImplemented
        mine: Recipe = object.__getattribute__(self, _recipe)
        return mine.same(object.__getattribute__(other, _recipe))

    def __dir__(self) -> list[str]:
        return dir(object.__getattribute__(self, _recipe).cls)

    def __sizeof__(self) -> int:
        return object.__sizeof__(self)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        fired()
        recipe: Recipe = object.__getattribute__(self, _recipe)
        return recipe.reduce()


def real(obj: Any) -> Any:
    """Return what a handle stands for, opened in this thread; anything else as it is.

    For an ``open`` function whose arguments are other handles, and that calls what asks for the
    very type, as functions written in C do.
    """
    if issubclass(type(obj), Handle):
        return pool.acquire(object.__getattribute__(obj, _recipe), obj)
    return obj


# What a handle's type defines where the object's class does. Everything else that Python looks up
# on the type (__init_subclass__, __array__, __dask_graph__, ...) is introspection.
_FORWARDED = tuple(
    f"__{name}__"
    for name in (
        "enter exit aenter aexit call iter next aiter anext await getitem setitem delitem len "
        "contains reversed int float index complex fspath add radd sub rsub mul rmul truediv "
        "rtruediv floordiv mod and or xor lshift rshift matmul neg pos abs invert lt le gt ge"
    ).split()
)
_handle_types: weakref.WeakKeyDictionary[type, type[Handle]] = weakref.WeakKeyDictionary()


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: Handle, *args: Any, **kwargs: Any) -> Any:
        obj = pool.acquire(object.__getattribute__(self, _recipe), self)
        return getattr(type(obj), name)(obj, *args, **kwargs)

    forward.__name__ = name
    return forward


def handle_type(cls: type) -> type[Handle]:
    """Return the subclass of `Handle` that has those special methods that ``cls`` has."""
    handle = _handle_types.get(cls)
    if handle is None:
        methods = {n: _forward(n) for n in _FORWARDED if getattr(cls, n, None) is not None}
        methods["__slots__"] = ()  # type: ignore[assignment]
        handle = _handle_types[cls] = type("Handle", (Handle,), methods)
    return handle


def _close_name(recipe: Recipe) -> str:
    return getattr(recipe.close, "__name__", "close") if recipe.close in _methods(recipe) else "close"


def _methods(recipe: Recipe) -> tuple[Any, ...]:
    name = getattr(recipe.close, "__name__", None)
    return (getattr(recipe.cls, name, None),) if name and recipe.close is not None else ()


# --- Which task is running ----------------------------------------------------------------------


class Call:
    """One task's use of handles, from its start to its end."""

    __slots__ = ("__weakref__", "awaited", "key", "slots")

    def __init__(self, key: Hashable = None) -> None:
        self.key = key
        self.slots: list[Slot] = []
        self.awaited = False

    def until(self, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Hold on until ``coroutine``, which the call returned, has ended."""
        self.awaited = True

        async def hold() -> T:
            failed = True
            try:
                result = await coroutine
                failed = False
            finally:
                pool.end(self, failed=failed)
            return cast("T", as_handle(result))

        return hold()


class _Local(threading.local):
    call: Call | None = None
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
_calls: dict[Hashable, Call] = {}
task_of_thread: Callable[[], Hashable] = lambda: None  # noqa: E731 - `daskpickle.cluster` sets it


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
    key = task_of_thread()
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


def as_handle(obj: Any) -> Any:
    """Return a lazy handle in the place of an object that the pool opened; else ``obj`` itself.

    What a task returns outlives it, while the pool may reset, close, or give to others what it opened.
    """
    reduced = arrived(obj)
    if reduced is None or reduced[0] is not rebuild_handle:
        return obj
    with opening(False):
        return rebuild_handle(*reduced[1])


@contextmanager
def opening(real: bool = True) -> Iterator[None]:
    """Make `rebuild_handle` return opened objects (``real``) or handles, in this thread."""
    outer, _local.opening = _local.opening, real
    try:
        yield
    finally:
        _local.opening = outer


# --- The pool -----------------------------------------------------------------------------------

_unopened = object()


class Slot:
    """One opened object, and who holds it."""

    __slots__ = ("calls", "failed", "key", "lock", "obj", "owner", "recipe", "thread", "used")

    def __init__(self, key: Hashable, recipe: Recipe) -> None:
        self.key = key
        self.recipe = recipe
        self.obj: Any = _unopened
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
        return sys.getrefcount(self.obj) > 2  # ours, and the argument; see `sys.getrefcount`


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
            original = _live.get(recipe.token)
            if original is not None and (
                recipe.scope == "process" or _home.get(original) == threading.get_ident()
            ):
                return original
        where: object = None
        if recipe.scope == "thread":
            where = id(thread)
        elif recipe.scope == "fresh":
            # Two files that were at different places of one file are two: the recipe is the identity.
            where = (id(call or handle or thread), id(recipe) if handle is None else id(handle))
        key = (recipe.token, where, recipe.state)
        slot = self._slots.get(key)
        if slot is not None and call in slot.calls and not slot.failed:
            slot.used = time.monotonic()
            return slot.obj
        return self._enter(key, recipe, call, handle, thread)

    def _enter(
        self, key: Hashable, recipe: Recipe, call: Call | None, handle: Handle | None, thread: _Thread
    ) -> Any:
        while True:
            with _guard:
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
        try:
            with opening(False):
                slot.obj = recipe.open(*recipe.args, **recipe.kwargs)
        except Exception as exc:
            self._slots.pop(slot.key, None)
            self._count("failures", recipe)
            why = f"{describe_type(exc)}: {exc}"
            raise HandleError(describe_type(recipe.cls), why, host=settings.host) from exc
        slot.thread = weakref.ref(thread)
        self._count("opens", recipe)
        reduced = recipe.reduce()
        try:
            _arrived.set(slot.obj, reduced)
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

    def _remove(self, slot: Slot) -> None:
        with slot.lock, _guard:
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
        for slot in call.slots:
            if call in slot.calls:
                slot.calls.remove(call)
            slot.used = time.monotonic()
            if slot.recipe.scope == "fresh":
                with _guard:
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
        call.slots.clear()
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
        idle = sorted((s for s in list(self._slots.values()) if not s.in_use()), key=lambda s: s.used)
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
        _kept.clear()
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
            with _guard:
                if self._reaper is None:
                    self._reaper = threading.Thread(
                        target=self._reap, name="daskpickle-reaper", daemon=True
                    )
                    self._reaper.start()

    def _reap(self) -> None:
        """Close idle handles until there are none; runs in a thread of its own."""
        while True:
            wait = self.close_idle()
            with _guard:
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
    name = _close_name(recipe)
    if isinstance(getattr(obj, "__dict__", None), dict) and callable(getattr(type(obj), name, None)):
        obj.__dict__[name] = _detach


def _detach(*args: Any, **kwargs: Any) -> None:
    """Stands for the ``close()`` of a shared object: others use it, the pool closes it."""


pool = Pool()


def _after_fork() -> None:
    global _guard
    _guard = threading.RLock()
    _home.clear()
    _calls.clear()
    pool.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(pool.close_all)
