"""The errors of daskpickle: full sentences, facts as attributes; all survive pickling."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = [
    "DaskpickleError",
    "DaskpickleWarning",
    "HandleError",
    "PluginError",
    "RefusedError",
    "RegistrationError",
    "VersionError",
    "refused_as",
]


class DaskpickleWarning(UserWarning):
    """Something that daskpickle could not do for you, but that stops nothing."""


class DaskpickleError(Exception):
    """Base of all errors of daskpickle; its facts are keyword-only attributes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default reduction calls ``cls(*args)``, which loses keyword-only facts (bpo-1692335).
        return rebuild_error, (type(self), self.args, self.__dict__.copy())


def rebuild_error(
    cls: type[DaskpickleError], args: tuple[Any, ...], facts: dict[str, Any]
) -> DaskpickleError:
    """Make the error again without running its ``__init__``."""
    base: Any = cls.__base__  # whose layout it has: `OSError` has one of its own
    error: DaskpickleError = base.__new__(cls)
    error.args = args
    error.__dict__.update(facts)
    return error


def describe_type(obj: object) -> str:
    """Return the qualified name of a type, or of an object's type: ``'_thread.lock'``."""
    cls: Any = obj if issubclass(type(obj), type) else type(obj)
    module = getattr(cls, "__module__", None)
    return cls.__qualname__ if module in ("builtins", None) else f"{module}.{cls.__qualname__}"


class RefusedError(DaskpickleError, pickle.PicklingError, TypeError):
    """An object cannot travel: what, where, why, and what to do.

    Parameters
    ----------
    obj
        The object that is refused, or its type. Only the name of its type is kept.
    why
        A sentence that says why.
    hint
        A sentence that says what to do.

    Attributes
    ----------
    type_name, why, hint : str
    path : str or None
        Where the object was found inside what was being pickled: ``f<closure 'client'>.sock``.
    key : str or None
        The key of the Dask task that holds it, when known.
    host : str or None
        The address of the worker or scheduler that refused, when it was not this process.
    own_thread : bool
        Whether it could be pickled in the thread that made it.
    """

    def __init__(self, obj: object, why: str, hint: str = "") -> None:
        self.type_name = describe_type(obj)
        self.why = why
        self.hint = hint
        self.path: str | None = None
        self.key: str | None = None
        self.host: str | None = None
        self.own_thread = False
        super().__init__(why)

    def __str__(self) -> str:
        where = f" at `{self.path}`" if self.path else ""
        host = f" on {self.host}" if self.host else ""
        named = self.path is not None and self.path.startswith("task ")
        key = f" for task {self.key!r}" if self.key and not named else ""
        hint = f" {self.hint}" if self.hint else ""
        why = (
            self.why[:1].lower() + self.why[1:]
            if self.why.startswith(("It ", "Its "))
            else self.why
        )
        return f"Cannot pickle {self.type_name}{where}{host}{key}: {why}{hint}"


_refused_as: dict[type[Exception], type[RefusedError]] = {}


def refused_as(error: type[Exception]) -> type[RefusedError]:
    """Return the class of refusals that are an ``error`` too, an exception class of Python itself.

    So what catches the errors of an object that raises a `ValueError` goes on catching them.
    """
    if issubclass(RefusedError, error):
        return RefusedError
    mixed = _refused_as.get(error)
    if mixed is None:
        names = {"__module__": __name__, "__reduce__": _reduce_refused_as, "also": error}
        mixed = _refused_as.setdefault(error, type("RefusedError", (RefusedError, error), names))
    return mixed


def _reduce_refused_as(refusal: Any) -> tuple[Any, ...]:
    return rebuild_refused_as, (refusal.also, refusal.args, refusal.__dict__.copy())


def rebuild_refused_as(
    error: type[Exception], args: tuple[Any, ...], facts: dict[str, Any]
) -> DaskpickleError:
    """Make a refusal that is an ``error`` too."""
    return rebuild_error(refused_as(error), args, facts)


class HandleError(DaskpickleError):
    """A handle could not be opened, or not be used, where it arrived.

    Attributes
    ----------
    type_name : str
        What should have been opened.
    host : str
        Where.
    """

    def __init__(self, type_name: str, why: str, *, host: str = "") -> None:
        self.type_name = type_name
        self.why = why
        self.host = host
        super().__init__(f"Cannot open {type_name}{f' on {host}' if host else ''}: {why}")


class RegistrationError(DaskpickleError, ValueError):
    """A registration contradicts another one, or itself."""


class PluginError(DaskpickleError):
    """A plug-in of the entry-point group ``daskpickle.reducers`` could not be loaded."""


class VersionError(DaskpickleError, ImportError):
    """What arrived was written by a newer daskpickle than the one that is installed here."""
