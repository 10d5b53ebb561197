"""Reports for notebooks: HTML with its own few styles, escaped, that also prints well."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from daskpickle.diagnose import text

if TYPE_CHECKING:
    from daskpickle.diagnose.checks import Finding, Report
    from daskpickle.diagnose.sizes import Explanation, Node

__all__ = ["explanation_html", "report_html"]

#: Colours that can be read on a light page and on a dark one; the page's own font sizes.
_STYLE = """<style>
.daskpickle{line-height:1.45;max-width:72em}
.daskpickle code{background:none;color:inherit;font-size:.92em;padding:0}
.daskpickle code{overflow-wrap:anywhere;white-space:pre-wrap}
.daskpickle .bad{color:#c0392b;font-weight:600}
.daskpickle .good{color:#1e8449;font-weight:600}
.daskpickle .dim{opacity:.65}
.daskpickle section{border-left:3px solid #c0392b;break-inside:avoid}
.daskpickle section{margin:.7em 0;padding:.1em .8em}
.daskpickle dl{display:grid;grid-template-columns:max-content 1fr;align-items:baseline}
.daskpickle dl{gap:.15em 1em;margin:.3em 0}
.daskpickle dt{opacity:.65;font-weight:400}
.daskpickle dd{margin:0}
.daskpickle details{margin-left:1.1em}
.daskpickle>details{margin-left:0}
.daskpickle details.leaf>summary{list-style:none}
.daskpickle details.leaf>summary::-webkit-details-marker{display:none}
.daskpickle summary{display:flex;gap:.8em;align-items:baseline;cursor:pointer}
.daskpickle details.leaf>summary{cursor:default}
.daskpickle summary::before{content:"▸";width:.8em;flex:none}
.daskpickle details[open]>summary::before{content:"▾"}
.daskpickle details.leaf>summary::before{content:""}
.daskpickle summary .bytes{margin-left:auto;white-space:nowrap;font-variant-numeric:tabular-nums}
.daskpickle meter{width:6em;flex:none}
.daskpickle table{border-collapse:collapse;margin:.3em 0}
.daskpickle td{text-align:left;padding:.1em 1em .1em 0;vertical-align:top}
.daskpickle td.bytes{text-align:right;white-space:nowrap}
@media print{.daskpickle meter{display:none}}
</style>"""

#: Branches that are larger than this part of the whole are open at first.
_OPEN = 0.1


def _page(*parts: str) -> str:
    return f'{_STYLE}<div class="daskpickle">{"".join(parts)}</div>'


def _code(value: object) -> str:
    return f"<code>{escape(str(value))}</code>"


# --- check ----------------------------------------------------------------------------------------


def report_html(found: Report) -> str:
    """Return what `check` found."""
    from daskpickle.diagnose.checks import ways

    verdict = '<b class="bad">cannot travel</b>' if found else '<b class="good">travels</b>'
    scope = f"{len(found)} of {found.seen:,} objects" if found else f"{found.seen:,} objects"
    parts = [f'<div>{_code(found.name)} {verdict} <span class="dim">{scope}</span></div>']
    parts += [_section(finding) for finding in found]
    if found.travels:
        rows = ((f.path, f.type_name, f"{f.verdict} {f.action}") for f in found.travels)
        parts.append(
            f'<details><summary class="dim">{escape(ways(found))}</summary>{_table(rows)}</details>'
        )
    if not found.complete:
        parts.append(
            '<div class="bad">It is nested too deeply: what is below was not looked at.</div>'
        )
    return _page(*parts)


def _section(finding: Finding) -> str:
    facts = {
        "at": _code(finding.path),
        "how": escape(finding.captured),
        "why": escape(finding.why),
        "do": f'<span class="good">{escape(finding.remedy)}</span>',
        "task": _code(finding.key) if finding.key else "",
        "also": ", ".join(map(_code, finding.also[:5])),
    }
    rows = "".join(f"<dt>{label}</dt><dd>{value}</dd>" for label, value in facts.items() if value)
    return f'<section><b class="bad">{escape(finding.type_name)}</b><dl>{rows}</dl></section>'


def _table(rows: Iterable[tuple[object, ...]]) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{_code(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table>{body}</table>"


# --- explain --------------------------------------------------------------------------------------


def explanation_html(found: Explanation) -> str:
    """Return what `explain` found."""
    buffered = f" and {text.size(found.buffered)} out of band" if found.buffered else ""
    parts = [
        f'<div>{_code(found.name)} <b>{text.size(found.bytes)}</b>{buffered} <span class="dim">'
        f"{found.seen:,} objects, {found.seconds * 1e3:.1f} ms in reducers</span></div>",
        _branch(found.root, max(found.root.total, 1)),
    ]
    heaviest = ((text.size(n.own), n.path, n.type_name) for n in found.heaviest)
    shared = ((f"{n.again + 1} x", n.path, n.type_name) for n in found.shared)
    modules = ((name, ", ".join(names)) for name, names in found.modules.items())
    for title, rows in (
        ("heaviest by themselves", heaviest),
        ("shared, sent once", shared),
        ("module globals that came along", modules),
    ):
        table = _table(rows)
        if "<tr>" in table:
            parts.append(f'<details><summary class="dim">{title}</summary>{table}</details>')
    if not found.complete:
        parts.append(
            '<div class="bad">Not all of it can travel, or it is nested too deeply; see '
            "<code>daskpickle.check</code>.</div>"
        )
    return _page(*parts)


def _branch(root: Node, whole: int) -> str:
    """Return a node with all below it; without recursion, which deep data would exhaust."""
    parts: list[str] = []
    todo: list[Node | str] = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, str):
            parts.append(node)
            continue
        part = node.total / whole
        kind = "" if node.children else ' class="leaf"'
        parts.append(
            f"<details{kind}{' open' if part >= _OPEN else ''}><summary>{_code(node.label)}"
            f'<span class="dim">{escape(node.type_name)}</span><span class="bytes">'
            f"{text.size(node.total)}</span><meter value='{part:.3f}'></meter></summary>"
        )
        todo.append("</details>")
        todo += reversed(node.children)
    return "".join(parts)
