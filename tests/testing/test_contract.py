"""The contract passes what keeps it, and fails what breaks it: a flawed reducer for each point."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import Recipe
from daskpickle.errors import RefusedError
from daskpickle.testing import ReducerContract

HINT = "Open it inside the task."
SECRET = "correct horse"
COUNTER = itertools.count(1)
KEPT: list[Any] = []


class Reader:
    """A handle to a file, such as a user may have."""

    def __init__(self, path: Path, password: str = "") -> None:
        self.file = path.open()
        self.path = path
        self.password = password

    def read(self) -> str:
        self.file.seek(0)
        return self.file.read()

    def close(self) -> None:
        self.file.close()


class StandIn:
    """Pretends to be a reader."""

    __class__ = Reader  # type: ignore[assignment]

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str:
        return self.path.read_text()


def open_reader(path: Path) -> Reader:
    return Reader(path)


def open_or_create(path: Path) -> Reader:
    path.touch()
    return Reader(path)


def open_and_keep(path: Path) -> Reader:
    KEPT.append(path.open())
    return Reader(path)


def open_with_password(path: Path, password: str) -> Reader:
    return Reader(path, password)


def open_counting(path: Path, number: Any) -> Reader:
    return Reader(path)


def open_another(path: Path) -> Reader:
    return Reader(path.with_name("other.txt"))


def rebuild_counting(path: Path, number: int) -> StandIn:
    return Changing(path)


class Changing(StandIn):
    """Is pickled differently each time."""

    def __reduce__(self) -> Any:
        return rebuild_counting, (self.path, next(COUNTER))


def rebuild_stand_in(path: Path) -> StandIn:
    return StandIn(path)


def rebuild_open(path: Path) -> Reader:
    return Reader(path)


def reduce_well(reader: Reader) -> Recipe:
    if reader.file.closed:
        raise RefusedError(reader, "It is closed.")
    return Recipe(open_reader, reader.path)


def reduce_moving(reader: Reader) -> Recipe:
    reader.file.read()
    return Recipe(open_reader, reader.path)


def refuse_without_a_reason(reader: Reader) -> Recipe:
    if reader.file.closed:
        raise RefusedError(reader, "closed")
    return Recipe(open_reader, reader.path)


class Contract(ReducerContract):
    """The contract of `Reader`; not collected under this name."""

    path: Path
    secret = SECRET
    patience = 0.1

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "some.txt"
        self.path.write_text("some")
        self.path.with_name("other.txt").write_text("other")

    def make(self) -> Any:
        return Reader(self.path, SECRET)

    def same(self, sent: Any, received: Any) -> bool:
        return received.read() == "some"

    def refused(self) -> list[Any]:
        return [(self.closed, "closed")]

    def closed(self) -> Any:
        reader = Reader(self.path)
        reader.close()
        return reader

    def state(self, obj: Any) -> Any:
        return None if obj.file.closed else obj.file.tell()

    def close(self, obj: Any) -> None:
        obj.close()

    def target(self, obj: Any) -> Path:
        return self.path

    @staticmethod
    def use(received: Any) -> Any:
        return received.read()


@pytest.fixture
def registered() -> Any:
    """Return a function that registers a reducer for `Reader`, which is taken back afterwards."""

    def register(reduce: Callable[[Any], Any], hint: str = HINT) -> None:
        daskpickle.register(Reader, reduce, scope="process", hint=hint, replace=True)

    yield register
    daskpickle.unregister(Reader)


class TestWell(Contract):
    """What keeps the contract passes all of it."""

    @pytest.fixture(autouse=True)
    def reducer(self, registered: Any) -> None:
        registered(reduce_well)


FLAWS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "another": ("test_it_travels", lambda r: Recipe(open_another, r.path)),
    "changes": ("test_it_repeats_what_arrived", lambda r: (rebuild_counting, (r.path, 0))),
    "random": (
        "test_the_same_state_gives_the_same_bytes",
        lambda r: Recipe(open_counting, r.path, uuid.uuid4()),
    ),
    "stand-in": ("test_a_task_gets_the_real_thing", lambda r: (rebuild_stand_in, (r.path,))),
    "opens": (
        "test_a_fresh_interpreter_loads_and_opens_nothing",
        lambda r: (rebuild_open, (r.path,)),
    ),
    "moves": ("test_the_sender_is_untouched", reduce_moving),
    "leaks": ("test_nothing_leaks", lambda r: Recipe(open_and_keep, r.path)),
    "silent": ("test_refusals_say_why_and_travel_themselves", refuse_without_a_reason),
    "foreign": ("test_the_reduced_value_is_well_formed", lambda r: (os.stat, (r.path,))),
    "nested": ("test_the_reduced_value_is_well_formed", lambda r: (lambda: r, ())),
    "telling": (
        "test_no_secret_is_in_the_bytes",
        lambda r: Recipe(open_with_password, r.path, r.password),
    ),
}


@pytest.mark.leaks("one of the flawed reducers leaks on purpose")
@pytest.mark.parametrize(("test", "reduce"), FLAWS.values(), ids=FLAWS.keys())
def test_a_flaw_fails_its_test(
    test: str, reduce: Callable[[Any], Any], registered: Any, tmp_path: Path
) -> None:
    """Each flaw fails the test that is there for it."""
    registered(reduce)
    contract = Contract()
    contract.path = tmp_path / "some.txt"
    contract.path.write_text("some")
    contract.path.with_name("other.txt").write_text("other")
    arguments = {"protocol": 5} if test == "test_it_travels" else {}
    with pytest.raises(AssertionError):
        getattr(contract, test)(**arguments)
    while KEPT:
        KEPT.pop().close()


def test_creating_what_is_absent_fails(registered: Any, tmp_path: Path) -> None:
    """A reducer that creates the missing file does not raise, which the contract wants it to."""
    registered(lambda r: Recipe(open_or_create, r.path))
    contract = Contract()
    contract.path = tmp_path / "some.txt"
    contract.path.write_text("some")
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        contract.test_what_is_absent_is_not_created()


def test_a_refusal_without_a_hint_fails(registered: Any, tmp_path: Path) -> None:
    """What to do is part of a refusal."""
    registered(reduce_well, hint="")
    contract = Contract()
    contract.path = tmp_path / "some.txt"
    contract.path.write_text("some")
    with pytest.raises(AssertionError):
        contract.test_refusals_say_why_and_travel_themselves()


def test_a_hook_that_is_not_defined_has_no_test() -> None:
    """Tests come and go with the hooks of a subclass, so that none is skipped."""

    class Least(ReducerContract):
        def make(self) -> Any:
            return None

    class More(Least):
        secret = SECRET

        @staticmethod
        def use(received: Any) -> Any:
            return None

    class Refuser(ReducerContract):
        def refused(self) -> list[Any]:
            return []

    def tests(contract: type[ReducerContract]) -> set[str]:
        return {n for n in dir(contract) if n.startswith("test_") and getattr(contract, n)}

    assert len(tests(Contract)) == len(tests(Least)) + 4
    assert tests(More) - tests(Least) == {
        "test_a_fresh_interpreter_can_use_it",
        "test_no_secret_is_in_the_bytes",
    }
    assert tests(Refuser) == {"test_refusals_say_why_and_travel_themselves"}
