"""Iterators go on where they were, and those that cannot are refused."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract

since_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="They pickle by themselves.")


def rest(make: Callable[[], Any], taken: int = 1) -> list[Any]:
    """What an iterator gives after some items were taken."""
    return list(itertools.islice(make(), taken, taken + 9))


class IteratorContract(ReducerContract):
    """Of an iterator one item has been taken."""

    make_new: Callable[[], Any]

    def make(self) -> Any:
        iterator = type(self).make_new()
        next(iterator)
        return iterator

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        expected = rest(type(self).make_new)
        assert list(itertools.islice(received, 9)) == expected
        assert list(itertools.islice(sent, 9)) == expected

    def state(self, obj: Any) -> Any:
        return type(obj)

    @staticmethod
    def use(received: Any) -> Any:
        return list(itertools.islice(received, 9))


class TestPairwise(IteratorContract):
    make_new = staticmethod(lambda: itertools.pairwise([1, 2, 3, 4]))


class TestReversedDeque(IteratorContract):
    make_new = staticmethod(lambda: reversed(deque([1, 2, 3])))


@since_312
class TestCount(IteratorContract):
    make_new = staticmethod(itertools.count)


@since_312
class TestChain(IteratorContract):
    make_new = staticmethod(lambda: itertools.chain([1, 2], [3]))


@since_312
class TestCycle(IteratorContract):
    make_new = staticmethod(lambda: itertools.cycle("ab"))


@since_312
class TestProduct(IteratorContract):
    make_new = staticmethod(lambda: itertools.product("ab", [1, 2]))


@since_312
class TestBatched(ReducerContract):
    def refused(self) -> list[Any]:
        batched: Any = vars(itertools)["batched"]
        return [(lambda: batched("abcd", 2), "size cannot be read")]


MADE = {
    "accumulate": lambda: itertools.accumulate([1, 2, 3]),
    "chain": lambda: itertools.chain([1, 2], [3]),
    "combinations": lambda: itertools.combinations("abc", 2),
    "compress": lambda: itertools.compress("abc", [1, 1, 1]),
    "cycle": lambda: itertools.cycle("ab"),
    "dropwhile": lambda: itertools.dropwhile(bool, [1, 0, 1]),
    "filterfalse": lambda: itertools.filterfalse(bool, [0, 1, 0]),
    "islice": lambda: itertools.islice("abcd", 1, None),
    "permutations": lambda: itertools.permutations("abc"),
    "product": lambda: itertools.product("ab", [1, 2]),
    "repeat": lambda: itertools.repeat(1, 3),
    "starmap": lambda: itertools.starmap(pow, [(1, 2), (2, 3)]),
    "takewhile": lambda: itertools.takewhile(bool, [1, 1, 0]),
    "tee": lambda: itertools.tee([1, 2, 3])[0],
    "zip_longest": lambda: itertools.zip_longest("ab", [1, 2, 3]),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_iterators_of_itertools_travel_without_a_warning(make: Callable[[], Any]) -> None:
    """Half-way, where warnings are errors; Python 3.13 still warns who does it himself."""
    iterator = make()
    next(iterator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        received = daskpickle.loads(daskpickle.dumps(iterator))
    assert list(itertools.islice(received, 9)) == rest(make)


@pytest.mark.parametrize("taken", range(5))
def test_a_pairwise_travels_at_each_place(taken: int) -> None:
    """New, begun, and ended."""
    pairs = itertools.pairwise([1, 2, 3, 4])
    for _ in itertools.islice(pairs, taken):
        pass
    received = daskpickle.loads(daskpickle.dumps(pairs))
    assert list(received) == list(itertools.islice(itertools.pairwise([1, 2, 3, 4]), taken, None))


def test_a_generator_inside_is_refused_where_it_is() -> None:
    """The path leads through the iterators."""
    chain = itertools.chain([1], (n for n in (1, 2)))
    with pytest.raises(daskpickle.errors.RefusedError, match="generator at"):
        daskpickle.dumps(chain)


def test_two_that_share_go_on_sharing() -> None:
    """What one takes the other does not get."""
    source = itertools.chain([1, 2, 3, 4])
    pairs = zip(source, source)  # noqa: B905
    source, pairs = daskpickle.loads(daskpickle.dumps((source, pairs)))
    assert next(pairs) == (1, 2)
    assert next(source) == 3
