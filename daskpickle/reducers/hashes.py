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
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError

HINT = "Pass the bytes, or the digest; or make it inside the task."
own_constructor: Any = getattr(hashlib, "__get_builtin_constructor")
LENGTH = 32  # of the digests that are compared, where it is asked for


def digest(obj: Any) -> bytes:
    """Return the digest of what it was fed."""
    return bytes(obj.digest(LENGTH) if obj.name.startswith("shake") else obj.digest())


def reduce_hash(obj: Any) -> tuple[Any, ...]:
    """Say its name, if it has the digest of nothing."""
    kind = obj.name, type(obj).__module__ != "_hashlib"
    if digest(obj) != digest(rebuild_hash(*kind)):
        why = "Its state cannot leave the process: it was fed, or has a key or size of its own."
        raise RefusedError(obj, why)
    return rebuild_hash, kind


def rebuild_hash(name: str, own: bool) -> Any:
    """Make a new one: Python's own, or that of OpenSSL; or the other one, if there is only that."""
    with suppress(ValueError):
        if own:
            return own_constructor(name)()
    return hashlib.new(name)


def kinds() -> Iterator[type]:
    """Yield the classes of hashes."""
    for name in sorted(hashlib.algorithms_guaranteed):
        for own in (False, True):
            with suppress(ValueError):  # this Python was built without it
                yield type(rebuild_hash(name, own))


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
