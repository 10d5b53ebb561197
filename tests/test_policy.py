"""The policy: which action a class gets, in which context; reducers never ask it."""

from __future__ import annotations

import contextvars
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import daskpickle
from daskpickle import Policy, RefusedError, register, unregister, use_policy
from daskpickle.policy import current_policy, set_default_policy


class Subject:
    """Has three actions here."""

    def __init__(self, value: Any = 0) -> None:
        self.value = value


class Unregistered:
    pass


NAME = f"{__name__}.Subject"


@pytest.fixture(autouse=True)
def actions() -> Iterator[None]:
    register(Subject, lambda obj: (str, ("one",)), action="one")
    register(Subject, lambda obj: (str, ("two",)), action="two")
    hint = "Choose another action."
    register(Subject, lambda obj: (str, ("three",)), action="three", default=True, hint=hint)
    yield
    unregister(Subject)


def action_taken() -> Any:
    return pickle.loads(daskpickle.dumps([Subject()]))[0]


def test_the_default_action_is_taken_without_a_policy() -> None:
    """The registration that says so is the default, not the first one."""
    assert action_taken() == "three"


@pytest.mark.parametrize("action", ["one", "two", "three"])
def test_a_policy_chooses_an_action(action: str) -> None:
    """Inside the context its action is taken, outside the default."""
    with use_policy({NAME: action}):
        assert action_taken() == action
    assert action_taken() == "three"


def test_the_inner_policy_counts() -> None:
    """A policy replaces the outer one, and what it does not name has its default."""
    with use_policy({NAME: "one"}):
        with use_policy({NAME: "two"}):
            assert action_taken() == "two"
        with use_policy(Policy()):
            assert action_taken() == "three"
        assert action_taken() == "one"


def test_a_policy_ends_with_an_error_too() -> None:
    """An exception inside the context takes the policy back."""
    with pytest.raises(KeyError), use_policy({NAME: "one"}):
        raise KeyError
    assert action_taken() == "three"


def test_the_default_policy_of_the_process() -> None:
    """It counts where no context has one, and a context goes before it."""
    former = set_default_policy(Policy({NAME: "one"}))
    try:
        assert action_taken() == "one"
        assert current_policy().actions == {NAME: "one"}
        with use_policy({}):
            assert action_taken() == "three"
    finally:
        assert set_default_policy(former).actions == {NAME: "one"}
    assert action_taken() == "three"


def test_a_policy_belongs_to_its_context() -> None:
    """Another thread has none; a copied context keeps it."""
    found: list[Any] = []
    with use_policy({NAME: "one"}):
        thread = threading.Thread(target=lambda: found.append(action_taken()))
        thread.start()
        thread.join()
        context = contextvars.copy_context()
    assert found == ["three"]
    assert context.run(action_taken) == "one"


def test_a_policy_counts_when_the_pickler_is_made() -> None:
    """A pickler goes by the policy of the moment at which it was made."""
    import io

    file = io.BytesIO()
    with use_policy({NAME: "one"}):
        pickler = daskpickle.Pickler(file)
    pickler.dump(Subject())
    assert pickle.loads(file.getvalue()) == "one"


def test_every_class_can_be_refused() -> None:
    """The action "refuse" needs no registration, not even one of the class."""
    with use_policy({NAME: "refuse", f"{__name__}.Unregistered": "refuse"}):
        with pytest.raises(RefusedError, match=r"The policy refuses it\. Choose another action\."):
            daskpickle.dumps([Subject()])
        with pytest.raises(RefusedError) as caught:
            daskpickle.dumps({"a": Unregistered()})
        assert caught.value.path == "obj['a']"
    assert isinstance(pickle.loads(daskpickle.dumps(Unregistered())), Unregistered)


@pytest.mark.parametrize("cls", [Subject, Unregistered])
def test_an_action_that_a_class_does_not_have(cls: type) -> None:
    """The error says which actions there are."""
    name = f"{__name__}.{cls.__name__}"
    known = "one, refuse, three, two" if cls is Subject else "refuse"
    message = f"chooses 'four' for {name}, which has the actions {known}"
    with use_policy({name: "four"}), pytest.raises(ValueError, match=message):
        daskpickle.dumps(cls())


def test_many_policies() -> None:
    """Their tables are kept for a while, and no more than a few: each counts all the same."""
    for number in range(200):
        with use_policy({NAME: ("one", "two")[number % 2], "some.Class": str(number)}):
            assert action_taken() == ("one", "two")[number % 2]
    assert len(daskpickle.Pickler.dispatch_table._tables) <= 64


def test_a_policy_cannot_be_changed() -> None:
    """It is immutable, also by way of the mapping that it was made of."""
    actions = {NAME: "one"}
    policy = Policy(actions)
    actions[NAME] = "two"
    assert policy.actions == {NAME: "one"}
    with pytest.raises(TypeError):
        policy.actions[NAME] = "two"  # type: ignore[index]
    with pytest.raises(AttributeError):
        policy.actions = {}  # type: ignore[misc]


def test_equal_policies_are_equal() -> None:
    """By their choices; they can be keys, and are pickled."""
    policy = Policy({NAME: "one", "a.B": "two"})
    same = Policy({"a.B": "two", NAME: "one"})
    assert policy == same
    assert hash(policy) == hash(same)
    assert policy != Policy({NAME: "one"})
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert daskpickle.loads(daskpickle.dumps(policy)) == policy


def test_what_arrived_keeps_its_action() -> None:
    """A lock that arrived as what one policy chose is pickled again as that, under any policy."""
    from daskpickle.testing import elsewhere

    lock = threading.Lock()
    with use_policy({"_thread.lock": "fresh"}):
        data = daskpickle.dumps(lock)
    assert data != daskpickle.dumps(lock)
    with elsewhere():
        received = daskpickle.loads(data)
        assert daskpickle.dumps(received) == data
        with use_policy({"_thread.lock": "refuse"}):
            assert daskpickle.dumps(received) == data
