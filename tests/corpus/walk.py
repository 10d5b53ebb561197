"""Walk the standard library: make an object of each class that lets itself be made, and send it.

``python -m corpus.walk [MODULE ...]`` (in ``tests/``) prints what is not as it should be: an object
that does not load, arrives as another type or with other attributes; one that neither travels nor
is refused; one that cloudpickle carries and daskpickle refuses. It is a way to find gaps, and its
findings are to be judged: an object made of ``("x",)`` is not always one that makes sense.
"""

from __future__ import annotations

import faulthandler
import importlib
import io
import itertools
import json
import os
import pickle
import pkgutil
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

import daskpickle
from daskpickle.errors import RefusedError, describe_type

#: Importing them shows something, needs something, or they are not meant for use.
SKIPPED = re.compile(
    r"antigravity|this|idlelib|test|.*\.tests?|lib2to3|turtle|turtledemo|ensurepip|_test|_xx|.*__main__"
    r"|encodings\.(cp|iso|mac_|koi|kz)|_sysconfigdata|pydoc_data|distutils|tkinter|.*\._?win|_?msilib|_aix|_bootlocale|_osx|nt\b"
)
#: Making them runs something.
NEVER = {"unittest.main.TestProgram", "pdb.Restart", "posix.fork", "_sitebuiltins.Quitter"}
ARGUMENTS: list[Callable[[], tuple[Any, ...]]] = [
    lambda: (),
    lambda: ("x",),
    lambda: (b"x",),
    lambda: (1,),
    lambda: ([1],),
    lambda: (io.BytesIO(b"x"),),
    lambda: (io.StringIO("x"),),
    lambda: (len,),
    lambda: ({"x": 1},),
    lambda: ("x", "x"),
    lambda: (1, 1),
    lambda: (len, [[1]]),
    lambda: ([1], 1),
    lambda: (Path("x"),),
    lambda: ("x", {"x": 1}),
    lambda: ("x", "x", "x"),
]
SECONDS = 5
PLAIN = (type(None), bool, int, float, str, bytes, tuple)


def find_modules() -> list[str]:
    """Return the names of all modules of the standard library."""
    folder = str(Path(os.__file__).parent)
    found = set(sys.stdlib_module_names)
    for package in list(found):
        where = Path(folder, package)
        if where.is_dir():
            found.update(m.name for m in pkgutil.walk_packages([str(where)], package + "."))
    return sorted(name for name in found if not SKIPPED.match(name))


