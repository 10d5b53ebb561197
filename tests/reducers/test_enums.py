"""Members of enumerations arrive as those that their class has there."""

from __future__ import annotations

import enum
import http
from typing import Any

import daskpickle
from daskpickle.pool import count_fired
from daskpickle.testing import ReducerContract


class Named(enum.Enum):
    NAN = float("nan")
    LIST = [1]
    ALIAS = LIST


class TestEnum(ReducerContract):
    def make(self) -> Any:
        return Named.NAN

    def same(self, sent: Any, received: Any) -> bool:
        return received is sent

    @staticmethod
    def use(received: Any) -> Any:
        return received.name


def test_a_value_that_tells_is_enough() -> None:
    """The bytes are those of plain pickle; nothing of ours is needed for the others either."""
    before = count_fired()
    assert b"getattr" not in daskpickle.dumps([http.HTTPStatus.OK])
    data = daskpickle.dumps([Named.LIST, Named.ALIAS])
    assert b"daskpickle" not in data
    assert daskpickle.loads(data) == [Named.LIST, Named.LIST]
    assert count_fired() == before


def test_a_local_one_that_arrives_twice_is_the_same() -> None:
    """Its values are others each time."""

    class Operation(enum.Enum):
        TWICE = (lambda x: 2 * x,)

    data = daskpickle.dumps(Operation.TWICE)
    assert daskpickle.loads(data) is daskpickle.loads(data)
