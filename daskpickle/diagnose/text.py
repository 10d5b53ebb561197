"""Reports as text: lines of styled pieces, which a terminal may colour, and which fit its width."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from daskpickle.errors import describe_type

if TYPE_CHECKING:
    from daskpickle.diagnose.checks import Finding, Report
    from daskpickle.diagnose.sizes import Explanation, Node

__all__ = [
    "Line", "explanation_lines", "plain", "report_lines", "said", "size",
    "type_name", "width", "wrapped",
]  # fmt: skip

#: Pieces of text, and a style for each: "", "bad", "good", "path", "dim" or "head".
Line = list[tuple[str, str]]

#: An error's own words may be long.
_LONG = 500
#: Seconds in reducers that are worth a word.
_SLOW = 1e-3
#: Where a terminal does not say how wide it is.
_WIDTH = 100


def type_name(obj: Any) -> str:
    """Return the qualified name of an object's type, whatever that does to hide it."""
    try:
        return describe_type(obj)
    except Exception:
        return str(type.__dict__["__name__"].__get__(type(obj)))


def said(error: BaseException) -> str:
    """Return the words of an error, whatever they do."""
    try:
        text = str(error)
    except BaseException as exc:
        return f"(its text raises {type(exc).__name__})"
    return text if len(text) <= _LONG else text[: _LONG - 3] + "..."


def size(number: float) -> str:
    """Return a number of bytes as people read it: ``1.5 MiB``."""
    units = ["TiB", "GiB", "MiB", "KiB", "B"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        units.pop()
    unit = units[-1]
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def width() -> int:
    """Return how wide lines may be."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns


def plain(lines: Iterable[Line]) -> str:
    """Return lines without their styles."""
    return "\n".join("".join(piece for piece, _ in line).rstrip() for line in lines)


def wrapped(label: str, value: str, style: str, columns: int) -> list[Line]:
    """Return a labelled value, as many lines as it takes."""
    room = max(columns - len(label), 20)
    parts = textwrap.wrap(value, room, break_on_hyphens=False) or [""]
    return [
        [(label if not n else " " * len(label), "dim"), (part, style)]
        for n, part in enumerate(parts)
    ]


# --- check ----------------------------------------------------------------------------------------


def report_lines(found: Report, columns: int) -> list[Line]:
    """Return what `check` found as lines."""
    from daskpickle.diagnose.checks import ways

    scope = f"{found.seen:,} object{'s' if found.seen != 1 else ''}"
    how = ways(found)
    if not found:
        lines: list[Line] = [[(f"{found.name} travels", "good"), (f"  {scope}", "dim")]]
        lines += wrapped("  ", how, "", columns) if how else []
    else:
        lines = [[(f"{found.name} cannot travel", "bad"), (f"  {len(found)} of {scope}", "dim")]]
    for number, finding in enumerate(found, 1):
        lines += [[], *_finding_lines(number, finding, columns)]
    recipes = [finding for finding in found.travels if finding.action]
    if recipes:
        lines += [[], [("by recipe", "head")]]
        for finding in recipes:
            lines += wrapped(
                "  ", f"{finding.path}  {finding.type_name}, {finding.action}", "", columns
            )
    if found.travels and found.travels[0].verdict == "by reference":
        lines += wrapped("  ", "Only its name is sent: the workers import it.", "dim", columns)
    if not found.complete:
        lines += [
            [],
            *wrapped(
                "", "It is nested too deeply: what is below was not looked at.", "bad", columns
            ),
        ]
    return lines


def _finding_lines(number: int, finding: Finding, columns: int) -> list[Line]:
    lines: list[Line] = [[(f"{number}. ", "dim"), (finding.type_name, "bad")]]
    facts = [
        ("at", _middle(finding.path), "path"),
        ("how", finding.captured, ""),
        ("why", finding.why, ""),
        ("do", finding.remedy, "good"),
        ("task", finding.key or "", ""),
        ("also", ", ".join(map(_middle, finding.also[:5])), "path"),
    ]
    for label, value, style in facts:
        if value:
            lines += wrapped(f"   {label:<6}", value, style, columns)
    return lines


def _middle(path: str, longest: int = 600) -> str:
    """Return a path without its middle, if it is very long."""
    half = max(longest - 5, 8) // 2
    return path if len(path) <= longest else f"{path[:half]} ... {path[-half:]}"


# --- explain --------------------------------------------------------------------------------------


def explanation_lines(found: Explanation, columns: int) -> list[Line]:
    """Return what `explain` found as lines."""
    head = size(found.bytes)
    if found.buffered:
        head += f" and {size(found.buffered)} out of band"
    head += f", {found.seen:,} objects, {found.seconds * 1e3:.1f} ms in reducers"
    lines = wrapped(f"{found.name}  ", head, "head", columns)
    lines.append([])
    lines += _tree_lines(found.root, "", "", columns)
    if found.heaviest:
        lines += [[], [("heaviest by themselves", "head")]]
        for node in found.heaviest:
            label = f"  {size(node.own):>9}  "
            lines += wrapped(
                label, f"{_middle(node.path, 200)}  ({node.type_name})", "path", columns
            )
    if found.shared:
        lines += [[], [("shared, sent once", "head")]]
        for node in found.shared:
            lines += wrapped(
                f"  {node.again + 1:>7} x  ",
                f"{_middle(node.path, 200)}  ({node.type_name})",
                "path",
                columns,
            )
    if found.modules:
        lines += [[], [("module globals that came along", "head")]]
        for function, names in found.modules.items():
            lines += wrapped(f"  {function}  ", ", ".join(names), "", columns)
    if not found.complete:
        lines += [
            [],
            *wrapped(
                "",
                "Not all of it can travel, or it is nested too deeply; see daskpickle.check.",
                "bad",
                columns,
            ),
        ]
    return lines


def _tree_lines(node: Node, lead: str, branch: str, columns: int) -> list[Line]:
    amount = size(node.bytes) + (f" + {size(node.buffered)}" if node.buffered else "")
    if node.seconds >= _SLOW:
        amount += f", {node.seconds * 1e3:.0f} ms"
    room = columns - len(lead) - len(branch) - len(amount) - 4
    label = _middle(node.label, min(60, room))
    room -= len(label)
    kind = node.type_name if len(node.type_name) <= room else ""
    fill = " " * (room - len(kind) + 2)
    lines: list[Line] = [
        [
            (lead + branch, "dim"),
            (label, "path"),
            (f"  {kind}", "dim"),
            (fill, ""),
            (amount, "head"),
        ]
    ]
    below = lead + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    if node.children and len(below) > columns // 2:
        return [*lines, [(below + "└─ ...", "dim")]]
    for number, child in enumerate(node.children):
        last = number == len(node.children) - 1
        lines += _tree_lines(child, below, "└─ " if last else "├─ ", columns)
    return lines
