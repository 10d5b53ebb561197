"""Managers of `multiprocessing`: a proxy reaches its manager from elsewhere; a key never travels.

Notes
-----
- Travels: of a proxy, the address of its manager and which object there it is for. It connects at
  first use, with the ``authkey`` that `multiprocessing.current_process` has where it arrives: all
  processes that one has started, and those that they started, have the same.
- Lost: nothing.
- Refused: a key. A manager, which runs in a process that belongs to this one. A proxy whose key no
  other process can have: it was made at random for this one, which has started no other.
"""

from __future__ import annotations

from multiprocessing import current_process, parent_process, process
from multiprocessing.connection import AuthenticationError
from multiprocessing.context import get_spawning_popen
from multiprocessing.managers import AutoProxy, BaseManager, BaseProxy, RebuildProxy, Server
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import settings

SAME_KEY = "Give both processes the same key: multiprocessing.current_process().authkey = ..."
RANDOM = 32  # bytes of a key that nobody has chosen: Lib/multiprocessing/process.py


@register(
    process.AuthenticationString, action="refuse", subclasses=True, veto=True, refused="always",
    hint=f"{SAME_KEY}.",
)  # fmt: skip
def reduce_key(key: Any) -> Any:
    """Refuse it."""
    if get_spawning_popen() is not None:
        return NotImplemented
    raise RefusedError(key, "It is a key, and who has it can run code in this process.")


def reduce_manager(manager: Any) -> Any:
    """Refuse it."""
    if get_spawning_popen() is not None:
        return NotImplemented
    raise RefusedError(manager, "It belongs to this process, as the key to it does.")


for _cls in (BaseManager, Server):
    register(
        _cls, reduce_manager, action="refuse", subclasses=True, veto=True, refused="always",
        hint="Pass a proxy that it made, or make a manager inside the task.",
    )  # fmt: skip


@register(
    BaseProxy, action="reconnect", scope="process", subclasses=True,
    travels="the address of its manager, and which object it is for", lost="nothing",
    refused="if no other process can have the key to its manager", hint=f"{SAME_KEY}.",
)  # fmt: skip
def reduce_proxy(proxy: Any) -> Any:
    """Say where its manager is."""
    if get_spawning_popen() is not None:
        return NotImplemented
    if _only_here(proxy):
        raise RefusedError(proxy, "No other process has the key of this one to its manager.")
    exposed = proxy._exposed_ if getattr(proxy, "_isauto", False) else None
    return Recipe(
        open_proxy, type(proxy), proxy._token, proxy._serializer, exposed, close=keep_proxy
    )


def _only_here(proxy: Any) -> bool:
    """Tell whether nobody but this process can have the key: it is random, and not inherited."""
    own = current_process().authkey
    if proxy._authkey != own or len(own) != RANDOM or parent_process() is not None:
        return False
    managing = getattr(proxy._manager, "_process", None)
    children = [child for child in process._children if child is not managing]  # type: ignore[attr-defined]
    return not children and not settings.host  # the name of a worker or scheduler in this process


def open_proxy(cls: type, token: Any, serializer: str, exposed: Any) -> Any:
    """Connect to the manager."""
    more = {} if exposed is None else {"exposed": exposed}
    try:
        return RebuildProxy(cls if exposed is None else AutoProxy, token, serializer, more)
    except AuthenticationError as exc:
        raise AuthenticationError(f"{exc}: its manager has another key. {SAME_KEY}") from exc


def keep_proxy(proxy: Any) -> None:
    """Leave what it stands for to its manager, which counts the proxies."""
