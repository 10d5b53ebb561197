"""Iterators, above all those of `itertools`: a copy goes on where it was, this one stays there.

Notes
-----
- Travels: what is left of it, and so whatever it iterates over; its place.
- Lost: who shares it, or what it iterates over, and does not travel with it.
- Refused: one over a generator, or over another that cannot travel, which the path then names;
  ``itertools.batched``, whose size cannot be read.

Those of Python's own types need no reducer. Of a dict, an ordered dict or a set they arrive as that
of a list of what is left, and exhausted ones as that of an empty list or tuple: so says Python.

Up to Python 3.11 those of `itertools` pickle by themselves. In 3.12 and 3.13 their ``__reduce__``
and ``__setstate__`` do the same, and warn; in 3.14 they are gone. ``pairwise`` never had them: what
it holds it tells the garbage collector only (``pairwise_traverse``, Modules/itertoolsmodule.c).
"""

from __future__ import annotations

import gc
import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import Resumed, add_state, extra_state

REVERSED_DEQUE: Any = type(reversed(deque[Any]()))
HINT = "Pass a list of its items, or make it inside the task."
Reduce = Callable[[Any], tuple[Any, ...]]
OWN_WAY = (3, 12) <= sys.version_info < (3, 14)  # of being pickled, with a warning


def quiet(function: Any) -> Any:
    """Return a function whose warnings are dropped, in all threads and without a filter.

    As those of a module without a name are: ``warn_explicit``, Python/_warnings.c.
    """
    return FunctionType(function.__code__, {"__name__": None})


call_reduce = quiet(lambda iterator: iterator.__reduce__())
call_setstate = quiet(lambda iterator, state: iterator.__setstate__(state))


def reduce_stateful(iterator: Any) -> tuple[Any, ...]:
    """Do as it does by itself, without the warning."""
    make, args, *rest = call_reduce(iterator)
    added = extra_state(iterator, None)  # of a subclass
    more = (added, None, None, add_state) if added else ()
    return rebuild_stateful, (make, args, *rest), *more


def rebuild_stateful(make: Callable[..., Any], args: tuple[Any, ...], state: Any = None) -> Any:
    """Make it; then give it the state that it had."""
    iterator = make(*args)
    if state is not None:
        call_setstate(iterator, state)
    return iterator


def register_iterator(cls: type, *, subclasses: bool = False) -> Callable[[Reduce], Reduce]:
    """Register a reducer for a class of iterators."""
    return register(
        cls,
        travels="what is left of it",
        lost="who shares it",
        refused="over what cannot travel",
        hint=HINT,
        subclasses=subclasses,
    )


if hasattr(itertools, "batched"):  # since Python 3.12
    batched: Any = vars(itertools)["batched"]

    @register(batched, action="refuse", refused="always", hint=HINT)
    def reduce_batched(iterator: Any) -> Any:
        """Refuse: nothing tells its size."""
        raise RefusedError(iterator, "Its size cannot be read.")


if OWN_WAY:
    for cls in map(vars(itertools).get, dir(itertools)):
        if isinstance(cls, type) and "__reduce__" in vars(cls):
            register_iterator(cls, subclasses=True)(reduce_stateful)


@register_iterator(itertools.pairwise)
def reduce_pairwise(iterator: Any) -> tuple[Any, ...]:
    """Say what it iterates over, and what it took from there already."""
    held, plain = gc.get_referents(iterator), gc.get_referents(itertools.pairwise(()))
    if len(held) < len(plain):  # it has ended, and let go of what it iterated over
        return rebuild_pairwise, (iter(()),)
    first = 1 if held[0] is itertools.pairwise else 0  # since Python 3.12 it holds its class
    source: Any
    source, *taken = held[first : first + 1 + len(held) - len(plain)]
    if type(source) is Resumed:
        source, taken = source.source, [*source.first, *taken]
    return rebuild_pairwise, (source, *taken)


def rebuild_pairwise(source: Iterator[Any], *taken: Any) -> Any:
    """Make one that takes first what was taken."""
    return itertools.pairwise(Resumed(taken, source) if taken else source)


@register_iterator(REVERSED_DEQUE)
def reduce_reversed_deque(iterator: Any) -> tuple[Any, ...]:
    """Do as it does by itself; in Python 3.13 its class is not found under its name."""
    return rebuild_reversed_deque, iterator.__reduce__()[1]


def rebuild_reversed_deque(source: deque[Any], taken: int = 0) -> Any:
    """Make one that has passed over what was taken."""
    return REVERSED_DEQUE(source, taken)
