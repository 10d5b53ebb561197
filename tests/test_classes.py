"""`daskpickle.classes`: classes by value are what they were, and made once per process."""

from __future__ import annotations

import enum
import pickle
import typing
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle import classes
from daskpickle.errors import RefusedError


class Base:
    """One that can be imported, and knows its subclasses."""

    known: typing.ClassVar[list[tuple[str, Any]]] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Base.known.append((cls.__name__, getattr(cls, "kind", None)))


def elsewhere(data: bytes) -> Any:
    """Load as a process that has none of the classes yet."""
    by_id = dict(cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID)
    cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()
    try:
        return pickle.loads(data), pickle.loads(data)
    finally:
        cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.update(by_id)


def test_who_is_told_of_a_class_is_told_once() -> None:
    """With cloudpickle each load makes one more, which has nothing yet; any node can load it."""

    class Derived(Base):
        kind = "x"

    data = daskpickle.dumps(Derived())
    assert b"daskpickle" not in data
    del Base.known[:]
    first, second = elsewhere(data)
    assert type(first) is type(second) is not Derived
    assert Base.known == [("Derived", "x")]


def test_what_a_class_statement_was_given_is_an_attribute() -> None:
    """Of the same name, maybe with an underscore; what is no attribute cannot be told."""

    class Told:
        def __init_subclass__(cls, *, table: str, size: int, **kwargs: Any) -> None:
            cls.table, cls._size = table.upper(), size  # type: ignore[attr-defined]

    class Users(Told, table="users", size=3):
        pass

    data = daskpickle.dumps(Users)
    assert b"daskpickle" not in data
    received, _ = elsewhere(data)
    assert (received.table, received._size) == ("USERS", 3)
    del Users._size  # type: ignore[attr-defined]
    with pytest.raises(RefusedError, match=r"given 'size'.*import"):
        daskpickle.dumps(Users)


def test_typed_dicts_travel() -> None:
    """cloudpickle's cannot be loaded; any node can load these."""

    class Movie(typing.TypedDict):
        title: str

    data = daskpickle.dumps(Movie)
    assert b"daskpickle" not in data
    received, _ = elsewhere(data)
    assert typing.is_typeddict(received)
    assert received(title="M") == {"title": "M"}


def test_enumerations_need_nothing_of_ours() -> None:
    """Unless their members are not made of their values."""

    class Color(enum.Enum):
        RED = 1
        ROT = 1

    class Code(str, enum.Enum):
        def __new__(cls, value: str, number: int) -> Any:
            member = str.__new__(cls, value)
            member._value_ = number
            return member

        A = "a", 1

    data = daskpickle.dumps(Color)
    assert b"daskpickle" not in data
    assert list(elsewhere(data)[0].__members__) == ["RED", "ROT"]
    received, again = elsewhere(daskpickle.dumps(Code.A))
    assert received is again is type(received)(1)
    assert received == "a"
    assert vars(type(received)).keys() <= vars(Code).keys()


def test_what_can_be_imported_is_not_made() -> None:
    """It has a name."""
    assert classes.reduce_class(Base) is NotImplemented
