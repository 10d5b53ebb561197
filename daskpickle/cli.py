"""The command line: ``daskpickle ...``, and ``dask daskpickle ...``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

import daskpickle

if TYPE_CHECKING:
    from daskpickle.diagnose.text import Line

__all__ = ["FAILED", "FOUND", "OK", "USAGE", "main"]

#: Exit codes: all is well; something was found that cannot travel, or is wrong; the command was
#: called wrongly, as click has it; what it was to look at could not be loaded or reached.
OK, FOUND, USAGE, FAILED = 0, 1, 2, 3

#: From the styles of `daskpickle.diagnose.text` to click's.
STYLES: dict[str, dict[str, Any]] = {
    "": {},
    "bad": {"fg": "red", "bold": True},
    "dim": {"dim": True},
    "good": {"fg": "green"},
    "head": {"bold": True},
    "path": {"fg": "cyan"},
}

as_json = click.option("--json", "as_json", is_flag=True, help="Print plain values as JSON.")
target = click.argument("target", metavar="MODULE:OBJECT")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(daskpickle.__version__)
def main() -> None:
    """Say what travels between the processes of a Dask cluster, and how.

    Exit codes: 0, all is well; 1, something cannot travel or is wrong; 2, wrong usage; 3, what was
    to be looked at could not be loaded or reached.
    """


main.name = "daskpickle"  # what `dask daskpickle` finds it by


@main.command()
@target
@as_json
def check(target: str, as_json: bool) -> None:
    """Name all that keeps an object from travelling: by path, with the way out."""
    obj = _load(target)
    with _Progress() as progress:
        found = daskpickle.check(obj, _progress=progress)
    _say(found.facts(), found.lines, as_json)
    sys.exit(FOUND if found else OK)


@main.command()
@target
@as_json
def explain(target: str, as_json: bool) -> None:
    """Say what makes an object large, or slow to pickle, by path."""
    obj = _load(target)
    with _Progress() as progress:
        found = daskpickle.explain(obj, _progress=progress)
    _say(found.facts(), found.lines, as_json)


@main.command()
@click.argument("address", metavar="ADDRESS")
@click.option("--timeout", default=10.0, help="Seconds to connect to the scheduler.")
@as_json
def doctor(address: str, timeout: float, as_json: bool) -> None:
    """Compare all nodes of a cluster: versions, hooks, and whether each kind travels."""
    from daskpickle.cluster.doctor import connect

    try:
        client = connect(address, timeout)
    except Exception as exc:
        _fail(f"There is no scheduler to be reached at {address}: {exc}")
    with client:
        found = daskpickle.doctor(client)
    _say(found.facts(), found.lines, as_json)
    sys.exit(OK if found else FOUND)


@main.command()
@as_json
def types(as_json: bool) -> None:
    """List the classes that have a reducer, with their actions; the default one first."""
    registered = sorted(
        daskpickle.registrations(load=True), key=lambda r: (r.room, r.cls_name, not r.default)
    )
    names = ("cls_name", "action", "default", "scope", "room", "travels", "lost", "refused", "hint")
    facts = [{name: getattr(record, name) for name in names} for record in registered]
    rows = [
        (r.cls_name, r.action + (" *" if r.default else ""), r.scope, r.travels or "nothing")
        for r in registered
    ]
    _say(facts, partial(_table, ("class", "action", "scope", "what travels"), rows), as_json)


@main.command()
@as_json
def policy(as_json: bool) -> None:
    """Show which action is chosen for each class that has several, and by whom."""
    from daskpickle.cluster import config
    from daskpickle.policy import current_policy

    config.apply()
    chosen = current_policy().actions
    actions: dict[str, list[Any]] = {}
    for record in daskpickle.registrations(load=True):
        actions.setdefault(record.cls_name, []).append(record)
    facts = []
    for name, records in sorted(actions.items()):
        if len(records) == 1 and name not in chosen:
            continue
        default = next(record.action for record in records if record.default)
        others = sorted({*(record.action for record in records), "refuse"})
        facts.append(
            {
                "cls_name": name,
                "action": chosen.get(name, default),
                "by": "configuration" if name in chosen else "default",
                "actions": others,
            }
        )
    rows = [(f["cls_name"], f["action"], f["by"], ", ".join(f["actions"])) for f in facts]
    _say(facts, partial(_table, ("class", "action", "chosen by", "actions"), rows), as_json)
    unknown = sorted(set(chosen) - set(actions))
    if unknown:
        _fail(f"The configuration names classes that have no reducer: {', '.join(unknown)}.")


# --- What commands have in common -----------------------------------------------------------------


def _load(target: str) -> Any:
    """Import ``module:object``, from the current folder too."""
    name, colon, attribute = target.partition(":")
    if not colon or not attribute:
        raise click.UsageError(f"Expected MODULE:OBJECT, as in jobs.daily:run, got {target!r}.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        __import__(name)
        obj: Any = sys.modules[name]
        for part in attribute.split("."):
            obj = getattr(obj, part)
    except Exception as exc:
        _fail(f"{target} could not be loaded: {type(exc).__name__}: {exc}")
    return obj


def _fail(sentence: str) -> NoReturn:
    click.secho(sentence, err=True, fg="red")
    sys.exit(FAILED)


def _say(facts: Any, lines: Callable[[int], Iterable[Line]], as_json: bool) -> None:
    """Print lines, coloured where that can be seen, or their facts as JSON."""
    from daskpickle.diagnose import text

    if as_json:
        click.echo(json.dumps(facts, indent=2, default=str))
        return
    for line in lines(text.width()):
        click.echo("".join(click.style(part, **STYLES[style]) for part, style in line).rstrip())


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], columns: int) -> list[Line]:
    """Return a table as lines; its last column takes what is left, on several lines."""
    from daskpickle.diagnose import text

    widths = [max(len(row[n]) for row in (head, *rows)) + 2 for n in range(len(head) - 1)]
    room = [min(width, columns // 2) for width in widths]
    lines: list[Line] = []
    for row in (head, *rows):
        lead = "".join(f"{cell} ".ljust(r) for cell, r in zip(row, room, strict=False))
        style = "head" if row is head else ""
        if columns - len(lead) < 20 and row is not head:  # a narrow terminal
            lead, name = lead.rstrip(), row[0]
            if len(lead) > columns:  # a long name has a line of its own
                lines.append([(name, "path")])
                lead = "    " + "  ".join(cell for cell in row[1:-1] if cell)
            lines += [[(lead, "path")], *text.wrapped("    ", row[-1], style, columns)]
        else:
            wrapped = text.wrapped(lead, row[-1], style, columns)
            lines += [[(wrapped[0][0][0], style or "path"), wrapped[0][1]], *wrapped[1:]]
    return lines


class _Progress:
    """Says how far a long walk is, on a terminal."""

    def __enter__(self) -> Callable[[int], object] | None:
        self.shown = sys.stderr.isatty()
        return self.show if self.shown else None

    def show(self, count: int) -> None:
        click.echo(f"\r{count:,} objects", nl=False, err=True)

    def __exit__(self, *exc: object) -> None:
        if self.shown:
            click.echo("\r\033[K", nl=False, err=True)
