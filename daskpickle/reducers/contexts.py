"""Contexts: a variable is the receiver's own, or one per process; a context is a snapshot.

Notes
-----
- Travels: a variable that a module or one of its classes holds, as the one that is there. Any other
  as a token, its name and its default: each process has one for it; it comes home as the original.
  A context travels as its variables and their values, that of `decimal` included.
- Lost: the value of a variable, which belongs to a context. The current context of the receiver
  stays what it is: call ``context.run``. Of a context, what Dask and daskpickle have in it, such as
  the current client: each process has its own.
- Refused: a token of `contextvars.ContextVar.set`; a context of which a value cannot travel.

A variable has no weak references, and its makers are told to keep it for ever: so is it here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextvars import Context, ContextVar, Token
from importlib import import_module
from operator import attrgetter
from typing import Any

from cloudpickle import cloudpickle

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import arrived, intern, token_of

Reduced = tuple[Any, ...]
HINT = "Make it a global variable of a module that the workers can import."


class Place:
    """Stands for a variable: where it is held, or in `intern`, which asks for weak references."""

    __slots__ = ("__weakref__", "module", "name", "variable")

    def __init__(self, variable: Any, module: str = "", name: str = "") -> None:
        self.variable, self.module, self.name = variable, module, name
        places[variable] = self


places: dict[Any, Place] = {}


def members(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a module and its classes hold, by name; no code of theirs runs."""
    for name, value in list(getattr(module, "__dict__", {}).items()):
        yield name, value
        if type(value) is type and value.__module__ == getattr(module, "__name__", None):
            for attribute, held in list(vars(value).items()):
                yield f"{name}.{attribute}", held


def find_place(variable: Any) -> Place:
    """Find where a variable is held that others can import; it may be nowhere."""
    place = places.get(variable)
    if place is not None and (not place.module or holds(place)):
        return place
    for module, here in list(sys.modules.items()):
        if module not in ("__main__", "__mp_main__"):
            name = next((name for name, held in members(here) if held is variable), "")
            if name and cloudpickle._should_pickle_by_reference(here):
                return Place(variable, module, name)
    return Place(variable)


def holds(place: Place) -> bool:
    """Tell whether a variable is still where it was found."""
    try:
        return attrgetter(place.name)(sys.modules[place.module]) is place.variable
    except (AttributeError, KeyError):
        return False


@register(
    ContextVar,
    travels="where a module has it; else a token, its name, its default",
    lost="its values",
    refused="a default that cannot travel",
    hint=HINT,
)
def reduce_variable(variable: Any) -> Reduced:
    """Say where it is held; else which one it is."""
    if variable.name == "decimal_context" and variable is find_decimal_variable():
        return rebuild_decimal_variable, ()
    place = find_place(variable)
    if place.module:
        return rebuild_held_variable, (place.module, place.name)
    reduced = arrived(place)
    if reduced is None:
        try:
            default = [Context().run(variable.get)]
        except LookupError:
            default = []
        reduced = rebuild_variable, (token_of(place), variable.name, *default)
    return reduced


def rebuild_variable(token: str, name: str, *default: Any) -> Any:
    """Make the variable of this process."""

    def make() -> Place:
        return Place(ContextVar(name, default=default[0]) if default else ContextVar(name))

    return intern(token, make, (rebuild_variable, (token, name, *default))).variable


def rebuild_held_variable(module: str, name: str) -> Any:
    """Return what a module has, as for a function of it."""
    return attrgetter(name)(import_module(module))


def find_decimal_variable() -> Any:
    """Return the variable of `decimal`, which no module holds; its context comes from it."""
    context = Context()
    context.run(import_module("decimal").getcontext)
    return next(iter(context), None)


def rebuild_decimal_variable() -> Any:
    """Return the one of this process."""
    return find_decimal_variable()


@register(
    Context,
    travels="its variables and their values",
    lost="what Dask has in it",
    refused="if a value cannot travel",
    hint="Pass the values that the task needs.",
)
def reduce_context(context: Any) -> Reduced:
    """Say what its variables are set to, in an order that other processes have as well."""
    found = sorted(context.items(), key=lambda item: item[0].name)
    items = tuple(item for item in found if not is_of_dask(item[0]))
    return rebuild_context, (), items, None, None, fill_context


def is_of_dask(variable: Any) -> bool:
    """Tell whether a variable says what this process is for Dask."""
    return find_place(variable).module.partition(".")[0] in ("dask", "daskpickle", "distributed")


def rebuild_context() -> Any:
    """Make an empty context."""
    return Context()


def fill_context(context: Any, items: tuple[tuple[Any, Any], ...]) -> None:
    """Set its variables."""
    for variable, value in items:
        context.run(variable.set, value)


@register(
    Token,
    action="refuse",
    refused="always",
    hint="Pass the value to set, and reset it in the function that set it.",
)
def reduce_token(token: Any) -> Any:
    """Refuse: only the context in which it was made takes it."""
    raise RefusedError(token, "It can only be used in the context of this process that gave it.")
