"""A function that is nothing but its code is the same bytes each time, as long as that is true."""

from __future__ import annotations

import gc
import json
import pickle
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle import errors
from daskpickle.functions import only_code
from daskpickle.pickler import Pickler

CODE = compile("lambda x: x + 1", "<script>", "eval")


def make() -> Any:
    """Return a new function of one code, as a script makes it."""
    return eval(CODE, {"__name__": "__main__"})


def default(function: Any) -> None:
    function.__defaults__ = (41,)


def keyword(function: Any) -> None:
    function.__kwdefaults__ = {"x": 41}


def attribute(function: Any) -> None:
    function.unit = "m"


def name(function: Any) -> None:
    function.__name__ = "renamed"


def qualified_name(function: Any) -> None:
    function.__qualname__ = "renamed.<locals>.by"


def doc(function: Any) -> None:
    function.__doc__ = "Adds one."


def hints(function: Any) -> None:
    function.__annotations__ = {"x": int}


def module(function: Any) -> None:
    function.__module__ = "elsewhere"


CHANGES: list[Callable[[Any], None]] = [
    default, keyword, attribute, name, qualified_name, doc, hints, module,
]  # fmt: skip
FACTS = (
    "__defaults__", "__kwdefaults__", "__name__", "__qualname__", "__doc__", "__annotations__",
    "__module__", "__dict__",
)  # fmt: skip


def test_it_is_the_same_bytes_each_time() -> None:
    """Those that a pickler gives that has never seen it."""
    first = daskpickle.dumps(make())
    assert only_code(make()) is not None
    assert daskpickle.dumps(make()) == first == daskpickle.dumps(make(), 5)
    assert daskpickle.loads(first)(1) == 2
    assert pickle.loads(first)(1) == 2


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_is_changed_counts_at_once(change: Callable[[Any], None]) -> None:
    """Of a function whose code has been pickled, and of one that is pickled again."""
    changed = make()
    plain = daskpickle.dumps(changed)
    change(changed)
    assert only_code(changed) is None
    received = daskpickle.loads(daskpickle.dumps(changed))
    for fact in FACTS:
        assert getattr(received, fact) == getattr(changed, fact)
    assert daskpickle.dumps(make()) == plain


def test_a_function_of_another_module_is_another_one() -> None:
    """The same code, with other global variables."""
    plain = make()
    daskpickle.dumps(plain)
    there = {"__name__": plain.__module__, "__package__": "there", "__builtins__": {}}
    other = types.FunctionType(plain.__code__, there)
    assert only_code(other) is not None
    received = daskpickle.loads(daskpickle.dumps(other))
    assert received.__globals__["__package__"] == "there"


def test_closures_and_globals_are_looked_at_each_time() -> None:
    """They are no part of the code."""
    number = 1

    def add(x: int) -> int:
        return x + number

    function: Any = add
    assert only_code(function) is None
    for number in (2, 3):
        assert daskpickle.loads(daskpickle.dumps(add))(1) == number + 1


def test_modules_are_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one under the name, one that cannot be imported, a submodule imported since."""
    code = compile("lambda x: json.dumps(other.encoder.x)", "<script>", "eval")
    variables: dict[str, Any] = {"__name__": "__main__", "json": json}
    function = eval(code, variables)
    first = daskpickle.dumps(function)
    assert only_code(function) is not None
    assert daskpickle.dumps(function) == first
    variables["other"] = json
    second = daskpickle.dumps(function)
    assert second != first
    assert b"json.encoder" in second
    assert daskpickle.loads(second).__globals__["other"] is json
    variables["json"], variables["other"] = pickle, pickle
    assert daskpickle.loads(daskpickle.dumps(function)).__globals__["json"] is pickle
    del variables["other"]
    assert "other" not in daskpickle.loads(daskpickle.dumps(function)).__globals__
    variables["json"] = made = types.ModuleType("made")
    assert only_code(function) is None
    assert daskpickle.loads(daskpickle.dumps(function)).__globals__["json"].__name__ == "made"
    monkeypatch.setitem(sys.modules, "made", made)
    assert only_code(function) is not None
    made.__package__ = "made"
    monkeypatch.setitem(sys.modules, "made.dumps", types.ModuleType("made.dumps"))
    assert b"made.dumps" in daskpickle.dumps(function)


def test_what_is_registered_for_code_counts_at_once() -> None:
    """After a function of that code was pickled."""
    function = make()
    plain = daskpickle.dumps(function)
    daskpickle.register(types.CodeType, lambda code: (eval, ("(lambda x: x + 41).__code__",)))
    try:
        assert daskpickle.loads(daskpickle.dumps(function))(1) == 42
    finally:
        daskpickle.unregister(types.CodeType)
    assert daskpickle.dumps(function) == plain


def test_a_policy_has_a_table_of_its_own() -> None:
    """The bytes of one are not given out under another."""
    plain = daskpickle.dumps(make())
    with daskpickle.use_policy({"_thread.lock": "fresh"}):
        assert daskpickle.dumps(make()) == plain


def test_a_module_that_travels_by_value_from_now_on() -> None:
    """Cloudpickle's registration counts at once."""
    function = make()
    daskpickle.dumps(function)
    cloudpickle.register_pickle_by_value(errors)
    try:
        assert only_code(function) is None
        assert daskpickle.loads(daskpickle.dumps(function))(1) == 2
    finally:
        cloudpickle.unregister_pickle_by_value(errors)


def test_the_bytes_go_with_the_code() -> None:
    """Nothing holds the code, nor the function."""
    function = eval("lambda x: x + 1", {"__name__": "__main__"})
    daskpickle.dumps(function)
    gone = weakref.ref(function.__code__)
    del function
    gc.collect()
    assert gone() is None


def test_other_protocols_and_picklers_agree() -> None:
    """What it is loaded as is the same, whoever pickles it."""
    for protocol in range(2, 6):
        assert daskpickle.loads(daskpickle.dumps(make(), protocol))(1) == 2
    assert daskpickle.dumps(make()) == _through_a_pickler(make())


def _through_a_pickler(obj: Any) -> bytes:
    chunks: list[bytes] = []

    class Sink:
        def write(self, data: bytes) -> None:
            chunks.append(data)

    Pickler(Sink(), 5).dump(obj)
    return b"".join(chunks)
