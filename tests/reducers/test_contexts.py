"""A variable is the receiver's own, or one per process; a context is a snapshot."""

from __future__ import annotations

import decimal
import sys
import types
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle.testing import ReducerContract, elsewhere

GLOBAL: ContextVar[Any] = ContextVar("a name of its own")


class Holder:
    """A class that holds a variable."""

    current: ContextVar[Any] = ContextVar("current")


def sent_again(obj: Any) -> Any:
    return daskpickle.loads(daskpickle.dumps(obj))


class TestHeldVariable(ReducerContract):
    def make(self) -> Any:
        return GLOBAL

    def same(self, sent: Any, received: Any) -> bool:
        return received is sent


class TestVariableOfAClass(TestHeldVariable):
    def make(self) -> Any:
        return Holder.current


class TestVariable(ReducerContract):
    def make(self) -> Any:
        variable: ContextVar[tuple[int]] = ContextVar("mine", default=(1,))
        Context().run(variable.set, (2,))
        return variable

    def same(self, sent: Any, received: Any) -> None:
        assert received is not sent
        assert (received.name, received.get()) == ("mine", (1,))
        token = received.set((3,))
        assert sent.get() == (1,)
        received.reset(token)

    @staticmethod
    def use(received: Any) -> Any:
        return received.name, received.get(), Context().run(received.get)


class TestVariableWithoutDefault(ReducerContract):
    def make(self) -> Any:
        return ContextVar("mine")

    def same(self, sent: Any, received: Any) -> None:
        assert received is not sent
        with pytest.raises(LookupError):
            received.get()


class TestDecimalVariable(TestHeldVariable):
    def make(self) -> Any:
        context = Context()
        context.run(decimal.getcontext)
        return next(iter(context))


class TestContext(ReducerContract):
    def make(self) -> Any:
        context, mine = Context(), ContextVar[int]("mine")
        for variable, value in ((GLOBAL, [1]), (mine, 2), (Holder.current, 3)):
            context.run(variable.set, value)
        context.run(decimal.setcontext, decimal.Context(prec=3))
        return context

    def same(self, sent: Any, received: Any) -> None:
        assert received.run(GLOBAL.get) == [1]
        assert received.run(GLOBAL.get) is not sent[GLOBAL]
        assert received[Holder.current] == 3
        assert [value for key, value in received.items() if key.name == "mine"] == [2]
        assert str(received.run(lambda: decimal.Decimal(1) / 3)) == "0.333"
        assert len(received) == len(sent) == 4
        assert GLOBAL.get(None) is None

    def state(self, obj: Any) -> Any:
        return dict(obj.items())

    @staticmethod
    def use(received: Any) -> Any:
        return sorted((key.name, str(value)) for key, value in received.items())


class TestToken(ReducerContract):
    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [(lambda: GLOBAL.set(1), "It can only be used in the context")]

    def close(self, obj: Any) -> None:
        GLOBAL.reset(obj)


@pytest.fixture
def module() -> Iterator[Any]:
    """A module that can be imported, as far as anyone can tell."""
    name = "module_of_a_variable"
    made = sys.modules[name] = types.ModuleType(name)
    yield made
    del sys.modules[name]


def test_a_variable_comes_home_as_the_original() -> None:
    """Also in a process where it has arrived, for all that hold it."""
    variable: ContextVar[int] = ContextVar("mine")
    data = daskpickle.dumps(variable)
    assert daskpickle.loads(data) is variable
    with elsewhere():
        first, second = daskpickle.loads(data), daskpickle.loads(data)
        assert first is second is sent_again(first) is not variable


def test_two_variables_of_one_name_stay_two() -> None:
    """Their tokens differ."""
    both = [ContextVar[int]("mine"), ContextVar[int]("mine")]
    data = daskpickle.dumps(both)
    with elsewhere():
        first, second = daskpickle.loads(data)
        assert first is not second


def test_a_function_and_a_context_mean_the_same_variable() -> None:
    """What a context is set to is what a function finds that runs in it."""
    variable: ContextVar[int] = ContextVar("mine", default=0)
    context = Context()
    context.run(variable.set, 5)
    data = [daskpickle.dumps(obj) for obj in (context, lambda: variable.get())]
    with elsewhere():
        received, read = map(daskpickle.loads, data)
        assert (received.run(read), read()) == (5, 0)


def test_a_variable_is_found_where_it_has_gone(module: Any) -> None:
    """It is looked for again where it is no longer; then it is a variable of nobody."""
    variable = module.first = ContextVar[int]("mine")
    assert b"first" in daskpickle.dumps(variable)
    module.second = module.__dict__.pop("first")
    assert b"second" in daskpickle.dumps(variable)
    del module.second
    data = daskpickle.dumps(variable)
    with elsewhere():
        assert daskpickle.loads(data).name == "mine"


def test_a_module_that_travels_by_value_is_no_place(module: Any) -> None:
    """Nobody could import it."""
    module.variable = ContextVar[int]("mine")
    cloudpickle.register_pickle_by_value(module)
    try:
        data = daskpickle.dumps(module.variable)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert module.__name__.encode() not in data


def test_what_a_process_is_for_dask_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as its current client, which no other process could have."""
    name = "distributed.module_of_a_variable"
    module: Any = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    module.variable = ContextVar[Any]("_current_client")
    context = Context()
    context.run(module.variable.set, sys._getframe())
    context.run(GLOBAL.set, 1)
    assert list(sent_again(context)) == [GLOBAL]


def test_a_context_may_lead_back_to_itself() -> None:
    """Its values are set after it was made."""
    context = Context()
    context.run(GLOBAL.set, [context])
    received = sent_again(context)
    assert received[GLOBAL][0] is received
