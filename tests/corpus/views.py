"""Views of memory and of mappings, and the mappings themselves."""

from __future__ import annotations

import array
import collections
import ctypes
import io
import mmap
import pickle
import threading
import types
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy

from corpus import Case


def looks(make: Callable[[], memoryview]) -> Callable[[Any], None]:
    """Check what arrives against another one that was made here."""

    def check(received: Any) -> None:
        made = make()
        assert type(received) is memoryview
        for name in ("format", "shape", "strides", "readonly", "nbytes", "itemsize", "ndim"):
            assert getattr(received, name) == getattr(made, name), name
        assert received.tobytes() == made.tobytes()
        if (
            not received.readonly
            and received.nbytes
            and received.ndim == 1
            and received.format == "B"
        ):
            received[0] = 7
            assert received[0] == 7

    return check


def memory(name: str, make: Callable[[], memoryview]) -> Case:
    # Elsewhere Dask loads arrays into memory that is not aligned, which numpy gives other formats.
    routes = "closure" if name.startswith("numpy") else "argument closure data"
    return Case(f"memoryview.{name}", lambda stack: make(), looks(make), routes=routes)


def shared(stack: ExitStack) -> Any:
    data = bytearray(b"abcdefgh")
    return {
        "data": data,
        "all": memoryview(data),
        "cast": memoryview(data).cast("I"),
        "again": memoryview(data),
    }


def shared_works(received: Any) -> None:
    received["data"][0] = 0
    assert received["all"][0] == received["again"][0] == 0
    received["all"][1] = received["all"][2] = received["all"][3] = 0
    assert received["cast"][0] == 0
    received["cast"][1] = 0
    assert received["data"] == bytes(8)


def shared_array(stack: ExitStack) -> Any:
    data = array.array("i", [1, 2, 3])
    return [data, memoryview(data)]


def shared_array_works(received: Any) -> None:
    received[1][0] = 5
    assert received[0][0] == 5


def shared_numpy(stack: ExitStack) -> Any:
    data = numpy.arange(6.0).reshape(2, 3)
    return [data, memoryview(data)]


def shared_numpy_works(received: Any) -> None:
    received[0][1, 2] = 9
    assert received[1][1, 2] == 9.0
    assert received[1].shape == (2, 3)


def released(stack: ExitStack) -> Any:
    view = memoryview(b"x")
    view.release()
    return view


def exported(stack: ExitStack) -> Any:
    buffer = io.BytesIO(b"abc")
    return buffer.getbuffer()


def mapped(stack: ExitStack) -> Any:
    block = mmap.mmap(-1, 16)
    block[:3] = b"abc"
    view = memoryview(block)
    stack.callback(block.close)
    stack.callback(view.release)
    return view


def mapped_works(received: Any) -> None:
    assert received.tobytes() == b"abc" + bytes(13)
    assert not received.readonly
    received[0] = 1


def structured() -> memoryview:
    return memoryview(numpy.array([(1, 2.0)], dtype="i4,f8"))


def cut(stack: ExitStack) -> Any:
    return structured()[:0] if False else memoryview((ctypes.c_int * 4)(1, 2, 3, 4))[1:3]


# --- Views of dicts -----------------------------------------------------------------------------


def live(make: Callable[[], Any], name: str) -> Callable[[ExitStack], Any]:
    def both(stack: ExitStack) -> Any:
        source = make()
        return [getattr(source, name)(), source]

    return both


def live_works(received: Any) -> None:
    view, source = received
    source["new"] = 9
    expected = {"keys": source.keys, "values": source.values, "items": source.items}
    name = type(view).__name__.rpartition("_")[2]
    assert list(view) == list(expected[name]())
    assert type(view) is type(expected[name]())
    assert len(view) == 3


def plain() -> Any:
    return {"a": 1, "b": 2}


def ordered() -> Any:
    return OrderedDict(a=1, b=2)


def counted() -> Any:
    return collections.Counter("abb")


