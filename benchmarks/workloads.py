"""What is pickled: objects of every kind that goes through Dask, each made once."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import operator
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import attrs
import dask.array
import numpy
from dask._task_spec import Task, TaskRef

N = 10_000

#: The definitions that a user makes in a script or a notebook; they are executed in ``__main__``.
IN_MAIN = """
import dataclasses
import numpy
from dask import delayed

def add_one(x):
    return x + 1

def root(x):
    return numpy.sqrt(x)

FACTOR = 3

def times(x, offset=1):
    return x * FACTOR + offset

def adder(number):
    def add(x):
        return x + number
    return add

@dataclasses.dataclass
class Point:
    x: int
    y: float
    name: str

class Plain:
    def __init__(self, number):
        self.number = number
        self.name = "plain"

@delayed
def work(x):
    return x + 1

@delayed
def collect(xs):
    return len(xs)
"""


@dataclasses.dataclass
class Record:
    x: int
    y: float
    name: str


class Plain:
    def __init__(self, number: int) -> None:
        self.number = number
        self.name = "plain"


class Slotted:
    __slots__ = ("name", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = "slotted"


@attrs.define
class Attrs:
    x: int
    y: float
    name: str


class Locked:
    def __init__(self, number: int) -> None:
        self.number = number
        self.lock = threading.Lock()


class Workload(NamedTuple):
    """One thing to pickle.

    ``base`` is what it is compared with, and ``goal`` the ratio that is not to be exceeded.
    """

    name: str
    make: Callable[[], Any]
    base: str = "pickle"
    goal: float = 1.10
    out_of_band: bool = False


def tasks(function: Any, n: int = N) -> dict[str, Task]:
    return {f"x-{i}": Task(f"x-{i}", function, TaskRef(f"x-{i - 1}"), i) for i in range(n)}


def times(n: int = N) -> list[Any]:
    start = datetime.datetime(2024, 1, 1)
    out: list[Any] = []
    for i in range(n // 4):
        out += [
            start + datetime.timedelta(seconds=i),
            datetime.timedelta(seconds=i),
            complex(i, 1),
            decimal.Decimal(i),
        ]
    return out


def nested(n: int = 100_000) -> dict[str, Any]:
    return {f"k{i}": [i, float(i), f"v{i}", (i, None), {"a": i}] for i in range(n // 10)}


def many_classes(n: int = N) -> list[Any]:
    classes = [globals()[f"Kind{i}"] for i in range(300)]
    return [classes[i % 300](i) for i in range(n)]


for _i in range(300):
    globals()[f"Kind{_i}"] = type(f"Kind{_i}", (Plain,), {"__module__": __name__})


def workloads(main: Any) -> Iterator[Workload]:
    """Yield all of them; ``main`` is the module ``__main__``."""
    d = "distributed"
    rng = random.Random(1)
    yield Workload(
        "10k dataclass instances", lambda: [Record(i, i / 3, f"r{i}") for i in range(N)], goal=0.70
    )
    yield Workload("10k plain instances", lambda: [Plain(i) for i in range(N)], goal=0.70)
    yield Workload("10k slots instances", lambda: [Slotted(i) for i in range(N)], goal=0.70)
    yield Workload(
        "10k attrs instances", lambda: [Attrs(i, i / 3, f"r{i}") for i in range(N)], goal=0.70
    )
    yield Workload("10k instances of 300 classes", many_classes)
    yield Workload("10k datetime, timedelta, complex, Decimal", times)
    yield Workload("10k numpy scalars", lambda: [numpy.float64(i) for i in range(N)])
    yield Workload("nested builtins", nested)
    yield Workload("1e6 integers", lambda: [rng.randrange(2**31) for _ in range(1_000_000)])
    yield Workload(
        "10k objects, each with a lock", lambda: [Locked(i) for i in range(N)], "copyreg", 0.75
    )
    yield Workload("an integer", lambda: 1, goal=2.7)
    yield Workload(
        "a small message",
        lambda: {"op": "update", "key": "x-1", "nbytes": 28, "type": None},
        goal=2.1,
    )
    yield Workload("an integer ", lambda: 1, d, 0.25)
    yield Workload(
        "a small message ", lambda: {"op": "update", "key": "x-1", "nbytes": 28}, d, 0.25
    )
    yield Workload("1000 texts of 10 kB", lambda: [f"text {i} " * 1000 for i in range(1000)])
    yield Workload("10k tasks", lambda: tasks(operator.add), d, 0.60)
    yield Workload("10k tasks of a function in __main__", lambda: tasks(main.add_one), d, 0.30)
    yield Workload("one task", lambda: Task("x", operator.add, TaskRef("y"), 1), d, 0.65)
    yield Workload(
        "one task of a function in __main__", lambda: Task("x", main.add_one, TaskRef("y")), d, 0.35
    )
    yield Workload("one task of numpy", lambda: Task("x", numpy.sum, TaskRef("y")), d, 0.65)
    yield Workload(
        "an array graph",
        lambda: dask.array.ones((1000, 1000), chunks=100).sum().__dask_graph__(),
        d,
    )
    yield Workload(
        "a delayed graph in __main__",
        lambda: main.collect([main.work(i) for i in range(1000)]).__dask_graph__(),
        d,
        0.30,
    )
    yield Workload("a lambda", lambda: lambda x: x + 1, d, 0.25)
    yield Workload("a function in __main__", lambda: main.add_one, d, 0.25)
    yield Workload("a function in __main__ that uses numpy", lambda: main.root, d, 0.10)
    yield Workload(
        "a function in __main__ with a constant and a default", lambda: main.times, d, 0.25
    )
    yield Workload("a closure", lambda: main.adder(2), d, 0.25)
    yield Workload(
        "10k dataclass instances of __main__",
        lambda: [main.Point(i, i / 3, f"r{i}") for i in range(N)],
        d,
        0.25,
    )
    yield Workload(
        "10k plain instances of __main__", lambda: [main.Plain(i) for i in range(N)], d, 0.25
    )
    yield Workload(
        "10k objects, then a lambda",
        lambda: [*[Record(i, i / 3, f"r{i}") for i in range(N)], lambda x: x],
        d,
        1 / 6,
    )
    yield Workload("100 MB of bytes", lambda: {"a": bytes(100_000_000)})
    yield Workload("100 MB of text", lambda: {"a": "x" * 100_000_000})
    yield Workload(
        "an array of 100 MB under a lambda",
        lambda: partial(lambda x: x, numpy.ones(12_500_000)),
        d,
        1.10,
    )
    yield Workload(
        "an array of 100 MB under a lambda, out of band",
        lambda: partial(lambda x: x, numpy.ones(12_500_000)),
        d,
        1.10,
        True,
    )
