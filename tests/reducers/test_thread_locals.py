"""Thread-local data: one per process; the thread that loads it has what the sender had."""

from __future__ import annotations

import _threading_local
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import daskpickle
from daskpickle.testing import ReducerContract, elsewhere


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in another thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    thread.join()
    return results[0]


class Counted(threading.local):
    """Says how often its ``__init__`` ran."""

    runs: ClassVar[int] = 0

    def __init__(self, first: int = 1, *, more: str = "") -> None:
        type(self).runs += 1
        self.first, self.more = first, more


class PythonCounted(_threading_local.local):  # type: ignore[misc]
    """The same, of the one written in Python."""

    def __init__(self, first: int = 1, *, more: str = "") -> None:
        self.first, self.more = first, more


class Keywords(threading.local):
    """Takes keywords alone, and has a slot, which all threads share."""

    __slots__ = ("slot",)

    def __init__(self, **facts: Any) -> None:
        vars(self).update(facts)


class TestLocal(ReducerContract):
    def make(self) -> Any:
        local = threading.local()
        local.numbers = [1]
        in_thread(setattr, local, "other", 2)
        return local

    def same(self, sent: Any, received: Any) -> None:
        assert received is not sent
        assert type(received) is type(sent)
        assert vars(received) == {"numbers": [1]}
        assert in_thread(vars, received) == {}
        received.more = 1
        assert "more" not in vars(sent)
        del received.more

    def state(self, obj: Any) -> Any:
        return dict(vars(obj))

    @staticmethod
    def use(received: Any) -> Any:
        return vars(received)


class TestPythonLocal(TestLocal):
    def make(self) -> Any:
        local = _threading_local.local()
        local.numbers = [1]
        in_thread(setattr, local, "other", 2)
        return local


class TestSubclass(ReducerContract):
    def make(self) -> Any:
        local = Counted(2, more="m")
        local.first = 3
        return local

    def same(self, sent: Any, received: Any) -> None:
        assert vars(received) == {"first": 3, "more": "m"}
        assert in_thread(vars, received) == {"first": 2, "more": "m"}

    def state(self, obj: Any) -> Any:
        return dict(vars(obj))


class TestPythonSubclass(TestSubclass):
    def make(self) -> Any:
        local = PythonCounted(2, more="m")
        local.first = 3
        return local


class TestKeywords(ReducerContract):
    def make(self) -> Any:
        local = Keywords(one=1)
        local.two, local.slot = 2, 3
        return local

    def same(self, sent: Any, received: Any) -> None:
        assert vars(received) == {"one": 1, "two": 2}
        assert in_thread(vars, received) == {"one": 1}
        assert received.slot == in_thread(getattr, received, "slot") == 3

    def state(self, obj: Any) -> Any:
        return dict(vars(obj))


def test_loading_runs_no_init() -> None:
    """A thread's ``__init__`` is anyone's code; it runs when another thread uses what arrived."""
    data = daskpickle.dumps(Counted(5))
    with elsewhere():
        before = Counted.runs
        received = daskpickle.loads(data)
        assert daskpickle.loads(data) is received
        in_thread(daskpickle.loads, data)
        assert Counted.runs == before
        assert received.first == 5
        assert in_thread(getattr, received, "first") == 5
        assert Counted.runs == before + 1


def test_it_comes_home_as_it_is_now() -> None:
    """What was set since is not undone."""
    local = threading.local()
    local.number = 1
    data = daskpickle.dumps(local)
    local.number = 2
    assert daskpickle.loads(data) is local
    assert local.number == 2
    assert in_thread(lambda: vars(daskpickle.loads(data))) == {}


def test_each_thread_in_which_it_arrives_has_what_was_sent() -> None:
    """Until it has set something itself."""
    local = threading.local()
    local.number = 1
    data = daskpickle.dumps(local)
    with elsewhere():
        received = daskpickle.loads(data)
        received.number = 2
        assert daskpickle.loads(data).number == 2
        assert in_thread(lambda: daskpickle.loads(data).number) == 1
        assert in_thread(vars, received) == {}
        assert daskpickle.dumps(received) == data


def test_it_may_lead_back_to_itself() -> None:
    """Its attributes are set after it was made."""
    for local in (threading.local(), _threading_local.local()):
        local.me = [local]
        data = daskpickle.dumps(local)
        with elsewhere():
            received = daskpickle.loads(data)
            assert received.me[0] is received