def held() -> Any:
    return {"a": threading.Lock(), "b": lambda: 1}


def generator() -> Any:
    yield


def own(stack: ExitStack) -> Any:
    """A view of a dict in the dict."""
    made: dict[str, Any] = {}
    made["view"] = made.values()
    return made


def own_works(received: Any) -> None:
    (view,) = received["view"]
    assert view is received["view"]


def proxy(stack: ExitStack) -> Any:
    source = OrderedDict(a=1)
    return [source, types.MappingProxyType(source)]


def proxy_works(received: Any) -> None:
    source, view = received
    source["b"] = 2
    assert view == {"a": 1, "b": 2}
    view.copy().move_to_end("a")
    try:
        view["c"] = 3
    except TypeError:
        return
    raise AssertionError("It can be written to.")


def proxy_of_class(stack: ExitStack) -> Any:
    class Local:
        x = 3

        def f(self) -> int:
            return 5

    return vars(Local)


def chain(stack: ExitStack) -> Any:
    return collections.ChainMap({"a": threading.Lock()}, {"b": lambda: 2})


def chain_works(received: Any) -> None:
    assert received["b"]() == 2
    with received["a"]:
        pass
    assert received.new_child()["b"]() == 2


def default(stack: ExitStack) -> Any:
    source: Any = collections.defaultdict(lambda: [1])
    source["x"].append(2)
    return source


def default_works(received: Any) -> None:
    assert received["x"] == [1, 2]
    assert received["y"] == [1]


def same(expected: Any) -> Callable[[Any], None]:
    def check(received: Any) -> None:
        assert received == expected
        assert type(received) is type(expected)

    return check


class Own(collections.UserDict):  # type: ignore[type-arg]
    """A mapping."""


class Listing(collections.UserList):  # type: ignore[type-arg]
    """A list."""


class Views(collections.abc.Mapping):  # type: ignore[type-arg]
    """A mapping whose views are those of the ABCs."""

    def __getitem__(self, key: Any) -> Any:
        return {"a": 1}[key]

    def __iter__(self) -> Any:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


