"""Plug-ins: third parties' reducers, by entry point of the group ``daskpickle.reducers``.

The name of an entry point is the owner of the classes that it registers, the first part of their
``__module__``; the module it names is imported when an object of that owner is first pickled.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING

from daskpickle.errors import DaskpickleWarning

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "find_plugins", "load_plugins", "report"]

GROUP = "daskpickle.reducers"


@cache
def find_plugins() -> dict[str, list[EntryPoint]]:
    """Return the entry points of the group, by owner."""
    # Here and not above: importing it takes longer than all of daskpickle, and most never need it.
    from importlib.metadata import entry_points

    found: dict[str, list[EntryPoint]] = {}
    try:
        for entry in entry_points(group=GROUP):
            found.setdefault(entry.name, []).append(entry)
    except Exception as exc:  # the metadata of any one package can be broken
        report("The plug-ins of daskpickle", exc)
    return found


def load_plugins(owner: str) -> None:
    """Import the plug-ins for ``owner``; one that fails is reported by name, and stops nothing."""
    for entry in find_plugins().get(owner, ()):
        try:
            entry.load()
        except Exception as exc:
            where = f" of {entry.dist.name}" if entry.dist is not None else ""
            report(f"The daskpickle plug-in {entry.name!r} ({entry.value}{where})", exc)


def report(what: str, exc: Exception) -> None:
    """Warn that ``what`` could not be loaded, by its name; that must not stop anything."""
    warnings.warn(
        f"{what} could not be loaded: {type(exc).__name__}: {exc}. Its types travel as if it were "
        "not installed.",
        DaskpickleWarning,
        stacklevel=3,
    )
