"""HTTP clients: a connection is made again at its next request; a body that was not read stays.

Notes
-----
- Travels: a connection as it was set up (host, port, timeout, tunnel, headers, TLS context): it
  connects at its next request, as one that the server has closed does. A response that was read to
  its end. What `urllib` returns (`addinfourl` and its like) with its file, by the rules for files.
  A `urllib.error.HTTPError` with code, message, headers and URL, and its body if that is in memory.
- Lost: the socket of a connection; the body of an error that is still on its way, which arrives
  closed: reading it raises `ValueError`.
- Refused: a connection in the middle of a request or of a response, or one that was told never to
  connect by itself (``auto_open``); a response whose body was not read to its end.
"""

from __future__ import annotations

import copyreg
import io
import socket
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any
from urllib.error import HTTPError
from urllib.response import addbase

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state

#: What is asked for by name below, or is made again.
FACTS = ("headers", "url", "code", "closehook", "hookargs")
KNOWN = {*FACTS, "file", "name", "delete", "_closer", "fp", "msg", "hdrs"}


@register(
    HTTPConnection, subclasses=True, hint="Read the response first, or connect inside the task.",
    travels="how it is set up; connects at its next request", lost="its socket",
    refused="in the middle of a request or a response",
)  # fmt: skip
def reduce_connection(conn: Any) -> Any:
    """Leave out the socket, and what was said through it; else it is pickled as ever."""
    make, args, state, *_ = conn.__reduce_ex__(4)
    if conn.sock is not None:
        response = conn._HTTPConnection__response
        if conn._HTTPConnection__state != "Idle" or not (response is None or response.isclosed()):
            raise RefusedError(conn, "It is in the middle of a request, or of the response to it.")
        if not conn.auto_open:
            raise RefusedError(conn, "It was told not to connect again by itself.")
        state = {**state, "sock": None, "_HTTPConnection__response": None}
    return make, args, state


@register(
    HTTPResponse, subclasses=True, hint="Read it, and send the bytes.",
    travels="what was read to its end", lost="nothing", refused="a body that was not read",
)  # fmt: skip
def reduce_response(response: Any) -> Any:
    """Refuse what a socket has still to say."""
    if isinstance(getattr(response.fp, "raw", None), socket.SocketIO):
        raise RefusedError(response, "Its body was not read to its end.")
    return response.__reduce_ex__(4)


def _own_state(obj: Any) -> dict[str, Any]:
    """Return its other attributes; not the methods of its file, which it keeps once it is asked."""
    file = obj.fp.__class__
    return {n: v for n, v in vars(obj).items() if n not in KNOWN and not hasattr(file, n)}


@register(
    addbase, subclasses=True, hint="Read it, and send the bytes.",
    travels="headers, URL, code, its file by the rules for files", lost="nothing",
    refused="by the rules for files",
)  # fmt: skip
def reduce_answer(answer: Any) -> tuple[Any, ...]:
    """Say what is in it: without ``__init__``, asking it for anything fails while it is loaded."""
    facts = {name: vars(answer)[name] for name in FACTS if name in vars(answer)}
    return rebuild_answer, (type(answer), answer.fp, {**facts, **_own_state(answer)})


def rebuild_answer(cls: type, fp: Any, state: dict[str, Any]) -> Any:
    """Wrap the file that arrived."""
    answer: Any = object.__new__(cls)
    addbase.__init__(answer, fp)
    add_state(answer, state)
    return answer


@register(
    HTTPError, subclasses=True, hint="Read it, and send what matters of it.",
    travels="URL, code, message, headers; its body, if that is in memory",
    lost="a body that was not read", refused="nothing",
)  # fmt: skip
def reduce_error(error: Any) -> tuple[Any, ...]:
    """Leave out a body that is still on its way: the error says enough without it.

    `BaseException.__setstate__` sets the state where it arrives.
    """
    fp = error.fp
    coming = isinstance(fp, HTTPResponse) and not fp.isclosed()
    lost = coming or (type(fp) is io.BytesIO and fp.closed)
    fp = None if lost else fp
    facts = error.filename, error.code, error.msg, error.hdrs, fp, lost
    links = ["__cause__", "__context__", "__suppress_context__"]
    if TracebackType in copyreg.dispatch_table:  # as for all exceptions
        links.append("__traceback__")
    state = {**_own_state(error), **{name: getattr(error, name) for name in links}}
    return rebuild_error, (type(error), *facts), state


def rebuild_error(
    cls: type, url: Any, code: Any, msg: Any, hdrs: Any, fp: Any, lost: bool = False
) -> Any:
    """Make the error; a body that did not arrive is closed."""
    if lost:
        fp = io.BytesIO()
        fp.close()
    error: Any = OSError.__new__(cls)
    HTTPError.__init__(error, url, code, msg, hdrs, fp)
    return error