def make_objects(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield what the module holds, and up to two objects of each of its classes."""
    for name, value in sorted(vars(module).items()):
        if not isinstance(value, type):
            if not isinstance(value, (*PLAIN, ModuleType, list, dict)) and not name.startswith(
                "__"
            ):
                yield f"{module.__name__}.{name}", value
            continue
        with suppress(Exception):
            importlib.import_module(value.__module__)
        home = sys.modules.get(value.__module__)
        if home is not module and getattr(home, value.__qualname__, None) is value:
            continue
        if describe_type(value) in NEVER:
            continue
        made = 0
        for number, arguments in enumerate(ARGUMENTS):
            signal.alarm(2)
            try:
                obj = value(*arguments())
            except BaseException:
                continue
            finally:
                signal.alarm(0)
            if isinstance(obj, type):
                break
            yield f"{describe_type(value)}#{number}", obj
            made += 1
            if made == 2:
                break


def look(obj: Any) -> dict[str, Any]:
    """Say what can be compared."""
    facts: dict[str, Any] = {"type": describe_type(obj)}
    with suppress(AttributeError, TypeError):
        facts["vars"] = sorted(object.__getattribute__(obj, "__dict__"))
    if isinstance(obj, (ModuleType, type)):
        return facts
    for name in dir(type(obj)):
        if not name.startswith("_"):
            try:
                value = getattr(obj, name)
            except BaseException as exc:
                value = type(exc).__name__
            if isinstance(value, PLAIN):
                facts[name] = re.sub(r"0x\w+", "0x", repr(value))[:300]
    return facts


def take(obj: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """Add the next items of an iterator."""
    if hasattr(type(obj), "__next__"):
        try:
            items: Any = [repr(item) for item in itertools.islice(obj, 5)]
        except BaseException as exc:
            items = type(exc).__name__
        facts["items"] = re.sub(r"0x\w+", "0x", str(items))[:300]
    return facts


def alarm(*_: Any) -> None:
    raise TimeoutError


def send(module_name: str, folder: str, done: list[str]) -> None:
    """Pickle the objects of a module; print what became of each."""
    signal.signal(signal.SIGALRM, alarm)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module = importlib.import_module(module_name)
    for number, (name, obj) in enumerate(make_objects(module)):
        if name in done:
            continue
        print("\x01" + json.dumps([name, None]), file=out, flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        outcome: dict[str, Any] = {"file": f"{number}.pkl", **dict.fromkeys(("cloud", "dask"), "")}
        with suppress(BaseException):
            look(obj)  # some attributes are made when they are first asked for
            outcome["facts"] = look(obj)
        for kind, dumps in (("dask", daskpickle.dumps), ("cloud", cloudpickle.dumps)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error" if kind == "dask" else "ignore")
                    data = dumps([obj])
                Path(folder, f"{number}.pkl.{kind}").write_bytes(data)
            except BaseException as exc:
                right = isinstance(exc, RefusedError) and exc.path and exc.why and exc.hint
                outcome[kind] = f"{'refused' if right else type(exc).__name__}: {exc}"
        with suppress(BaseException):
            if look(obj) != outcome["facts"]:
                outcome["changed"] = str(differences(outcome["facts"], look(obj)))
            outcome["facts"] = take(obj, outcome["facts"])
        faulthandler.cancel_dump_traceback_later()
        print("\x01" + json.dumps([name, outcome]), file=out, flush=True)
    os._exit(0)


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what is not the same."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return {key: (before.get(key), after.get(key)) for key in sorted(keys)}


def receive(module_name: str, folder: str, done: list[str]) -> None:
    """Load what was sent; print what it looks like."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for path in sorted(Path(folder).glob("*.pkl.*")):
        if path.name in done:
            continue
        print("\x01" + json.dumps([path.name, None]), file=out, flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        facts: dict[str, Any]
        try:
            if path.suffix == ".dask":
                from daskpickle.handles import opening, running_task

                with running_task(), opening():
                    obj = daskpickle.loads(path.read_bytes())[0]
                    facts = take(obj, look(obj))
            else:
                obj = pickle.loads(path.read_bytes())[0]
                facts = take(obj, look(obj))
        except BaseException as exc:
            facts = {"load": f"{type(exc).__name__}: {exc}"}
        faulthandler.cancel_dump_traceback_later()
        print("\x01" + json.dumps([path.name, facts]), file=out, flush=True)
    os._exit(0)


def ask(role: str, module: str, folder: str) -> dict[str, Any]:
    """Run a role until all is done, passing over what ends it."""
    answers: dict[str, Any] = {}
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    while True:
        command = [
            sys.executable,
            "-m",
            "corpus.walk",
            role,
            module,
            folder,
            json.dumps([*answers]),
        ]
        with tempfile.TemporaryDirectory() as there:
            try:
                run = subprocess.run(
                    command, cwd=there, env=environ, stdin=subprocess.DEVNULL, capture_output=True,
                    text=True, timeout=120, errors="replace",
                )  # fmt: skip
                code, output, errors = run.returncode, run.stdout, run.stderr
            except subprocess.TimeoutExpired as exc:
                code, output, errors = -1, str((exc.stdout or b"").decode()), "too slow"
        found = [json.loads(line[1:]) for line in output.splitlines() if line[:1] == "\x01"]
        answers.update(found)
        if code == 0:
            return answers
        if not found or found[-1][1] is not None:
            answers[f"({role} of {module})"] = {"end": errors[-300:]}
            return answers
        answers[found[-1][0]] = {"end": f"{code}: {errors[-1500:]}"}


def judge(module: str) -> Iterator[str]:
    """Yield what is not as it should be in a module."""
    with tempfile.TemporaryDirectory() as folder:
        sent = ask("send", module, folder)
        received = ask("receive", module, folder) if list(Path(folder).iterdir()) else {}
    for name, outcome in sent.items():
        if outcome is None or "end" in outcome:
            yield f"ENDED     {name}: {outcome}"
            continue
        facts = outcome.get("facts", {})
        if "changed" in outcome:
            yield f"CHANGED   {name}: {outcome['changed']}"
        cloud = received.get(outcome["file"] + ".cloud")
        cloud_works = cloud is not None and not differences(facts, cloud)
        if outcome["dask"]:
            if not outcome["dask"].startswith("refused"):
                yield f"NO REASON {name}: {outcome['dask']}"
            elif cloud_works:
                yield f"LOST      {name}: {outcome['dask']}"
            elif cloud is not None and "load" not in cloud and "end" not in cloud:
                yield f"LOST?     {name}: {outcome['dask']} {differences(facts, cloud)}"
            elif VERBOSE:
                yield f"refused   {name}: {outcome['dask']}"
            continue
        dask = received.get(outcome["file"] + ".dask")
        different = differences(facts, dask or {"load": "nothing"})
        if different:
            yield f"BROKEN    {name}: {different} {'as cloudpickle' if cloud == dask else ''}"
        elif VERBOSE:
            yield f"ok        {name}"


VERBOSE = "-v" in sys.argv

if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
    elif sys.argv[1:2] == ["receive"]:
        receive(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
    else:
        for module in [arg for arg in sys.argv[1:] if arg != "-v"] or find_modules():
            for line in judge(module):
                print(line, flush=True)
