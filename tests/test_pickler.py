"""The pickler: what pickle and cloudpickle promise, in one pass, with the same bytes each time."""

from __future__ import annotations

import array
import collections
import datetime
import functools
import importlib.util
import inspect
import io
import json
import pickle
import random
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daskpickle
from daskpickle import Pickler, Unpickler, register, unregister

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Point:
    def __init__(self, x: Any = 1, y: Any = 2) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return type(other) is Point and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]


class Counted:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __reduce__(self) -> Any:
        self.asked += 1
        return str, ("counted",)


# --- The signatures of pickle -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dump", "dumps", "load", "loads"])
def test_functions_have_the_signature_of_pickle(name: str) -> None:
    """The same names, kinds and defaults."""

    def parameters(module: Any) -> Any:
        found = inspect.signature(getattr(module, name)).parameters.values()
        return [(p.name, p.kind, p.default) for p in found]

    ours, theirs = parameters(daskpickle), parameters(pickle)
    # `buffers=()` and `buffers=None` mean the same; which one it says depends on the version.
    assert [p[:2] for p in ours] == [p[:2] for p in theirs]
    assert [p[2] for p in ours if p[0] != "buffers"] == [p[2] for p in theirs if p[0] != "buffers"]


def test_classes_have_the_signature_of_the_documentation() -> None:
    """``Pickler(file, protocol=None, *, fix_imports=True, buffer_callback=None)``."""
    signature = str(inspect.signature(Pickler).replace(return_annotation=inspect.Signature.empty))
    assert [p.split(":")[0] for p in signature.strip("()").split(", ")][:3] == [
        "file", "protocol", "*",
    ]  # fmt: skip
    file = io.BytesIO()
    Pickler(file, 4, fix_imports=True, buffer_callback=None).dump([1])
    Pickler(file=file, protocol=-1).dump([2])
    with pytest.raises(TypeError):
        Pickler(file, 4, True)  # type: ignore[misc]
    file.seek(0)
    assert [Unpickler(file).load(), daskpickle.load(file)] == [[1], [2]]


@pytest.mark.parametrize("protocol", [None, -1, *PROTOCOLS])
def test_every_protocol(protocol: int | None) -> None:
    """Positional and by keyword, in all four functions; the default is the highest."""
    obj = {"a": [1, 2.5, None, Point()], "b": b"bytes", "c": {1, 2}}
    file = io.BytesIO()
    daskpickle.dump(obj, file, protocol)
    assert (
        file.getvalue()
        == daskpickle.dumps(obj, protocol)
        == daskpickle.dumps(obj, protocol=protocol)
    )
    plain = pickle.dumps(obj, pickle.HIGHEST_PROTOCOL if protocol is None else protocol)
    assert pickle.loads(plain) == daskpickle.loads(file.getvalue()) == obj
    if protocol is None or protocol < 0 or protocol > 1:
        assert file.getvalue()[:2] == plain[:2]


def test_a_protocol_that_there_is_not() -> None:
    """It is the error of pickle."""
    with pytest.raises(ValueError, match="pickle protocol must be"):
        daskpickle.dumps(1, 99)


@pytest.mark.parametrize("protocol", range(3))
def test_names_for_python_2(protocol: int) -> None:
    """``fix_imports`` maps names to those of Python 2 and back."""
    obj = [collections.UserDict, range]
    assert b"UserDict\nUserDict" not in daskpickle.dumps(obj, protocol, fix_imports=False)
    assert daskpickle.dumps(obj, protocol) == pickle.dumps(obj, protocol)
    data = daskpickle.dumps(obj, protocol)
    assert daskpickle.loads(data) == obj
    assert daskpickle.load(io.BytesIO(data), fix_imports=True) == obj


def test_strings_of_python_2() -> None:
    """``encoding`` and ``errors`` are passed on."""
    data = b"S'\\xe9'\n."
    assert daskpickle.loads(data, encoding="latin1") == "é"
    assert daskpickle.load(io.BytesIO(data), encoding="bytes") == b"\xe9"
    assert daskpickle.loads(data, errors="replace") == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        daskpickle.loads(data)


