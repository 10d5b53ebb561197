"""``make bench``: measures everything, and writes the table and the picture that the docs show.

CPU time of one thread; all contenders in turn in one process, the order reversed each round;
those of others with daskpickle uninstalled. A ratio is of the shortest times, and in brackets are
the quartiles of the ratios of single rounds.
"""

from __future__ import annotations

import argparse
import copyreg
import logging
import pickle
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dill
import distributed
import distributed.protocol.pickle as dask_pickle
import distributed.protocol.serialize
from growth import growth
from measure import Contender, Ratio, peak, race, ratio
from picture import bars, lines
from workloads import IN_MAIN, Workload, tasks, workloads

import daskpickle

OUT = Path(__file__).parents[1] / "docs" / "performance"
serializing = sys.modules["distributed.protocol.serialize"]
Lock: Any = type(threading.Lock())


class Switch:
    """daskpickle's hooks, on or off."""

    def __init__(self) -> None:
        self.installed = False

    def on(self) -> None:
        if not self.installed:
            daskpickle.install()
            self.installed = True

    def off(self) -> None:
        if self.installed:
            daskpickle.uninstall()
            self.installed = False


switch = Switch()


def with_copyreg(x: Any) -> bytes:
    """What a user of plain pickle would do about locks."""
    copyreg.pickle(Lock, lambda lock: (threading.Lock, ()))
    try:
        return pickle.dumps(x, 5)
    finally:
        del copyreg.dispatch_table[Lock]


def dumpers(workload: Workload, x: Any) -> list[Contender]:
    """Return who can pickle ``x``, ours last."""
    out = {"buffer_callback": [].append} if workload.out_of_band else {}
    every: dict[str, Callable[[], Any]] = {
        "pickle": lambda: pickle.dumps(x, 5, **out),
        "copyreg": lambda: with_copyreg(x),
        "cloudpickle": lambda: cloudpickle.dumps(x, 5, **out),
        "dill": lambda: dill.dumps(x),
        "distributed": lambda: dask_pickle.dumps(x, **out),
        "serialize": lambda: serializing.serialize(x, on_error="raise"),
    }
    if workload.base != "copyreg":
        del every["copyreg"]
    if "100 MB" in workload.name:
        del every["dill"]
    switch.off()
    found = []
    for name, run in every.items():
        try:
            run()
        except Exception:  # it cannot: that is its result
            continue
        found.append(Contender(name, run, switch.off))
    return [*found, Contender("daskpickle", lambda: dask_pickle.dumps(x, **out), switch.on)]


COLUMNS = ("pickle", "cloudpickle", "dill", "distributed", "serialize")


def dump_rows(
    chosen: list[Workload], rounds: int
) -> Iterator[tuple[Workload, float, dict[str, Ratio], Ratio]]:
    """Yield for each workload: seconds of the base, the ratio of each to it, and ours."""
    for workload in chosen:
        x = workload.make()
        times = race(dumpers(workload, x), rounds)
        base = times[workload.base]
        ratios = {name: ratio(taken, base) for name, taken in times.items()}
        yield workload, min(base), ratios, ratios["daskpickle"]
        print(f"{workload.name:48} {ratios['daskpickle']}  goal {workload.goal:.2f}", flush=True)


def load_rows(main: Any, rounds: int) -> Iterator[tuple[str, str, float, Ratio, float]]:
    """Yield for each workload: name, base, seconds of the base, our ratio, the goal."""
    cases: list[tuple[str, str, Any, float]] = [
        (w.name, "pickle", w.make(), 1.05)
        for w in workloads(main)
        if w.base == "pickle" and "10k" in w.name
    ]
    cases.append(("a lambda", "cloudpickle", lambda x: x + 1, 0.5))
    cases.append(("a function in __main__", "cloudpickle", main.add_one, 0.5))
    cases.append(("a function in __main__ that uses numpy", "cloudpickle", main.root, 0.5))
    cases.append(("a closure", "cloudpickle", main.adder(2), 0.5))
    cases.append(("10k tasks", "distributed", tasks(len), 0.6))
    for name, base, x, goal in cases:
        switch.off()
        theirs = cloudpickle.dumps(x) if base == "cloudpickle" else pickle.dumps(x, 5)
        switch.on()
        ours = dask_pickle.dumps(x)
        times = race(
            [
                Contender(base, lambda data=theirs: dask_pickle.loads(data), switch.off),
                Contender("daskpickle", lambda data=ours: dask_pickle.loads(data), switch.on),
            ],
            rounds,
        )
        found = ratio(times["daskpickle"], times[base])
        print(f"load {name:43} {found}  goal {goal:.2f}", flush=True)
        yield name, base, min(times[base]), found, goal


