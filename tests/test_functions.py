"""`daskpickle.functions`: functions by value do what cloudpickle's do, for any node."""

from __future__ import annotations

import collections
import collections.abc
import contextvars
import datetime
import enum
import functools
import gc
import marshal
import os.path
import pickle
import pickletools
import re
import struct
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle import classes, functions

counter = 0
NAMES = {"a": 1}


def by_value(function: Any) -> Any:
    """Return a function as if it were defined in a script."""
    code = function.__code__
    made = types.FunctionType(
        code, {**function.__globals__, "__name__": "__main__"}, function.__name__,
        function.__defaults__, function.__closure__,
    )  # fmt: skip
    made.__kwdefaults__ = function.__kwdefaults__
    made.__dict__.update(function.__dict__)
    made.__annotations__ = dict(function.__annotations__)
    made.__qualname__ = function.__qualname__
    made.__doc__ = function.__doc__
    return made


def plain(x: Any) -> Any:
    return x + 1


def documented(x: int, y: str = "y", *args: Any, z: float = 2.0, **kwargs: Any) -> tuple[Any, ...]:
    """Say something."""
    return x, y, args, z, kwargs


def uses_globals(x: Any) -> Any:
    return NAMES["a"] + x, os.path.sep, collections.abc.Mapping.__name__, plain(1)


def recursive(n: int) -> int:
    return n * recursive(n - 1) if n else 1


def reads_itself() -> Any:
    return reads_itself.note  # type: ignore[attr-defined]


reads_itself.note = "noted"  # type: ignore[attr-defined]


def make_counter() -> tuple[Callable[[], int], Callable[[], int]]:
    count = 0

    def up() -> int:
        nonlocal count
        count += 1
        return count

    def look() -> int:
        return count

    return up, look


def make_recursive() -> Callable[[int], int]:
    def local(n: int) -> int:
        return n * local(n - 1) if n else 1

    return local


def make_with_empty_cell() -> Callable[[], Any]:
    def local() -> Any:
        return later

    if counter:
        later = 1
    return local


def generator(n: int) -> Any:
    yield from range(n)


def with_default_of_itself() -> Any:
    holder: list[Any] = []

    def local(x: Any = holder) -> Any:
        return x[0] is local

    holder.append(local)
    return local


class Base:
    def name(self) -> str:
        return "base"


def make_class() -> type:
    class Local(Base):
        attribute = lambda self: self.name()

        def name(self) -> str:
            return "local " + super().name()

        @staticmethod
        def static(x: int = 1) -> int:
            return x

    return Local


CASES: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "lambda": (lambda x: x + 1, lambda f: f(1)),
    "plain": (by_value(plain), lambda f: f(1)),
    "documented": (by_value(documented), lambda f: (f(1, "b", 3, z=4, k=5), f(1), f.__doc__)),
    "globals": (by_value(uses_globals), lambda f: f(1)),
    "recursive": (by_value(recursive), lambda f: f(5)),
    "reads itself": (by_value(reads_itself), lambda f: f.note),
    "closure": (make_counter()[0], lambda f: (f(), f())),
    "recursive closure": (make_recursive(), lambda f: f(5)),
    "generator": (by_value(generator), lambda f: list(f(3))),
    "default that holds it": (with_default_of_itself(), lambda f: f()),
    "partial": (functools.partial(lambda x, y: (x, y), 1), lambda f: f(2)),
    "set in code": (lambda x: x in {1, 2, "a"}, lambda f: (f(1), f(3))),
    "nested code": (lambda: [[y + 1 for y in range(x)] for x in range(3)], lambda f: f()),
    "default": (lambda x=3, *, y=4: (x, y), lambda f: f()),
    "mutable default": (lambda x=[]: x, lambda f: f()),
    "class": (make_class(), lambda c: (c().name(), c().attribute(), c.static(2))),
    "method": (make_class()().name, lambda m: m()),
}


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> tuple[Any, Callable[[Any], Any]]:
    return CASES[request.param]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_it_does_what_it_did(case: Any, protocol: int) -> None:
    """Here, and after it has been pickled where it arrived."""
    function, call = case
    received = pickle.loads(daskpickle.dumps(function, protocol))
    again = pickle.loads(daskpickle.dumps(received, protocol))
    assert call(received) == call(pickle.loads(cloudpickle.dumps(function)))
    assert call(again) == call(pickle.loads(cloudpickle.dumps(function)))


