"""Small types that are written in C."""

from __future__ import annotations

import _random
import decimal
import random
import secrets
import struct
import unicodedata
from typing import Any

import daskpickle
from daskpickle.testing import ReducerContract


class Header(struct.Struct):
    """A subclass whose ``__init__`` asks for something else."""

    def __init__(self, form: str, label: str = "") -> None:
        super().__init__(form)
        self.label = label


class Dice(random.SystemRandom):
    sides = 6


class Numbers(_random.Random):
    """A subclass with an attribute."""


class TestStruct(ReducerContract):
    def make(self) -> Any:
        return struct.Struct("<hI")

    def same(self, sent: Any, received: Any) -> bool:
        assert type(received) is type(sent)
        return bool(received.format == sent.format and received.pack(1, 2) == sent.pack(1, 2))

    @staticmethod
    def use(received: Any) -> Any:
        return received.unpack(b"\1\0\2\0\0\0")


class TestStructSubclass(TestStruct):
    def make(self) -> Any:
        return Header("<hI", "a header")

    def same(self, sent: Any, received: Any) -> bool:
        return bool(super().same(sent, received) and received.label == "a header")


class TestUnpacking(ReducerContract):
    def make(self) -> Any:
        iterator = struct.iter_unpack("<h", memoryview(bytes(range(10)))[2:])
        next(iterator)
        return iterator

    def same(self, sent: Any, received: Any) -> None:
        expected = [(0x0504,), (0x0706,), (0x0908,)]
        assert list(received) == list(sent) == expected

    def state(self, obj: Any) -> Any:
        return obj.__length_hint__()

    @staticmethod
    def use(received: Any) -> Any:
        return list(received)


class TestEndedUnpacking(TestUnpacking):
    def make(self) -> Any:
        iterator = struct.iter_unpack("<h", b"ab")
        next(iterator)
        return iterator

    def same(self, sent: Any, received: Any) -> bool:
        return list(received) == list(sent) == []


class TestSystemRandom(ReducerContract):
    def make(self) -> Any:
        return random.SystemRandom()

    def same(self, sent: Any, received: Any) -> bool:
        return type(received) is type(sent) and 0 <= received.random() < 1


class TestSystemRandomSubclass(TestSystemRandom):
    def make(self) -> Any:
        made = Dice()
        made.sides = 1
        return made

    def same(self, sent: Any, received: Any) -> bool:
        return bool(super().same(sent, received) and received.randint(1, received.sides) == 1)


class TestRandom(ReducerContract):
    def make(self) -> Any:
        made = _random.Random(4)
        made.random()
        return made

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received.random() == sent.random())

    def state(self, obj: Any) -> Any:
        return obj.getstate()

    @staticmethod
    def use(received: Any) -> Any:
        return received.random()


class TestRandomSubclass(TestRandom):
    def make(self) -> Any:
        made: Any = Numbers(4)
        made.label = "numbers"
        return made

    def same(self, sent: Any, received: Any) -> bool:
        return bool(super().same(sent, received) and received.label == "numbers")


class TestLocalContext(ReducerContract):
    def refused(self) -> list[Any]:
        return [(decimal.localcontext, "context cannot be read")]


def test_a_random_generator_pickles_by_itself() -> None:
    """Its bytes name nothing of daskpickle."""
    source = random.Random(4)
    data = daskpickle.dumps(source)
    assert b"daskpickle" not in data
    assert daskpickle.loads(data).random() == source.random()


def test_the_functions_of_secrets_travel() -> None:
    """They are methods of a system generator."""
    assert daskpickle.loads(daskpickle.dumps(secrets.choice))([1]) == 1


def test_the_database_of_unicode_arrives_as_itself() -> None:
    """There is one other than that of the module, and it has a name there."""
    data = daskpickle.dumps([unicodedata.ucd_3_2_0])
    assert daskpickle.loads(data)[0] is unicodedata.ucd_3_2_0
    assert b"daskpickle" not in data


class Seeded(random.Random):
    """A subclass whose ``__init__`` asks for something else, and that leads back to itself."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *, label: str) -> None:
        super().__init__(5)
        self.label, self.itself = label, self


class Careful(random.Random):
    """Sees to its state itself."""

    def getstate(self) -> Any:
        return (super().getstate(), "more")

    def setstate(self, state: Any) -> None:
        super().setstate(state[0])
        self.given = state[1]


class TestSeeded(ReducerContract):
    def make(self) -> Any:
        source = Seeded(label="a")
        source.gauss(0, 1)
        return source

    def same(self, sent: Any, received: Any) -> bool:
        assert type(received) is Seeded
        assert received.itself is received
        return bool(received.label == "a" and received.getstate() == sent.getstate())

    @staticmethod
    def use(received: Any) -> Any:
        return received.gauss(0, 1)


def test_a_source_of_random_numbers_that_sees_to_its_state_does_so() -> None:
    """As with plain pickle; `random.Random` itself names nothing of daskpickle."""
    received = daskpickle.loads(daskpickle.dumps(Careful(3)))
    assert received.given == "more"
    assert received.random() == random.Random(3).random()
    assert b"daskpickle" not in daskpickle.dumps(random.Random(3))
