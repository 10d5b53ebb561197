"""Load what was sent and check it; run by `corpus.__main__` in a fresh process."""

from __future__ import annotations

import faulthandler
import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import daskpickle
from daskpickle.errors import describe_type
from daskpickle.handles import opening, pool, running_task

SECONDS = 20


def check(case: Any, data: bytes, *, in_task: bool) -> None:
    """Check an object as data, which may be a lazy handle, or as a task gets it."""
    if in_task:
        with running_task(), opening():
            received = daskpickle.loads(data)
            assert describe_type(received["obj"].__class__) == received["type"], type(
                received["obj"]
            )
            assert received["again"][0] is received["obj"]
            case.check(received["obj"])
    else:
        received = daskpickle.loads(data)
        assert describe_type(received["obj"].__class__) == received["type"]
        again = daskpickle.loads(daskpickle.dumps(received["obj"]))  # as Dask's scheduler does
        assert describe_type(again.__class__) == received["type"]
        case.check(received["obj"])


def main() -> None:
    """Check each, and print what is wrong."""
    domain, folder, asked = sys.argv[1:]
    found = {case.id: case for case in importlib.import_module(f"corpus.{domain}").CASES}
    out = sys.stdout
    for name, file in json.loads(asked).items():
        wrong = ""
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        for in_task in (False, True):
            try:
                check(found[name], Path(folder, file).read_bytes(), in_task=in_task)
            except BaseException as exc:
                where = traceback.extract_tb(exc.__traceback__)[-1]
                wrong = f"{'in a task: ' if in_task else ''}{type(exc).__name__}: {exc} ({where})"
                break
            finally:
                pool.close_all()
        faulthandler.cancel_dump_traceback_later()
        print("\x01" + json.dumps([name, wrong]), file=out, flush=True)


if __name__ == "__main__":
    main()
