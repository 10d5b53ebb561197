"""`doctor`: is daskpickle on every node, in the same versions, switched on, and does it work there?

What runs on the nodes travels by value and needs the standard library alone: a node that lacks
daskpickle answers too.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import queue
import socket
import sqlite3
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import daskpickle
from daskpickle.diagnose import text
from daskpickle.pickler import dumps, loads
from daskpickle.reducers import ROOMS

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Diagnosis", "Row", "connect", "doctor"]

CLIENT, SCHEDULER = "client", "scheduler"
#: Seconds for a node to answer.
PATIENCE = 30.0

#: Packages whose versions matter wherever daskpickle is.
ALWAYS = ("cloudpickle", "dask", "distributed")

#: From a class to what makes an object of it without a server, and leaves nothing behind. Of what
#: else is registered, the versions of its library are compared.
SAMPLES: dict[str, Callable[[], Any]] = {
    "_io.TextIOWrapper": Path(__file__).open,
    "_queue.SimpleQueue": queue.SimpleQueue,
    "_thread.RLock": threading.RLock,
    "_thread.lock": threading.Lock,
    "concurrent.futures.thread.ThreadPoolExecutor": lambda: ThreadPoolExecutor(1),
    "logging.FileHandler": lambda: logging.FileHandler("daskpickle.log", delay=True),
    "queue.Queue": queue.Queue,
    "socket.socket": socket.socket,
    "sqlite3.Connection": lambda: sqlite3.connect(":memory:"),
    "ssl.SSLContext": ssl.create_default_context,
    "threading.Barrier": lambda: threading.Barrier(2),
    "threading.BoundedSemaphore": threading.BoundedSemaphore,
    "threading.Condition": threading.Condition,
    "threading.Event": threading.Event,
    "threading.Semaphore": threading.Semaphore,
    "threading.Thread": threading.Thread,
    "threading.Timer": lambda: threading.Timer(1.0, print),
}


@dataclass(frozen=True)
class Row:
    """One question, and what the nodes answered.

    Attributes
    ----------
    item : str
        What was asked for: a package, the hooks, a class.
    answers : dict
        From each node to its answer.
    problem : str
        What is wrong, and what to do; empty if nothing is.
    note : str
        What differs without doing harm.
    """

    item: str
    answers: Mapping[str, str]
    problem: str = ""
    note: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` found; true if nothing is wrong."""

    rows: tuple[Row, ...]
    nodes: tuple[str, ...]
    problems: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return not self.problems

    def __repr__(self) -> str:
        return text.plain(self.lines(text.width()))

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        rows = [{**vars(row), "answers": dict(row.answers)} for row in self.rows]
        return {"healthy": bool(self), "problems": self.problems, "nodes": self.nodes, "rows": rows}

    def lines(self, columns: int) -> list[text.Line]:
        """Return it as lines: one table, and below it what is wrong."""
        groups = {
            CLIENT: [CLIENT],
            SCHEDULER: [SCHEDULER],
            "workers": [node for node in self.nodes if node not in (CLIENT, SCHEDULER)],
        }
        table = [("", *groups, "")]
        styles = ["head"]
        for row in self.rows:
            answers = [_merged([row.answers.get(n, "") for n in g]) for g in groups.values()]
            table.append((row.item, *answers, "problem" if row.problem else row.note))
            styles.append("bad" if row.problem else "dim" if row.note else "")
        room = [max(len(row[n]) for row in table) + 2 for n in range(len(table[0]))]
        widest = max(range(len(room) - 1), key=room.__getitem__)
        room[widest] = max(room[widest] - max(sum(room) - columns, 0), 12)
        lines: list[text.Line] = []
        for cells, style in zip(table, styles, strict=True):
            cut = [
                c if len(c) < r else c[: r - 5] + "..." for c, r in zip(cells, room, strict=True)
            ]
            line = "".join(c.ljust(r) for c, r in zip(cut, room, strict=True))
            lines.append([(line.rstrip(), style)])
        lines.append([])
        for problem in self.problems:
            lines += text.wrapped("- ", problem, "bad", columns)
        if not self.problems:
            lines.append([("Nothing is wrong.", "good")])
        return lines


