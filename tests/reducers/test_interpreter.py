"""What an interpreter says of itself arrives as what it says there."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest

import daskpickle
from daskpickle.reducers.interpreter import NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", [2, 5])
def test_it_is_the_one_of_the_receiver(name: str, protocol: int) -> None:
    """Its name travels."""
    facts = getattr(sys, name)
    received, again = pickle.loads(daskpickle.dumps([facts, {"again": facts}], protocol))
    assert received is again["again"] is facts


def test_another_one_travels_by_its_values() -> None:
    """Where its type lets anybody make one."""
    made: Any = type(sys.int_info)([30, 4, 1, 2][: len(sys.int_info)])
    assert pickle.loads(daskpickle.dumps(made)) == made
