"""Thread-local data: one per process by token; the thread that loads it has what the sender had.

Notes
-----
- Travels: a token, the arguments that each thread's ``__init__`` is called with, and the attributes
  that it has in the thread that pickles it. A thread in which it arrives has these, unless it has
  some already; any other thread there sees it as new, as it would where it came from. It comes home
  as the original.
- Lost: what other threads have set. Data that is scattered, or returned by a task, is pickled and
  loaded by other threads than those that use it: there it arrives as new.
- Refused: if an attribute cannot travel.
- The one written in Python has no weak references: without a token, each arrival is its own.
"""

from __future__ import annotations

import _threading_local
import gc
import threading
from typing import Any

from daskpickle import register
from daskpickle.handles import IdentityMap, arrived, extra_state, intern, remember, token_of

LOST = "the attributes of other threads"
CANNOT = "if an attribute cannot travel"
HINT = "Make it inside the task, or as a global variable of a module."
PythonLocal: Any = _threading_local.local

makers = IdentityMap()  # from one that is being loaded to the thread that made it


@register(
    threading.local,
    travels="a token, how it was made, this thread's attributes",
    lost=LOST,
    refused=CANNOT,
    hint=HINT,
    subclasses=True,
)
def reduce_local(local: Any) -> tuple[Any, ...]:
    """Say which one it is, what each thread begins with, and what this one has."""
    # Only the garbage collector tells how it was made (``local_traverse``): after its type come the
    # arguments, then the keywords if there were any, then what has no strings for keys.
    held = gc.get_referents(local)
    args, more = held[held.index(type(local)) + 1 :][:2]
    kwargs = dict(more) if all(type(key) is str for key in more) else {}
    made = rebuild_local, (type(local), token_of(local), args, kwargs)
    return (*made, extra_state(local, None), None, None, fill_local)


def rebuild_local(cls: Any, token: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make the one of this process; its ``__init__`` runs in other threads, when they use it."""

    def make() -> Any:
        local = threading.local.__new__(cls, *args, **kwargs)
        makers.set(local, threading.get_ident())
        return local

    return intern(token, make, (rebuild_local, (cls, token, args, kwargs)))


def fill_local(local: Any, state: dict[str, Any]) -> None:
    """Set the attributes of this thread where it is new, unless it begins with some."""
    reduced = arrived(local)
    if reduced is None:
        return  # it is the original
    if len(reduced) == 2:
        remember(local, (*reduced, state, None, None, fill_local))
    made_here = makers.get(local) == threading.get_ident()
    if made_here or (type(local).__init__ is object.__init__ and not vars(local)):
        makers.set(local, None)
        for name, value in state.items():
            threading.local.__setattr__(local, name, value)


@register(
    PythonLocal,
    travels="how it was made, this thread's attributes",
    lost=LOST,
    refused=CANNOT,
    hint=HINT,
    subclasses=True,
)
def reduce_python_local(local: Any) -> tuple[Any, ...]:
    """Say what each thread begins with, and what this one has."""
    state = extra_state(local, None)
    args, kwargs = state.pop("_local__impl").localargs
    made = rebuild_python_local, (type(local), args, kwargs)
    return (*made, state, None, None, fill_python_local)


def rebuild_python_local(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make one; its ``__init__`` runs in other threads, when they use it."""
    return PythonLocal.__new__(cls, *args, **kwargs)


def fill_python_local(local: Any, state: dict[str, Any]) -> None:
    """Set the attributes of this thread."""
    for name, value in state.items():
        PythonLocal.__setattr__(local, name, value)
