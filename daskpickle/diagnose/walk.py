"""The walk of a diagnosis: the pickler goes on where it would fail, and tells what it sees.

It is the pickler of `daskpickle.paths`, which runs the rules of another one in Python. Where an
object cannot be pickled, that is noted, and nothing is written in its place.
"""

from __future__ import annotations

import contextvars
import operator
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from daskpickle.paths import (
    STATE,
    Route,
    Step,
    Watched,
    children,
    deeper,
    find_route,
)
from daskpickle.pickler import Pickler
from daskpickle.table import Registration

__all__ = [
    "RECIPE", "REFERENCE", "REFUSED", "VALUE", "Progress", "Visit", "Walk", "follow", "oracle",
    "walk",
]  # fmt: skip

REFERENCE, VALUE, RECIPE, REFUSED = "by reference", "by value", "by recipe", "refused"

#: How many levels a walk goes down; the C pickler, with Python's own limit, comes less far.
LEVELS = 2_500
#: Frames of Python that a level takes, at most: `save`, twice, and what saves a container.
_FRAMES = 6
#: Frames that there are always; what runs out of them above this level does so by itself.
_ROOM, _OWN = 3_000, 100
#: For the walk that is deeper than that, in a thread of its own: each frame may take some of it.
_STACK = 2**28
#: Every so many objects, the walk says how many there were.
_BEAT = 20_000

#: What holds nothing counts with its holder; a longer text by itself, where sizes matter.
_LONG = 256
ATOMS = frozenset((type(None), bool, int, float, complex, str, bytes))

Progress = Callable[[int], object]


class TooDeep(Exception):  # noqa: N818 - it ends a walk, and reaches nobody
    """The walk has gone as deep as it goes."""


class _Null:
    def write(self, data: Any) -> None:
        """Forget it."""


def new_pickler(file: Any = None) -> Pickler:
    """Return the pickler whose rules hold: the one of `daskpickle.dumps`."""
    return Pickler(file or _Null())


def oracle(root: Any) -> BaseException | None:
    """Return what `daskpickle.dumps` would raise, without a path; None if it would not fail."""
    pickler: Any = new_pickler()
    try:
        cloudpickle.Pickler.dump(pickler, root)  # ours would look for the path
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        return exc
    return None


def walk(root: Any, *, atoms: bool = False, progress: Progress | None = None) -> Walk:
    """Walk through ``root``; nothing that the objects on the way do ends it."""
    first = Walk(atoms=atoms, progress=progress)
    if first.run(root, _ROOM):
        return first
    # What can be read in this thread alone is refused in the other one: only for deep objects.
    second = Walk(atoms=atoms, progress=progress)
    with _large_stacks:
        outer = threading.stack_size(_STACK)
        try:
            context = contextvars.copy_context()  # the policy
            thread = threading.Thread(
                target=context.run, args=(second.run, root, LEVELS * _FRAMES + _ROOM)
            )
            thread.start()
        finally:
            threading.stack_size(outer)
    thread.join()
    return second


_large_stacks = threading.Lock()


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


class Visit:
    """An object that a walk has been to, for the first time.

    Attributes
    ----------
    obj : Any
        The object.
    above : Visit or None
        Where the walk came from.
    level : int
        How many there are above it.
    way : str
        How it travels, where that can be said: a word of this module.
    registration : Registration or None
        The reducer of ours that was used.
    error : BaseException or None
        Why it cannot travel.
    bytes, buffered, seconds
        What it and all below it took in the stream, out of band, and in reducers.
    again : int
        How often it was met again, and only referred to.
    """

    __slots__ = (
        "above", "again", "buffered", "bytes", "error", "level", "obj", "registration", "seconds",
        "way",
    )  # fmt: skip

    def __init__(self, obj: Any, above: Visit | None) -> None:
        self.obj, self.above = obj, above
        self.level: int = 0 if above is None else above.level + 1
        self.way, self.registration = "", None
        self.error: BaseException | None = None
        self.bytes, self.buffered, self.seconds, self.again = 0, 0, 0.0, 0

    registration: Registration | None

    def route(self) -> Route:
        """Return the way to it from the root."""
        chain, visit = [self.obj], self.above
        while visit is not None:
            chain.append(visit.obj)
            visit = visit.above
        try:
            return find_route(chain[::-1])
        except Exception:  # the objects on the way are anyone's
            return Route("obj" + STATE, (), None)


class _Reducers:
    """A dispatch table that tells the walk what is asked of it."""

    def __init__(self, walk: Walk, table: Any) -> None:
        self._walk, self._table = walk, table

    def get(self, cls: type, default: Any = None) -> Any:
        reducer = self._table.get(cls)
        if reducer is None and issubclass(cls, type):
            return default
        protocol = self._walk.proto

        def reduce(obj: Any) -> Any:
            start = time.perf_counter()
            try:
                return obj.__reduce_ex__(protocol) if reducer is None else reducer(obj)
            finally:
                self._walk.spent(time.perf_counter() - start, reducer)

        return reduce


