"""Managers of `multiprocessing`: a proxy reaches its manager from elsewhere; a key never travels.

Notes
-----
- Travels: of a proxy, the address of its manager and which object there it is for. It connects at
  first use, with the ``authkey`` that `multiprocessing.current_process` has where it arrives: all
  processes that one has started, and those that they started, have the same.
- Lost: nothing.
- Refused: a key. A manager, which runs in a process that belongs to this one. Where daskpickle is
  not installed in Dask, a proxy whose key no other process is known to have: it was made at random
  for this one.
"""

from __future__ import annotations

from multiprocessing import AuthenticationError, current_process, managers, parent_process, process
from multiprocessing.context import get_spawning_popen
from multiprocessing.managers import BaseManager, BaseProxy, Server
from typing import Any

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import settings

RebuildProxy: Any = managers.RebuildProxy  # type: ignore[attr-defined]
AutoProxy: Any = managers.AutoProxy  # type: ignore[attr-defined]
Key: Any = process.AuthenticationString  # type: ignore[attr-defined]

SAME_KEY = "Give both processes the same key: multiprocessing.current_process().authkey = ..."
RANDOM = 32  # bytes of a key that nobody has chosen: _MainProcess, Lib/multiprocessing/process.py


@register(
    Key, action="refuse", subclasses=True, veto=True, refused="always",
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
    refused="if no other process is known to have its key", hint=f"{SAME_KEY}.",
)  # fmt: skip
def reduce_proxy(proxy: Any) -> Any:
    """Say where its manager is."""
    if get_spawning_popen() is not None:
        return NotImplemented
    if _only_here(proxy):
        raise RefusedError(
            proxy, "Its key is that of this process, which no other is known to have."
        )
    exposed = proxy._exposed_ if getattr(proxy, "_isauto", False) else None
    return Recipe(
        open_proxy, type(proxy), proxy._token, proxy._serializer, exposed, close=keep_proxy
    )


def _only_here(proxy: Any) -> bool:
    """Tell whether nobody else is known to have the key: it is random, and was not inherited.

    With Dask it may be: workers that were started from this process have it, and threads of it do.
    """
    own = current_process().authkey
    known = proxy._authkey != own or len(own) != RANDOM or parent_process() is not None
    return not (known or settings.installed)


def open_proxy(cls: type, token: Any, serializer: str, exposed: Any) -> Any:
    """Connect to the manager."""
    more = {} if exposed is None else {"exposed": exposed}
    try:
        return RebuildProxy(cls if exposed is None else AutoProxy, token, serializer, more)
    except AuthenticationError as exc:
        raise AuthenticationError(f"{exc}: its manager has another key. {SAME_KEY}") from exc


def keep_proxy(proxy: Any) -> None:
    """Leave what it stands for to its manager, which counts the proxies."""
