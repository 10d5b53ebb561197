"""Dates: those of a calendar of weeks; everything else in `datetime` pickles by itself.

Notes
-----
- Travels: what ``date.isocalendar`` returns, of which Python would make a plain tuple.
- Lost: nothing.
- Refused: nothing.
"""

from __future__ import annotations

import datetime
from typing import Any

from daskpickle import register
from daskpickle.handles import neutral

WeekDate: Any = type(datetime.date.min.isocalendar())


@register(
    WeekDate,
    travels="the date",
    lost="nothing",
    refused="nothing",
    hint="Pass the date.",
)
@neutral
def reduce_week_date(date: Any) -> tuple[Any, ...]:
    """Say of which date it is."""
    return datetime.date.isocalendar, (datetime.date.fromisocalendar(*date),)
