"""Clients that log in and go on from there: they travel while they are not connected.

Notes
-----
- Travels: clients of smtplib, ftplib, poplib, imaplib and telnetlib that are not connected, with
  all their attributes, as pickle copies them. Dispatchers of asyncore that have no socket.
- Lost: nothing.
- Refused: a client that is connected. A new connection would not be where this one is: logged in,
  in a folder, encrypted by STARTTLS. What watches a descriptor by its number, as asyncore does.

A Telnet connection is nothing but a socket and its attributes: without a refuser it would arrive
connected, and not logged in.
"""

from __future__ import annotations

import importlib
import warnings
from contextlib import suppress
from ftplib import FTP
from imaplib import IMAP4
from poplib import POP3
from smtplib import SMTP
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError


def old(name: str) -> Any:
    """Return a module that newer versions of Python do not have, or None."""
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(name)


def reduce_client(client: Any) -> Any:
    """Refuse what is in the middle of a dialogue."""
    if getattr(client, "sock", None) is not None:
        raise RefusedError(client, "It is connected, and what was said so far cannot be repeated.")
    return client.__reduce_ex__(4)


def reduce_dispatcher(dispatcher: Any) -> Any:
    """Refuse what the loop of this process watches."""
    if getattr(dispatcher, "socket", None) is not None:
        raise RefusedError(dispatcher, "It is watched by the loop of this process.")
    return dispatcher.__reduce_ex__(4)


def reduce_descriptor(wrapper: Any) -> Any:
    """Refuse the number of a descriptor, which its copy would close."""
    raise RefusedError(wrapper, "It owns a descriptor of this process, by its number.")


_telnetlib, _asyncore = old("telnetlib"), old("asyncore")

for _cls in (FTP, IMAP4, POP3, SMTP, *([_telnetlib.Telnet] if _telnetlib else [])):
    register(
        _cls, reduce_client, subclasses=True, travels="its attributes", lost="nothing",
        refused="while it is connected", hint="Connect and log in inside the task.",
    )  # fmt: skip

if _asyncore:
    register(
        _asyncore.dispatcher, reduce_dispatcher, subclasses=True, travels="its attributes",
        lost="nothing", refused="with a socket", hint="Make it inside the task.",
    )  # fmt: skip
    register(
        _asyncore.file_wrapper, reduce_descriptor, action="refuse", subclasses=True,
        refused="always", hint="Make it inside the task.",
    )  # fmt: skip
