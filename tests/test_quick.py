"""Functions by value that lead only to strings, numbers and modules are written without asking."""

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
from daskpickle.functions import leaf
from daskpickle.pickler import Pickler, current_table
from daskpickle.quick import Picklers

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


SOURCE = """
import json, math, os.path, xml.dom
NUMBER, TEXT, OBJECT = 3, "three", object
def plain(x): return x + 1
def constant(x): return x + NUMBER, TEXT
def two_of_a_kind(x): return x, TEXT, "three"
def module(x): return math.sqrt(x)
def submodule(x): return xml.dom.Node, os.path.sep
def missing(x): return x, lambda: NOT_THERE
def default(x, y=1, z="a"): return x, y, z
def none(x, y=None, z=()): return x, y
def keyword(x, *, y=2.5): return x, y
def typed(x: int, y: "str" = "a") -> float: return x, y
def documented(x):
    \'\'\'Say what it is.\'\'\'
    return x
def outer(number, text="a", more=None):
    def inner(x): return x, number, text, more
    return inner
def typed_outer(number, text):
    def inner(x: int, y: str = "a") -> float: return x, y, number, text
    return inner
closure = outer(2)
typed_closure = typed_outer(2, "b")
over_object = outer(object())
def recursive(x): return x and recursive(x - 1)
def over_function(x): return plain(x), OBJECT
def generator(x): yield x
async def coroutine(x): return x
renamed = lambda x: x
renamed.__name__ = "other"
requalified = lambda x: x
requalified.__qualname__ = "Some.other"
attribute = lambda x: x
attribute.unit = "m"
nested = lambda x: [(y, NUMBER) for y in range(x)]
"""
LEAVES = {
    "plain", "constant", "two_of_a_kind", "module", "submodule", "missing", "default", "keyword",
    "typed", "documented", "closure", "typed_closure", "typed_outer", "generator", "coroutine",
    "renamed", "requalified", "nested", "outer",
}  # fmt: skip
SCRIPT: dict[str, Any] = {"__name__": "__main__", "__file__": "script.py", "__package__": None}
exec(compile(SOURCE, "script.py", "exec"), SCRIPT)
KINDS = [name for name, value in SCRIPT.items() if isinstance(value, types.FunctionType)]


@pytest.mark.parametrize("name", KINDS)
def test_a_function_arrives_as_with_cloudpickle(name: str) -> None:
    """Loaded by plain pickle; whatever kind of function it is."""
    function = SCRIPT[name]
    assert (leaf(function) is not None) == (name in LEAVES)
    data = daskpickle.dumps(function)
    assert daskpickle.dumps(function) == data
    assert b"daskpickle" not in data
    received, expected = pickle.loads(data), pickle.loads(cloudpickle.dumps(function))
    for fact in FACTS:
        assert getattr(received, fact) == getattr(expected, fact) == getattr(function, fact)
    assert received.__code__ == expected.__code__
    assert received.__globals__.keys() == expected.__globals__.keys()
    for variable in ("NUMBER", "TEXT", "math", "xml", "os", "__file__", "__package__"):
        assert received.__globals__.get(variable) == expected.__globals__.get(variable)
    cells = [repr(cell.cell_contents)[:9] for cell in expected.__closure__ or ()]
    assert [repr(cell.cell_contents)[:9] for cell in received.__closure__ or ()] == cells
    again = pickle.loads(daskpickle.dumps(received))
    assert again.__code__ == received.__code__
    if function.__code__.co_argcount == 1 and name not in ("missing", "coroutine"):
        assert repr(received(4))[:9] == repr(function(4))[:9]


def test_the_quick_way_is_taken_in_this_python() -> None:
    """Where its self-test fails, everything works all the same, and takes longer."""
    assert Picklers(current_table).dump(SCRIPT["plain"])[0] == daskpickle.dumps(SCRIPT["plain"])
    assert Picklers(current_table).dump([1, Pickler])[1:] == ((), None)


def test_values_that_are_equal_and_not_the_same() -> None:
    """The bytes of one are not given out for another."""
    for value in (1, True, 1.0):
        SCRIPT["NUMBER"] = value
        received = pickle.loads(daskpickle.dumps(SCRIPT["constant"]))
        assert repr(received.__globals__["NUMBER"]) == repr(value)
        with_default = types.FunctionType(make().__code__, SCRIPT, argdefs=(value,))
        assert repr(pickle.loads(daskpickle.dumps(with_default)).__defaults__) == repr((value,))
        closure = SCRIPT["outer"](value)
        received = pickle.loads(daskpickle.dumps(closure))
        assert repr(received.__closure__[1].cell_contents) == repr(value)


def test_large_values_of_a_function() -> None:
    """Text and bytes that do not fit into one frame."""
    for value in ("x" * 200_000, b"x" * 200_000, "x" * 70_000):
        received = pickle.loads(daskpickle.dumps(SCRIPT["outer"](value)))
        assert received(1)[1] == value


def test_it_is_the_same_bytes_each_time() -> None:
    """Those that a pickler gives that has never seen it."""
    first = daskpickle.dumps(make())
    assert daskpickle.dumps(make()) == first == daskpickle.dumps(make(), 5)
    assert daskpickle.loads(first)(1) == 2
    assert pickle.loads(first)(1) == 2


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_is_changed_counts_at_once(change: Callable[[Any], None]) -> None:
    """Of a function whose code has been pickled, and of one that is pickled again."""
    changed = make()
    plain = daskpickle.dumps(changed)
    change(changed)
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
    received = daskpickle.loads(daskpickle.dumps(other))
    assert received.__globals__["__package__"] == "there"


def test_closures_and_globals_are_looked_at_each_time() -> None:
    """They are no part of the code."""
    number = 1

    def add(x: int) -> int:
        return x + number

    for number in (2, 3):
        assert daskpickle.loads(daskpickle.dumps(add))(1) == number + 1


def test_modules_are_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one under the name, one that cannot be imported, a submodule imported since."""
    code = compile("lambda x: json.dumps(other.encoder.x)", "<script>", "eval")
    variables: dict[str, Any] = {"__name__": "__main__", "json": json}
    function = eval(code, variables)
    first = daskpickle.dumps(function)
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
    assert daskpickle.loads(daskpickle.dumps(function)).__globals__["json"].__name__ == "made"
    monkeypatch.setitem(sys.modules, "made", made)
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
    assert daskpickle.loads(_through_a_pickler(make()))(1) == 2


def _through_a_pickler(obj: Any) -> bytes:
    chunks: list[bytes] = []

    class Sink:
        def write(self, data: bytes) -> None:
            chunks.append(data)

    Pickler(Sink(), 5).dump(obj)
    return b"".join(chunks)
