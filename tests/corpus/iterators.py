"""Iterators: they go on where they were."""

from __future__ import annotations

import array
import asyncio
import itertools
import operator
import struct
from collections import ChainMap, Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from corpus import Case


def numbers() -> Iterator[int]:
    yield from (1, 2, 3)


class Old:
    """Iterated by its items, as before there were iterators."""

    def __getitem__(self, index: int) -> int:
        if index > 3:
            raise IndexError
        return index * 10


class Countdown:
    """An iterator of a class of its own."""

    def __init__(self, start: int) -> None:
        self.left = start

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left


class Ticker:
    """An asynchronous iterator of a class of its own."""

    def __init__(self, start: int) -> None:
        self.left = start

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left


class Chain(itertools.chain):  # type: ignore[type-arg]
    """A subclass."""


def iterates(name: str, make: Callable[[], Any], *, taken: int = 1, limit: int = 8) -> Case:
    """An iterator of which some items were taken gives the others, and the sender's does too."""

    def make_case(stack: ExitStack) -> Any:
        iterator = make()
        for _ in range(taken):
            next(iterator)
        stack.callback(lambda: gives(iterator))
        return iterator

    def gives(received: Any) -> None:
        expected = list(itertools.islice(make(), taken, taken + limit))
        assert list(itertools.islice(received, limit)) == expected, expected

    versions = ((3, 12), (3, 99)) if name.startswith("batched") else ((3, 10), (3, 99))
    return Case(f"iter.{name}", make_case, gives, versions=versions)


def arrives_as_list(name: str, make: Callable[[], Any]) -> Case:
    """Of a dict and the like Python itself makes an iterator of a list of what is left."""

    def make_case(stack: ExitStack) -> Any:
        iterator = make()
        next(iterator)
        return {"iterator": iterator}

    def gives(received: Any) -> None:
        iterator = received["iterator"]
        assert iter(iterator) is iterator
        assert sorted(iterator) == sorted(list(make())[1:])

    return Case(f"iter.{name}", make_case, gives)


def tees(stack: ExitStack) -> Any:
    left, right = itertools.tee(iter(range(5)))
    next(left)
    return {"left": left, "right": right}


def check_tees(received: Any) -> None:
    assert next(received["left"]) == 1
    assert list(received["right"]) == [0, 1, 2, 3, 4]
    assert list(received["left"]) == [2, 3, 4]


def grouped(stack: ExitStack) -> Any:
    groups = itertools.groupby([1, 3, 2, 4, 5], key=lambda n: n % 2)
    key, group = next(groups)
    assert (key, next(group)) == (1, 1)
    return {"groups": groups, "group": group}


def check_grouped(received: Any) -> None:
    assert list(received["group"]) == [3]
    assert [(key, list(group)) for key, group in received["groups"]] == [(0, [2, 4]), (1, [5])]


def check_groupby(received: Any) -> None:
    assert [(key, list(group)) for key, group in received] == [(0, [2, 4]), (1, [5])]


def groupby(stack: ExitStack) -> Any:
    groups = itertools.groupby([1, 3, 2, 4, 5], key=lambda n: n % 2)
    _, group = next(groups)
    assert list(group) == [1, 3]
    return groups


def shared(stack: ExitStack) -> Any:
    source = iter(range(6))
    return {"pairs": zip(source, source), "source": source}  # noqa: B905


def check_shared(received: Any) -> None:
    assert next(received["pairs"]) == (0, 1)
    assert next(received["source"]) == 2
    assert list(received["pairs"]) == [(3, 4)]


def check_ended(received: Any) -> None:
    assert list(received["ended"]) == []


def ended(make: Callable[[], Any]) -> Callable[[ExitStack], Any]:
    def make_case(stack: ExitStack) -> Any:
        iterator = make()
        list(iterator)
        return {"ended": iterator}

    return make_case


