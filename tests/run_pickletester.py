"""Run CPython's own tests of pickle on another module's pickler; print each outcome, as JSON.

``python run_pickletester.py daskpickle``; the abstract tests are those of ``test.pickletester``.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import io
import json
import pickle
import struct
import sys
import unittest
from typing import Any

from test import pickletester

ERRORS: dict[str, Any] = {
    "bad_stack_errors": (pickle.UnpicklingError, IndexError),
    "truncated_errors": (
        pickle.UnpicklingError, EOFError, AttributeError, ValueError, struct.error, IndexError,
        ImportError,
    ),
}  # fmt: skip


def classes(module: Any) -> dict[str, Any]:
    """Give the module, or a part of it, to each abstract test of this version of Python."""
    pickler, unpickler = module.Pickler, getattr(module, "Unpickler", pickle.Unpickler)

    def through(pickler: Any, unpickler: Any) -> dict[str, Any]:
        def dumps(self: Any, obj: Any, protocol: int | None = None, **options: Any) -> bytes:
            file = io.BytesIO()
            pickler(file, protocol, **options).dump(obj)
            return file.getvalue()

        def loads(self: Any, data: bytes, **options: Any) -> Any:
            return unpickler(io.BytesIO(data), **options).load()

        used = {"pickler": pickler, "pickler_class": pickler}
        used |= {"unpickler": unpickler, "unpickler_class": unpickler}
        return {**used, "dumps": dumps, "loads": loads}

    def persistent_dumps(self: Any, obj: Any, protocol: int | None = None) -> bytes:
        cls = type("Persistent", (pickler,), {"persistent_id": lambda _, o: self.persistent_id(o)})
        return bytes(through(cls, None)["dumps"](self, obj, protocol))

    def persistent_loads(self: Any, data: bytes, **options: Any) -> Any:
        method = {"persistent_load": lambda _, pid: self.persistent_load(pid)}
        return through(None, type("Persistent", (unpickler,), method))["loads"](
            self, data, **options
        )

    memory = {
        "dumps": lambda self, obj, protocol=None, **o: module.dumps(obj, protocol=protocol, **o),
        "loads": lambda self, data, **options: module.loads(data, **options),
        # These are about a file, or an Unpickler.
        "test_framed_write_sizes_with_delayed_writer": None,
        "test_find_class": None,
        "test_custom_find_class": None,
    }
    streams = through(pickler, unpickler)
    persistent = {**streams, "dumps": persistent_dumps, "loads": persistent_loads}
    copies = {"get_dispatch_table": lambda self: pickle.dispatch_table.copy()}
    chains = {"get_dispatch_table": lambda self: collections.ChainMap({}, pickle.dispatch_table)}
    functions = {
        name: staticmethod(getattr(module, name)) for name in "dump dumps load loads".split()
    }
    # The name of a suite, the abstract tests in it, and what they are given.
    made: list[tuple[str, str, dict[str, Any]]] = [
        ("Memory", "AbstractPickleTests AbstractUnpickleTests BigmemPickleTests", memory),
        ("Stream", "AbstractPickleTests", streams),
        ("PythonLoads", "AbstractPickleTests", through(pickler, pickle._Unpickler)),
        ("Unpickler", "AbstractUnpickleTests", streams),
        ("PicklingErrors", "AbstractPicklingErrorTests", streams),
        ("Persistent", "AbstractPersistentPicklerTests", persistent),
        ("Identities", "AbstractIdentityPersistentPicklerTests", persistent),
        ("Objects", "AbstractPicklerUnpicklerObjectTests", streams),
        ("Copies", "AbstractDispatchTableTests", {**streams, **copies}),
        ("Chains", "AbstractDispatchTableTests", {**streams, **chains}),
        ("Module", "AbstractPickleModuleTests", {**streams, **functions}),
    ]
    found = {}
    for name, abstract, given in made:
        bases = [getattr(pickletester, n) for n in abstract.split() if hasattr(pickletester, n)]
        if bases:
            found[name] = type(name, (*bases, unittest.TestCase), {**ERRORS, **given})
    custom = type("Custom", (pickletester.AbstractCustomPicklerClass, pickler), {})
    hooks = (pickletester.AbstractHookTests, unittest.TestCase)
    found["Hooks"] = type("Hooks", hooks, {"pickler_class": custom})
    return found


def main() -> None:
    """Run the tests one by one: some print, and some fail for every pickler but pickle's."""
    outcomes = {}
    for name, cls in classes(importlib.import_module(sys.argv[1])).items():
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(cls):
            result = unittest.TestResult()
            with contextlib.redirect_stdout(io.StringIO()):
                test.run(result)
            outcome = (
                "skipped" if result.skipped else "passed" if result.wasSuccessful() else "failed"
            )
            outcomes[f"{name}.{test._testMethodName}"] = outcome  # type: ignore[attr-defined]
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    main()
