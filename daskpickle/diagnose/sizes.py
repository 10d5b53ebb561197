"""`explain`: what makes a payload large or slow, by path."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from pickle import PickleBuffer
from types import CellType, CodeType, FunctionType
from typing import Any

from daskpickle.diagnose import text
from daskpickle.diagnose.walk import REFERENCE, VALUE, Progress, Visit, Walk, walk
from daskpickle.paths import STATE, Route, children

__all__ = ["Explanation", "Node", "explain"]

#: How many paths are in a list.
LISTED = 10
#: How many levels the tree has, and how many nodes.
LEVELS, MANY = 200, 1_000
#: What is smaller than this part of the whole, or has fewer bytes, counts with what holds it.
SMALL, FEW = 0.005, 64


@dataclass
class Node:
    """An object in the tree.

    Attributes
    ----------
    path, label : str
        The way to it from the root, and from the node above.
    type_name : str
        The qualified name of its type.
    bytes, buffered : int
        What it takes with all below it, in the stream and out of band.
    own : int
        What it takes by itself and with its small parts, both together.
    seconds : float
        How long reducers took, for it and all below it.
    again : int
        How often it was met again, and only referred to.
    children : list of Node
        The large ones below it, the largest first.
    """

    path: str
    label: str
    type_name: str
    bytes: int
    buffered: int
    own: int
    seconds: float
    again: int
    children: list[Node] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Return what it takes in all."""
        return self.bytes + self.buffered

    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        facts = {name: value for name, value in vars(self).items() if name != "children"}
        return {**facts, "children": [child.facts() for child in self.children]}


@dataclass
class Explanation:
    """What `explain` found.

    Attributes
    ----------
    name : str
        What was explained.
    root : Node
        The tree: its largest branches.
    heaviest : list of Node
        The ten that take most by themselves.
    shared : list of Node
        What is met several times and sent once, the largest first.
    modules : dict
        From functions that travel by value to the globals of their modules that came along.
    seen : int
        How many objects there are.
    complete : bool
        Whether all of it can travel.
    """

    name: str
    root: Node
    heaviest: list[Node]
    shared: list[Node]
    modules: dict[str, list[str]]
    seen: int
    complete: bool

    @property
    def bytes(self) -> int:
        """Return the bytes of the stream."""
        return self.root.bytes

    @property
    def buffered(self) -> int:
        """Return the bytes out of band."""
        return self.root.buffered

    @property
    def seconds(self) -> float:
        """Return how long reducers took."""
        return self.root.seconds

    def __repr__(self) -> str:
        return text.plain(self.lines(text.width()))

    def lines(self, columns: int) -> list[text.Line]:
        """Return it as lines that are so wide."""
        return text.explanation_lines(self, columns)

    def _repr_html_(self) -> str:
        from daskpickle.diagnose.html import explanation_html

        return explanation_html(self)

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        return {
            "name": self.name,
            "bytes": self.bytes,
            "buffered": self.buffered,
            "seconds": self.seconds,
            "seen": self.seen,
            "complete": self.complete,
            "tree": self.root.facts(),
            "heaviest": [
                {"path": n.path, "type_name": n.type_name, "own": n.own} for n in self.heaviest
            ],
            "shared": [
                {"path": n.path, "type_name": n.type_name, "again": n.again} for n in self.shared
            ],
            "modules": self.modules,
        }


def explain(obj: Any, *, _progress: Progress | None = None) -> Explanation:
    """Say what makes an object large, or slow to pickle: which part, by path.

    Parameters
    ----------
    obj
        Anything: a function, a collection of Dask, a graph, data.

    Returns
    -------
    Explanation
        A tree with bytes, bytes out of band and time in reducers, the ten heaviest paths, what is
        shared, and which globals of modules came along with functions.

    Notes
    -----
    Sizes are those of the stream of `daskpickle.dumps` with buffers out of band (PEP 574). Reducers
    are timed one by one; the rest of the time goes into the pickler. What cannot travel is left
    out. It never raises.
    """
    walked = walk(obj, atoms=True, progress=_progress)
    nodes = _tree(walked.visits) or [_atom(obj, walked)]
    own = [node for node in nodes if node.own > 0]
    return Explanation(
        name=nodes[0].label,
        root=nodes[0],
        heaviest=heapq.nlargest(LISTED, own, key=lambda node: node.own),
        shared=heapq.nlargest(LISTED, [n for n in nodes if n.again], key=lambda n: n.total),
        modules=_modules(walked.visits),
        seen=walked.count,
        complete=walked.complete and not walked.failed,
    )


def _atom(obj: Any, walked: Walk) -> Node:
    return Node("obj", "obj", text.type_name(obj), walked.written, 0, walked.written, 0.0, 0)


def _tree(visits: list[Visit]) -> list[Node]:
    """Return the nodes that are large enough, the root first, each with its children."""
    if not visits:
        return []
    least = max(FEW, SMALL * (visits[0].bytes + visits[0].buffered))
    nodes: dict[int, Node] = {}
    for visit in visits:  # from the root down
        large = visit.bytes + visit.buffered >= least and visit.level <= LEVELS
        if visit.above is not None and (not large or len(nodes) >= MANY):
            continue
        route = visit.route()
        if visit.above is not None and _is_part(visit, route):
            continue
        above = visit.above
        while above is not None and id(above) not in nodes:
            above = above.above
        parent = None if above is None else nodes[id(above)]
        label = route.path.removeprefix(parent.path) if parent is not None else ""
        total = visit.bytes + visit.buffered
        node = nodes[id(visit)] = Node(
            route.path, label or route.path, text.type_name(visit.obj), visit.bytes,
            visit.buffered, total, visit.seconds, visit.again,
        )  # fmt: skip
        if parent is not None:
            parent.children.append(node)
            parent.own -= total
    for node in nodes.values():
        node.children.sort(key=lambda child: -child.total)
    return list(nodes.values())


#: Where what they are reduced to says nothing to their user.
_OPAQUE = (FunctionType, CodeType, CellType, type)


def _is_part(visit: Visit, route: Route) -> bool:
    """Tell whether it is but a part of what an object was reduced to, and counts with that."""
    if route.path.endswith(STATE) or type(visit.obj) is PickleBuffer or visit.way == REFERENCE:
        return True
    above = route.steps[-2].text if len(route.steps) > 1 else ""
    if above == STATE and type(visit.obj) in (tuple, dict):
        return True
    return any(
        step.text == STATE and issubclass(type(step.holder), _OPAQUE) for step in route.steps
    )


def _modules(visits: list[Visit]) -> dict[str, list[str]]:
    """Return which globals of its module each function by value brings along."""
    found: dict[str, list[str]] = {}
    for visit in visits:
        if type(visit.obj) is FunctionType and visit.way == VALUE:
            names = _globals(visit.obj)
            if names:
                found[f"{visit.obj.__module__}.{visit.obj.__qualname__}"] = names
    return found


def _globals(function: FunctionType) -> list[str]:
    return [name for say, name, _ in children(function) if say(name).startswith("<global ")]
