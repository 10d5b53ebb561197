"""C data, types, libraries and functions by `ctypes`."""

from __future__ import annotations

import ctypes
import ctypes.wintypes
import functools
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from corpus import Case


class Known(ctypes.Structure):
    """Can be imported where it arrives."""

    _fields_ = [("a", ctypes.c_int), ("name", ctypes.c_char_p)]


def value(expected: Any) -> Callable[[Any], None]:
    """Check the value of a number."""

    def check(received: Any) -> None:
        assert received.value == expected
        assert repr(received).startswith(type(received).__name__)

    return check


def true(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Check a condition."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


def structures(stack: ExitStack) -> dict[str, Any]:
    class Point(ctypes.Structure):
        _fields_ = [("x", ctypes.c_int), ("name", ctypes.c_char * 4)]

        def double(self) -> int:
            return self.x * 2

    class Either(ctypes.Union):
        _fields_ = [("i", ctypes.c_int), ("f", ctypes.c_float)]

    class Packed(ctypes.BigEndianStructure):
        _pack_ = 1
        _fields_ = [("h", ctypes.c_short), ("s", ctypes.c_int, 5), ("t", ctypes.c_int, 3)]

    class Outer(ctypes.Structure):
        _anonymous_ = ("either",)
        _fields_ = [("either", Either), ("points", Point * 2)]

    class Node(ctypes.Structure):
        pass

    Node._fields_ = [("value", ctypes.c_int), ("next", ctypes.POINTER(Node))]

    class Derived(Point):
        _fields_ = [("z", ctypes.c_double)]

        def triple(self) -> Any:
            return super().double() + self.x

    class Opaque(ctypes.Structure):
        pass

    return {
        "point": Point(1, b"ab"),
        "union": Either(f=1.5),
        "packed": Packed(0x0102, 3, 2),
        "outer": Outer(Either(i=5), (Point * 2)(Point(1), Point(2))),
        "node": Node(3),
        "derived": Derived(1, b"x", 2.5),
        "opaque": Opaque(),
    }


def structure(name: str) -> Callable[[ExitStack], Any]:
    return lambda stack: structures(stack)[name]


def outer_works(received: Any) -> None:
    assert (received.i, received.either.i) == (5, 5)
    assert [point.double() for point in received.points] == [2, 4]


def node_works(received: Any) -> None:
    assert (received.value, bool(received.next)) == (3, False)
    received.next = ctypes.pointer(type(received)(4))
    assert received.next.contents.value == 4
    assert type(received).next.offset == ctypes.sizeof(ctypes.c_void_p)


def type_works(received: Any) -> None:
    point = received(7, b"abcd")
    assert (point.double(), point.name, ctypes.sizeof(received)) == (14, b"abcd", 8)
    assert issubclass(received, ctypes.Structure)


def array_type(received: Any) -> None:
    assert received is ctypes.c_int * 3
    assert list(received(1, 2, 3)) == [1, 2, 3]


def typed(stack: ExitStack) -> Any:
    function = ctypes.CDLL("libm.so.6").cos
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double]
    return function


def checked(stack: ExitStack) -> Any:
    function = ctypes.CDLL("libc.so.6").abs
    function.errcheck = lambda result, function, args: result + 100
    return function


def library(stack: ExitStack) -> Any:
    made = ctypes.CDLL("libm.so.6", use_errno=True)
    made.cos.restype, made.cos.argtypes = ctypes.c_double, [ctypes.c_double]
    made.label = "mathematics"
    return made


def library_works(received: Any) -> None:
    assert received.cos(0.0) == 1.0
    assert received.label == "mathematics"
    received.sin.restype, received.sin.argtypes = ctypes.c_double, [ctypes.c_double]
    assert received.sin(0.0) == 0.0
    assert received["cos"] is not received.cos
    try:
        received.no_such_function_of_mathematics  # noqa: B018
    except AttributeError:
        return
    raise AssertionError("It has everything.")


def callback(stack: ExitStack) -> Any:
    compare = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )
    return compare(lambda a, b: a[0] - b[0])


def callback_works(received: Any) -> None:
    numbers = (ctypes.c_int * 4)(3, 1, 2, 0)
    ctypes.CDLL("libc.so.6").qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), received)
    assert list(numbers) == [0, 1, 2, 3]


def cast(stack: ExitStack) -> Any:
    return ctypes.cast((ctypes.c_int * 3)(1, 2, 3), ctypes.POINTER(ctypes.c_int))


def subclass(stack: ExitStack) -> Any:
    class Handle(ctypes.c_void_p):
        label = "handle"

    return Handle()