class Walk(Watched):
    """Go through all that would be pickled, and note it.

    Attributes
    ----------
    visits : list of Visit
        What was seen, each object once; of what holds nothing, with ``atoms``, long texts.
    failed : list of Visit
        Those that cannot travel, each time they are met.
    count : int
        How many objects there were, those that hold nothing included.
    written : int
        How many bytes went into the stream.
    complete : bool
        Whether all was seen.
    """

    proto: int

    def __init__(self, *, atoms: bool = False, progress: Progress | None = None) -> None:
        super().__init__(new_pickler())
        self.visits: list[Visit] = []
        self.failed: list[Visit] = []
        self.complete = True
        self.count = 0
        self._atoms, self._progress = atoms, progress
        self._current: Visit | None = None
        self._by_id: dict[int, Visit] = {}
        self.written = self._taken = 0
        self._spent = 0.0
        table: Any = _Reducers(self, self.dispatch_table)
        self.dispatch_table = table
        self._count_writes()

    def run(self, root: Any, frames: int) -> bool:
        """Walk through ``root``; return whether it was not too deep for so many frames."""
        try:
            with deeper(_depth() + frames):
                self.dump(root)
        except TooDeep:
            self.complete = False
        return self.complete

    def _count_writes(self) -> None:
        """Count what goes through the two functions that write; there are no frames then."""
        plain: Any = self

        def write(data: Any) -> None:
            self.written += len(data)

        def write_large(header: bytes, payload: Any) -> None:
            self.written += len(header) + len(payload)

        plain.write, plain._write_large_bytes = write, write_large
        plain.framer.start_framing = plain.framer.end_framing = lambda: None
        plain.framer.commit_frame = lambda force=False: None

    def take_buffer(self, buffer: pickle.PickleBuffer) -> None:
        """Count what goes out of band."""
        with buffer.raw() as raw:
            self._taken += raw.nbytes

    def spent(self, seconds: float, reducer: Any) -> None:
        """Note how long a reducer took, and whose it is."""
        self._spent += seconds
        registration = getattr(reducer, "registration", None)
        if registration is not None and self._current is not None:
            self._current.registration = registration
            self._current.way = RECIPE

    def reducer_override(self, obj: Any) -> Any:
        start = time.perf_counter()
        reduced = super().reducer_override(obj)
        self._spent += time.perf_counter() - start
        cls = type(obj)
        if self._current is not None and (cls is FunctionType or issubclass(cls, type)):
            self._current.way = REFERENCE if reduced is NotImplemented else VALUE
        return reduced

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        plain: Any = self
        self.count += 1
        if self._progress is not None and not self.count % _BEAT:
            self._progress(self.count)
        key = id(obj)
        if key in plain.memo:
            seen = self._by_id.get(key)
            if seen is not None and seen is not self._current:
                seen.again += 1
        elif type(obj) not in ATOMS or (
            self._atoms and isinstance(obj, (str, bytes)) and len(obj) > _LONG
        ):
            self._visit(obj, save_persistent_id)
            return
        pickle._Pickler.save(self, obj, save_persistent_id)  # type: ignore[attr-defined]

    def _visit(self, obj: Any, save_persistent_id: bool) -> None:
        above = self._current
        visit = self._current = Visit(obj, above)
        if visit.level > LEVELS:
            raise TooDeep
        self.visits.append(visit)
        self._by_id[id(obj)] = visit
        if type(obj) is ModuleType:
            visit.way = REFERENCE
        written, taken, spent = self.written, self._taken, self._spent
        try:
            pickle._Pickler.save(self, obj, save_persistent_id)  # type: ignore[attr-defined]
        except (KeyboardInterrupt, TooDeep):
            raise
        except BaseException as exc:  # the objects on the way are anyone's
            if isinstance(exc, RecursionError) and visit.level > _OWN:
                raise TooDeep from None
            visit.error, visit.way = exc, REFUSED
            self.failed.append(visit)
        finally:
            self._current = above
            visit.bytes = self.written - written
            visit.buffered, visit.seconds = self._taken - taken, self._spent - spent


# --- The way back ---------------------------------------------------------------------------------


def follow(obj: Any, steps: Sequence[Step], states: int = 3) -> Iterator[Any]:
    """Yield what ``steps`` lead to from ``obj``: one object, but for ambiguous states."""
    for number, step in enumerate(steps):
        if step.text == STATE:
            for part in _parts(obj):
                yield from follow(part, steps[number + 1 :], states)
                if states:
                    yield from follow(part, steps[number:], states - 1)
            return
        found = [
            (index != step.number, value)
            for index, (say, name, value) in enumerate(children(obj))
            if say(name) == step.text
        ]
        if not found:
            return
        obj = min(found, key=operator.itemgetter(0))[1]  # if possible, the one that it was then
    yield obj


def _parts(obj: Any) -> Iterator[Any]:
    """Yield what an object is reduced to."""
    reduced: Any = None
    with suppress(Exception):
        pickler: Any = new_pickler()
        reduced = pickler.reducer_override(obj)
        if reduced is NotImplemented:
            reducer = pickler.dispatch_table.get(type(obj))
            reduced = obj.__reduce_ex__(4) if reducer is None else reducer(obj)
    if not isinstance(reduced, tuple):
        return
    yield from reduced[:3]
    for items in reduced[3:5]:
        if items is not None:
            yield from items