ATTRIBUTES = (
    "__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__",
    "__annotations__", "__dict__",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [n for n, c in CASES.items() if isinstance(c[0], types.FunctionType)]
)
def test_it_has_the_attributes_that_it_had(name: str) -> None:
    """As many as cloudpickle gives it."""
    function = CASES[name][0]
    received = pickle.loads(daskpickle.dumps(function))
    expected = pickle.loads(cloudpickle.dumps(function))
    for attribute in ATTRIBUTES:
        ours, theirs = getattr(received, attribute), getattr(expected, attribute)
        if attribute == "__defaults__" and name == "default that holds it":
            continue  # each holds itself
        assert ours == theirs, attribute
    names = set(expected.__globals__) - {"__builtins__"}
    assert set(received.__globals__) - {"__builtins__"} == names


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("__name__", "other"), ("__qualname__", "Some.other"), ("__module__", "some.where"),
        ("__doc__", "Other."), ("__doc__", None), ("__defaults__", (5, 6)),
        ("__kwdefaults__", {"z": 7}), ("__annotations__", {"x": "int"}),
    ],
)  # fmt: skip
def test_attributes_that_were_set_travel(attribute: str, value: Any) -> None:
    """They are looked at in each dump, and not kept with the code."""
    function = by_value(documented)
    daskpickle.dumps(function)
    setattr(function, attribute, value)
    function.extra = [1]
    received = pickle.loads(daskpickle.dumps(function))
    assert getattr(received, attribute) == value
    assert received.extra == [1]


def test_what_it_refers_to_is_looked_at_each_time() -> None:
    """Globals and closures change, code does not."""
    function = by_value(uses_globals)
    for number in (1, 2):
        function.__globals__["NAMES"] = {"a": number}
        assert pickle.loads(daskpickle.dumps(function))(0)[0] == number
    up, _ = make_counter()
    for number in (1, 2):
        assert pickle.loads(daskpickle.dumps(up))() == number
        up()


def test_functions_share_what_they_shared() -> None:
    """Variables of their module, as in cloudpickle; and a variable of an outer function."""
    module = types.ModuleType("__main__")
    exec("n = 0\ndef up():\n    global n\n    n += 1\ndef look():\n    return n", vars(module))
    up, look = pickle.loads(daskpickle.dumps([module.up, module.look]))
    up()
    assert look() == 1
    up, look = pickle.loads(daskpickle.dumps(make_counter()))
    up()
    assert look() == 1


def test_modules_of_two_functions_all_arrive() -> None:
    """Also those that only the second one uses."""
    module = types.ModuleType("__main__")
    source = """
import os.path, json
def one():
    return json.dumps(1)
def two():
    return os.path.basename('a/' + json.dumps(2))
"""
    exec(source, vars(module))
    for functions_ in ([module.one, module.two], [module.two, module.one]):
        received = pickle.loads(daskpickle.dumps(functions_))
        assert {f.__name__: f() for f in received} == {"one": "1", "two": "2"}


def test_an_empty_cell_stays_empty() -> None:
    """It is a NameError there too."""
    received = pickle.loads(daskpickle.dumps(make_with_empty_cell()))
    with pytest.raises(NameError):
        received()


def globals_in(data: bytes) -> set[str]:
    """Return the modules that a stream names."""
    strings: list[str] = []
    found = set()
    for opcode, arg, _ in pickletools.genops(data):
        if isinstance(arg, str):
            strings.append(arg)
        if opcode.name == "STACK_GLOBAL":
            found |= {text for text in strings if text.partition(".")[0] == "daskpickle"}
    return found


def test_the_stream_names_nothing_of_ours(case: Any) -> None:
    """A node without daskpickle loads it."""
    function, _ = case
    if function.__class__ is type or getattr(function, "__self__", None) is not None:
        return
    assert not [name for name in globals_in(daskpickle.dumps(function)) if name != __name__]


def test_a_bare_interpreter_runs_it(fresh_process: Callable[..., bytes]) -> None:
    """One in which daskpickle cannot be imported."""
    add = eval("lambda x, y=2: x + y", {"__name__": "__main__"})
    code = """
        import pickle, sys
        sys.modules["daskpickle"] = None
        print(pickle.load(sys.stdin.buffer)(1))
    """
    assert fresh_process(code, daskpickle.dumps(add)).strip() == b"3"


def test_the_bytes_do_not_depend_on_the_process(fresh_process: Callable[..., bytes]) -> None:
    """Not on the hash seed, nor on what was interned or pickled before."""
    code = """
        import sys, daskpickle
        def make(n):
            def inner(x, *, key="k"):
                return [x, n, key, {"a": len, "b": sys.version}, (lambda: inner)]
            return inner
        def outer(x): return make(x)(x)
        if len(sys.argv) > 1 or sys.flags.hash_randomization:
            daskpickle.dumps([make(1), outer])
        sys.stdout.buffer.write(daskpickle.dumps([outer, make(2)]))
    """
    streams = {fresh_process(code, env={"PYTHONHASHSEED": seed}) for seed in ("0", "1", "2")}
    assert len(streams) == 1


