"""How the cost of one object changes with their number: it is to stay flat."""

from __future__ import annotations

import gc
import operator
from collections.abc import Callable
from typing import Any

from measure import seconds
from workloads import Record, tasks


def growth(dumps: Callable[[Any], bytes]) -> dict[str, list[tuple[int, float]]]:
    """Return microseconds for each object, and for each task, by their number."""
    found: dict[str, list[tuple[int, float]]] = {"objects": [], "tasks": []}
    gc.disable()
    try:
        for exponent in range(1, 7):
            number = 10**exponent
            found["objects"].append(
                (number, each(dumps, [Record(i, i / 3, f"r{i}") for i in range(number)], number))
            )
        for exponent in range(6):
            number = 10**exponent
            found["tasks"].append((number, each(dumps, tasks(operator.add, number), number)))
    finally:
        gc.enable()
    return found


def each(dumps: Callable[[Any], bytes], x: Any, number: int) -> float:
    dumps(x)
    repeat = max(1, 20_000 // number)
    return min(seconds(lambda: dumps(x), repeat) for _ in range(5)) / number * 1e6
