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
    "<unknown>": ("tls",),  # the owner of ssl.Purpose on Python 3.10
    "Token": ("sentinels",),
    "_asyncio": ("event_loops",),
    "_blake2": ("hashes",),
    "_bz2": ("compressors",),
    "_collections": ("iterators",),
    "_compression": ("compressed",),
    "_contextvars": ("contexts",),
    "_csv": ("csv",),
    "_ctypes": ("cdata",),
    "_elementtree": ("xml",),
    "_hashlib": ("hashes",),
    "_io": ("files",),
    "_json": ("json",),
    "_lzma": ("compressors",),
    "_md5": ("hashes",),
    "_multibytecodec": ("codings",),
    "_queue": ("queues",),
    "_random": ("natives",),
    "_sha1": ("hashes",),
    "_sha2": ("hashes",),
    "_sha256": ("hashes",),
    "_sha3": ("hashes",),
    "_sha512": ("hashes",),
    "_socket": ("sockets",),
    "_sre": ("regexes",),
    "_ssl": ("sockets", "tls"),
    "_struct": ("natives",),
    "_thread": ("locks", "thread_locals"),
    "_threading_local": ("thread_locals",),
    "_weakrefset": ("weak",),
    "abc": ("callables",),
    "argparse": ("parsers",),
    "asyncio": ("event_loops",),
    "asyncore": ("dialogues",),
    "builtins": (
        "callables",
        "capsules",
        "exceptions",
        "modules",
        "running",
        "sentinels",
        "views",
    ),
    "bz2": ("compressors",),
    "cmd": ("prompts",),
    "codecs": ("codings",),
    "collections": ("iterators",),
    "compression": ("compressed",),
    "concurrent": ("executors",),
    "configparser": ("sentinels",),
    "contextlib": ("callables",),
    "csv": ("csv",),
    "ctypes": ("cdata",),
    "curses": ("terminals",),
    "daskpickle": ("exceptions",),
    "dataclasses": ("sentinels",),
    "datetime": ("dates",),
    "dbm": ("shelves",),
    "decimal": ("natives",),
    "dis": ("sentinels",),
    "enum": ("enums", "sentinels"),
    "fileinput": ("file_inputs",),
    "ftplib": ("dialogues",),
    "functools": ("callables",),
    "hashlib": ("hashes",),
    "hmac": ("hashes",),
    "http": ("http",),
    "imaplib": ("dialogues",),
    "importlib": ("metadata",),
    "io": ("files",),
    "itertools": ("iterators",),
    "json": ("json",),
    "logging": ("logs",),
    "lzma": ("compressors",),
    "mailbox": ("mailboxes",),
    "mmap": ("mmaps",),
    "multiprocessing": ("children", "managers", "pools", "processes", "shared"),
    "nt": ("system",),
    "optparse": ("parsers",),
    "os": ("system",),
    "poplib": ("dialogues",),
    "posix": ("system",),
    "pyexpat": ("xml",),
    "pyopencl": ("opencl",),
    "queue": ("queues",),
    "random": ("natives",),
    "re": ("regexes",),
    "redis": ("redis",),
    "sched": ("schedulers",),
    "select": ("watchers",),
    "selectors": ("watchers",),
    "shelve": ("shelves",),
    "shlex": ("prompts",),
    "smtplib": ("dialogues",),
    "socket": ("sockets", "tls"),
    "sqlite3": ("sqlite",),
    "sre_constants": ("regexes",),
    "ssl": ("sockets", "tls"),
    "struct": ("natives",),
    "subprocess": ("processes",),
    "sys": ("interpreter",),
    "tarfile": ("tars",),
    "telnetlib": ("dialogues",),
    "tempfile": ("files", "tempfiles"),
    "threading": ("locks", "running"),
    "traceback": ("sentinels",),
    "typing": ("typings",),
    "unicodedata": ("natives",),
    "unittest": ("mocks",),
    "urllib": ("http",),
    "weakref": ("weak",),
    "xml": ("xml",),
    "xmlrpc": ("xmlrpc",),
    "zipfile": ("zips",),
    "zlib": ("compressors",),
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
