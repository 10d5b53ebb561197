"""Identity across processes: tokens, the one object of a token, and what arrived as what.

A *token* is the identity of an object in all processes: the same token gives the same object.
"""

from __future__ import annotations

import copyreg
import hashlib
import pickle
import threading
import types
import uuid
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "Callback",
    "Contents",
    "IdentityMap",
    "Settings",
    "add_state",
    "extra_state",
    "fixed",
    "intern",
    "note_arrival",
    "remember",
    "settings",
    "token_of",
]


R = TypeVar("R", bound=Callable[..., Any])


class Settings:
    """What the user may set; `daskpickle.cluster` fills it from Dask's configuration."""

    idle_timeout: float | None = 300.0  # seconds that a handle stays open when no task holds one
    limit: int = 256  # open handles per process; beyond it the least recently used is closed
    contents_limit: int = (
        2**20
    )  # bytes; a smaller file that is open for reading travels with its bytes
    keep: bool = False  # True on workers: what arrived by token lives until worker teardown
    host: str = ""  # what errors call this process


settings = Settings()


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


guard = threading.RLock()  # re-entrant: a collection may run finalizers that come back here
tokens = IdentityMap()
arrivals = IdentityMap()  # from what arrived to the reduced value it arrived as
home = IdentityMap()  # from an original to the thread in which it was first pickled
live: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
kept: dict[str, Any] = {}  # on workers: what arrived by token, until worker teardown
arrived_types: weakref.WeakSet[type] = weakref.WeakSet()  # of which something arrived here


def token_of(obj: object) -> str:
    """Return the token of ``obj``: made when it is first asked for, the same ever after.

    Raises
    ------
    TypeError
        If the type of ``obj`` has no weak references; its token is then its canonical recipe.
    """
    token = tokens.get(obj)
    if token is None:
        with guard:
            token = tokens.get(obj)
            if token is None:
                token = uuid.uuid4().hex
                live[token] = obj
                tokens.set(obj, token)
                home.set(obj, threading.get_ident())
    return str(token)


def intern(token: str, make: Callable[[], Any], reduced: tuple[Any, ...]) -> Any:
    """Return the one object of this process that has ``token``; make it if there is none.

    ``make`` must be quick and must not fail: it runs under a lock, on event loops too. The object
    is pickled again as ``reduced``, whatever the policy is here.
    """
    with guard:
        obj = live.get(token)
        if obj is None:
            obj = make()
            live[token] = obj
            tokens.set(obj, token)
            note_arrival(obj, reduced)
        if settings.keep and arrivals.get(obj) is not None:  # an original is its owner's to keep
            kept[token] = obj
        return obj


def remember(obj: Any, reduced: tuple[Any, ...]) -> Any:
    """Note that ``obj`` arrived as ``reduced``, so that it is pickled again as the same bytes."""
    note_arrival(obj, reduced)
    return obj


def note_arrival(obj: object, reduced: tuple[Any, ...]) -> None:
    """Note what ``obj`` arrived as; also where no reducer is registered for its type.

    Raises
    ------
    TypeError
        If the type of ``obj`` has no weak references.
    """
    cls = type(obj)
    if cls not in arrived_types:
        arrived_types.add(cls)
        for watcher in _watchers:
            watcher()
    arrivals.set(obj, reduced)


_watchers: list[Callable[[], object]] = []


def watch_types(watcher: Callable[[], object]) -> None:
    """Call ``watcher`` when something of another type than before arrives."""
    _watchers.append(watcher)


def fixed(reducer: R) -> R:
    """Mark a reducer that gives the same for the same object at any time: it is asked once."""
    reducer.fixed = True  # type: ignore[attr-defined]
    return reducer


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


class Callback:
    """A function among the arguments of a `Recipe`: equal to its copies, as it has a token.

    Each load makes a new function of one that travels by value.
    """

    __slots__ = ("function", "token")

    def __init__(self, function: Callable[..., Any], token: str) -> None:
        self.function = function
        self.token = token

    @staticmethod
    def wrap(obj: Any) -> Any:
        """Return a function wrapped, anything else as it is."""
        return Callback(obj, token_of(obj)) if isinstance(obj, types.FunctionType) else obj

    @staticmethod
    def unwrap(obj: Any) -> Any:
        """Return what `wrap` was given."""
        return obj.function if type(obj) is Callback else obj

    def __eq__(self, other: object) -> bool:
        return type(other) is Callback and self.token == other.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __reduce__(self) -> tuple[Any, ...]:
        return Callback, (self.function, self.token)
