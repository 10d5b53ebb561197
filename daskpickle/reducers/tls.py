"""TLS without sockets: buffers that hold nothing travel, sessions and their keys stay.

Notes
-----
- Travels: a `ssl.MemoryBIO` that holds nothing, at its end or not; `ssl.Purpose` and its like; in
  Python 3.10 combinations of flags, whose classes know how to pickle those with a name.
- Lost: nothing.
- Refused: bytes in a buffer; either end of a conversation, and sessions, whose keys stay here.

Contexts and TLS sockets have their rules beside those of sockets.
"""

from __future__ import annotations

import _ssl
import socket
import ssl
import sys
from typing import Any, NoReturn

from daskpickle import register
from daskpickle.errors import RefusedError


@register(
    ssl.MemoryBIO, hint="Read it, and send the bytes.", travels="one that holds nothing",
    lost="nothing", refused="one that holds bytes",
)  # fmt: skip
def reduce_buffer(buffer: ssl.MemoryBIO) -> tuple[Any, ...]:
    """Say whether more may be written."""
    if buffer.pending:
        raise RefusedError(buffer, "Its bytes cannot be read without taking them out.")
    return rebuild_buffer, (buffer.eof,)


def rebuild_buffer(eof: bool) -> ssl.MemoryBIO:
    """Make a buffer that holds nothing."""
    buffer = ssl.MemoryBIO()
    if eof:
        buffer.write_eof()
    return buffer


@register(
    ssl._ASN1Object, hint="Send its oid.", travels="its oid", lost="nothing", refused="nothing"
)
def reduce_oid(obj: Any) -> tuple[Any, ...]:
    """Say what it is made from: it is a tuple of four that is made from one of them."""
    return rebuild_oid, (obj.oid,)


def rebuild_oid(oid: str) -> Any:
    """Make it again."""
    return ssl._ASN1Object(oid)


def reduce_keys(obj: Any) -> NoReturn:
    """Refuse: a conversation cannot go on elsewhere."""
    raise RefusedError(obj, "Its keys stay in this process.")


for _cls in (ssl.SSLObject, ssl.SSLSession, vars(_ssl)["_SSLSocket"]):
    register(
        _cls, reduce_keys, action="refuse", subclasses=True, refused="always",
        hint="Connect inside the task.",
    )  # fmt: skip


def reduce_flags(flags: Any) -> Any:
    """Return their name, as these classes do; or their number, if several are combined."""
    return flags.name or (type(flags), (int(flags),))


def reduce_purpose(purpose: ssl.Purpose) -> tuple[Any, ...]:
    """Return its name."""
    return rebuild_purpose, (purpose.name,)


def rebuild_purpose(name: str) -> ssl.Purpose:
    """Return the purpose of that name."""
    return ssl.Purpose[name]


if sys.version_info < (3, 11):
    register(
        ssl.Purpose, reduce_purpose, travels="its name", lost="nothing", refused="nothing",
        hint="Send its name.",
    )  # fmt: skip
    for _cls in (socket.AddressInfo, socket.MsgFlag, ssl.Options, ssl.VerifyFlags):
        register(
            _cls, reduce_flags, travels="name or number", lost="nothing", refused="nothing",
            hint="Send the number.",
        )  # fmt: skip
