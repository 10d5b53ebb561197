"""XML-RPC: proxies, their methods and calls travel by what they are set up with.

Notes
-----
- Travels: host, path, transport (by the rules for HTTP connections), encoding, flags; calls that
  were gathered and not made.
- Lost: nothing.
- Refused: a proxy whose URI holds a password.

Dask takes one that is itself an argument of a task for a future, as it has ``__dask_future__`` too:
let it travel in a closure, or as an attribute.

All of these answer any question for an attribute with a method to be called: whoever loads them as
others are loaded calls the server for ``__setstate__``.
"""

from __future__ import annotations

import xmlrpc.client
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError


@register(
    xmlrpc.client.ServerProxy, subclasses=True, hint="Make the proxy inside the task.",
    travels="host, path, transport, encoding, flags", lost="nothing",
    refused="a password in its URI",
)  # fmt: skip
def reduce_proxy(proxy: Any) -> tuple[Any, ...]:
    """Say whom it calls, and how."""
    if "@" in vars(proxy)["_ServerProxy__host"]:
        raise RefusedError(proxy, "It holds a password.")
    return rebuild_caller, (type(proxy), vars(proxy))


@register(
    xmlrpc.client._MultiCallMethod, hint="Make it inside the task.",
    travels="its name, the calls so far", lost="nothing", refused="nothing",
)  # fmt: skip
@register(
    xmlrpc.client.MultiCall, subclasses=True, hint="Make it inside the task.",
    travels="its proxy, the calls so far", lost="nothing", refused="nothing",
)  # fmt: skip
def reduce_calls(calls: Any) -> tuple[Any, ...]:
    """Say what it holds."""
    return rebuild_caller, (type(calls), vars(calls))


def rebuild_caller(cls: type, state: dict[str, Any]) -> Any:
    """Make it without asking it for anything."""
    caller: Any = object.__new__(cls)
    vars(caller).update(state)
    return caller


@register(
    xmlrpc.client._Method, hint="Make the proxy inside the task.",
    travels="its proxy, its name", lost="nothing", refused="nothing",
)  # fmt: skip
def reduce_method(method: Any) -> tuple[Any, ...]:
    """Say which method of which proxy it is.

    It sends by a private method of the proxy, which is not to be found under its name.
    """
    send, name = vars(method)["_Method__send"], vars(method)["_Method__name"]
    proxy = getattr(send, "__self__", None)
    if isinstance(proxy, xmlrpc.client.ServerProxy):
        return rebuild_method, (proxy, name)
    return rebuild_caller, (type(method), vars(method))


def rebuild_method(proxy: Any, name: str) -> Any:
    """Make the method of a proxy that arrived."""
    return xmlrpc.client._Method(proxy._ServerProxy__request, name)
