"""Identity across processes: tokens, the one object of a token, and what arrived as what.

A *token* is the identity of an object in all processes: the same token gives the same object.
"""

from __future__ import annotations

import copyreg
import hashlib
import itertools
import pickle
import sys
import threading
import types
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

__all__ = [
    "Call",
    "Callback",
    "Contents",
    "IdentityMap",
    "Itself",
    "Resumed",
    "Settings",
    "add_state",
    "by_name",
    "early_state",
    "extra_state",
    "fixed",
    "intern",
    "neutral",
    "note_arrival",
    "remember",
    "settings",
    "token_of",
    "token_parts",
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
    installed: bool = False  # whether Dask pickles here with daskpickle, for whatever cluster


settings = Settings()


class _Entry(weakref.ref[Any]):
    """An object in an `IdentityMap`, and what is said about it."""

    __slots__ = ("items", "key", "value")

    items: dict[int, _Entry]
    key: int
    value: Any


def _forget(entry: _Entry) -> None:
    if entry.items.get(entry.key) is entry:  # else another object has its address by now
        del entry.items[entry.key]


class IdentityMap:
    """A mapping from objects, by identity, that holds none of them alive."""

    def __init__(self) -> None:
        self.items: dict[int, _Entry] = {}

    def get(self, obj: object) -> Any:
        entry = self.items.get(id(obj))
        return entry.value if entry is not None and entry() is obj else None

    def set(self, obj: object, value: Any) -> None:
        entry = _Entry(obj, _forget)
        entry.items, entry.key, entry.value = self.items, id(obj), value
        self.items[entry.key] = entry


class _Identity(weakref.ref[Any]):
    """What is known of one object: its token, where it was made, what it arrived as."""

    __slots__ = ("arrival", "home", "key", "table", "token")

    arrival: tuple[Any, ...] | None  # the reduced value it arrived as
    home: int | None  # of an original: the thread in which it was first pickled
    key: int
    table: Identities
    token: str | None


class Identities:
    """Who is who in a process: an object of each token, and a token of each object."""

    def __init__(self) -> None:
        self._by_id: dict[int, _Identity] = {}
        self._by_token: dict[str, _Identity] = {}

    def of(self, obj: object) -> _Identity | None:
        """Return what is known of ``obj``."""
        known = self._by_id.get(id(obj))
        return known if known is not None and known() is obj else None

    def find(self, token: str) -> Any:
        """Return the object that has ``token``, or None."""
        known = self._by_token.get(token)
        return None if known is None else known()

    def is_original(self, obj: object) -> bool:
        """Tell whether ``obj`` was made in this process, and pickled here first."""
        known = self.of(obj)
        return known is not None and known.home is not None

    def add(
        self,
        obj: object,
        token: str | None = None,
        home: int | None = None,
        arrival: tuple[Any, ...] | None = None,
    ) -> None:
        """Note what is known of ``obj`` from now on."""
        known = _Identity(obj, _forget_identity)
        known.key, known.table = id(obj), self
        known.token, known.home, known.arrival = token, home, arrival
        self._by_id[known.key] = known
        if token is not None:
            self._by_token[token] = known

    def fork(self) -> None:
        """In a child of `os.fork`: what was made is the parent's."""
        for known in self._by_id.values():
            known.home = None


def _forget_identity(known: _Identity) -> None:
    table = known.table
    if table._by_id.get(known.key) is known:
        del table._by_id[known.key]
    if known.token is not None and table._by_token.get(known.token) is known:
        del table._by_token[known.token]


guard = threading.RLock()  # re-entrant: a collection may run finalizers that come back here
identities = Identities()
kept: dict[str, Any] = {}  # on workers: what arrived by token, until worker teardown
arrived_types: weakref.WeakSet[type] = weakref.WeakSet()  # of which something arrived here


_numbers = itertools.count()
_LENGTH = 16
_here = uuid.uuid4().hex[:_LENGTH]  # another one in each process, so that its numbers are its own


def after_fork() -> None:
    """In a child of `os.fork`: what was made so far is the parent's."""
    global _here
    _here = uuid.uuid4().hex[:_LENGTH]
    guard._at_fork_reinit()  # type: ignore[attr-defined] # as the logging module does
    identities.fork()


def token_of(obj: object) -> str:
    """Return the token of ``obj``: made when it is first asked for, the same ever after.

    Raises
    ------
    TypeError
        If the type of ``obj`` has no weak references; its token is then its canonical recipe.
    """
    known = identities.of(obj)
    if known is None or known.token is None:
        with guard:
            known = identities.of(obj)
            if known is None or known.token is None:
                token = f"{_here}{next(_numbers):x}"
                arrival = None if known is None else known.arrival
                identities.add(obj, token, threading.get_ident(), arrival)
                return token
    return known.token


def token_parts(obj: object) -> tuple[str, int]:
    """Return the two parts of the token of ``obj``, which begins with the first one.

    The second is a number, in hexadecimal digits.
    """
    token = token_of(obj)
    return sys.intern(token[:_LENGTH]), int(token[_LENGTH:], 16)


def intern(token: str, make: Callable[[], Any], reduced: tuple[Any, ...]) -> Any:
    """Return the one object of this process that has ``token``; make it if there is none.

    ``make`` must be quick and must not fail: it runs under a lock, on event loops too. The object
    is pickled again as ``reduced``, whatever the policy is here.
    """
    with guard:
        obj = identities.find(token)
        if obj is None:
            obj = make()
            _note_type(type(obj))
            identities.add(obj, token, arrival=reduced)
        if settings.keep:
            known = identities.of(obj)
            if known is not None and known.arrival is not None:  # an original is its owner's
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
    _note_type(type(obj))
    known = identities.of(obj)
    if known is None:
        identities.add(obj, arrival=reduced)
    else:
        known.arrival = reduced


def _note_type(cls: type) -> None:
    if cls not in arrived_types:
        arrived_types.add(cls)
        for watcher in _watchers:
            watcher()


_watchers: list[Callable[[], object]] = []


def watch_types(watcher: Callable[[], object]) -> None:
    """Call ``watcher`` when something of another type than before arrives."""
    _watchers.append(watcher)


def fixed(reducer: R) -> R:
    """Mark a reducer that gives the same for the same object at any time: it is asked once.

    The objects must be hashed by identity, and lead to no others: some of them are held.
    """
    reducer.fixed = True  # type: ignore[attr-defined]
    return reducer


def neutral(reducer: R) -> R:
    """Mark a reducer that mostly needs nothing of daskpickle where its objects are loaded.

    What it reduces is one of our types only if a function of ours is to be called for it.
    """
    reducer.neutral = True  # type: ignore[attr-defined]
    return reducer


def by_name(rebuild: R) -> R:
    """Mark a reconstructor that returns what its process has under a name, whatever its type."""
    rebuild.by_name = True  # type: ignore[attr-defined]
    return rebuild


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
        value = obj if value is Itself else value
        object.__setattr__(obj, sys.intern(name), value)  # as the unpickler does


class Itself:
    """Stands for an object in its own `early_state`."""


def early_state(obj: object) -> dict[str, Any]:
    """Return what `extra_state` does, for a reducer that sends it before the object is there.

    Pickle knows an object as soon as its arguments are loaded: it cannot be one of them.
    """
    return {n: Itself if v is obj else v for n, v in extra_state(obj, None).items()}


class Resumed:
    """An iterator that gives some items before those of another, of which it takes none till then.

    For an iterator around it that had taken those items before it was pickled.
    """

    __slots__ = ("first", "source")

    def __init__(self, first: Iterable[Any], source: Iterator[Any]) -> None:
        self.first = deque(first)
        self.source = source

    def __iter__(self) -> Resumed:
        return self

    def __next__(self) -> Any:
        return self.first.popleft() if self.first else next(self.source)


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


class Call:
    """Is pickled as a call of a function, and loaded as what that returns."""

    __slots__ = ("reduced",)

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.reduced = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


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