def check_ticker(received: Any) -> None:
    async def collect() -> list[int]:
        return [item async for item in received]

    assert asyncio.run(collect()) == [1, 0]


def strict_zip(stack: ExitStack) -> Any:
    return zip([1, 2], [1], strict=True)


def check_strict(received: Any) -> None:
    assert next(received) == (1, 1)
    try:
        next(received)
    except ValueError:
        return
    raise AssertionError("It is not strict.")


D = {"a": 1, "b": 2, "c": 3}

CASES = [
    iterates("list", lambda: iter([1, 2, 3])),
    iterates("list.new", lambda: iter([1, 2, 3]), taken=0),
    iterates("list.reversed", lambda: reversed([1, 2, 3])),
    iterates("tuple", lambda: iter((1, 2, 3))),
    iterates("tuple.reversed", lambda: reversed((1, 2, 3))),
    iterates("str", lambda: iter("abc")),
    iterates("str.wide", lambda: iter("\u00e4\u20ac\U0001f600")),
    iterates("bytes", lambda: iter(b"abc")),
    iterates("bytearray", lambda: iter(bytearray(b"abc"))),
    iterates("range", lambda: iter(range(0, 9, 2))),
    iterates("range.reversed", lambda: reversed(range(9))),
    iterates("range.long", lambda: iter(range(10**30, 10**30 + 5))),
    iterates("deque", lambda: iter(deque([1, 2, 3]))),
    iterates("deque.reversed", lambda: reversed(deque([1, 2, 3]))),
    iterates("array", lambda: iter(array.array("d", [1, 2, 3]))),
    iterates("getitem", lambda: iter(Old())),
    iterates("own", lambda: Countdown(4)),
    iterates("callable", lambda: iter(partial(next, iter([1, 2, 3, 0])), 0)),
    iterates("enumerate", lambda: enumerate("abc", 5)),
    iterates("zip", lambda: zip("abc", [1, 2, 3])),  # noqa: B905
    iterates("map", lambda: map(lambda x, y: x + y, [1, 2, 3], (10, 20, 30))),
    iterates("filter", lambda: filter(lambda x: x % 2, range(9))),
    iterates("filter.none", lambda: filter(None, [1, 0, 2, 0, 3])),
    iterates("nested", lambda: map(str, filter(None, enumerate(zip("ab", "cd"))))),  # noqa: B905
    iterates("count", lambda: itertools.count(3, 2)),
    iterates("count.float", lambda: itertools.count(0.5, 0.5)),
    iterates("count.huge", lambda: itertools.count(10**30)),
    iterates("cycle", lambda: itertools.cycle("abc")),
    iterates("cycle.again", lambda: itertools.cycle("abc"), taken=5),
    iterates("repeat", lambda: itertools.repeat("x", 3)),
    iterates("repeat.ever", lambda: itertools.repeat("x")),
    iterates("accumulate", lambda: itertools.accumulate([1, 2, 3, 4], operator.mul)),
    iterates("accumulate.initial", lambda: itertools.accumulate([1, 2], initial=5)),
    iterates("accumulate.new", lambda: itertools.accumulate([1, 2], initial=5), taken=0),
    iterates("chain", lambda: itertools.chain([1, 2], "ab", (3,)), taken=3),
    iterates("chain.iterable", lambda: itertools.chain.from_iterable([[1, 2], [3]])),
    iterates("chain.subclass", lambda: Chain([1, 2], [3])),
    iterates("compress", lambda: itertools.compress("abcd", [1, 0, 1, 1])),
    iterates("dropwhile", lambda: itertools.dropwhile(lambda x: x < 2, [1, 2, 1, 3])),
    iterates("takewhile", lambda: itertools.takewhile(lambda x: x < 3, [1, 2, 3, 1])),
    iterates("filterfalse", lambda: itertools.filterfalse(lambda x: x % 2, range(9))),
    iterates("islice", lambda: itertools.islice(itertools.count(), 2, 20, 3)),
    iterates("islice.open", lambda: itertools.islice(itertools.count(), 2, None)),
    iterates("starmap", lambda: itertools.starmap(pow, [(2, 3), (3, 2), (1, 1)])),
    iterates("zip_longest", lambda: itertools.zip_longest("ab", [1, 2, 3], fillvalue=9)),
    iterates("zip_longest.short", lambda: itertools.zip_longest("a", [1, 2, 3]), taken=2),
    iterates("product", lambda: itertools.product("ab", [1, 2], repeat=2), taken=3),
    iterates("product.new", lambda: itertools.product("ab", [1, 2]), taken=0),
    iterates("permutations", lambda: itertools.permutations("abcd", 2), taken=5),
    iterates("combinations", lambda: itertools.combinations("abcd", 2), taken=3),
    iterates("combinations.with", lambda: itertools.combinations_with_replacement("abc", 2)),
    iterates("pairwise.new", lambda: itertools.pairwise([1, 2, 3, 4]), taken=0),
    iterates("pairwise", lambda: itertools.pairwise([1, 2, 3, 4])),
    iterates("pairwise.ended", lambda: itertools.pairwise([1, 2]), taken=1),
    iterates("unpack", lambda: struct.iter_unpack("<h", bytes(range(10)))),
    iterates("unpack.view", lambda: struct.iter_unpack("<h", memoryview(bytes(12))[2:])),
    iterates("elements", lambda: Counter("aabbb").elements()),
    arrives_as_list("dict", lambda: iter(D)),
    arrives_as_list("dict.values", lambda: iter(D.values())),
    arrives_as_list("dict.items", lambda: iter(D.items())),
    arrives_as_list("dict.reversed", lambda: reversed(D.items())),
    arrives_as_list("odict", lambda: iter(OrderedDict(D).items())),
    arrives_as_list("chainmap", lambda: iter(ChainMap(D))),
    arrives_as_list("set", lambda: iter({1, 2, 3})),
    arrives_as_list("frozenset", lambda: iter(frozenset({4, 5, 6}))),
    Case("iter.tee", tees, check_tees),
    Case("iter.groupby", groupby, check_groupby),
    Case("iter.groupby.group", grouped, check_grouped),
    Case("iter.shared", shared, check_shared),
    Case("iter.zip.strict", strict_zip, check_strict),
    Case("iter.list.ended", ended(lambda: iter([1, 2])), check_ended),
    Case("iter.map.ended", ended(lambda: map(str, [1])), check_ended),
    Case("iter.chain.ended", ended(lambda: itertools.chain([1])), check_ended),
    Case("iter.pairwise.gone", ended(lambda: itertools.pairwise([1, 2])), check_ended),
    Case("iter.unpack.ended", ended(lambda: struct.iter_unpack("b", b"abc")), check_ended),
    Case("iter.async.own", lambda stack: Ticker(2), check_ticker),
    Case(
        "iter.batched",
        lambda stack: itertools.batched("abcd", 2),  # type: ignore[attr-defined]
        refused="size cannot be read",
        versions=((3, 12), (3, 99)),
    ),
    Case("iter.memory", lambda stack: iter(memoryview(b"ab")), refused="tied to this process"),
]


def over_generator(name: str, make: Callable[[Any], Any]) -> Case:
    return Case(f"iter.generator.{name}", lambda stack: make(numbers()), refused="place inside")


CASES += [
    over_generator("map", lambda it: map(str, it)),
    over_generator("zip", lambda it: zip(it, [1])),  # noqa: B905
    over_generator("enumerate", enumerate),
    over_generator("chain", lambda it: itertools.chain([1], it)),
    over_generator("islice", lambda it: itertools.islice(it, 2)),
    over_generator("groupby", itertools.groupby),
    over_generator("pairwise", itertools.pairwise),
    over_generator("tee", lambda it: itertools.tee(it)[0]),
    over_generator("cycle", itertools.cycle),
]