def attributes(stack: ExitStack) -> Any:
    made = (ctypes.c_int * 2)(1, 2)
    made.label = "mine"  # type: ignore[attr-defined]
    return made


def relative(stack: ExitStack) -> Any:
    libm = next(
        line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()
        if "libc.so" in line or "libc-" in line
    )  # fmt: skip
    return ctypes.CDLL(str(Path(libm).resolve()))


SIMPLE = [
    Case(
        f"c.{name}", functools.partial(lambda kind, stack: kind(7), getattr(ctypes, name)), value(7)
    )
    for name in ("c_int", "c_double", "c_ubyte", "c_size_t", "c_longlong", "c_longdouble")
]

CASES = [
    *SIMPLE,
    Case("c.bool", lambda stack: ctypes.c_bool(True), value(True)),
    Case("c.char", lambda stack: ctypes.c_char(b"x"), value(b"x")),
    Case("c.wchar", lambda stack: ctypes.c_wchar("\xe9"), value("\xe9")),
    Case("c.int.type", lambda stack: ctypes.c_int, true(lambda t: t is ctypes.c_int)),
    Case(
        "c.int.swapped",
        lambda stack: ctypes.c_int.__ctype_be__(5),
        true(lambda x: bytes(x) == b"\0\0\0\5"),
    ),
    Case(
        "c.int.swapped.type",
        lambda stack: ctypes.c_int.__ctype_be__,
        true(lambda t: t is ctypes.c_int.__ctype_be__),
    ),
    Case(
        "c.array", lambda stack: (ctypes.c_int * 3)(1, 2, 3), true(lambda a: list(a) == [1, 2, 3])
    ),
    Case("c.array.type", lambda stack: ctypes.c_int * 3, array_type),
    Case(
        "c.array.nested",
        lambda stack: (ctypes.c_int * 3 * 2)((1, 2, 3)),
        true(lambda a: list(a[0]) == [1, 2, 3]),
    ),
    Case("c.array.attributes", attributes, true(lambda a: (a[1], a.label) == (2, "mine"))),
    Case(
        "c.buffer",
        lambda stack: ctypes.create_string_buffer(b"ab"),
        true(lambda b: (b.value, len(b)) == (b"ab", 3)),
    ),
    Case(
        "c.buffer.wide",
        lambda stack: ctypes.create_unicode_buffer("ab"),
        true(lambda b: b.value == "ab"),
    ),
    Case(
        "c.from_buffer",
        lambda stack: (ctypes.c_char * 2).from_buffer(bytearray(b"ab")),
        true(lambda b: b.raw == b"ab"),
    ),
    Case("c.structure", structure("point"), true(lambda p: (p.double(), p.name) == (2, b"ab"))),
    Case("c.structure.type", lambda stack: type(structures(stack)["point"]), type_works),
    Case(
        "c.structure.derived", structure("derived"), true(lambda d: (d.triple(), d.z) == (3, 2.5))
    ),
    Case(
        "c.structure.packed",
        structure("packed"),
        true(lambda p: bytes(p)[:2] == b"\1\2" and (p.s, p.t, len(bytes(p))) == (3, 2, 6)),
    ),
    Case("c.structure.outer", structure("outer"), outer_works),
    Case("c.structure.node", structure("node"), node_works),
    Case("c.structure.opaque", structure("opaque"), true(lambda o: ctypes.sizeof(o) == 0)),
    Case(
        "c.structure.array",
        lambda stack: (type(structures(stack)["point"]) * 2)(),
        true(lambda a: a[1].double() == 0),
    ),
    Case(
        "c.structure.known",
        lambda stack: Known(3),
        true(lambda k: (type(k), k.a, k.name) == (Known, 3, None)),
    ),
    Case("c.structure.string", lambda stack: Known(3, b"name"), refused="the address of something"),
    Case(
        "c.structure.wintypes",
        lambda stack: ctypes.wintypes.POINT(1, 2),
        true(lambda p: (p.x, p.y) == (1, 2)),
    ),
    Case("c.union", structure("union"), true(lambda u: (u.f, u.i) == (1.5, 0x3FC00000))),
    Case(
        "c.union.type",
        lambda stack: type(structures(stack)["union"]),
        true(lambda t: t(i=1).i == 1),
    ),
    Case("c.string", lambda stack: ctypes.c_char_p(b"abc"), value(b"abc")),
    Case(
        "c.string.zero",
        lambda stack: ctypes.c_char_p(b"a\0bc"),
        true(lambda s: ctypes.string_at(s, 4) == b"a\0bc"),
    ),
    Case("c.string.null", lambda stack: ctypes.c_char_p(), value(None)),
    Case("c.string.wide", lambda stack: ctypes.c_wchar_p("abc"), value("abc")),
    Case(
        "c.string.found",
        lambda stack: ctypes.c_char_p(ctypes.addressof(ctypes.c_int(7))),
        refused="the address of something",
    ),
    Case("c.object", lambda stack: ctypes.py_object([1]), value([1])),
    Case(
        "c.object.dict", lambda stack: ctypes.py_object({"a": 1}), true(lambda o: o.value["a"] == 1)
    ),
    Case("c.object.null", lambda stack: ctypes.py_object(), true(lambda o: not any(bytes(o)))),
    Case("c.void", lambda stack: ctypes.c_void_p(1234), refused="the address of something"),
    Case("c.void.null", lambda stack: ctypes.c_void_p(), value(None)),
    Case("c.void.subclass", subclass, true(lambda h: (h.value, h.label) == (None, "handle"))),
    Case(
        "c.pointer",
        lambda stack: ctypes.pointer(ctypes.c_int(3)),
        refused="the address of something",
    ),
    Case(
        "c.pointer.null",
        lambda stack: ctypes.POINTER(ctypes.c_int)(),
        true(lambda p: not p and type(p) is ctypes.POINTER(ctypes.c_int)),
    ),
    Case(
        "c.pointer.type",
        lambda stack: ctypes.POINTER(ctypes.c_int),
        true(lambda t: t is ctypes.POINTER(ctypes.c_int)),
    ),
    Case(
        "c.pointer.array",
        lambda stack: (ctypes.c_char_p * 2)(b"a"),
        refused="the address of something",
    ),
    Case(
        "c.pointer.array.null",
        lambda stack: (ctypes.c_char_p * 2)(),
        true(lambda a: list(a) == [None, None]),
    ),
    Case("c.cast", cast, refused="the address of something"),
    Case("c.byref", lambda stack: ctypes.byref(ctypes.c_int()), refused="no reducer is registered"),
    Case("c.field", lambda stack: Known.a, refused="no reducer is registered"),
    Case("c.library", library, library_works),
    Case("c.library.path", relative, true(lambda lib: lib.abs(-3) == 3)),
    Case("c.library.program", lambda stack: ctypes.CDLL(None), true(lambda lib: lib.abs(-3) == 3)),
    Case(
        "c.library.python",
        lambda stack: ctypes.pythonapi,
        true(lambda lib: lib.Py_IsInitialized() == 1),
    ),
    Case(
        "c.library.python.other",
        lambda stack: ctypes.PyDLL(None),
        true(lambda lib: lib.Py_IsInitialized() == 1),
    ),
    Case(
        "c.library.loader",
        lambda stack: ctypes.cdll,
        true(lambda loader: loader.LoadLibrary("libm.so.6").cos),
    ),
    Case("c.function", typed, true(lambda cos: cos(0.0) == 1.0)),
    Case(
        "c.function.untyped", lambda stack: ctypes.CDLL("libc.so.6").abs, true(lambda f: f(-3) == 3)
    ),
    Case("c.function.checked", checked, true(lambda f: f(-3) == 103)),
    Case(
        "c.function.python",
        lambda stack: ctypes.pythonapi.Py_IsInitialized,
        true(lambda f: f() == 1),
    ),
    Case("c.function.ours", lambda stack: ctypes.memmove, true(lambda f: f is ctypes.memmove)),
    Case(
        "c.function.type",
        lambda stack: ctypes.CFUNCTYPE(ctypes.c_int),
        true(lambda t: t is ctypes.CFUNCTYPE(ctypes.c_int) and t(lambda: 3)() == 3),
    ),
    Case(
        "c.function.python.type",
        lambda stack: ctypes.PYFUNCTYPE(ctypes.c_int),
        true(lambda t: t(lambda: 3)() == 3),
    ),
    Case("c.function.null", lambda stack: ctypes.CFUNCTYPE(ctypes.c_int)(), true(lambda f: not f)),
    Case(
        "c.function.address",
        lambda stack: ctypes.CFUNCTYPE(ctypes.c_int)(1234),
        refused="does not tell its library",
    ),
    Case(
        "c.function.prototype",
        lambda stack: ctypes.CFUNCTYPE(ctypes.c_int)(("abs", ctypes.CDLL(None))),
        refused="does not tell its library",
    ),
    Case("c.callback", callback, callback_works),
    Case(
        "c.callback.nothing",
        lambda stack: ctypes.CFUNCTYPE(None)(print),
        true(lambda f: f() is None),
    ),
    Case("c.error", lambda stack: ctypes.ArgumentError("x"), true(lambda e: e.args == ("x",))),
]
