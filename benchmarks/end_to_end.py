"""A real cluster, each part in a process of its own, with daskpickle and without.

Run by ``python benchmarks``; by itself it is one run: ``python end_to_end.py``, with
``DASK_DASKPICKLE__INSTALL=true`` in its environment or without.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TASKS = 10_000


def run_once(*, installed: bool) -> dict[str, dict[str, float]]:
    """Return wall time and the scheduler's CPU time of each job, from a fresh interpreter."""
    environment = dict(os.environ, DASK_DASKPICKLE__INSTALL=str(installed).lower())
    environment["DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE"] = "false"
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    import dask
    import psutil
    from distributed import Client, wait

    def add_one(x: int) -> int:
        return x + 1

    # What a user defines in a script is in ``__main__``, as these are.
    @dask.delayed
    def work(x: int) -> int:
        return x + 1

    @dask.delayed
    def collect(xs: list[int]) -> int:
        return len(xs)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        command = [sys.executable, "-m", "dask"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        scheduler = subprocess.Popen(
            [*command, "scheduler", "--port", "0", "--scheduler-file", str(file), "--no-dashboard"],
            **quiet,
        )
        workers = [
            subprocess.Popen(
                [*command, "worker", "--scheduler-file", str(file), "--nthreads", "1",
                 "--no-nanny", "--no-dashboard"],
                **quiet,
            )
            for _ in range(2)
        ]  # fmt: skip
        try:
            with Client(scheduler_file=str(file)) as client:
                client.wait_for_workers(2)
                client.gather(client.map(add_one, range(-100, 0)))
                process = psutil.Process(scheduler.pid)
                found: dict[str, dict[str, float]] = {}

                def measure(name: str, job: Any) -> Any:
                    cpu, wall = sum(process.cpu_times()[:2]), time.perf_counter()
                    result = job()
                    wall = time.perf_counter() - wall
                    cpu = sum(process.cpu_times()[:2]) - cpu
                    found[name] = {"wall": wall, "scheduler": cpu}
                    return result

                def map_and_wait() -> Any:
                    futures = client.map(lambda x: x + 1, range(TASKS))
                    wait(futures)
                    return futures

                futures = [measure("client.map of 10k tiny lambdas", map_and_wait)]
                results = measure("gather of 10k small results", lambda: client.gather(futures[0]))
                assert results == list(range(1, TASKS + 1))
                futures.clear()
                graph = collect([work(i) for i in range(TASKS)])
                count = measure("a delayed graph of 10k tasks of __main__", graph.compute)
                assert count == TASKS
            print(json.dumps(found))
        finally:
            for process in (*workers, scheduler):
                process.kill()  # Dask may wait for ever when all end at once
            for process in (*workers, scheduler):
                process.wait(30)


if __name__ == "__main__":
    main()