def test_the_same_function_gives_the_same_bytes(case: Any) -> None:
    """Dump after dump, alone and in the pass that stands for all others."""
    function, _ = case
    assert daskpickle.dumps(function) == daskpickle.dumps(function)
    assert daskpickle.dumps([1, function]) == daskpickle.dumps([1, function])


def test_code_that_marshal_refuses_travels_in_parts() -> None:
    """A constant that no compiler makes."""
    code = (lambda: 1).__code__
    odd = code.replace(co_consts=tuple(object if c == 1 else c for c in code.co_consts))
    if object not in odd.co_consts:  # a Python that has no constant for small integers
        odd = code.replace(co_consts=(*code.co_consts, object))
    with pytest.raises(ValueError, match="unmarshallable"):
        marshal.dumps(odd)
    function = types.FunctionType(odd, {"__name__": "__main__"})
    assert pickle.loads(daskpickle.dumps(function))() in (object, 1)


def test_this_cloudpickle_is_one_that_can_be_used() -> None:
    """Else everything here would be cloudpickle's own doing."""
    assert functions.USABLE
    assert functions.BETTER


def test_by_reference_as_cloudpickle_decides() -> None:
    """What can be imported by name is not sent."""
    assert functions.reduce_function(plain, {}) is NotImplemented
    assert classes.reduce_class(Base) is NotImplemented
    moved = by_value(plain)
    moved.__module__ = __name__  # there is another one of that name
    assert functions.reduce_function(moved, {}) is not NotImplemented
    try:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        assert functions.reduce_function(plain, {}) is not NotImplemented
        assert classes.reduce_class(Base) is not NotImplemented
        assert b"_make_function" in daskpickle.dumps([Base(), plain])
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert b"_make_function" not in daskpickle.dumps([Base(), plain])


def test_code_dies_with_its_function() -> None:
    """Its bytes are kept for as long as it lives."""
    references = []
    for number in range(100):
        function = eval(f"lambda x: x + {number}", {"__name__": "__main__"})
        assert pickle.loads(daskpickle.dumps(function))(1) == number + 1
        references.append(weakref.ref(function.__code__))
    del function
    gc.collect()
    assert not [ref for ref in references if ref() is not None]


def test_what_was_found_by_value_last_time_is_only_a_guess() -> None:
    """Objects of one class that lead to a function by value, by turns with ones that do not."""
    for _ in range(3):
        for function in (lambda x: x, plain, len):
            received = pickle.loads(daskpickle.dumps([Holder(function)]))
            assert received[0].function(["x"] if function is len else 1) in (1, 2)


class Holder:
    def __init__(self, function: Any) -> None:
        self.function = function


class NotPicklable:
    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle this")


def test_a_dump_that_fails_keeps_nothing() -> None:
    """Neither what it had pickled before, nor in the picklers that are used again."""
    holder = Holder(lambda: 1)
    reference = weakref.ref(holder)
    for root in ([holder, NotPicklable()], [holder, NotPicklable(), lambda: 2]):
        with pytest.raises(TypeError):
            daskpickle.dumps(root)
    assert pickle.loads(daskpickle.dumps([holder]))[0].function() == 1
    del holder, root
    gc.collect()
    assert reference() is None


# --- What cloudpickle leaves out -----------------------------------------------------------------


def test_functions_go_on_sharing_what_they_close_over() -> None:
    """One sets it, the other one sees that."""
    count, seen = 0, []  # type: ignore[var-annotated]

    def increment() -> None:
        nonlocal count, seen
        count += 1
        seen = [*seen, count]

    def read() -> Any:
        return count, seen

    received = daskpickle.loads(daskpickle.dumps([read, increment, read]))
    received[1]()
    received[1]()
    assert received[0]() == (2, [1, 2])
    assert received[0] is received[2]
    assert read() == (0, [])


def test_cells_that_lead_back_to_their_functions() -> None:
    """Functions that call each other, in a class of theirs, and a cell in itself."""

    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    class Both:
        known = staticmethod(even)

        def me(self) -> Any:
            return __class__, Both  # type: ignore[name-defined]

    first, second, both = daskpickle.loads(daskpickle.dumps([even, odd, Both()]))
    assert (first(10), second(10)) == (True, False)
    assert first.__closure__[0].cell_contents is second
    assert both.known is first
    assert both.me() == (type(both), type(both))
    cell: Any = types.CellType()
    cell.cell_contents = [cell]
    received = daskpickle.loads(daskpickle.dumps(cell))
    assert received.cell_contents[0] is received


