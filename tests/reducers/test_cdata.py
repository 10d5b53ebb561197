"""C data, types, libraries and functions arrive as what they were made of; pointers are refused."""

from __future__ import annotations

import ctypes
import ctypes.util
import ctypes.wintypes
import pickle
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import HandleError
from daskpickle.pool import count_fired
from daskpickle.testing import ReducerContract
from daskpickle.testing.contract import elsewhere

Compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)


class Named(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p)]


def node_type() -> Any:
    """A type that is known here only, and points to itself."""

    class Node(ctypes.Structure):
        def double(self) -> Any:
            return self.value * 2

    Node._fields_ = [("value", ctypes.c_int), ("next", ctypes.POINTER(Node))]
    return Node


class TestPointer(ReducerContract):
    def make(self) -> Any:
        return ctypes.POINTER(ctypes.c_int)()

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert not received

    def refused(self) -> list[Any]:
        number = ctypes.c_int(1)
        return [
            (lambda: ctypes.pointer(number), "address of something"),
            (lambda: ctypes.c_void_p(ctypes.addressof(number)), "address of something"),
        ]

    @staticmethod
    def use(received: Any) -> Any:
        return bool(received)


class TestStructure(TestPointer):
    """It is rebuilt with its null pointers, and its attributes; others are refused."""

    def make(self) -> Any:
        made = Named(3)
        made.label = "mine"
        return made

    def same(self, sent: Any, received: Any) -> None:
        assert (received.number, received.name, received.label) == (3, None, "mine")

    def refused(self) -> list[Any]:
        return [(lambda: Named(3, b"name"), "address of something")]


class TestString(ReducerContract):
    def make(self) -> Any:
        return ctypes.c_char_p(b"abc")

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received.value == b"abc")

    def state(self, obj: Any) -> Any:
        return obj.value

    @staticmethod
    def use(received: Any) -> Any:
        return received.value


class TestLibrary(ReducerContract):
    def make(self) -> Any:
        library = ctypes.CDLL(ctypes.util.find_library("m"), use_errno=True)
        library.cos.restype, library.cos.argtypes = ctypes.c_double, [ctypes.c_double]
        return library

    def same(self, sent: Any, received: Any) -> None:
        assert received.cos(0.0) == 1.0
        assert received._name == sent._name
        assert received._FuncPtr._flags_ == sent._FuncPtr._flags_

    def refused(self) -> list[Any]:
        handle = ctypes.CDLL(ctypes.util.find_library("m"))._handle
        return [(lambda: ctypes.CDLL(None, handle=handle), "It was opened by a handle")]

    def state(self, obj: Any) -> Any:
        return sorted(vars(obj))

    @staticmethod
    def use(received: Any) -> Any:
        return received.cos(0.0)


class TestFunction(ReducerContract):
    def make(self) -> Any:
        function = ctypes.CDLL(None).abs
        function.errcheck = add_hundred
        return function

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received(-3) == 103)

    def refused(self) -> list[Any]:
        library = ctypes.CDLL(None)
        return [
            (lambda: Compare(1234), "does not tell its library"),
            (lambda: Compare(("abs", library)), "does not tell its library"),
        ]

    def state(self, obj: Any) -> Any:
        return obj.argtypes, obj.restype

    @staticmethod
    def use(received: Any) -> Any:
        return received(-3)


class TestCallback(ReducerContract):
    def make(self) -> Any:
        return Compare(max)

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received(1, 2) == 2)

    @staticmethod
    def use(received: Any) -> Any:
        return received(1, 2)


def add_hundred(result: Any, function: Any, args: Any) -> Any:
    return result + 100


def test_types_are_the_ones_that_ctypes_makes_of_the_same() -> None:
    """Where the same array, pointer or signature is known already, no other type is made."""
    types = [ctypes.c_int * 3, ctypes.POINTER(Named), Compare, ctypes.c_int.__ctype_be__, Named]
    assert pickle.loads(daskpickle.dumps(types)) == types


def test_a_local_structure_that_points_to_itself(fresh_process: Any) -> None:
    """It arrives by value, with its methods, once for all loads of a process."""
    code = """
        import pickle, sys, ctypes
        data = sys.stdin.buffer.read()
        first, cls = pickle.loads(data)
        second, _ = pickle.loads(data)
        assert type(first) is type(second) is cls
        first.next = ctypes.pointer(second)
        print(first.next.contents.double(), cls.__qualname__, bool(second.next))
    """
    node = node_type()
    data = daskpickle.dumps([node(4), node])
    assert fresh_process(code, data) == b"8 node_type.<locals>.Node False\n"
    assert pickle.loads(data)[1] is node  # at home it is found, and left as it is


def test_plain_data_names_nothing_of_ours() -> None:
    """What pickles by itself goes on doing so; a peer without daskpickle can load it."""
    before = count_fired()
    data = daskpickle.dumps([ctypes.c_int(1), ctypes.wintypes.POINT(1, 2), ctypes.c_double])
    assert b"daskpickle" not in data
    assert count_fired() == before


def test_a_library_that_is_missing_is_missed_at_its_use(tmp_path: Path) -> None:
    """Loading does not fail: the task that uses it does."""
    path = tmp_path / "there.so"
    library = ctypes.CDLL(None)
    library._name = str(path)
    received = pickle.loads(daskpickle.dumps(library))
    with elsewhere(), pytest.raises(HandleError, match="there"):
        received.abs(1)