def _merged(answers: list[str]) -> str:
    """Return what several nodes answered, in one cell."""
    counted = Counter(answers)
    if len(counted) == 1:
        return answers[0] + (f" ({len(answers)})" if len(answers) > 1 else "")
    return ", ".join(f"{answer or '-'} ({count})" for answer, count in counted.most_common())


def doctor(client: Client) -> Any:
    """Look at each node of a cluster: versions, hooks, and whether each kind of object travels.

    Parameters
    ----------
    client
        A client of the cluster.

    Returns
    -------
    Diagnosis
        One table; true if nothing is wrong. Or something to await, if the client is asynchronous.

    Notes
    -----
    Installs nothing. Each node loads objects of the registered kinds and sends them back; of kinds
    that need a server or a device, the versions of their libraries are compared.
    """
    return client.sync(_doctor, client)


def connect(address: str, timeout: float) -> Client:
    """Return a client of the cluster at ``address``, for the command line."""
    from distributed import Client, Security
    from distributed.comm.core import connect

    async def knock() -> None:  # a client that finds nobody leaves its thread behind
        options = Security().get_connection_args("client")
        comm = await connect(address, timeout=timeout, **options)
        await comm.close()

    asyncio.run(knock())
    return Client(address, timeout=timeout, set_as_default=False)


async def _doctor(client: Client) -> Diagnosis:
    owners = _packages()
    with ExitStack() as stack:
        samples, kept = _samples(stack)
        ask = make_question(sorted(owners.values()), samples)
        answers: dict[str, Any] = {CLIENT: ask()}
        answers[SCHEDULER] = await _patiently(client._run_on_scheduler(ask))
        replies = await _patiently(client._run(ask, on_error="return"))
        if isinstance(replies, dict):
            answers.update(replies)
        else:
            answers["workers"] = replies
        return _diagnose(answers, kept, sorted(owners.values()))


async def _patiently(question: Any) -> Any:
    """Return the answer, or the error that there was instead."""
    try:
        return await asyncio.wait_for(question, PATIENCE)
    except asyncio.TimeoutError:
        return TimeoutError(f"It did not answer within {PATIENCE:.0f} s.")
    except Exception as exc:
        return exc


def _packages() -> dict[str, str]:
    """Return the installed packages that rooms are for: from what is imported to its project."""
    projects = importlib.metadata.packages_distributions()
    outside = [owner for owner in ROOMS if owner not in sys.stdlib_module_names]
    return {name: projects[name][0] for name in (*ALWAYS, *outside) if name in projects}


