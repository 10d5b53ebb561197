"""What a reducer promises, as tests: subclass `ReducerContract` for each class you register.

Needs pytest; nothing else in daskpickle does.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("daskpickle.testing.contract")  # full messages from its asserts

from daskpickle.testing.contract import ReducerContract, elsewhere  # noqa: E402

__all__ = ["ReducerContract", "elsewhere"]
