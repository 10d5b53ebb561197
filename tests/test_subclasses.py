"""What a subclass adds to a class of the standard library travels with what it is."""

from __future__ import annotations

import array
import copyreg
import datetime
import itertools
import pathlib
import pickle
import sys
import uuid
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import pytest

import daskpickle
from daskpickle.subclasses import is_forgotten


class Day(datetime.date):
    pass


class Price(Decimal):
    __slots__ = ("__secret", "currency")

    def hide(self, value: Any) -> None:
        self.__secret = value

    def show(self) -> Any:
        return self.__secret


class Cycle(itertools.cycle):  # type: ignore[type-arg]
    pass


class Lists(defaultdict):  # type: ignore[type-arg]
    def __init__(self) -> None:
        super().__init__(list)


class Zone(datetime.tzinfo):
    def __init__(self, hours: int) -> None:
        self.hours = hours

    def utcoffset(self, moment: Any) -> datetime.timedelta:
        return datetime.timedelta(hours=self.hours)


class Element(ElementTree.Element):
    pass


class Words(Counter[str]):
    pass


class Key(uuid.UUID):
    __slots__ = ("label",)


class Numbers(array.array):  # type: ignore[type-arg]
    __slots__ = ("label",)


def sent(obj: Any) -> Any:
    received = daskpickle.loads(daskpickle.dumps(obj))
    assert type(received) is type(obj)
    return received


@pytest.mark.parametrize(
    "obj",
    [
        Day(2020, 1, 2),
        type("Path", (type(pathlib.PurePath()),), {"__module__": __name__})("/a"),
        type("Half", (Fraction,), {"__module__": __name__})(1, 2),
        Words("aab"),
        Element("a", {"b": "1"}),
        type("Text", (map,), {"__module__": __name__})(str, [1]),
    ],
    ids=lambda obj: type(obj).__name__,
)
def test_attributes_of_a_subclass_travel(obj: Any) -> None:
    """Also those that lead back to it."""
    obj.label, obj.itself = ["a"], obj
    received = sent(obj)
    assert received.label == ["a"]
    assert received.itself is received


def test_what_has_no_attributes_is_pickled_as_before() -> None:
    """Nodes without daskpickle load it, and with them too where the base sets no state."""
    day = Day(2020, 1, 2)
    assert daskpickle.dumps(day) == pickle.dumps(day, 5)
    day.label = "a"  # type: ignore[attr-defined]
    data = daskpickle.dumps(day)
    assert b"daskpickle" not in data
    assert pickle.loads(data).label == "a"


def test_slots_of_a_subclass_travel() -> None:
    """By the names that they have inside the class."""
    price = Price("1.50")
    price.currency = "EUR"
    price.hide([1])
    received = sent(price)
    assert (received.currency, received.show(), str(received)) == ("EUR", [1], "1.50")
    key = Key(int=5)
    object.__setattr__(key, "label", "a")
    assert (sent(key).label, sent(key).int) == ("a", 5)  # type: ignore[attr-defined]
    numbers = Numbers("i", [1, 2])
    numbers.label = "a"  # type: ignore[attr-defined]
    assert (sent(numbers).label, list(sent(numbers))) == ("a", [1, 2])


@pytest.mark.filterwarnings("ignore:Pickle, copy:DeprecationWarning")
def test_the_state_that_the_base_knows_travels_too() -> None:
    """And is set by the base."""
    cycle = Cycle([1, 2, 3])
    cycle.itself = cycle  # type: ignore[attr-defined]
    assert [next(cycle) for _ in range(4)] == [1, 2, 3, 1]
    received = sent(cycle)
    assert received.itself is received
    assert [next(received) for _ in range(3)] == [2, 3, 1]


def test_a_class_that_asks_for_other_arguments_is_not_called() -> None:
    """What it was given is in its attributes."""
    lists = Lists()
    lists["a"].append(1)
    lists.label = "a"  # type: ignore[attr-defined]
    received = sent(lists)
    assert (received["a"], received["b"], received.label) == ([1], [], "a")
    zone = sent(Zone(3))
    assert (zone.hours, zone.utcoffset(None)) == (3, datetime.timedelta(hours=3))
    assert sent(datetime.datetime(2020, 1, 1, tzinfo=Zone(2))).tzinfo.hours == 2


class Own(datetime.date):
    def __reduce__(self) -> Any:
        return Own, (self.year, 1, 1)


class Stateful(datetime.date):
    def __setstate__(self, state: Any) -> None:
        raise AssertionError("It says itself what it is given.")


def test_a_class_that_says_itself_how_it_is_pickled_is_believed() -> None:
    """By a method, or in `copyreg`."""
    for cls in (Own, Stateful, datetime.date, dict, type("D", (dict,), {}), IOError, int):
        assert not is_forgotten(cls)
    own = Own(2020, 5, 5)
    own.label = "a"  # type: ignore[attr-defined]
    assert vars(sent(own)) == {}
    copyreg.pickle(Day, lambda day: (Day, (1, 1, 1)))
    try:
        assert sent(Day(2020, 1, 2)) == Day(1, 1, 1)
    finally:
        del copyreg.dispatch_table[Day]


def test_the_twins_in_python_travel_by_their_own_names() -> None:
    """They say that they are the classes of the modules in C."""
    import _pydecimal
    import zoneinfo._zoneinfo
    from shutil import disk_usage

    number = sent(_pydecimal.Decimal("1.5"))
    assert str(number + 1) == "2.5"
    assert sent(_pydecimal.Context(prec=3)).prec == 3
    assert daskpickle.loads(daskpickle.dumps(_pydecimal.getcontext)) is _pydecimal.getcontext
    assert sent(zoneinfo._zoneinfo.ZoneInfo("UTC")).key == "UTC"  # type: ignore[attr-defined]
    assert sent(disk_usage("/")).total > 0
    assert sys.modules["_pydecimal"] is _pydecimal