def _samples(stack: ExitStack) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return an object of each kind, and its pickle; what cannot be made here is left out."""
    pickles, kept = {}, {}
    for name, make in SAMPLES.items():
        with suppress(Exception):
            obj = make()
            if hasattr(obj, "close"):
                stack.callback(obj.close)
            pickles[name], kept[name] = dumps(obj), obj
    return pickles, kept


def make_question(
    projects: list[str], samples: Mapping[str, bytes]
) -> Callable[[], dict[str, Any]]:
    """Return what a node is asked: local, so that it travels by value and needs none of ours."""

    def ask() -> dict[str, Any]:
        import importlib.metadata
        import pickle
        import platform
        import sys

        found: dict[str, Any] = {"Python": platform.python_version()}
        for project in projects:
            try:
                found[project] = importlib.metadata.version(project)
            except importlib.metadata.PackageNotFoundError:
                found[project] = "missing"
        try:
            import daskpickle
        except Exception as exc:
            missing = isinstance(exc, ModuleNotFoundError) and exc.name == "daskpickle"
            found["daskpickle"] = "missing" if missing else f"{type(exc).__name__}: {exc}"
            return found
        found["daskpickle"] = daskpickle.__version__
        found["wire version"] = daskpickle.WIRE_VERSION
        state = getattr(sys.modules.get("dask"), "_daskpickle", None) or {"hooks": {}}
        found["hooks"] = sorted(state["hooks"])
        back: dict[str, Any] = {}
        for name, sample in samples.items():
            try:
                back[name] = daskpickle.dumps(pickle.loads(sample))
            except Exception as exc:
                back[name] = f"{type(exc).__name__}: {exc}"
        found["samples"] = back
        return found

    return ask


# --- What that means ------------------------------------------------------------------------------


def _diagnose(
    answers: Mapping[str, Any], kept: Mapping[str, Any], projects: list[str]
) -> Diagnosis:
    silent = {node: exc for node, exc in answers.items() if isinstance(exc, BaseException)}
    found = {node: facts for node, facts in answers.items() if node not in silent}
    problems = [
        f"There is no answer from {_who([node])}: {text.said(exc)}" for node, exc in silent.items()
    ]
    rows = [_python(found), _ours(found)]
    rows += [_version(found, project) for project in projects]
    rows.append(_hooks(found))
    rows += [_kind(found, name, obj) for name, obj in sorted(kept.items())]
    problems += [row.problem for row in rows if row.problem]
    return Diagnosis(tuple(rows), tuple(answers), tuple(dict.fromkeys(problems)))


def _of(found: Mapping[str, Any], item: str) -> dict[str, str]:
    return {node: str(facts.get(item, "")) for node, facts in found.items()}


def _who(nodes: Iterable[str]) -> str:
    """Return nodes as part of a sentence."""
    names = [f"the {node}" if "://" not in node else f"the worker {node}" for node in nodes]
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _python(found: Mapping[str, Any]) -> Row:
    answers = _of(found, "Python")
    minors = {node: version.rpartition(".")[0] for node, version in answers.items()}
    others = [node for node, minor in minors.items() if minor != minors[CLIENT]]
    problem = ""
    if others:
        problem = (
            f"Another Python than the client's {minors[CLIENT]} runs on {_who(others)}: functions "
            "that travel by value are for one minor version. Use the same everywhere."
        )
    return Row("Python", answers, problem, _differ(answers))


def _ours(found: Mapping[str, Any]) -> Row:
    answers = _of(found, "daskpickle")
    lacking = [node for node, facts in found.items() if "wire version" not in facts]
    older = [
        node
        for node, facts in found.items()
        if facts.get("wire version", daskpickle.WIRE_VERSION) < daskpickle.WIRE_VERSION
    ]
    install = f"pip install daskpickle=={daskpickle.__version__}"
    problem = ""
    if lacking:
        problem = f"There is no working daskpickle on {_who(lacking)}. Install it there: {install}"
    elif older:
        problem = f"What this version writes cannot be read on {_who(older)}. Upgrade it: {install}"
    return Row("daskpickle", answers, problem, _differ(answers))


def _version(found: Mapping[str, Any], project: str) -> Row:
    answers = _of(found, project)
    return Row(project, answers, "", _differ(answers))


def _differ(answers: Mapping[str, str]) -> str:
    return "differs" if len(set(answers.values())) > 1 else ""


def _hooks(found: Mapping[str, Any]) -> Row:
    on = {node: facts["hooks"] for node, facts in found.items() if "hooks" in facts}
    answers = {node: f"{len(hooks)} on" if hooks else "off" for node, hooks in on.items()}
    off = [node for node, hooks in on.items() if not hooks and node != CLIENT]
    problem = ""
    if off:
        problem = (
            f"daskpickle is not switched on on {_who(off)}. Call daskpickle.install(client), or "
            "set DASK_DASKPICKLE__INSTALL=true on all nodes."
        )
    return Row("hooks", answers, problem, "" if on.get(CLIENT) else "off in the client")


def _kind(found: Mapping[str, Any], name: str, obj: Any) -> Row:
    answers, failed = {}, []
    for node, facts in found.items():
        if name not in facts.get("samples", {}):
            continue
        answers[node] = _came_back(facts["samples"][name], obj)
        if answers[node] != "travels":
            failed.append(node)
    problem = ""
    if failed:
        problem = f"A {name} does not come back from {_who(failed)}: {answers[failed[0]]}"
    return Row(name, answers, problem)


def _came_back(data: Any, obj: Any) -> str:
    if not isinstance(data, bytes):
        return str(data)
    try:
        received = loads(data)
        right = isinstance(received, type(obj))
    except Exception as exc:
        return f"{text.type_name(exc)}: {text.said(exc)}"
    with suppress(Exception):
        received.close()
    return "travels" if right else f"came back as {text.type_name(received)}"
