"""Mocks arrive with their calls, and with their specification."""

from __future__ import annotations

from typing import Any
from unittest import mock

import daskpickle
from daskpickle.testing import ReducerContract


class Spec:
    """What a mock stands for."""

    def double(self, number: int) -> int:
        return 2 * number


class TestMock(ReducerContract):
    def make(self) -> Any:
        made = mock.MagicMock(spec=Spec)
        made.double.return_value = 7
        made.double(1)
        return made

    def same(self, sent: Any, received: Any) -> None:
        assert isinstance(received, Spec)
        assert received.double(1) == 7
        assert received.double.mock_calls == [mock.call(1), mock.call(1)]
        assert not hasattr(received, "other")
        assert sent.double.mock_calls == [mock.call(1)]

    def state(self, obj: Any) -> Any:
        return len(obj.mock_calls)

    # Its class is its own, and by value: the order of what it has depends on the process.

    def test_it_repeats_what_arrived(self) -> None:
        """It travels on, with the calls of then."""
        received = daskpickle.loads(daskpickle.dumps(self.make()))
        self.same(self.make(), daskpickle.loads(daskpickle.dumps(received)))

    def test_a_fresh_interpreter_loads_and_opens_nothing(self) -> None:
        """Loading it does nothing."""
        answer = self._fresh(daskpickle.dumps(self.make()))
        assert (answer["events"], answer["opened"], answer["listing"]) == ([], {}, [])


class TestCall(ReducerContract):
    def make(self) -> Any:
        return mock.call.a(1).b(2, c=3)

    def same(self, sent: Any, received: Any) -> bool:
        return received == sent and repr(received) == repr(sent) and type(received) is type(sent)

    @staticmethod
    def use(received: Any) -> Any:
        return repr(received), received.args, received.kwargs


def test_a_mock_without_a_specification_pickles_by_itself() -> None:
    """With the calls that it has recorded."""
    made = mock.Mock(return_value=3)
    assert b"daskpickle" not in daskpickle.dumps(made)
    made(1, b=2)
    made.child(5)
    received = daskpickle.loads(daskpickle.dumps(made))
    received.assert_called_once_with(1, b=2)
    assert received() == 3
    assert received.child.call_args == mock.call(5)


def test_the_mock_that_equals_everything_is_the_receivers_own() -> None:
    """There is one in each process; nodes without daskpickle load it."""
    data = daskpickle.dumps([mock.ANY])
    assert b"daskpickle" not in data
    assert daskpickle.loads(data)[0] is mock.ANY