def test_a_file_needs_only_write() -> None:
    """Anything with ``write(bytes)`` is a file."""
    chunks: list[bytes] = []
    writer = types.SimpleNamespace(write=lambda chunk: chunks.append(bytes(chunk)))
    daskpickle.dump([b"x" * 100_000, "y" * 100_000, Point()], writer)
    assert daskpickle.loads(b"".join(chunks)) == [b"x" * 100_000, "y" * 100_000, Point()]
    with pytest.raises(TypeError):
        daskpickle.dump(1, object())  # type: ignore[arg-type]


# --- Buffers ------------------------------------------------------------------------------------


def test_buffers_out_of_band() -> None:
    """They are given to the callback, are not in the stream, and are asked for in loads."""
    data = bytearray(b"x" * 10_000)
    buffers: list[pickle.PickleBuffer] = []
    stream = daskpickle.dumps([pickle.PickleBuffer(data), 1], buffer_callback=buffers.append)
    assert len(stream) < 100
    received = daskpickle.loads(stream, buffers=buffers)
    assert received == [buffers[0], 1]
    assert memoryview(received[0]).obj is data
    assert daskpickle.load(io.BytesIO(stream), buffers=[data])[0] is data
    with pytest.raises(pickle.UnpicklingError):
        daskpickle.loads(stream)


def test_buffers_in_band() -> None:
    """Where the callback says so, or there is none."""
    data = pickle.PickleBuffer(bytearray(b"x" * 100))
    for stream in (daskpickle.dumps(data), daskpickle.dumps(data, buffer_callback=lambda b: True)):
        assert daskpickle.loads(stream) == bytearray(b"x" * 100)


def test_buffers_need_protocol_5() -> None:
    """As in pickle."""
    with pytest.raises(ValueError, match="buffer_callback needs protocol >= 5"):
        daskpickle.dumps(1, 4, buffer_callback=[].append)


# --- By value -----------------------------------------------------------------------------------


def test_functions_and_classes_by_value(fresh_process: Callable[..., bytes]) -> None:
    """What cannot be imported travels as code, to an interpreter that has not even daskpickle."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "import math\n"
        "scale = 10\n"
        "class Base:\n"
        "    def area(self): return math.floor(self.r * scale)\n"
        "class Circle(Base):\n"
        "    def __init__(self, r): super().__init__(); self.r = r\n"
        "def make(r, *, twice=False): return [Circle(r).area() for _ in range(1 + twice)]\n",
        namespace,
    )
    offset = 1
    closure = lambda x: namespace["make"](x, twice=True) + [offset]  # noqa: RUF005
    for function in (namespace["make"], closure, functools.partial(namespace["make"], twice=True)):
        data = daskpickle.dumps([function, namespace["Circle"](2.55)])
        assert b"daskpickle" not in data
        answer = fresh_process(
            "import pickle, sys\n"
            "function, circle = pickle.load(sys.stdin.buffer)\n"
            "assert 'daskpickle' not in sys.modules\n"
            "print(function(1.5), circle.area())",
            data,
        )
        expected = {"make": "[15] 25"}.get(getattr(function, "__name__", ""), "[15, 15] 25")
        assert answer.decode().strip() == (
            expected if function is not closure else "[15, 15, 1] 25"
        )


def test_recursive_and_shared_functions() -> None:
    """A function that refers to itself, and two that share their globals."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "total = [0]\n"
        "def down(n):\n"
        "    total[0] += 1\n"
        "    return down(n - 1) if n else total\n"
        "def read(): return total\n",
        namespace,
    )
    down, read = daskpickle.loads(daskpickle.dumps([namespace["down"], namespace["read"]]))
    assert down(3) is read()
    assert read() == [4]
    assert namespace["total"] == [0]


def test_a_module_by_value() -> None:
    """What is registered with ``cloudpickle.register_pickle_by_value`` is sent as code."""
    module = types.ModuleType("by_value_here")
    exec("def f(): return 'sent'", vars(module))
    sys.modules["by_value_here"] = module
    try:
        assert len(daskpickle.dumps(module.f)) < 60
        cloudpickle.register_pickle_by_value(module)
        data = daskpickle.dumps({"f": module.f})
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules["by_value_here"]
    assert daskpickle.loads(data)["f"]() == "sent"


# --- Subclasses and instances -------------------------------------------------------------------


