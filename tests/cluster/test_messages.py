"""What Dask pickles most: messages, which hold only strings and numbers; what looks like them."""

from __future__ import annotations

import functools
import pickle
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy
import pytest
from distributed.protocol import pickle as dask_pickle

import daskpickle

IN_MAIN: dict[str, Any] = {"__name__": "__main__"}
exec("def work(x): return x + 1\nclass Point: pass", IN_MAIN)


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    daskpickle.install()  # with it, lists and dicts are taken for messages again
    yield
    daskpickle.uninstall()


class Counted:
    """Counts how often it is pickled."""

    times = 0

    def __reduce__(self) -> Any:
        Counted.times += 1
        return Counted, ()


MESSAGES: list[Any] = [
    {}, [], (), set(), frozenset(), bytearray(), {"op": "get", "n": 1.5, "keys": ["a", (1, None)]},
    [{"a": {"b": [b"c", True]}}], {1, 2}, frozenset("a"), bytearray(b"a"), list(range(5000)),
    [0x93, b"\x93", "\x93", 0x9393], {"__main__": "__main__"}, ["x" * 20_000] * 3,
    [f"{i}" * 2000 for i in range(300)], {"a": "x" * 300_000}, [b"\x93" * 10_000, b"x" * 100_000],
    bytearray(b"\x93" * 100_000), [bytearray(b"\x93" * 30_000)] * 2, {"a": [bytearray(b"\x93")]},
    [Fraction(1, 2), Fraction(1, 2)], {"n": 1, "rows": [Fraction(i, 7) for i in range(300)]},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(MESSAGES)))
def test_the_bytes_are_those_of_pickle(number: int) -> None:
    """First, and when something before it was no message."""
    message = MESSAGES[number]
    out: list[Any] = []
    for _ in range(3):
        assert dask_pickle.dumps(message) == pickle.dumps(message, 5)
        assert dask_pickle.dumps(message, buffer_callback=out.append) == pickle.dumps(message, 5)
        assert dask_pickle.dumps(message, protocol=None) == pickle.dumps(message, 5)
        assert dask_pickle.dumps(message, protocol=4) == pickle.dumps(message, 4)
        assert pickle.loads(dask_pickle.dumps([message, threading.Lock()]))[0] == message
    assert out == []


def test_large_data_is_not_copied_in_vain() -> None:
    """An array stops the attempt; out of band, nothing of it is in the stream."""
    array = numpy.arange(100_000.0)
    for number in range(3):
        buffers: list[Any] = []
        data = dask_pickle.dumps({"n": number, "array": array}, buffer_callback=buffers.append)
        assert len(data) < 1000
        assert pickle.loads(data, buffers=buffers)["array"].sum() == array.sum()
        assert pickle.loads(dask_pickle.dumps({"n": number, "array": array}))["n"] == number


def test_what_was_no_message_is_seldom_tried_twice() -> None:
    """After one that was none, those after it are not tried for a while."""
    Counted.times = 0
    for _ in range(60):
        dask_pickle.dumps({"n": 1, "counted": Counted()})
    assert Counted.times == 61


@pytest.mark.parametrize("name", ["work", "Point"])
def test_what_is_of_main_is_found_wherever_its_name_is_written(name: str) -> None:
    """The name of the module may be a string in another frame of the stream."""
    value = IN_MAIN[name]
    for obj in (
        ["__main__", "z" * 70_000, {"value": value}],
        {"a": "__main__", "b": ["z" * 30_000] * 5, "value": functools.partial(len, value)},
        {"value": [{"value": value}], "text": "z" * 70_000},
        [Fraction(1, 2), {"value": value}, Fraction(1, 3)],
    ):
        for _ in range(2):
            data = dask_pickle.dumps(obj)
            assert b"_make_function" in data or b"_make_skeleton_class" in data
            pickle.loads(data)
