"""Measure CPU time of one thread, side by side: ratios, and how far they spread."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

clock = time.thread_time


class Ratio(NamedTuple):
    """How long something takes, as a part of what something else takes."""

    best: float  # of the shortest times
    median: float  # of the pairs of each round
    low: float  # the quartiles of the pairs
    high: float

    def __str__(self) -> str:
        return f"{self.best:.2f} ({self.low:.2f} to {self.high:.2f})"


class Contender(NamedTuple):
    """One of those that do the same work; ``enter`` is called before it, untimed."""

    name: str
    run: Callable[[], Any]
    enter: Callable[[], Any] = lambda: None


def seconds(run: Callable[[], Any], number: int) -> float:
    start = clock()
    for _ in range(number):
        run()
    return (clock() - start) / number


def race(
    contenders: list[Contender], rounds: int, *, at_least: float = 0.02
) -> dict[str, list[float]]:
    """Return the seconds of each contender in each round; the order turns round each time."""
    numbers: dict[str, int] = {}
    for contender in contenders:
        contender.enter()
        contender.run()  # what is done once is not what is measured
        once = max(seconds(contender.run, 1), 1e-7)
        numbers[contender.name] = max(1, min(20_000, int(at_least / once)))
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            for contender in contenders if number % 2 else reversed(contenders):
                contender.enter()
                contender.run()  # what was switched is found again by the first
                times[contender.name].append(seconds(contender.run, numbers[contender.name]))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return times


def ratio(times: Iterable[float], base: Iterable[float]) -> Ratio:
    times, base = list(times), list(base)
    pairs = [a / b for a, b in zip(times, base, strict=True)]
    quartiles = statistics.quantiles(pairs, n=4) if len(pairs) > 1 else [pairs[0]] * 3
    return Ratio(min(times) / min(base), statistics.median(pairs), quartiles[0], quartiles[2])


def peak(run: Callable[[], Any]) -> int:
    """Return how many bytes more there were, at most, while it ran; its result counts."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
