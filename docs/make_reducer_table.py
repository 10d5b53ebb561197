"""Write docs/reference/reducers.md, the table of what travels and how, from the registrations.

With ``--check``, write nothing, and exit with 1 if the file is not what would be written.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import daskpickle
import daskpickle.reducers

TARGET = Path(__file__).parent / "reference" / "reducers.md"
HEAD = "<!-- Written by `make reference` from the registrations; do not edit. -->\n"
COLUMNS = ("Class", "Action", "Scope", "Travels", "Lost", "Refused", "What to do")


def room_of(record: Any) -> str:
    """The name of the file that a registration stands in: ``locks``."""
    return str(record.room).rpartition(".")[2]


def row(*cells: object) -> str:
    """One line of a Markdown table."""
    texts = (" ".join(str(cell or "").split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def lines() -> Iterator[str]:
    """The page: a section a room, with its notes; a line an action, the default action first."""
    rooms = {
        info.name: importlib.import_module(f"daskpickle.reducers.{info.name}")
        for info in pkgutil.iter_modules(daskpickle.reducers.__path__)
    }
    records = [record for record in daskpickle.registrations() if room_of(record) in rooms]
    records.sort(key=lambda r: (room_of(r), r.cls_name, not r.default, r.action))
    for room, group in groupby(records, room_of):
        text = inspect.getdoc(rooms[room]) or ""
        summary, _, notes = text.partition("\n\nNotes\n-----\n")
        yield from ("", f"## {room}", "", summary, "", *([notes, ""] if notes else []))
        yield from (row(*COLUMNS), row(*["---"] * len(COLUMNS)))
        for r in group:
            action = f"**{r.action}**" if r.default else r.action
            yield row(f"`{r.cls_name}`", action, r.scope, r.travels, r.lost, r.refused, r.hint)


def main() -> int:
    """Write the page, or compare it."""
    daskpickle.install()  # some actions are there only when Dask is: "cluster" of a lock
    page = HEAD + "".join(f"{line}\n" for line in lines())
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(page, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != page:
        print(f"{TARGET} is stale: run `make reference` and commit it.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