TEN = bytes(range(10))
CASES = [
    memory("bytes", lambda: memoryview(b"abc")),
    memory("empty", lambda: memoryview(b"")),
    memory("empty.writable", lambda: memoryview(bytearray())),
    memory("writable", lambda: memoryview(bytearray(b"abc"))),
    memory("readonly", lambda: memoryview(bytearray(b"abc")).toreadonly()),
    memory("part", lambda: memoryview(bytearray(TEN))[2:5]),
    memory("part.readonly", lambda: memoryview(TEN)[2:5]),
    memory("cast", lambda: memoryview(bytearray(8)).cast("i")),
    memory("cast.readonly", lambda: memoryview(bytes(8)).cast("d")),
    memory("cast.bool", lambda: memoryview(bytes(8)).cast("?")),
    memory("cast.char", lambda: memoryview(b"abc").cast("c")),
    memory("shaped", lambda: memoryview(bytearray(range(12))).cast("B", (3, 4))),
    memory("shaped.cast", lambda: memoryview(bytearray(range(16))).cast("h", (2, 2, 2))),
    memory("scalar", lambda: memoryview(bytearray(b"abcd")).cast("i", ())),
    memory("gaps", lambda: memoryview(bytearray(TEN))[::3]),
    memory("gaps.cast", lambda: memoryview(bytearray(16)).cast("i")[1::2]),
    memory("gaps.readonly", lambda: memoryview(TEN)[1::2]),
    memory("reversed", lambda: memoryview(bytearray(TEN))[::-1]),
    memory("array", lambda: memoryview(array.array("d", [1.5, 2.5]))),
    memory("array.part", lambda: memoryview(array.array("d", [1.5, 2.5, 3.5]))[1:]),
    memory("numpy", lambda: memoryview(numpy.arange(6, dtype="i4").reshape(2, 3))),
    memory("numpy.fortran", lambda: memoryview(numpy.arange(6.0).reshape(2, 3, order="F"))),
    memory("numpy.structured", structured),
    memory("numpy.bool", lambda: memoryview(numpy.array([True, False]))),
    memory("ctypes", lambda: memoryview((ctypes.c_int * 3)(1, 2, 3))),
    memory("large", lambda: memoryview(bytes(3 * 2**20))),
    Case("memoryview.ctypes.part", cut, refused="format"),
    Case("memoryview.shared", shared, shared_works),
    Case("memoryview.shared.array", shared_array, shared_array_works),
    Case("memoryview.shared.numpy", shared_numpy, shared_numpy_works, routes="closure"),
    Case("memoryview.released", released, refused="released"),
    Case("memoryview.BytesIO", exported, looks(lambda: memoryview(bytearray(b"abc")))),
    Case("memoryview.mmap", mapped, mapped_works, routes=""),  # a client holds what it has sent
    Case(
        "picklebuffer",
        lambda stack: [pickle.PickleBuffer(b"abc")],
        lambda r: bytes(r[0]) == b"abc" or 1 / 0,
    ),
    *[
        Case(f"{make.__name__}.{name}", live(make, name), live_works)
        for make in (plain, ordered, counted, held)
        for name in ("keys", "values", "items")
    ],
    Case(
        "keys.large",
        lambda stack: {"a": bytes(3 * 2**20)}.keys(),
        lambda k: list(k) == ["a"] or 1 / 0,
    ),
    Case(
        "keys.generator",
        lambda stack: {"a": generator()}.keys(),
        lambda k: k & {"a", "b"} == {"a"} or 1 / 0,
    ),
    Case(
        "keys.ordered.generator",
        lambda stack: OrderedDict(a=generator()).keys(),
        lambda k: list(reversed(k)) == ["a"] or 1 / 0,
    ),
    Case(
        "values.generator", lambda stack: {"a": generator()}.values(), refused="cannot be recorded"
    ),
    Case("values.own", own, own_works),
    Case("mappingproxy", proxy, proxy_works),
    Case("mappingproxy.class", proxy_of_class, lambda p: (p["x"], p["f"](None)) == (3, 5) or 1 / 0),
    Case(
        "mappingproxy.mapping",
        lambda stack: types.MappingProxyType(Own(a=1)),
        lambda p: p["a"] == 1 or 1 / 0,
    ),
    Case("abc.keys", lambda stack: Views().keys(), lambda k: list(k) == ["a"] or 1 / 0),
    Case("abc.items", lambda stack: Own(a=1).items(), lambda k: list(k) == [("a", 1)] or 1 / 0),
    Case("range", lambda stack: range(1, 9, 2), same(range(1, 9, 2))),
    Case("slice", lambda stack: slice(1, None, 2), same(slice(1, None, 2))),
    Case("array", lambda stack: array.array("d", [1.5]), same(array.array("d", [1.5]))),
    Case("bytearray", lambda stack: bytearray(b"x"), same(bytearray(b"x"))),
    Case("deque", lambda stack: collections.deque([1, 2], 3), same(collections.deque([1, 2], 3))),
    Case(
        "deque.locks",
        lambda stack: collections.deque([threading.Lock()], 1),
        lambda d: (d.maxlen == 1 and not d[0].locked()) or 1 / 0,
    ),
    Case("OrderedDict", lambda stack: ordered(), same(ordered())),
    Case("Counter", lambda stack: counted(), same(counted())),
    Case("UserDict", lambda stack: Own(a=1), same(Own(a=1))),
    Case("UserList", lambda stack: Listing([1]), same(Listing([1]))),
    Case(
        "UserString", lambda stack: collections.UserString("x"), same(collections.UserString("x"))
    ),
    Case("ChainMap", chain, chain_works),
    Case("defaultdict", default, default_works),
    Case(
        "complex",
        lambda stack: [1j, frozenset([1]), 2**70, "\ud800"],
        same([1j, frozenset([1]), 2**70, "\ud800"]),
    ),
]
