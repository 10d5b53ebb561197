"""Log handlers: what travels is how they are set up, and never their stream or their socket.

Notes
-----
- Travels: its level, filters and formatter, and what it was made with. One that writes to a file
  or to a socket opens it at its first record, as it does after its file was renamed, or its server
  was gone. One that was given a stream, or a queue, has it by the rules for that.
- Lost: that ``logging.shutdown`` knows it. Loggers travel by name, without their handlers; so does
  `logging.Manager`, the registry of them all: each process has its own. A logger that nobody gets
  by its name is an object like others.
- Refused: a handler that would empty its file when it opens it again; one that holds a password.

The only thing that kept these from being pickled is the lock of every handler. Several processes
that write to one file may mix their lines, and rename it under each other: `logging` says so.
"""

from __future__ import annotations

import logging
import socket
from logging.handlers import HTTPHandler, SMTPHandler, SocketHandler, SysLogHandler
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import neutral, rebuild_handle

HINT = "Add a handler inside the task; loggers travel by name."


def copy_handler(handler: Any, **changes: Any) -> tuple[Any, ...]:
    """Return the attributes as state, which is set after the object is known: cycles are fine."""
    return rebuild_handler, (type(handler),), {**vars(handler), **changes}


def rebuild_handler(cls: type) -> Any:
    """Make a handler that has no attributes yet."""
    return object.__new__(cls)


@register(
    logging.FileHandler,
    travels="its attributes; opens its file at the first record",
    lost="its stream, that logging knew it",
    refused="one in mode w or x, whose file would be emptied",
    hint=HINT,
    subclasses=True,
)
def reduce_file_handler(handler: Any) -> tuple[Any, ...]:
    """Refuse what would empty its file; all is flushed after each record."""
    if "a" not in handler.mode:
        raise RefusedError(handler, "It would empty its file where it arrives.")
    return copy_handler(handler, stream=None)


@register(
    SocketHandler,
    travels="its attributes; connects at the first record",
    lost="its socket, that logging knew it",
    refused="nothing",
    hint=HINT,
    subclasses=True,
)
def reduce_socket_handler(handler: Any) -> tuple[Any, ...]:
    """Leave out the socket, and when to try again to connect it."""
    return copy_handler(handler, sock=None, retryTime=None)


@register(
    SysLogHandler,
    travels="its attributes; connects at the first record",
    lost="its socket, that logging knew it",
    refused="nothing",
    hint=HINT,
    subclasses=True,
)
def reduce_syslog_handler(handler: Any) -> tuple[Any, ...]:
    """Leave out the socket."""
    state = {name: value for name, value in vars(handler).items() if name != "socket"}
    return rebuild_syslog_handler, (type(handler), handler.address, handler.socktype), state


def rebuild_syslog_handler(cls: Any, address: Any, socktype: Any) -> Any:
    """Make a handler that has no socket yet."""
    handler = object.__new__(cls)
    handler.socket = None
    if not hasattr(cls, "createSocket"):  # new in Python 3.11: it asks for one that is missing
        args = (address, socktype)
        handler.socket = rebuild_handle(
            socket.socket, "fresh", repr(args), open_syslog_socket, args, {}
        )
    return handler


def open_syslog_socket(address: Any, socktype: Any) -> Any:
    """Make the socket of such a handler, connected or not."""
    handler: Any = SysLogHandler(address, socktype=socktype)
    return handler.socket


@register(
    SMTPHandler,
    travels="its attributes",
    lost="that logging knew it",
    refused="with a password",
    hint=HINT,
    subclasses=True,
)
def reduce_smtp_handler(handler: Any) -> tuple[Any, ...]:
    """Refuse to send a password in the open."""
    if handler.username:
        raise RefusedError(handler, "It holds a password.")
    return copy_handler(handler)


@register(
    HTTPHandler,
    travels="its attributes",
    lost="that logging knew it",
    refused="with a password",
    hint=HINT,
    subclasses=True,
)
def reduce_http_handler(handler: Any) -> tuple[Any, ...]:
    """Refuse to send a password in the open."""
    if handler.credentials:
        raise RefusedError(handler, "It holds a password.")
    return copy_handler(handler)


@register(
    logging.Logger,
    travels="its name; its attributes, if `logging` does not know it",
    lost="handlers, level",
    refused="nothing",
    hint="Send its name.",
    subclasses=True,
)
@neutral
def reduce_logger(logger: logging.Logger) -> tuple[Any, ...]:
    """Say its name, as pickle does, unless that would get another logger."""
    if logging.Logger.manager.loggerDict.get(logger.name) is logger:
        return logging.getLogger, (logger.name,)
    return copy_handler(logger, _cache={})


@register(
    logging.Manager,
    travels="the receiver's own",
    lost="nothing",
    refused="nothing",
    hint="Send the names of the loggers.",
)
def reduce_manager(manager: logging.Manager) -> Any:
    """Say that it is the one of a process; another one is copied, and its loggers go by name."""
    if manager is logging.Logger.manager:
        return rebuild_manager, ()
    return manager.__reduce_ex__(4)


def rebuild_manager() -> logging.Manager:
    """Return the registry of this process."""
    return logging.Logger.manager
