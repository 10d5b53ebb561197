"""The index: which room a class's owner, the first part of its ``__module__``, belongs to.

A room is imported when the first object of its owner is pickled; nothing is imported for others.
"""

from __future__ import annotations

import importlib

from daskpickle.plugins import find_plugins, load_plugins, report
from daskpickle.table import PLUGIN, ROOM, registry

__all__ = ["ROOMS"]

#: owner -> rooms, sorted.
ROOMS: dict[str, tuple[str, ...]] = {
    "_io": ("files",),
    "_queue": ("queues",),
    "_socket": ("sockets",),
    "_ssl": ("sockets",),
    "_thread": ("locks",),
    "builtins": ("running",),
    "concurrent": ("executors",),
    "logging": ("logs",),
    "multiprocessing": ("processes",),
    "pyopencl": ("opencl",),
    "queue": ("queues",),
    "redis": ("redis",),
    "selectors": ("sockets",),
    "socket": ("sockets",),
    "sqlite3": ("sqlite",),
    "ssl": ("sockets",),
    "subprocess": ("processes",),
    "tempfile": ("files",),
    "threading": ("locks", "running"),
}

_known: set[str] = set()


def discover(cls: type) -> None:
    """Import the rooms of the owner of ``cls``, the first time that owner is met."""
    module: object = cls.__module__  # anything, where a class defines it so
    owner = module.partition(".")[0] if isinstance(module, str) else ""
    if owner not in _known:
        _load(owner)


def _load(owner: str) -> None:
    # No lock of ours is held while a module is imported: another thread may be importing it, for
    # instance because it unpickles, and register. Import locks make the second one wait.
    try:
        with registry.registering(ROOM):
            for room in ROOMS.get(owner, ()):
                _import_room(room)
        with registry.registering(PLUGIN):
            load_plugins(owner)
    finally:
        _known.add(owner)  # now, and not before: others must not look into a room half done


def _import_room(room: str) -> None:
    try:
        importlib.import_module(f"{__name__}.{room}")
    except Exception as exc:  # its library is too old, too new, or broken
        report(f"The reducers of the room {room!r}", exc)


def discover_all() -> None:
    """Import every room and plug-in whose library is installed."""
    for owner in (*ROOMS, *find_plugins()):
        try:
            importlib.import_module(owner)
        except Exception:  # it is not installed, or it does not work here
            continue
        _load(owner)


registry.discover = discover
registry.discover_all = discover_all