def memory_rows(chosen: list[Workload]) -> Iterator[tuple[str, str, int, int]]:
    """Yield for each workload: name, base, and the peak memory of both."""
    for workload in chosen:
        if (
            "100 MB" not in workload.name
            and "1e6" not in workload.name
            and "nested" not in workload.name
        ):
            continue
        x = workload.make()
        contenders = {c.name: c for c in dumpers(workload, x)}
        peaks = []
        for name in (workload.base, "daskpickle"):
            contenders[name].enter()
            contenders[name].run()
            peaks.append(peak(contenders[name].run))
        yield workload.name, workload.base, peaks[0], peaks[1]


def time_text(seconds: float) -> str:
    unit, factor = ("ms", 1e3) if seconds >= 1e-3 else ("us", 1e6)
    return f"{seconds * factor:.3g} {unit}"


def write(options: argparse.Namespace, main: Any) -> None:
    every = [
        w for w in workloads(main) if not options.only or any(o in w.name for o in options.only)
    ]
    python = platform.python_version()
    text = [
        f"Python {python}, distributed {distributed.__version__}, cloudpickle "
        f"{cloudpickle.__version__}, dill {dill.__version__}; {options.rounds} rounds.",
        "",
        "### Pickling",
        "",
        "| what | base | its time | " + " | ".join(COLUMNS) + " | daskpickle | goal |",
        "|---|---|---|" + "---|" * (len(COLUMNS) + 2),
    ]
    rows = list(dump_rows(every, options.rounds))
    for workload, seconds, ratios, ours in rows:
        others = [f"{ratios[name].best:.2f}" if name in ratios else "cannot" for name in COLUMNS]
        met = "" if ours.best <= workload.goal else ", missed"
        text.append(
            f"| {workload.name.strip()} | {workload.base} | {time_text(seconds)} | "
            + " | ".join(others)
            + f" | **{ours}** | {workload.goal:.2f}{met} |"
        )
    text += [
        "",
        "### Loading",
        "",
        "| what | base | its time | daskpickle | goal |",
        "|---|---|---|---|---|",
    ]
    for name, base, seconds, found, goal in load_rows(main, options.rounds):
        met = "" if found.best <= goal else ", missed"
        text.append(f"| {name} | {base} | {time_text(seconds)} | **{found}** | {goal:.2f}{met} |")
    text += [
        "",
        "### Peak memory of a dump",
        "",
        "| what | base | its peak | daskpickle |",
        "|---|---|---|---|",
    ]
    for name, base, theirs, ours_peak in memory_rows(every):
        text.append(f"| {name} | {base} | {theirs / 1e6:.0f} MB | {ours_peak / 1e6:.0f} MB |")
    if not options.no_cluster:
        text += ["", *end_to_end_rows(options.cluster_rounds)]
    OUT.mkdir(exist_ok=True)
    version = ".".join(python.split(".")[:2])
    (OUT / f"results-{version}.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    shown = [(w.name.strip() + f" / {w.base}", r.best, r.low, r.high) for w, _, _, r in rows]
    (OUT / f"ratios-{version}.svg").write_text(bars(shown), encoding="utf-8")
    switch.on()
    (OUT / f"growth-{version}.svg").write_text(
        lines(growth(dask_pickle.dumps), "microseconds for each"), encoding="utf-8"
    )


def end_to_end_rows(rounds: int) -> list[str]:
    """Return the table of the jobs on a real cluster: the best of some runs of each, by turns."""
    from end_to_end import run_once

    runs: dict[bool, list[Any]] = {False: [], True: []}
    for _ in range(rounds):
        for installed in (False, True):
            runs[installed].append(run_once(installed=installed))
    text = [
        "### On a cluster",
        "",
        "| job | wall time without | with | scheduler's CPU time without | with |",
        "|---|---|---|---|---|",
    ]
    for job in runs[False][0]:
        cells = [
            f"{min(run[job][what] for run in runs[installed]):.2f} s"
            for what in ("wall", "scheduler")
            for installed in (False, True)
        ]
        text.append(f"| {job} | " + " | ".join(cells) + " |")
        print(text[-1], flush=True)
    return text


def run() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", help="only workloads with this in their names")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cluster-rounds", type=int, default=3)
    parser.add_argument("--no-cluster", action="store_true")
    main = sys.modules["__main__"]
    exec(IN_MAIN, vars(main))
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it logs what it cannot pickle
    write(parser.parse_args(), main)


if __name__ == "__main__":
    run()