def test_many_functions_that_all_know_each_other() -> None:
    """Each is written once, or twice: it does not grow beyond that."""

    def clique(n: int) -> list[Any]:
        known: list[Any] = []
        names = [f"f{i}" for i in range(n)]
        body = "".join(f"    def {name}(): return {', '.join(names)}\n" for name in names)
        namespace: dict[str, Any] = {}
        exec(f"def make():\n{body}    return [{', '.join(names)}]\n", namespace)
        known.extend(namespace["make"]())
        return known

    small, large = (len(daskpickle.dumps(clique(n))) for n in (10, 20))
    assert large < 5 * small
    received = daskpickle.loads(daskpickle.dumps(clique(10)))
    assert received[3]()[7] is received[7]


def test_a_class_keeps_its_slots_and_its_name() -> None:
    """With cloudpickle its objects have a ``__dict__``, and it is called as at the top level."""

    class Base:
        __slots__ = ("__hidden", "x")

        def __init__(self) -> None:
            self.x, self.__hidden = 1, 2

        def hidden(self) -> int:
            return self.__hidden

    class Derived(Base):
        __slots__ = "y"

    received = daskpickle.loads(in_another_process(Derived()))
    assert (received.x, received.hidden()) == (1, 2)
    assert not hasattr(received, "__dict__")
    with pytest.raises(AttributeError):
        received.z = 1
    received.y = 3
    name = test_a_class_keeps_its_slots_and_its_name.__name__
    assert type(received).__qualname__ == f"{name}.<locals>.Derived"


def in_another_process(obj: Any) -> bytes:
    """Pickle so that the classes are made again, as in a process that has never seen them."""
    data = daskpickle.dumps(obj)
    tracker = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
    for token in list(tracker):
        del tracker[token]
    return data


def test_members_keep_what_their_init_has_set() -> None:
    """It is not called again."""
    calls = []

    class Planet(enum.Enum):
        EARTH = (1.0, 2.0)
        MARS = (3.0, 4.0)

        def __init__(self, mass: float, radius: float) -> None:
            calls.append(1)
            self.mass, self.radius = mass, [radius]

    received: Any = daskpickle.loads(in_another_process(Planet.MARS))
    assert type(received) is not Planet
    assert (received.mass, received.radius, received.name) == (3.0, [4.0], "MARS")
    assert type(received).EARTH.mass == 1.0
    assert len(calls) == 2


NAMELESS: list[Any] = [
    threading.Lock(), {}.keys(), collections.OrderedDict().items(), iter([]), iter("\u1234"),
    iter(memoryview(b"")), sys.flags, reversed({}), types.FunctionType.__code__, (1).__add__,
    functools.cmp_to_key(max), re.compile("").scanner(""), reversed({}.items()),  # type: ignore[attr-defined]
    contextvars.Token.MISSING, datetime.date.min.isocalendar(),
]  # fmt: skip


@pytest.mark.parametrize("obj", NAMELESS, ids=lambda obj: type(obj).__name__)
def test_a_type_of_c_travels_by_another_name(obj: Any) -> None:
    """Or as that of an object that has one; never by value, which makes another type."""
    data = daskpickle.dumps([type(obj), lambda: 1])
    assert daskpickle.loads(data)[0] is type(obj)
    assert b"daskpickle" not in data


def test_a_type_of_c_without_any_name_is_refused() -> None:
    """It says so, and where it was."""
    iterator = type(struct.iter_unpack("b", b""))
    with pytest.raises(daskpickle.errors.RefusedError, match="written in C") as caught:
        daskpickle.dumps({"here": iterator})
    assert caught.value.path == "obj['here']"


def test_descriptors_that_their_class_hides() -> None:
    """``__dict__`` of a class is not the descriptor."""

    class Local:
        pass

    for cls in (type, Local):
        descriptor: Any = vars(cls)["__dict__"]
        received = daskpickle.loads(daskpickle.dumps(descriptor))
        assert type(received) is type(descriptor)
        assert received.__get__(cls if cls is type else received.__objclass__()) is not None


def test_attributes_of_staticmethods_travel() -> None:
    """Those that were set, beside those of their function."""
    made: Any = staticmethod(lambda x: x)
    made.note = [1]
    received: Any = daskpickle.loads(daskpickle.dumps(made))
    assert (received.__func__(5), received.note) == (5, [1])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Type parameters are new in Python 3.12.")
def test_type_parameters_travel() -> None:
    """Those of a function; classes have them in their namespace."""
    namespace: dict[str, Any] = {}
    exec("def make():\n    def f[T](x: T) -> T: return x\n    return f", namespace)
    (parameter,) = daskpickle.loads(daskpickle.dumps(namespace["make"]())).__type_params__
    assert parameter.__name__ == "T"
