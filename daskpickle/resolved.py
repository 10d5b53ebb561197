"""What the C pickler asks during one dump with protocol 5, so that it hardly ever calls Python.

Once per class it calls ``__missing__``; what that leaves in the mapping is found without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import FunctionType
from typing import Any

from daskpickle.compiled import ask, reducer_of
from daskpickle.pool import fired, this_thread
from daskpickle.table import (
    DispatchTable,
    Once,
    Reducer,
    told,
    told_cloudpickle,
    told_copyreg,
    version,
)

__all__ = ["ByValue", "Resolved", "is_by_value"]


class ByValue(Exception):  # noqa: N818 - it says where to go on, and reaches nobody
    """Something that travels by value was met in a dump that does not know of that."""


def is_by_value(obj: Any) -> bool:
    """Tell whether ``obj`` is a function or class that must travel by value."""
    cls = type(obj)
    if cls is FunctionType:
        return obj.__module__ == "__main__" or "<" in obj.__qualname__
    return cls is type and obj.__module__ == "__main__"


class Resolved(dict[type, Reducer]):
    """What a `DispatchTable` answers during one dump: a registered reducer, or a compiled one.

    All is looked up again in each dump: a class may be changed, and `copyreg` be told something, at
    any time.

    Parameters
    ----------
    table
        Returns the table to ask.
    first
        Reducers that go before it.
    keeps
        Classes whose reducers stay from dump to dump. `check` must then be called before each one:
        it looks whether anybody has registered something.
    avoids
        The ids of classes that have led to something by value.
    probes
        From classes of objects that hold one function above all to how to get it; for dumps that
        know nothing of functions by value, which end with `ByValue`.
    """

    def __init__(
        self,
        table: Callable[[], DispatchTable],
        first: Mapping[type, Reducer] | None = None,
        keeps: Collection[type] = (),
        avoids: set[int] | None = None,
        probes: Mapping[type, Callable[[Any], Any]] | None = None,
    ) -> None:
        super().__init__(first or {})
        self._table_of = table
        self._first = dict(first or {})
        self._keeps = keeps
        self.stays = self._first  # what is there when a dump begins
        self._avoids = set() if avoids is None else avoids
        self._probes = probes or {}
        self.version: tuple[int, ...] = ()  # when it was looked at
        self._onces: list[Once] = []
        self._table: Any = None  # the table that was asked
        self.used = False  # whether it was asked in this dump
        self.fired = 0  # how often a reducer of ours had run before

    @property
    def table(self) -> DispatchTable:
        """The table to ask."""
        return self._table_of()

    def check(self) -> None:
        """Forget what is no longer true; where nothing is kept, as late as possible."""
        table = self._table_of()
        if table is not self._table or version() != self.version:
            self._table, self.version = table.refresh(), version()
            self._defaults = table.defaults.items
            kept = {cls: table.default(cls) for cls in self._keeps if told(cls) is None}
            self.stays = {**self._first, **{cls: r for cls, r in kept.items() if r}}
            self.clear()
            self.update(self.stays)

    def end(self) -> None:
        """Forget all that was found."""
        self.used = False
        if len(self) > len(self.stays):
            self.clear()
            self.update(self.stays)
        if self._onces:
            for once in self._onces:
                once.end()
            self._onces.clear()

    def __missing__(self, cls: type) -> Reducer:
        if not self.used:
            self.check()
            self.fired = this_thread.fired
            self.used = True
        if id(cls) in self._avoids:
            self._avoids.discard(id(cls))  # if it leads to such things again, that is noted again
            raise ByValue
        known = self._defaults.get(id(cls))  # an entry of an `IdentityMap`
        if known is not None and known() is cls:
            default: Reducer | None = known.value
        else:
            default = self._table.default(cls)
        reducer: Reducer
        if default is None:
            reducer = self._registered(cls)
        elif cls in told_copyreg or cls in told_cloudpickle:
            reducer = told(cls) or default
        elif default is ask:
            # Of most classes there are a few objects: asking them costs less than looking at the
            # class, as is done before a compiled reducer is used.
            self[cls] = self._second
            return ask
        else:
            reducer = default
        if cls in self._probes:
            return self._probing(cls, reducer)
        self[cls] = reducer
        return reducer

    def _second(self, obj: Any) -> Any:
        """Reduce the second object of a class."""
        self[type(obj)] = self._third
        return ask(obj)

    def _third(self, obj: Any) -> Any:
        """Reduce the third object of a class."""
        self[type(obj)] = self._fourth
        return ask(obj)

    def _fourth(self, obj: Any) -> Any:
        """Reduce the fourth object of a class; those after it are not asked."""
        cls = type(obj)
        reducer = self[cls] = reducer_of(cls)
        return reducer(obj)

    def _probing(self, cls: type, reducer: Reducer) -> Reducer:
        """Return a reducer that looks at the function of the first object of a class."""
        probe = self._probes[cls]

        def reduce(obj: Any) -> Any:
            if is_by_value(probe(obj)):
                raise ByValue
            self[cls] = reducer
            return reducer(obj)

        self[cls] = reduce
        return reduce

    def _registered(self, cls: type) -> Reducer:
        reducer: Reducer = self._table[cls]
        quiet = getattr(reducer, "quiet", None)
        if quiet is not None:
            fired()  # once for all objects of this class
            reducer = quiet
            once = getattr(quiet, "__self__", None)
            if type(once) is Once:
                self._onces.append(once)
        return reducer
