"""Send the cases of a domain to a fresh process and say what became of them.

``python -m corpus DOMAIN [CASE ...]`` prints a line for each; ``--json`` prints one object instead.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import daskpickle
from corpus import Case, cases
from daskpickle.errors import describe_type

SECONDS = 300


def send(case: Case, stack: ExitStack) -> bytes | str:
    """Return the bytes of a case that travels; of one that is refused, what is wrong, or ""."""
    obj = case.make(stack)
    if case.check is not None:
        daskpickle.dumps(obj)  # alone, and then beside a function that travels by value
        return daskpickle.dumps(
            {"obj": obj, "again": [obj], "type": describe_type(obj.__class__), "by": lambda: 1}
        )
    try:
        daskpickle.dumps({"here": [obj]})
    except daskpickle.errors.RefusedError as exc:
        if not re.search(case.refused, exc.why):
            return f"refused for another reason: {exc}"
        if "['here'][0]" not in str(exc.path):
            return f"the path leads elsewhere: {exc}"
        if not exc.hint:
            return f"no way out: {exc}"
        return "" if str(pickle.loads(pickle.dumps(exc))) == str(exc) else f"changed: {exc}"
    except Exception as exc:
        return f"not refused, but {type(exc).__name__}: {exc}"
    return "was not refused"


def run(domain: str, chosen: list[str]) -> dict[str, str]:
    """Return what is wrong with each case; "" for what is as it should be."""
    found = cases(importlib.import_module(f"corpus.{domain}").CASES)
    outcome: dict[str, str] = {}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        there = Path(folder, "there")
        there.mkdir()
        for number, (name, case) in enumerate(found.items()):
            if chosen and name not in chosen:
                continue
            try:
                sent = send(case, stack)
            except Exception as exc:
                lines = "".join(traceback.format_exception(exc)) if chosen else exc
                sent = f"not sent: {type(exc).__name__}: {lines}"
            if isinstance(sent, bytes):
                Path(folder, f"{number}.pkl").write_bytes(sent)
                outcome[name] = "never checked"
            else:
                outcome[name] = sent
        asked = {n: f"{i}.pkl" for i, n in enumerate(found) if outcome.get(n) == "never checked"}
        script = str(Path(__file__).with_name("receive.py"))
        receiver = [sys.executable, "-X", "faulthandler", script]
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        while asked:  # a case that ends the interpreter ends only its own check
            done = subprocess.run(
                [*receiver, domain, folder, json.dumps(asked)],
                cwd=there, env=environ, capture_output=True, text=True, timeout=SECONDS,
            )  # fmt: skip
            answers: dict[str, Any] = dict(
                json.loads(line[1:]) for line in done.stdout.splitlines() if line[:1] == "\x01"
            )
            outcome.update(answers)
            asked = {name: file for name, file in asked.items() if name not in answers}
            if asked:
                fatal = next(iter(asked))
                outcome[fatal] = f"the receiver ended with {done.returncode}: {done.stderr[-3000:]}"
                del asked[fatal]
    return outcome


if __name__ == "__main__":
    domain, *rest = [arg for arg in sys.argv[1:] if arg != "--json"]
    outcome = run(domain, rest)
    if "--json" in sys.argv:
        print(json.dumps(outcome))
    else:
        for name, wrong in outcome.items():
            print(f"{name:32} {wrong or 'ok'}")
        print(f"{sum(map(bool, outcome.values()))} of {len(outcome)} are not as they should be")
