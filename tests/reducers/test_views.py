"""Views arrive as views, of what they showed."""

from __future__ import annotations

import array
import io
import pickle
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy
import pytest

import daskpickle
from daskpickle.pool import count_fired
from daskpickle.testing import ReducerContract


class TestMemory(ReducerContract):
    def make(self) -> Any:
        return memoryview(bytes(range(24))).cast("b", (6, 4))

    def same(self, sent: Any, received: Any) -> None:
        assert (received.format, received.shape, received.readonly) == ("b", (6, 4), True)
        assert received == sent

    def state(self, obj: Any) -> Any:
        return obj.tobytes()

    def refused(self) -> list[Any]:
        def released() -> Any:
            view = memoryview(b"x")
            view.release()
            return view

        def strange() -> Any:
            return memoryview(numpy.zeros(4, "i4,f8"))[1:]

        return [(released, "released"), (strange, "format")]

    def test_refusals_say_why_and_travel_themselves(self) -> None:
        """One that was released cannot tell its state."""
        for make, why in self.refused():
            with pytest.raises(daskpickle.errors.RefusedError, match=why) as caught:
                daskpickle.dumps({"here": make()})
            assert caught.value.path == "obj['here']"
            assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


class TestKeys(ReducerContract):
    def make(self) -> Any:
        return {"a": 1}.keys()

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert list(received) == list(sent)


class TestValues(TestKeys):
    def make(self) -> Any:
        return {"a": 1}.values()


class TestItems(TestKeys):
    def make(self) -> Any:
        return {"a": [1]}.items()


class TestOrderedKeys(TestKeys):
    def make(self) -> Any:
        return OrderedDict(a=1).keys()


class TestOrderedValues(TestKeys):
    def make(self) -> Any:
        return OrderedDict(a=1).values()


class TestOrderedItems(TestKeys):
    def make(self) -> Any:
        return OrderedDict(a=1).items()


class TestMappingProxy(ReducerContract):
    def make(self) -> Any:
        return types.MappingProxyType(OrderedDict(a=1))

    def same(self, sent: Any, received: Any) -> None:
        assert type(received | {}) is OrderedDict
        assert received == sent


def test_what_shared_memory_shares_it_again() -> None:
    """A bytearray, an array of numpy, and their views; parts have memory of their own."""
    data, numbers = bytearray(8), numpy.zeros((2, 2))
    sent = [data, memoryview(data), memoryview(data).cast("I"), memoryview(data)[2:4]]
    received, whole, cast, part = daskpickle.loads(daskpickle.dumps(sent))
    whole[3] = 1
    assert (received[3], cast[0], part[1]) == (1, 0x01000000, 0)
    numbers, view = daskpickle.loads(daskpickle.dumps([numbers, memoryview(numbers)]))
    numbers[1, 1] = 5
    assert view[1, 1] == 5.0


@pytest.mark.parametrize("readonly", [True, False])
def test_memory_travels_out_of_band(readonly: bool) -> None:
    """Nothing is copied, and the flag is that of the view, whatever memory it is given."""
    source = array.array("d", range(1000))
    view = memoryview(source)[1:]
    buffers: list[pickle.PickleBuffer] = []
    data = daskpickle.dumps(view.toreadonly() if readonly else view, buffer_callback=buffers.append)
    assert len(data) < 300
    assert buffers[0].raw().nbytes == 8 * 999
    source[1] = 5.0
    assert buffers[0].raw().cast("d")[0] == 5.0
    received = daskpickle.loads(data, buffers=[bytearray(buffers[0].raw())])
    assert (received.format, received.readonly, received[0]) == ("d", readonly, 5.0)


def test_a_view_of_keys_takes_along_what_is_small() -> None:
    """It follows its dict then; else it is one of the same keys, as with cloudpickle."""
    small, large = {"a": [1]}, {"a": numpy.zeros(2**20)}
    view, source = daskpickle.loads(daskpickle.dumps([small.keys(), small]))
    source["b"] = 2
    assert list(view) == ["a", "b"]
    assert len(daskpickle.dumps(large.keys())) < 200
    lone = {"a": (x for x in [])}
    assert list(daskpickle.loads(daskpickle.dumps(lone.keys()))) == ["a"]
    with pytest.raises(daskpickle.errors.RefusedError) as caught:
        daskpickle.dumps([lone.values()])
    assert caught.value.path == "obj[0].mapping['a']"


def test_views_are_none_of_our_types(fresh_process: Callable[..., bytes]) -> None:
    """A node that lacks daskpickle loads them."""
    before = count_fired()
    buffer = io.BytesIO(b"xyz").getbuffer()
    data = daskpickle.dumps([memoryview(b"abc")[::2], buffer, {"a": 1}.items()])
    assert count_fired() == before
    code = """
        import pickle, sys
        first, second, third = pickle.loads(sys.stdin.buffer.read())
        print(first.tobytes(), second.tobytes(), third, "daskpickle" in sys.modules)
    """
    assert fresh_process(code, data) == b"b'ac' b'xyz' dict_items([('a', 1)]) False\n"
