"""Run CPython's own tests of pickle on another module's pickler; print each outcome, as JSON.

``python run_pickletester.py daskpickle``; the abstract tests are those of ``test.pickletester``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import pickle
import struct
import sys
import unittest
from collections import ChainMap
from typing import Any

from test import pickletester

BAD = (pickle.UnpicklingError, IndexError)
TRUNCATED = (*BAD, EOFError, AttributeError, ValueError, struct.error, ImportError)


def through(pickler: Any, unpickler: Any) -> dict[str, Any]:
    """Return what the tests of a pickler class use."""

    def dumps(self: Any, obj: Any, protocol: int | None = None, **options: Any) -> bytes:
        file = io.BytesIO()
        pickler(file, protocol, **options).dump(obj)
        return file.getvalue()

    def loads(self: Any, data: bytes, **options: Any) -> Any:
        return unpickler(io.BytesIO(data), **options).load()

    found = {"dumps": dumps, "loads": loads, "pickler": pickler, "unpickler": unpickler}
    return {**found, "pickler_class": pickler, "unpickler_class": unpickler}


def suites(module: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return which abstract tests there are, and what of the module they are given."""
    cls, loader = module.Pickler, getattr(module, "Unpickler", pickle.Unpickler)
    streams = through(cls, loader)

    def persistent_dumps(self: Any, obj: Any, protocol: int | None = None) -> Any:
        method = {"persistent_id": lambda _, o: self.persistent_id(o)}
        return through(type("P", (cls,), method), None)["dumps"](self, obj, protocol)

    def persistent_loads(self: Any, data: bytes, **options: Any) -> Any:
        method = {"persistent_load": lambda _, pid: self.persistent_load(pid)}
        return through(None, type("U", (loader,), method))["loads"](self, data, **options)

    memory = {
        "dumps": lambda self, o, protocol=None, **more: module.dumps(o, protocol=protocol, **more),
        "loads": lambda self, data, **more: module.loads(data, **more),
        # These are about a file, or an Unpickler.
        "test_framed_write_sizes_with_delayed_writer": None,
        "test_find_class": None,
        "test_custom_find_class": None,
    }
    persistent = {**streams, "dumps": persistent_dumps, "loads": persistent_loads}
    copy = {"get_dispatch_table": lambda self: pickle.dispatch_table.copy()}
    chain = {"get_dispatch_table": lambda self: ChainMap({}, pickle.dispatch_table)}
    functions = {n: staticmethod(getattr(module, n)) for n in ("dump", "dumps", "load", "loads")}
    custom = type("Custom", (pickletester.AbstractCustomPicklerClass, cls), {})
    return {
        "Memory": ("AbstractPickleTests AbstractUnpickleTests BigmemPickleTests", memory),
        "Stream": ("AbstractPickleTests", streams),
        "PythonLoads": ("AbstractPickleTests", through(cls, pickle._Unpickler)),
        "Unpickler": ("AbstractUnpickleTests", streams),
        "Errors": ("AbstractPicklingErrorTests", streams),  # new in Python 3.13
        "Persistent": ("AbstractPersistentPicklerTests", persistent),
        "Identities": ("AbstractIdentityPersistentPicklerTests", persistent),
        "Objects": ("AbstractPicklerUnpicklerObjectTests", streams),
        "Copy": ("AbstractDispatchTableTests", {**streams, **copy}),
        "Chain": ("AbstractDispatchTableTests", {**streams, **chain}),
        "Module": ("AbstractPickleModuleTests", {**functions, "Pickler": cls, "Unpickler": loader}),
        "Hooks": ("AbstractHookTests", {"pickler_class": custom}),
    }


def main() -> None:
    """Run the tests one by one; some print, and some fail for every pickler but pickle's."""
    outcomes = {}
    for name, (abstract, given) in suites(importlib.import_module(sys.argv[1])).items():
        bases = [getattr(pickletester, n) for n in abstract.split() if hasattr(pickletester, n)]
        given = {"bad_stack_errors": BAD, "truncated_errors": TRUNCATED, **given}
        cls: Any = type(name, (*bases, unittest.TestCase), given)
        for method in unittest.defaultTestLoader.getTestCaseNames(cls):
            result = unittest.TestResult()
            with contextlib.redirect_stdout(io.StringIO()):
                cls(method).run(result)
            bad = "failed" if not result.wasSuccessful() else "passed"
            outcomes[f"{name}.{method}"] = "skipped" if result.skipped else bad
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
