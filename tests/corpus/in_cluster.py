"""Send the cases of all domains, or of some, through a real cluster; see ``__main__`` for the rest.

``python -m corpus.in_cluster [--json] [DOMAIN ...]``. Each case goes as an argument, in a closure,
and as data that was scattered; what is refused must be so where it is submitted.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import dask
from distributed import Client, Future, LocalCluster

import daskpickle
from corpus import DOMAINS, Case, cases
from daskpickle.errors import RefusedError, describe_type

SECONDS = 20


def check(domain: str, name: str, expected: str, received: Any) -> str:
    """Check a case, on a worker."""
    found = {case.id: case for case in importlib.import_module(f"corpus.{domain}").CASES}
    assert describe_type(received) == expected, describe_type(received)
    found[name].check(received)
    return "checked"


def check_data(domain: str, name: str, expected: str, data: SimpleNamespace) -> str:
    """Check what was scattered inside of something: Dask takes lists and buffers apart itself."""
    return check(domain, name, expected, data.obj)


def as_argument(client: Client, domain: str, name: str, obj: Any) -> Future:
    return client.submit(check, domain, name, describe_type(obj), obj, pure=False)


def in_closure(client: Client, domain: str, name: str, obj: Any) -> Future:
    expected = describe_type(obj)
    return client.submit(lambda: check(domain, name, expected, obj), pure=False)


def as_data(client: Client, domain: str, name: str, obj: Any) -> Future:
    expected = describe_type(obj)
    several = isinstance(obj, (list, tuple, dict, set, memoryview))
    (data,) = client.scatter([SimpleNamespace(obj=obj) if several else obj], hash=False)
    function = check_data if several else check
    return client.submit(function, domain, name, expected, data, pure=False)


ROUTES: tuple[Callable[[Client, str, str, Any], Future], ...] = (as_argument, in_closure, as_data)


def run(client: Client, domain: str, case: Case) -> str:
    """Return what is wrong with a case, or ""."""
    wrong = []
    with ExitStack() as stack:
        sent: dict[str, Future | Exception] = {}
        for route in ROUTES:
            if route.__name__.partition("_")[2] not in case.routes.split():
                continue
            try:
                sent[route.__name__] = route(client, domain, case.id, case.make(stack))
            except Exception as exc:
                sent[route.__name__] = exc
        for name, answer in sent.items():
            try:
                if isinstance(answer, Exception):
                    raise answer
                said = answer.result(SECONDS)
            except RefusedError as exc:
                if case.check is not None or not exc.path or exc.host:
                    wrong.append(f"{name}: {exc}")
            except Exception as exc:
                wrong.append(f"{name}: {type(exc).__name__}: {exc}")
            else:
                if case.check is None:
                    wrong.append(f"{name}: {said}, and should have been refused")
        sent.clear()
    return "; ".join(wrong)


def main() -> None:
    """Run them all."""
    chosen = [arg for arg in sys.argv[1:] if arg != "--json"] or DOMAINS
    outcome: dict[str, dict[str, str]] = {}
    dask.config.set({"distributed.comm.timeouts.connect": "30s"})
    dask.config.set({"distributed.worker.daemon": False})  # else it may have no pool of processes
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        daskpickle.install(client)
        for domain in chosen:
            outcome[domain] = {}
            for name, case in cases(importlib.import_module(f"corpus.{domain}").CASES).items():
                wrong = outcome[domain][name] = run(client, domain, case)
                if "--json" not in sys.argv:
                    print(f"{domain}: {name:32} {wrong or 'ok'}", flush=True)
    if "--json" in sys.argv:
        print(json.dumps(outcome))


if __name__ == "__main__":
    main()
