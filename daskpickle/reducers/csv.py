"""CSV: a reader goes on with the next row, a writer writes where it did, as far as that travels.

Notes
-----
- Travels: what a reader reads from, such as a file or a list, from the next row on, its dialect and
  the number of lines read; the ``write`` method and dialect of a writer. `csv.DictReader` and
  `csv.DictWriter` are made of these.
- Lost: nothing.
- Refused: those that read from or write to what cannot travel, which the path then names.

They tell what they read from and write to to the garbage collector only (``Reader_traverse``,
``Writer_traverse``, Modules/_csv.c). Between two calls a reader is between two rows.
"""

from __future__ import annotations

import csv
import gc
from collections.abc import Callable, Iterator
from itertools import repeat
from types import SimpleNamespace
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import Resumed

Reader: Any = type(csv.reader(()))
target: Any = SimpleNamespace(write=print)
Writer: Any = type(csv.writer(target))
Dialect: Any = type(csv.reader(()).dialect)

FACTS = (
    "delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting",
    "skipinitialspace", "strict",
)  # fmt: skip


def held(obj: Any) -> list[Any]:
    """Return what a reader or writer holds beside its dialect and the row that it makes."""
    return [each for each in gc.get_referents(obj) if not isinstance(each, (Dialect, list, type))]


@register(
    Reader,
    travels="what it reads from, its dialect, the number of lines read",
    lost="nothing",
    refused="if what it reads from cannot travel",
    hint="Pass a list of its rows, or the path, and make it inside the task.",
)
def reduce_reader(reader: Any) -> tuple[Any, ...]:
    """Say what it reads from."""
    found = held(reader)
    if len(found) != 1:
        raise RefusedError(reader, "Its source cannot be told.")
    source = found[0].source if type(found[0]) is Resumed else found[0]
    return rebuild_reader, (source, reader.dialect, reader.line_num)


def rebuild_reader(source: Iterator[str], dialect: Any, line_num: int) -> Any:
    """Make it count the lines that were read: an empty one is an empty row in each dialect."""
    reader = csv.reader(Resumed(repeat("", line_num), source), dialect)
    for _ in range(line_num):
        next(reader)
    return reader


@register(
    Writer,
    travels="the method that it writes by, its dialect",
    lost="nothing",
    refused="if what it writes to cannot travel",
    hint="Make it inside the task.",
)
def reduce_writer(writer: Any) -> tuple[Any, ...]:
    """Say what it writes by."""
    found = held(writer)
    if len(found) != 1:
        raise RefusedError(writer, "Its target cannot be told.")
    return rebuild_writer, (found[0], writer.dialect)


def rebuild_writer(write: Callable[[str], object], dialect: Any) -> Any:
    """Make one that writes by this method."""
    target: Any = SimpleNamespace(write=write)
    return csv.writer(target, dialect)


@register(
    Dialect,
    travels="what it says",
    lost="nothing",
    refused="nothing",
    hint="Pass the name of the dialect.",
)
def reduce_dialect(dialect: Any) -> tuple[Any, ...]:
    """Say what it says."""
    return rebuild_dialect, ({name: getattr(dialect, name) for name in FACTS},)


def rebuild_dialect(facts: dict[str, Any]) -> Any:
    """Make one that says the same."""
    return csv.reader((), **facts).dialect
