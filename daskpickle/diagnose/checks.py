"""`check`: every object that would keep something from travelling, before it is sent."""

from __future__ import annotations

import itertools
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daskpickle.diagnose import text
from daskpickle.diagnose.walk import (
    RECIPE,
    REFERENCE,
    REFUSED,
    VALUE,
    Progress,
    Visit,
    Walk,
    follow,
    oracle,
    walk,
)
from daskpickle.errors import RefusedError
from daskpickle.paths import STATE, Route, Step, refusal_of

__all__ = ["Finding", "Report", "check"]

OWN_ERROR = "Mend how its class says that it is pickled, or register a reducer for its type."
TOO_DEEP = "Flatten it, or send its parts by themselves."
#: Of what can travel, a report names so many.
SHOWN = 200


@dataclass(frozen=True)
class Finding:
    """One object in what was checked.

    Attributes
    ----------
    path : str
        Where it is: ``f<closure 'client'>.session``.
    type_name : str
        The qualified name of its type.
    owner : str
        The package that its type belongs to.
    captured : str
        How it got in there: ``variable 'client' in the closure of f (job.py:12)``.
    verdict : str
        How it travels: "by value", "by reference", "by recipe", or "refused".
    action : str
        The action of the reducer that is used for it, if one is registered.
    why, remedy : str
        Why it is refused, and what to do.
    key : str or None
        The key of the Dask task that holds it.
    also : tuple of str
        Other paths that lead to it.
    """

    path: str
    type_name: str
    owner: str
    captured: str
    verdict: str
    action: str = ""
    why: str = ""
    remedy: str = ""
    key: str | None = None
    also: tuple[str, ...] = ()
    _steps: tuple[Step, ...] = field(default=(), repr=False, compare=False)

    def resolve(self, *root: Any, **kwargs: Any) -> Any:
        """Return the object, found in what `check` was given, which is given here again.

        Raises
        ------
        LookupError
            If it is not there any more.
        """
        start = root[0] if len(root) == 1 and not kwargs else (*root[:1], root[1:], kwargs)
        for found in follow(start, self._steps):
            if text.type_name(found) == self.type_name:
                return found
        raise LookupError(f"There is no {self.type_name} at {self.path} any more.")

    def facts(self) -> dict[str, Any]:
        """Return what there is to say, as plain values."""
        return {
            name: getattr(self, name)
            for name in (
                "path", "type_name", "owner", "captured", "verdict", "action", "why", "remedy",
                "key", "also",
            )
        }  # fmt: skip


class Report(Sequence[Finding]):
    """What `check` found: a sequence of all that cannot travel, empty if all can.

    Attributes
    ----------
    name : str
        What was checked.
    travels : tuple of Finding
        What can travel, and how: handles by recipe, functions and classes by value; by reference,
        if it is what was checked.
    seen : int
        How many objects were looked at.
    complete : bool
        Whether that were all; not so if they are nested too deeply.
    """

    def __init__(
        self,
        name: str,
        findings: Sequence[Finding],
        travels: Sequence[Finding] = (),
        *,
        seen: int = 0,
        complete: bool = True,
    ) -> None:
        self.name, self.seen, self.complete = name, seen, complete
        self._findings, self.travels = tuple(findings), tuple(travels)

    def __len__(self) -> int:
        return len(self._findings)

    def __getitem__(self, index: Any) -> Any:
        return self._findings[index]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    def __repr__(self) -> str:
        return text.plain(self.lines(text.width()))

    def lines(self, columns: int) -> list[text.Line]:
        """Return it as lines that are so wide."""
        return text.report_lines(self, columns)

    def _repr_html_(self) -> str:
        from daskpickle.diagnose.html import report_html

        return report_html(self)

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        return {
            "name": self.name,
            "ships": not self,
            "seen": self.seen,
            "complete": self.complete,
            "findings": [finding.facts() for finding in self],
            "travels": [finding.facts() for finding in self.travels],
        }


def check(obj: Any, /, *args: Any, _progress: Progress | None = None, **kwargs: Any) -> Report:
    """Say what in an object cannot travel, and why: all of it, not the first alone.

    Parameters
    ----------
    obj
        Anything: a function, a collection of Dask, a task, a graph, data.
    *args, **kwargs
        What the function ``obj`` would be called with.

    Returns
    -------
    Report
        A sequence of findings. It is empty if and only if `daskpickle.dumps` would succeed now.

    Notes
    -----
    The pickler of `dumps` says what happens to each object, under the policy of this context.
    Nothing is sent, nothing is opened. It never raises.

    Examples
    --------
    >>> import daskpickle
    >>> rows = (n for n in range(3))
    >>> [finding.path for finding in daskpickle.check({"rows": rows})]
    ["obj['rows']"]
    """
    called = bool(args or kwargs)
    root = (obj, args, kwargs) if called else obj
    error = oracle(root)
    walked = walk(root, progress=_progress)
    names = _Names(called)
    findings = _findings(walked, names) if error is not None else []
    if error is not None and not findings:
        findings = [_unplaced(error, walked, names)]
    travels = [
        names.finding(visit)
        for visit in walked.visits
        if visit.error is None
        and (visit.way in (RECIPE, VALUE) or (visit.way == REFERENCE and visit.above is None))
    ][:SHOWN]
    return Report(
        _name(obj, called), findings, travels, seen=walked.count, complete=walked.complete
    )


