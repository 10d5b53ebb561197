"""Hashes: one that was fed nothing yet travels as a new one; what was fed cannot be told.

Notes
-----
- Travels: the name of a hash that has not been fed.
- Lost: nothing.
- Refused: a hash that has been fed, or has a key, salt or size of its own: its state can be copied
  within its process and not be read. `hmac.HMAC`, as its key is a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError

HINT = "Pass the bytes, or the digest; or make it inside the task."
LENGTH = 32  # of the digests that are compared, where it is asked for


def new(obj: Any) -> tuple[Callable[..., Any], str]:
    """Return what makes a hash of this kind and name."""
    module = importlib.import_module(type(obj).__module__)
    return getattr(module, "new", None) or getattr(module, obj.name), obj.name


def digest(obj: Any) -> bytes:
    """Return the digest of what it was fed."""
    return bytes(obj.digest(LENGTH) if obj.name.startswith("shake") else obj.digest())


def reduce_hash(obj: Any) -> tuple[Any, ...]:
    """Say its name, if it has the digest of nothing."""
    make, name = new(obj)
    if digest(obj) != digest(rebuild_hash(make, name)):
        raise RefusedError(
            obj, "Its state cannot leave the process: it was fed, or has a key or size of its own."
        )
    return rebuild_hash, (make, name)


def rebuild_hash(make: Callable[..., Any], name: str) -> Any:
    """Make a new one."""
    return make(name) if make.__name__ == "new" else make()


def kinds() -> Iterator[type]:
    """Yield the classes of hashes: those of OpenSSL, and those of Python's own."""
    own: Any = getattr(hashlib, "__get_builtin_constructor")
    for name in sorted(hashlib.algorithms_guaranteed):
        with suppress(ValueError):  # this Python was built without it
            yield type(hashlib.new(name))
            yield type(own(name)())


for cls in dict.fromkeys(kinds()):
    register(
        cls,
        reduce_hash,
        travels="its name",
        lost="nothing",
        refused="once it was fed, or with a key, salt or size of its own",
        hint=HINT,
    )


native: Any = hmac.new(b"", digestmod="sha256")


@register(hmac.HMAC, action="refuse", refused="always", hint=HINT, subclasses=True)
@register(type(native._hmac), action="refuse", refused="always", hint=HINT)
def reduce_hmac(obj: Any) -> Any:
    """Refuse."""
    raise RefusedError(obj, "Its key is a secret, and what it was fed cannot be read.")
