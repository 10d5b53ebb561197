"""Sentinels arrive as those of the receiver."""

from __future__ import annotations

import configparser
import contextvars
import dataclasses
import enum
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle.pool import count_fired
from daskpickle.testing import ReducerContract

NOTHING = object()
NAMED: dict[str, Any] = {
    "MISSING": dataclasses.MISSING,
    "KW_ONLY": dataclasses.KW_ONLY,
    "factory": dataclasses._HAS_DEFAULT_FACTORY,  # type: ignore[attr-defined]
    "auto": enum._auto_null,  # type: ignore[attr-defined]
    "unset": configparser._UNSET,
    "timeout": socket._GLOBAL_DEFAULT_TIMEOUT,  # type: ignore[attr-defined]
    "token": contextvars.Token.MISSING,
    "mine": NOTHING,
    "unnamed": getattr(configparser, "UNNAMED_SECTION", NOTHING),
}


class TestObject(ReducerContract):
    def make(self) -> Any:
        return NOTHING

    def same(self, sent: Any, received: Any) -> bool:
        return received is sent


class TestMissing(TestObject):
    def make(self) -> Any:
        return dataclasses.MISSING


class TestTokenMissing(TestObject):
    def make(self) -> Any:
        return contextvars.Token.MISSING


@pytest.mark.parametrize("name", NAMED)
def test_it_is_the_receivers_own(name: str, fresh_process: Callable[..., bytes]) -> None:
    """In any process, and without daskpickle."""
    before = count_fired()
    data = daskpickle.dumps([NAMED[name], NAMED[name]])
    assert count_fired() == before
    assert b"daskpickle" not in data
    first, second = daskpickle.loads(data)
    assert first is second is NAMED[name]


def test_one_without_a_name_arrives_as_another_one() -> None:
    """The same one for all that refer to it."""
    mine = object()
    first, second, known = daskpickle.loads(daskpickle.dumps([mine, mine, NOTHING]))
    assert first is second is not mine
    assert type(first) is object
    assert known is NOTHING


def test_a_name_that_is_given_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is taken away is not."""
    late = object()
    assert daskpickle.loads(daskpickle.dumps(late)) is not late
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "LATE", late, raising=False)
    assert daskpickle.loads(daskpickle.dumps(late)) is late
    monkeypatch.delattr(module, "LATE")
    assert daskpickle.loads(daskpickle.dumps(late)) is not late


def test_modules_that_others_cannot_import_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are made up, and those that travel by value."""
    made: Any = types.ModuleType("made_up_for_sentinels")
    made.ONE = object()
    monkeypatch.setitem(sys.modules, made.__name__, made)
    assert b"made_up" not in daskpickle.dumps([made.ONE])
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "OTHER", object(), raising=False)
    cloudpickle.register_pickle_by_value(module)
    try:
        assert b"OTHER" not in daskpickle.dumps([module.OTHER])  # type: ignore[attr-defined]
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_fields_of_a_local_dataclass_still_have_no_default() -> None:
    """What they say is compared with the sentinel."""

    @dataclasses.dataclass
    class Local:
        x: int
        y: Any = dataclasses.field(default=NOTHING)

    x, y = dataclasses.fields(daskpickle.loads(daskpickle.dumps(Local)))
    assert x.default is dataclasses.MISSING
    assert y.default is NOTHING