def _name(obj: Any, called: bool) -> str:
    is_code = type(obj) is types.FunctionType or issubclass(type(obj), type)
    name = obj.__name__ if is_code else text.type_name(obj)
    return f"{name}(...)" if called else str(name)


def _findings(walked: Walk, names: _Names) -> list[Finding]:
    """Return one finding for each object, with all ways to it."""
    first: dict[int, Visit] = {}
    also: dict[int, list[str]] = {}
    for visit in walked.failed:
        if first.setdefault(id(visit.obj), visit) is not visit:
            also.setdefault(id(visit.obj), []).append(names.route(visit).path)
    return [names.finding(visit, tuple(also.get(key, ()))) for key, visit in first.items()]


def _unplaced(error: BaseException, walked: Walk, names: _Names) -> Finding:
    """Return a finding for what fails only there: what is nested too deeply."""
    deep = isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError)
    visit = max(walked.visits, key=lambda visit: visit.level) if deep else walked.visits[0]
    visit.error, visit.way = error, REFUSED
    return names.finding(visit, deep=deep)


class _Names:
    """Says where things are; for a call, in terms of the function and its arguments."""

    def __init__(self, called: bool) -> None:
        self.called = called

    def route(self, visit: Visit) -> Route:
        route = visit.route()
        if not self.called or not route.steps or not route.path.startswith("obj"):
            return route
        first = route.steps[0].text
        root: Any = route.steps[0].holder
        name = {"[1]": "args", "[2]": "kwargs"}.get(first) or _name(root[0], False)
        return route._replace(path=name + route.path[len("obj") + len(first) :])

    def finding(self, visit: Visit, also: tuple[str, ...] = (), *, deep: bool = False) -> Finding:
        route, obj, error = self.route(visit), visit.obj, visit.error
        why = remedy = ""
        if deep:
            why = f"It is nested {visit.level} levels deep or more, too deep for the pickler."
            remedy = TOO_DEEP
        elif error is not None:
            refusal = _refusal(error, obj)
            why = f"{text.type_name(error)}: {text.said(error)}" if refusal is None else refusal.why
            remedy = (refusal.hint if refusal is not None else "") or OWN_ERROR
        name = text.type_name(obj)
        registration = visit.registration
        return Finding(
            path=route.path,
            type_name=name,
            owner=name.partition(".")[0] if "." in name else "builtins",
            captured=capture(route.steps),
            verdict=visit.way,
            action=registration.action if registration is not None else "",
            why=why,
            remedy=remedy,
            key=route.key or _layer_key(route.steps),
            also=also,
            _steps=tuple(step._replace(holder=None) for step in route.steps),
        )


def _layer_key(steps: Sequence[Step]) -> str | None:
    """Return the key of a task that is no object, but an entry of a layer of a graph."""
    for above, step in itertools.pairwise(steps):
        if above.text == ".mapping":
            return step.text[1:-1].strip("'")
    return None


def _refusal(error: BaseException, obj: Any) -> RefusedError | None:
    try:
        return refusal_of(error, obj)
    except Exception:  # its words are anyone's
        return None


def capture(steps: Sequence[Step]) -> str:
    """Say how an object got in there: by the last function on the way to it, if there is one."""
    if not steps:
        return "the object itself"
    for step in reversed(steps):
        word = step.text[1:].partition(" ")[0]
        if type(step.holder) is types.FunctionType and word in _CAPTURES:
            name = step.text.partition("'")[2].rpartition("'")[0]
            return _CAPTURES[word].format(name) + _place(step.holder)
        if step.text == ".__self__":
            return f"object of the bound method {_method(step.holder)}"
    for step in reversed(steps):
        if step.text == STATE:
            return f"what {text.type_name(step.holder)} is reduced to"
        if not step.text.startswith("["):
            break
    step = steps[-1]
    holder = text.type_name(step.holder)
    whole = steps[-2] if len(steps) > 1 and step.text.startswith("[") else step
    if whole.text.partition("[")[0] in (".args", ".keywords", ".kwargs"):
        owner = text.type_name(whole.holder)
        return f"argument {step.text[step.text.index('[') :]} of {owner}"
    if step.text.startswith("."):
        return f"attribute {step.text[1:]!r} of {holder}"
    return f"{'key' if step.text.startswith('<key') else 'item'} {step.text} of {holder}"


_CAPTURES = {
    "closure": "variable {!r} in the closure of ",
    "global": "global variable {!r} of ",
    "default": "default of the parameter {!r} of ",
}


def _method(method: Any) -> str:
    name = getattr(method, "__name__", "")
    return f"{text.type_name(method.__self__)}.{name}"


def _place(function: types.FunctionType) -> str:
    code = function.__code__
    file = Path(code.co_filename)
    with suppress(OSError, ValueError):  # elsewhere, or no file
        file = file.relative_to(Path.cwd())
    return f"{function.__qualname__} ({file}:{code.co_firstlineno})"


def ways(report: Report) -> str:
    """Count how what can travel does so: ``2 by recipe, 1 by value``."""
    counted = Counter(finding.verdict for finding in report.travels)
    return ", ".join(f"{counted[way]} {way}" for way in (RECIPE, VALUE, REFERENCE) if counted[way])
