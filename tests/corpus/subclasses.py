"""Subclasses of the standard library's classes, with what they add; twins of C modules; parsers."""

from __future__ import annotations

import _pydecimal
import argparse
import array
import collections
import datetime
import decimal
import fractions
import functools
import importlib.metadata
import itertools
import optparse
import pathlib
import random
import shutil
import sys
import typing
import unittest.mock
import zoneinfo._zoneinfo
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from xml.etree import ElementTree

from corpus import Case

T = typing.TypeVar("T")


def so(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A check of what arrives by an expression."""

    def check(received: Any) -> None:
        assert condition(received)

    return check


def adds(base: Any, *args: Any, taken: int = 0) -> Callable[[ExitStack], Any]:
    """Make an object of a local subclass with attributes, one of which leads back to it."""

    def make(stack: ExitStack) -> Any:
        class Local(base):
            pass

        made: Any = Local(*args)
        made.label, made.itself = ["a"], made
        for _ in range(taken):
            next(made)
        return made

    return make


def added(condition: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Check that it has its attributes, and is what it was."""

    def check(received: Any) -> None:
        assert received.label == ["a"]
        assert received.itself is received
        assert condition(received)

    return check


def slotted(stack: ExitStack) -> Any:
    class Price(decimal.Decimal):
        __slots__ = ("__secret", "currency")

        def hide(self) -> Price:
            self.currency, self.__secret = "EUR", [1]
            return self

        def show(self) -> Any:
            return self.currency, self.__secret, str(self)

    return Price("1.50").hide()


def numbers(stack: ExitStack) -> Any:
    class Numbers(array.array):  # type: ignore[type-arg]
        __slots__ = ("label",)

    made: Any = Numbers("i", [1, 2])
    made.label = "a"
    return made


def lists(stack: ExitStack) -> Any:
    class Lists(collections.defaultdict):  # type: ignore[type-arg]
        def __init__(self) -> None:
            super().__init__(list)
            self.label = "a"

    return Lists()


def zone(stack: ExitStack) -> Any:
    class Zone(datetime.tzinfo):
        def __init__(self, hours: int) -> None:
            self.hours = hours

        def utcoffset(self, moment: Any) -> datetime.timedelta:
            return datetime.timedelta(hours=self.hours)

    return datetime.datetime(2020, 1, 1, tzinfo=Zone(3))


def seeded(stack: ExitStack) -> Any:
    class Seeded(random.Random):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return super().__new__(cls)

        def __init__(self, *, label: str) -> None:
            super().__init__(5)
            self.label, self.itself = label, self

    return Seeded(label="a")


def generic(stack: ExitStack) -> Any:
    class Texts(typing.Generic[T], map):  # type: ignore[type-arg]
        pass

    made: Any = Texts(str, [1, 2])
    made.label = "a"
    next(made)
    return made


def arguments(stack: ExitStack) -> Any:
    parser = argparse.ArgumentParser("prog", argument_default=argparse.SUPPRESS)
    parser.add_argument("-n", type=int)
    parser.add_argument("--hidden", help=argparse.SUPPRESS)
    parser.add_subparsers(dest="command").add_parser("go").add_argument("where")
    return parser


def parses(received: Any) -> None:
    assert vars(received.parse_args(["-n", "3"])) == {"n": 3, "command": None}
    assert vars(received.parse_args(["go", "x"])) == {"command": "go", "where": "x"}
    assert "--hidden" not in received.format_help()


def own_parser(stack: ExitStack) -> Any:
    class Tool(argparse.ArgumentParser):
        def __init__(self, *, label: str) -> None:
            super().__init__(label)
            self.label = label

    return Tool(label="tool")


def options(stack: ExitStack) -> Any:
    parser = optparse.OptionParser(usage=optparse.SUPPRESS_USAGE)
    parser.add_option("-n", type="int", help="%default")
    parser.add_option("--hidden", help=optparse.SUPPRESS_HELP)
    return parser


def shows(received: Any) -> None:
    text = received.format_help()
    assert "none" in text and "--hidden" not in text and "Usage" not in text  # noqa: PT018
    assert received.parse_args(["-n", "3"])[0].n == 3


class Base:
    number = 4

    def get(self) -> Any:
        return "base", self.number

    @classmethod
    def name(cls) -> str:
        return cls.__name__


class Child(Base):
    def get(self) -> Any:
        return "child"


def child(stack: ExitStack) -> Any:
    made: Any = Child()
    made.above = super(Child, made)
    return made


CASES = [
    Case("subclass.date", adds(datetime.date, 2020, 1, 2), added(lambda r: r.day == 2)),
    Case("subclass.datetime", adds(datetime.datetime, 2020, 1, 2), added(lambda r: r.day == 2)),
    Case("subclass.timedelta", adds(datetime.timedelta, 3), added(lambda r: r.days == 3)),
    Case("subclass.decimal", adds(decimal.Decimal, "1.5"), added(lambda r: str(r) == "1.5")),
    Case("subclass.fraction", adds(fractions.Fraction, 1, 2), added(lambda r: r.denominator == 2)),
    Case("subclass.path", adds(type(pathlib.Path()), "/a"), added(lambda r: str(r) == "/a")),
    Case("subclass.counter", adds(collections.Counter, "aab"), added(lambda r: r["a"] == 2)),
    Case("subclass.defaultdict", adds(collections.defaultdict, list), added(lambda r: r[1] == [])),
    Case("subclass.deque", adds(collections.deque, "ab", 2), added(lambda r: r.maxlen == 2)),
    Case("subclass.frozenset", adds(frozenset, "ab"), added(lambda r: "a" in r)),
    Case("subclass.element", adds(ElementTree.Element, "a"), added(lambda r: r.tag == "a")),
    Case("subclass.map", adds(map, str, [1, 2], taken=1), added(lambda r: list(r) == ["2"])),
    Case("subclass.enumerate", adds(enumerate, "ab", taken=1), added(lambda r: list(r))),
    Case("subclass.count", adds(itertools.count, 3, taken=1), added(lambda r: next(r) == 4)),
    Case("subclass.chain", adds(itertools.chain, "ab", taken=1), added(lambda r: list(r) == ["b"])),
    Case("subclass.product", adds(itertools.product, "ab"), added(lambda r: next(r) == ("a",))),
    Case("subclass.permutations", adds(itertools.permutations, "abc"), added(lambda r: next(r))),
    Case("subclass.repeat", adds(itertools.repeat, 1, 2), added(lambda r: list(r) == [1, 1])),
    Case("subclass.random", adds(random.Random, 5), added(lambda r: r.random() > 0)),
    Case("subclass.cycle", adds(itertools.cycle, "abc", taken=4), added(lambda r: next(r) == "b")),
    Case("subclass.slots", slotted, so(lambda r: r.show() == ("EUR", [1], "1.50"))),
    Case(
        "subclass.array",
        numbers,
        so(lambda r: (r.label, list(r)) == ("a", [1, 2])),
        routes="argument closure",  # as data, Dask itself sends it as a plain array
    ),
    Case("subclass.init", lists, so(lambda r: r.label == "a" and r["x"] == [])),
    Case("subclass.zone", zone, so(lambda r: r.utcoffset() == datetime.timedelta(hours=3))),
    Case(
        "subclass.random.init",
        seeded,
        so(lambda r: r.itself is r and r.random() == random.Random(5).random()),
    ),
    Case("subclass.generic", generic, so(lambda r: r.label == "a" and list(r) == ["2"])),
    Case(
        "subclass.package_path",
        lambda stack: importlib.metadata.files("cloudpickle")[0],  # type: ignore[index]
        so(lambda r: r.locate() and r.dist.version),
    ),
    Case(
        "exception.package",
        lambda stack: importlib.metadata.PackageNotFoundError(),
        so(lambda r: r.args == ()),
    ),
    Case(
        "twin.decimal", lambda stack: _pydecimal.Decimal("1.5"), so(lambda r: str(r * 2) == "3.0")
    ),
    Case("twin.context", lambda stack: _pydecimal.Context(prec=3), so(lambda r: r.prec == 3)),
    Case(
        "twin.zoneinfo",
        lambda stack: sys.modules["zoneinfo._zoneinfo"].ZoneInfo("UTC"),
        so(lambda r: r.key == "UTC" and type(r) is not zoneinfo.ZoneInfo),
    ),
    Case(
        "twin.date",
        lambda stack: __import__("_pydatetime").date(2020, 1, 2),
        so(lambda r: r.isoformat() == "2020-01-02"),
        versions=((3, 12), (3, 99)),
    ),
    Case(
        "twin.disk_usage",
        lambda stack: shutil.disk_usage("/"),
        so(lambda r: r.total and not hasattr(r, "__dict__")),
    ),
    Case(
        "date.week",
        lambda stack: datetime.date(2020, 12, 31).isocalendar(),
        so(lambda r: (r.year, r.week, r.weekday) == (2020, 53, 4)),
    ),
    Case("mock.any", lambda stack: unittest.mock.ANY, so(lambda r: r is unittest.mock.ANY)),
    Case("argparse.suppress", arguments, parses),
    Case("argparse.own", own_parser, so(lambda r: vars(r.parse_args([])) == {})),
    Case(
        "argparse.partial",
        lambda stack: functools.partial(arguments(stack).parse_args, ["-n", "1"]),
        so(lambda r: vars(r()) == {"n": 1, "command": None}),
    ),
    Case("optparse.suppress", options, shows),
    Case("super", lambda stack: super(Child, Child()), so(lambda r: r.get() == ("base", 4))),
    Case("super.class", lambda stack: super(Child, Child), so(lambda r: r.name() == "Child")),
    Case("super.method", lambda stack: super(Child, Child()).get, so(lambda r: r() == ("base", 4))),
    Case("super.cycle", child, so(lambda r: r.above.__self__ is r and r.above.get()[1] == 4)),
    Case("super.unbound", lambda stack: super(Child), so(lambda r: r.__self__ is None)),
]
