"""Log handlers: a copy that shares its lock by token; those that would spoil a log are refused.

Notes
-----
- Travels: its level, filters and formatter, and what it writes to by the rules for that: a stream
  by those of files, so that an open log file is refused unless the policy says to append.
- Lost: that ``logging.shutdown`` knows it. Loggers travel by name, without their handlers.
- Refused: a handler that would empty its file when it opens it again; one that renames full files,
  which the documentation of `logging` forbids to several processes; one that hands its records to a
  queue of this process; one that holds a password.

The only thing that kept these from being pickled is the lock of every handler.
"""

from __future__ import annotations

import logging
import queue
from logging.handlers import BaseRotatingHandler, HTTPHandler, QueueHandler, SMTPHandler
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError

HINT = "Add a handler inside the task; loggers travel by name."
FACTS = "its attributes, its stream by the rules for files"


def copy_handler(handler: Any) -> tuple[Any, ...]:
    """Return the attributes as state, which is set after the object is known: cycles are fine."""
    return rebuild_handler, (type(handler),), vars(handler)


def rebuild_handler(cls: type) -> Any:
    """Make a handler that has no attributes yet."""
    return object.__new__(cls)


@register(
    logging.FileHandler,
    travels=FACTS,
    lost="that logging knew it",
    refused="one in mode w or x, whose file would be emptied",
    hint=HINT,
    subclasses=True,
)
def reduce_file_handler(handler: Any) -> tuple[Any, ...]:
    """Refuse what would empty its file; an open stream is refused, or not, as a file."""
    if handler.stream is None and "a" not in handler.mode:
        raise RefusedError(handler, "It would empty its file where it arrives.")
    return copy_handler(handler)


@register(
    BaseRotatingHandler,
    action="refuse",
    refused="always",
    hint=HINT,
    subclasses=True,
)
def reduce_rotating_handler(handler: Any) -> Any:
    """Refuse: one process would rename the file that another one writes to."""
    raise RefusedError(handler, "It renames its file when that is full, under the other processes.")


@register(
    QueueHandler,
    travels="its attributes, if its queue travels between processes",
    lost="that logging knew it",
    refused="with a queue of this process",
    hint=HINT,
    subclasses=True,
)
def reduce_queue_handler(handler: Any) -> tuple[Any, ...]:
    """Refuse: a copy of the queue would swallow the records, for nobody listens to it."""
    if isinstance(handler.queue, (queue.Queue, queue.SimpleQueue)):
        raise RefusedError(handler, "Its queue is read in this process only.")
    return copy_handler(handler)


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
