"""Modules arrive by name, or with what they hold."""

from __future__ import annotations

import importlib.util
import os.path
import sys
import types
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle.pool import count_fired
from daskpickle.testing import ReducerContract


class Own(types.ModuleType):
    """One that has all names."""

    def __getattr__(self, name: str) -> Any:
        return name


class TestModule(ReducerContract):
    def make(self) -> Any:
        module: Any = types.ModuleType("made", "It was made.")
        module.itself, module.get = module, lambda: module.itself
        return module

    def same(self, sent: Any, received: Any) -> None:
        assert received.itself is received is received.get()
        assert (received.__name__, received.__doc__) == ("made", "It was made.")
        assert received.__builtins__["len"] is len

    @staticmethod
    def use(received: Any) -> Any:
        return received.get().__doc__


class TestOwnModule(ReducerContract):
    def make(self) -> Any:
        module = Own("own")
        vars(module)["itself"] = module
        return module

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Own
        assert received.itself is received
        assert received.anything == "anything"


@pytest.fixture
def lazy() -> Iterator[types.ModuleType]:
    """Return a module that is imported when it is used."""
    name = "this"
    spec: Any = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def test_names_are_enough(lazy: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Of what can be imported; a lazy module stays unread where it is pickled."""
    before = count_fired()
    assert b"daskpickle" not in daskpickle.dumps(os.path)
    assert count_fired() == before
    data = daskpickle.dumps([os.path, lazy])
    assert capsys.readouterr().out == ""
    assert daskpickle.loads(data)[0] is os.path
    assert daskpickle.loads(data)[1] is lazy


def test_a_user_may_ask_for_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As cloudpickle has it."""
    module = types.ModuleType("theirs")
    monkeypatch.setitem(sys.modules, "theirs", module)
    module.x = 1  # type: ignore[attr-defined]
    assert daskpickle.loads(daskpickle.dumps(module)) is module
    cloudpickle.register_pickle_by_value(module)
    try:
        received = daskpickle.loads(daskpickle.dumps(module))
        assert daskpickle.loads(daskpickle.dumps(os)) is os
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert received is not module
    assert received.x == 1