def test_persistent_ids() -> None:
    """A subclass may name objects that the other side has; plain unpicklers get the ids."""
    database = Point()

    class Sends(Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("db", 1) if obj is database else None

    class Receives(Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            assert pid == ("db", 1)
            return database

    file = io.BytesIO()
    Sends(file).dump([database, {"a": database}, Point(3)])
    file.seek(0)
    received = Receives(file).load()
    assert received[0] is received[1]["a"] is database
    assert received[2] == Point(3)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        Unpickler(file).load()


def test_find_class_of_an_unpickler() -> None:
    """A subclass may say which names may be loaded."""

    class Restricted(Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module != __name__:
                raise pickle.UnpicklingError(f"{module}.{name} is forbidden.")
            return super().find_class(module, name)

    assert Restricted(io.BytesIO(daskpickle.dumps(Point, 4))).load() is Point
    with pytest.raises(pickle.UnpicklingError, match="forbidden"):
        Restricted(io.BytesIO(daskpickle.dumps(array.array("i"), 4))).load()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_subclass_may_override_reducers(protocol: int) -> None:
    """``reducer_override`` goes first, and calls ours for the rest."""

    class Mine(Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is Point:
                return str, ("mine",)
            return super().reducer_override(obj)

    file = io.BytesIO()
    Mine(file, protocol).dump([Point(), lambda: 7, threading.Lock()])
    text, function, lock = pickle.loads(file.getvalue())
    assert (text, function(), type(lock)) == ("mine", 7, type(threading.Lock()))


def test_the_memo_lasts_from_dump_to_dump() -> None:
    """As in pickle: an object that was written is referred to, until the memo is cleared."""
    file = io.BytesIO()
    pickler, point = Pickler(file), Point()
    for _ in range(2):
        pickler.dump(point)
    first = len(daskpickle.dumps(point))
    assert len(file.getvalue()) < 2 * first
    file.seek(0)
    unpickler = Unpickler(file)
    assert unpickler.load() is unpickler.load()

    pickler.clear_memo()
    file.seek(0)
    file.truncate()
    pickler.dump(point)
    assert file.getvalue() == daskpickle.dumps(point)
    assert id(point) in {key for key, _ in pickler.memo.copy().items()}


def test_a_pickler_can_be_used_after_a_failure() -> None:
    """What failed is not referred to by what comes after it, once the memo is cleared."""
    file = io.BytesIO()
    pickler = Pickler(file)
    with pytest.raises(daskpickle.RefusedError):
        pickler.dump([Point(), (i for i in ())])
    pickler.clear_memo()
    file.seek(0)
    file.truncate()
    pickler.dump(Point())
    assert daskpickle.loads(file.getvalue()) == Point()


# --- One pass -----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_object_is_asked_once(protocol: int) -> None:
    """Alone, shared, nested, and beside what travels by value."""
    counted = [Counted() for _ in range(4)]
    local = counted[3]
    subject = [counted[0], counted[0], {"a": (counted[1], Point(counted[2]))}, lambda: local]
    Pickler(io.BytesIO(), protocol).dump(subject)
    assert [c.asked for c in counted] == [1, 1, 1, 1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_object_is_asked_once_by_dumps(protocol: int) -> None:
    """The same for `dumps`, and for registered reducers."""
    asked: list[Any] = []
    register(Point, lambda obj: (asked.append(obj), (str, ("seen",)))[1])
    try:
        counted = Counted()
        data = daskpickle.dumps([Point(), {"a": [counted, Point(), counted]}], protocol)
    finally:
        unregister(Point)
    assert daskpickle.loads(data) == ["seen", {"a": ["counted", "seen", "counted"]}]
    assert counted.asked == 1
    assert len(asked) == 2


def test_a_reducer_may_pickle_by_itself() -> None:
    """A dump inside of a dump, of the same kind of object."""

    class Nested:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __reduce__(self) -> Any:
            return daskpickle.loads, (daskpickle.dumps(self.inner),)

    subject = [Nested([Nested(Point()), lambda: 3]), Point(5)]
    (inner, function), point = daskpickle.loads(daskpickle.dumps(subject))
    assert (inner, function(), point) == (Point(), 3, Point(5))


def test_threads_do_not_disturb_each_other() -> None:
    """Eight threads pickle different things at once, each as if it were alone."""
    subjects = [[Point(n), {"n": n}, functools.partial(print, n)] for n in range(8)]
    expected = [daskpickle.dumps(subject) for subject in subjects]
    barrier, wrong = threading.Barrier(8), []

    def work(n: int) -> None:
        barrier.wait()
        wrong.extend(n for _ in range(300) if daskpickle.dumps(subjects[n]) != expected[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- The same bytes -----------------------------------------------------------------------------


def test_the_same_object_gives_the_same_bytes() -> None:
    """Also when it holds ours, functions and classes; and another lock gives others."""
    lock = threading.Lock()

    class Local:
        attribute = lock

    for subject in ([lock, lock], lambda: lock, Local(), {"a": Local, "b": Point(lock)}):
        assert daskpickle.dumps(subject) == daskpickle.dumps(subject)
    assert daskpickle.dumps([lock]) != daskpickle.dumps([threading.Lock()])


def test_plain_payloads_have_the_bytes_of_pickle() -> None:
    """Nothing of ours, nothing by value: no byte is different."""
    for subject in (
        {"a": [1, 2.5, None, "s", b"b", (1,), {2}]},
        [Point(), Point(Point())],
        [datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), datetime.timedelta(1)],
        [collections.OrderedDict(a=1), collections.deque([1]), bytearray(b"x")],
        [Path("a"), functools.partial(print, 1), range(3)],
    ):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert daskpickle.dumps(subject, protocol) == pickle.dumps(subject, protocol)


def test_the_bytes_do_not_depend_on_the_hash_seed(fresh_process: Callable[..., bytes]) -> None:
    """Functions with many names and classes with many attributes are keys of Dask's graphs."""
    code = """
        import hashlib, sys
        import daskpickle
        namespace = {"__name__": "__main__"}
        names = "abcdefghij"
        exec("\\n".join(f"{n} = {i}" for i, n in enumerate(names)), namespace)
        exec("def f(x): return " + " + ".join(reversed(names)), namespace)
        exec("class C:\\n" + "".join(f"  def {n}(self): return {n}\\n" for n in names), namespace)
        data = daskpickle.dumps([namespace["f"], {n: n for n in names}])
        print(hashlib.sha256(data).hexdigest())
    """
    seeds = {fresh_process(code, env={"PYTHONHASHSEED": str(seed)}) for seed in range(4)}
    assert len(seeds) == 1


# --- Against cloudpickle ------------------------------------------------------------------------


@dataclass
class Record:
    value: Any
    more: list[Any] = field(default_factory=list)


class Slots:
    __slots__ = ("left", "right")

    def __init__(self, left: Any) -> None:
        self.left = left


class MyDict(dict[Any, Any]):
    pass


class MyList(list[Any]):
    pass


def closure(value: Any, other: Any) -> Any:
    def inner(argument: Any = other) -> Any:
        return value, argument

    return inner


ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
    st.binary(max_size=5), st.sampled_from([Point, print, ..., NotImplemented, Path("a")]),
    st.datetimes(), st.decimals(allow_nan=False), st.uuids(), st.complex_numbers(allow_nan=False),
)  # fmt: skip

#: Makes an object of others.
MAKERS: list[Callable[[list[Any]], Any]] = [
    list,
    tuple,
    lambda parts: dict(enumerate(parts)),
    lambda parts: {"k": parts, (1, 2): parts[:1]},
    lambda parts: Record(parts[0] if parts else None, parts),
    lambda parts: Slots(parts),
    lambda parts: closure(parts[-1:], parts),
    lambda parts: functools.partial(closure, *parts),
    lambda parts: Point(*parts[:2]).__eq__,
    lambda parts: MyDict(enumerate(parts)),
    lambda parts: MyList(parts),
    lambda parts: collections.OrderedDict(enumerate(parts)),
    lambda parts: collections.deque(parts, maxlen=9),
    lambda parts: vars(error := ValueError(*parts)) or error,  # which now has a __dict__
    lambda parts: frozenset(map(repr, parts[:0])),
    lambda parts: types.SimpleNamespace(parts=parts),
    lambda parts: {1, "a", len(parts)},
]


@st.composite
def graphs(draw: Any) -> Any:
    """Objects made of earlier ones, so that many are shared; some lists hold themselves."""
    known: list[Any] = draw(st.lists(ATOMS, min_size=1, max_size=4))
    for _ in range(draw(st.integers(0, 12))):
        indices = draw(st.lists(st.integers(0, len(known) - 1), max_size=4))
        known.append(draw(st.sampled_from(MAKERS))([known[index] for index in indices]))
    for lst in [obj for obj in known if type(obj) is list]:
        if draw(st.booleans()):
            lst.append(known[draw(st.integers(0, len(known) - 1))])
    return known[draw(st.integers(0, len(known) - 1)) :]


def shape(root: Any) -> list[Any]:
    """Return all that tells two object graphs apart: types, values, and what is the same object."""
    numbers: dict[int, int] = {}
    keep: list[Any] = []
    found: list[Any] = []
    todo = [root]
    while todo:
        obj = todo.pop()
        cls = type(obj)
        parts = parts_of(obj)
        if parts is None:
            found.append((cls.__name__, repr(obj)))
            continue
        if id(obj) in numbers:
            found.append(("again", numbers[id(obj)]))
            continue
        keep.append(obj)
        numbers[id(obj)] = len(numbers)
        found.append((cls.__name__, len(parts)))
        todo += parts
    return found


def parts_of(obj: Any) -> list[Any] | None:
    cls = type(obj)
    if cls is types.FunctionType and obj.__name__ == "inner":
        return [*(cell.cell_contents for cell in obj.__closure__), *(obj.__defaults__ or ())]
    if cls is functools.partial:
        return [obj.func, *obj.args, *obj.keywords.values()]
    if cls is types.MethodType:
        return [obj.__func__, obj.__self__]
    if isinstance(obj, dict):
        return [*obj.keys(), *obj.values()]
    if isinstance(obj, (list, collections.deque)):
        return list(obj)
    if cls is tuple and obj:
        return list(obj)
    if isinstance(obj, set):
        return sorted(obj, key=repr)
    if isinstance(obj, BaseException):
        return list(obj.args)
    if cls is Slots:
        return [obj.left, getattr(obj, "right", "absent")]
    if is_dataclass(obj) and not isinstance(obj, type):
        return [getattr(obj, f.name) for f in fields(obj)]
    if cls in (Point, types.SimpleNamespace):
        return [value for _, value in sorted(vars(obj).items())]
    return None


@settings(deadline=None)
@given(graphs())
def test_graphs_arrive_as_with_cloudpickle(graph: Any) -> None:
    """Equal, and the same objects are the same: from `dumps` and from a `Pickler`."""
    expected = shape(pickle.loads(cloudpickle.dumps(graph)))
    assert shape(daskpickle.loads(daskpickle.dumps(graph))) == expected
    file = io.BytesIO()
    Pickler(file).dump(graph)
    assert shape(pickle.loads(file.getvalue())) == expected


@settings(deadline=None)
@given(graphs(), st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_graphs_have_the_same_bytes_twice(graph: Any, protocol: int) -> None:
    """For all protocols, and whatever was pickled in between."""
    data = daskpickle.dumps(graph, protocol)
    daskpickle.dumps([random.random(), Point()], protocol)
    assert daskpickle.dumps(graph, protocol) == data


# --- CPython's own tests ------------------------------------------------------------------------

RUNNER = Path(__file__).with_name("run_pickletester.py")


def outcomes(module: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, str(RUNNER), module], capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_no_test_of_cpython_is_lost_to_cloudpickle() -> None:
    """What passes with cloudpickle passes with us, and what we claim beyond that does too."""
    if (
        importlib.util.find_spec("test") is None
        or importlib.util.find_spec("test.pickletester") is None
    ):
        pytest.skip("This build of Python comes without the package `test`.")
    ours, theirs = outcomes("daskpickle"), outcomes("cloudpickle")
    lost = {name for name, how in theirs.items() if how == "passed" and ours[name] != "passed"}
    assert lost == set()
    assert sum(how == "passed" for how in ours.values()) > 400
    assert ours["Copy.test_instance_dispatch_table"] == "passed", "which cloudpickle fails"
    assert ours["Chain.test_instance_dispatch_table"] == "passed"
    assert ours["Memory.test_oob_buffers"] == "passed"


def test_nothing_is_pickled_twice_for_what_comes_later() -> None:
    """Not even if something behind it travels by value, the first time that is seen."""
    asked: list[object] = []

    class Asked:
        def __reduce__(self) -> tuple[type, tuple[()]]:
            asked.append(self)
            return dict, ()

    class Holder:
        pass

    holder = Holder()
    holder.__dict__.update(first=[Asked() for _ in range(3)], last=lambda: 1)
    for obj in ({"a": Asked(), "f": lambda: 1}, holder):
        asked.clear()
        daskpickle.dumps(obj)
        assert len(asked) == len(set(asked)) == (1 if type(obj) is dict else 3)
