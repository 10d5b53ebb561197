"""`explain` says what is large, by path, in the bytes that the pickler writes."""

from __future__ import annotations

import functools
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import dask
import dask.array
import numpy as np
import pytest

import daskpickle
from daskpickle.diagnose import Node, explain


class Holder:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Renames(Holder):
    def __getstate__(self) -> Any:
        return {"renamed": self.__dict__["data"].copy()}


def closure(value: Any) -> Any:
    return lambda: value


def flat(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from flat(child)


def written(obj: Any) -> tuple[int, int]:
    """How much `dumps` writes, and how much goes out of band."""
    buffers: list[Any] = []
    data = daskpickle.dumps(obj, buffer_callback=buffers.append)
    return len(data), sum(buffer.raw().nbytes for buffer in buffers)


SUBJECTS = {
    "text": lambda: "x" * 5000,
    "number": lambda: 1,
    "list": lambda: list(range(3000)),
    "nested": lambda: {"a": [b"x" * 2000, {"b": ["y" * 300] * 10}], "c": (1, 2)},
    "array": lambda: {"a": np.zeros(10_000), "b": [np.ones(3)]},
    "function": lambda: closure([np.zeros(1000), "x" * 1000]),
    "objects": lambda: [Holder(n=n, text="t" * 500) for n in range(50)],
    "locks": lambda: [threading.Lock() for _ in range(10)],
    "collection": lambda: dask.array.ones(10, chunks=2) + 1,
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_sum_is_what_dumps_writes(subject: str) -> None:
    """Bytes and bytes out of band are those of the pickle, but for its frames."""
    obj = SUBJECTS[subject]()
    found = explain(obj)
    data, buffered = written(obj)
    assert found.buffered == buffered
    # The stream also has frames, and the C pickler numbers some of what it remembers otherwise.
    assert found.bytes == pytest.approx(data, rel=0.01, abs=40)
    assert found.complete


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_node_has_what_is_below_it_and_its_own(subject: str) -> None:
    """Nothing is counted twice, and nothing is lost."""
    for node in flat(explain(SUBJECTS[subject]()).root):
        assert node.total == node.own + sum(child.total for child in node.children)
        assert node.own >= 0


def test_the_heaviest_paths_lead_to_what_is_large() -> None:
    """The first is the largest by itself, whatever it is in."""
    large = np.zeros(100_000)
    root = {
        "small": [b"x" * 100],
        "deep": Holder(f=functools.partial(closure(large), "y" * 30_000)),
    }
    found = explain(root)
    assert [node.path for node in found.heaviest[:2]] == [
        "obj['deep'].f.func<closure 'value'>", "obj['deep'].f.args[0]",
    ]  # fmt: skip
    assert found.heaviest[0].own >= large.nbytes
    assert len(found.heaviest) <= 10


def test_what_only_the_state_has_is_named_too() -> None:
    """What a ``__getstate__`` makes is told apart, as it may be what is large."""
    found = explain([Renames(data=bytearray(50_000))])
    assert found.heaviest[0].path == "obj[0]<state>['renamed']"


def test_what_is_shared_is_sent_once() -> None:
    """An object that is met again is listed with how often, and counts once."""
    array = np.zeros(5000)
    found = explain([array, {"again": array}, closure(array)])
    assert [(node.path, node.again + 1) for node in found.shared] == [("obj[0]", 3)]
    assert found.buffered == array.nbytes


def test_globals_that_came_along_are_listed() -> None:
    """For each function that travels by value, which variables of its module go with it."""
    names = {"__name__": "__main__", "TABLE": [1] * 500, "unused": 1}
    exec("def job(): return TABLE", names)
    found = explain(names["job"])
    assert found.modules == {"__main__.job": ["TABLE"]}
    assert "job<global 'TABLE'>" in [node.path for node in found.heaviest]


def test_a_graph_is_explained_by_task() -> None:
    """What makes a graph large is named by the key of its task."""
    data = np.zeros(50_000)
    graph = dask.delayed(len)(Holder(data=data), dask_key_name="my-key")
    heaviest = explain(graph).heaviest[0]
    assert heaviest.path.startswith("task 'my-key'.args[0]")
    assert heaviest.path.endswith(".data")


def test_time_is_that_of_reducers() -> None:
    """A slow reduction is seen at its object, and at all above it."""

    class Slow:
        def __reduce__(self) -> Any:
            sum(range(2_000_000))
            return bytes, (b"x" * 1000,)

    found = explain({"slow": Slow(), "quick": [b"q" * 1000]})
    slow, quick = sorted(found.root.children, key=lambda node: -node.seconds)
    assert (slow.path, quick.path) == ("obj['slow']", "obj['quick']")
    assert found.seconds >= slow.seconds > quick.seconds


def test_what_cannot_travel_is_left_out() -> None:
    """The rest is explained all the same."""
    found = explain([(n for n in range(3)), b"x" * 1000])
    assert not found.complete
    assert found.heaviest[0].path == "obj[1]"
    assert "see daskpickle.check" in repr(found)


def test_an_explanation_holds_nothing() -> None:
    """What was explained can be collected while the explanation is kept."""
    holder = Holder(data=b"x" * 1000)
    found = explain([holder])
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None
    assert found.bytes > 1000


def nested(depth: int) -> Any:
    value: Any = [b"x" * 1000]
    for _ in range(depth):
        value = [value]
    return value


def test_many_and_deep_objects_are_no_obstacle() -> None:
    """The tree is cut where it would be too large, and its sums stay right."""
    many = explain({n: f"{n:300}" for n in range(20_000)})
    assert len(list(flat(many.root))) <= 1_000
    assert many.bytes > 20_000 * 300
    deep = explain(nested(600))
    assert deep.bytes > 1000
    assert deep._repr_html_()
    assert repr(deep)


def test_the_text_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the terminal is wide, and sizes are read as people do."""
    found = explain({"k" * 100: closure(np.zeros(200_000)), "deep": nested(100)})
    for columns in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert max(map(len, repr(found).splitlines())) <= columns
    assert "1.5 MiB" in repr(found)


def test_the_html_is_escaped_and_opens_what_is_large() -> None:
    """Nothing of an object becomes markup; large branches are open, small ones are not."""
    page = explain({"<b>": [b"x" * 10_000], "small": [[b"y" * 300]]})._repr_html_()
    assert "<b>'" not in page
    assert "&lt;b&gt;" in page
    assert page.count("<details open") == 2
    assert page.count("<details") > 3
