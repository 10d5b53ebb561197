"""Dates of a calendar of weeks."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract


class TestWeekDate(ReducerContract):
    def make(self) -> Any:
        return datetime.date(2020, 12, 31).isocalendar()

    def same(self, sent: Any, received: Any) -> bool:
        return type(received) is type(sent) and received == sent and received.week == 53

    @staticmethod
    def use(received: Any) -> Any:
        return list(received)


@pytest.mark.parametrize("date", [datetime.date.min, datetime.date.max])
def test_the_first_and_the_last_date_travel(date: datetime.date) -> None:
    """Each date of weeks is that of a date; nodes without daskpickle load it."""
    data = daskpickle.dumps(date.isocalendar())
    assert b"daskpickle" not in data
    assert daskpickle.loads(data) == date.isocalendar()
