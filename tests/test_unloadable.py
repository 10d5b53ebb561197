"""What plain pickle cannot load arrives: what passes on what it is asked, or asks for more."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import daskpickle
from daskpickle.unloadable import is_unloadable


class Wrapper:
    """Passes on everything, as many a proxy does."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)


class FromDict:
    def __init__(self, **values: Any) -> None:
        self.__dict__["values"] = values

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["values"][name]

    def __setattr__(self, name: str, value: Any) -> None:
        self.values[name] = value


class Slotted:
    __slots__ = ("other", "wrapped")

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)


class Everything:
    """Has an answer to whatever it is asked."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def __getattr__(self, name: str) -> Any:
        return lambda *args: f"{self.answer} {name}"


class WithState(Wrapper):
    def __getstate__(self) -> Any:
        return {"wrapped": self.wrapped, "copied": True}


class Asks:
    """Cannot be made without an argument, and does not tell pickle which."""

    def __new__(cls, number: int) -> Any:
        made = super().__new__(cls)
        made.number = number
        return made

    number: int


class AsksAndPassesOn(Asks):
    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)


class AsksWithState(Asks):
    def __setstate__(self, state: Any) -> None:
        self.number = state["number"] + 1


def passing_on() -> Any:
    made: Any = AsksAndPassesOn(1)
    made.wrapped = [1]
    return made


class Guarded(Wrapper):
    """Does it right."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return super().__getattr__(name)


class Late(Wrapper):
    def __del__(self) -> None:
        self.wrapped.append("gone")


class Own(Wrapper):
    def __reduce__(self) -> Any:
        return Own, (self.wrapped,)


DELEGATES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Any]] = {
    "wrapper": (lambda: Wrapper([1, 2]), lambda got: (got.count(1), got.wrapped), (1, [1, 2])),
    "from a dict": (lambda: FromDict(x=1), lambda got: (got.x, len(vars(got))), (1, 1)),
    "slots": (lambda: Slotted([1]), lambda got: (got.count(1), hasattr(got, "other")), (1, False)),
    "everything": (lambda: Everything("no"), lambda got: got.matter(), "no matter"),
    "asks": (lambda: Asks(2), lambda got: got.number, 2),
    "asks and passes on": (passing_on, lambda got: (got.number, got.count(1)), (1, 1)),
    "asks, with a state": (lambda: AsksWithState(2), lambda got: got.number, 3),
    "with a state": (lambda: WithState([1]), lambda got: (got.count(1), got.copied), (1, True)),
}  # fmt: skip


@pytest.mark.parametrize("case", DELEGATES)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_it_arrives(case: str, protocol: int) -> None:
    """Alone and twice in a list, where plain pickle fails when it is loaded."""
    make, look, expected = DELEGATES[case]
    sent = make()
    with pytest.raises((RecursionError, KeyError, TypeError, AssertionError)):
        assert look(pickle.loads(pickle.dumps(sent, protocol))) == expected
    received = daskpickle.loads(daskpickle.dumps([sent, sent], protocol))
    assert received[0] is received[1]
    assert type(received[0]) is type(sent)
    assert look(received[0]) == expected


def test_one_that_leads_back_to_itself() -> None:
    """Its state is set after it is known."""
    sent = Wrapper([])
    sent.wrapped.append(sent)
    received = daskpickle.loads(daskpickle.dumps(sent))
    assert received.wrapped[0] is received


def test_a_bare_node_loads_what_only_asks_for_arguments() -> None:
    """By what the standard library has for older protocols."""
    assert pickle.loads(daskpickle.dumps(Asks(2))).number == 2
    assert b"daskpickle" not in daskpickle.dumps(Asks(2))


def test_a_local_class() -> None:
    """Its class travels by value."""

    class Local(Wrapper):
        pass

    assert daskpickle.loads(daskpickle.dumps(Local([1]))).count(1) == 1


@pytest.mark.parametrize("obj", [Guarded([1]), Own([1]), Wrapper], ids=["guarded", "own", "class"])
def test_what_pickle_can_do_has_its_bytes(obj: Any) -> None:
    """No daskpickle is needed for them."""
    assert daskpickle.dumps(obj) == pickle.dumps(obj, 5)


def test_what_is_registered_counts() -> None:
    """In `copyreg`, at any time."""
    sent = Wrapper([1])
    daskpickle.dumps(sent)
    reduce: Any = lambda obj: (str, ("registered",))
    copyreg.pickle(Wrapper, reduce)
    try:
        assert daskpickle.loads(daskpickle.dumps(sent)) == "registered"
    finally:
        del copyreg.dispatch_table[Wrapper]


def test_nothing_that_ends_is_made() -> None:
    """A class with a ``__del__`` is left alone."""
    assert is_unloadable(Wrapper)
    assert not is_unloadable(Late)
