"""Exceptions arrive with what they tell, whatever they hold."""

# ruff: noqa: N818 - what they are called says what they are cases of

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import RefusedError
from daskpickle.pool import count_fired
from daskpickle.testing import ReducerContract

pytestmark = pytest.mark.usefixtures("without_tblib")


class TwoArgs(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class NotFound(FileNotFoundError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "no such thing", path)


class Slots(Exception):
    __slots__ = ("extra",)

    def __init__(self, *, extra: Any) -> None:
        super().__init__("slots")
        self.extra = extra


class OwnState(Exception):
    def __setstate__(self, state: Any) -> None:
        self.state = state


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


def raised(error: BaseException, cause: BaseException | None = None) -> Any:
    """Raise it while another one is handled, and return it as it was caught."""
    try:
        try:
            raise KeyError("context")
        except KeyError:
            raise error from cause
    except type(error) as exc:
        exc.__suppress_context__ = cause is not None
        return exc


class TestException(ReducerContract):
    def make(self) -> Any:
        error = raised(ValueError("x", 1), NotFound("f"))
        error.more = [1]
        return error

    def same(self, sent: Any, received: Any) -> None:
        assert repr(received) == "ValueError('x', 1)"
        assert received.more == [1]
        cause = received.__cause__
        assert (type(cause), cause.errno, cause.filename) == (NotFound, 2, "f")
        assert repr(received.__context__) == "KeyError('context')"
        assert received.__suppress_context__
        assert str(cause) == str(sent.__cause__)


class TestOSError(ReducerContract):
    def make(self) -> Any:
        return raised(FileNotFoundError(2, "no", "f", None, "g"))

    def same(self, sent: Any, received: Any) -> None:
        assert str(received) == str(sent)
        assert (received.errno, received.filename, received.filename2) == (2, "f", "g")
        assert type(received.__context__) is KeyError
        assert not received.__suppress_context__


class TestLeftBehind(ReducerContract):
    def make(self) -> Any:
        error = raised(TwoArgs(1, "x"))
        error.items = (x for x in [])
        return daskpickle.loads(daskpickle.dumps(error)).items

    def same(self, sent: Any, received: Any) -> None:
        assert repr(received).startswith("<generator object")
        assert (received.why, received.type_name) == (sent.why, "generator")


@pytest.mark.parametrize(
    "make",
    [lambda: TwoArgs(1, "x"), lambda: NotFound("f"), lambda: Slots(extra=[1]), lambda: OwnState(1)],
    ids=["TwoArgs", "NotFound", "Slots", "OwnState"],
)
def test_no_init_of_the_user_runs(make: Callable[[], Any]) -> None:
    """Its parameters may be others than the arguments."""
    sent = make()
    received = daskpickle.loads(daskpickle.dumps(sent))
    assert type(received) is type(sent)
    assert (str(received), received.args) == (str(sent), sent.args)
    assert getattr(received, "extra", None) == getattr(sent, "extra", None)


def test_many_that_led_to_one_another_travel() -> None:
    """All of them, and as few bytes as each needs: one inside the other they are too deep."""

    def chain(length: int) -> Any:
        error: Any = None
        for number in range(length):
            later = ValueError(number)
            later.__context__, error = error, later
        return error

    received = daskpickle.loads(daskpickle.dumps(chain(3000)))
    numbers = []
    while received is not None:
        numbers += received.args
        received = received.__context__
    assert numbers == list(reversed(range(3000)))
    assert len(daskpickle.dumps(chain(3000))) < 3000 * 60


def test_what_lets_nobody_set_an_attribute_travels() -> None:
    """A frozen dataclass, with its cause."""
    try:
        raise Frozen(3) from KeyError("cause")
    except Frozen as exc:
        sent = exc
    received = daskpickle.loads(daskpickle.dumps(sent))
    assert (received, received.args) == (sent, (3,))
    assert repr(received.__cause__) == "KeyError('cause')"


def test_a_pickled_traceback_changes_nothing_for_exceptions() -> None:
    """That it imports tblib is not its use for all exceptions."""
    sent = raised(ValueError("x"))
    before = daskpickle.dumps(sent)
    daskpickle.dumps(sent.__traceback__)
    assert daskpickle.dumps(sent) == before


def test_plain_ones_are_as_plain_pickle_has_them() -> None:
    """The same bytes, and none of our types."""
    before = count_fired()
    syntax = SyntaxError("bad", ("f", 1, 2, "x"))
    for error in (syntax, ValueError("x", 1), KeyError(1), OSError(2, "no", "f"), ImportError("x")):
        assert daskpickle.dumps(error) == pickle.dumps(error, 5)
    assert count_fired() == before


def test_a_node_that_lacks_daskpickle_loads_them(fresh_process: Callable[..., bytes]) -> None:
    """With their cause, where their class is known."""
    code = """
        import pickle, sys
        error = pickle.loads(sys.stdin.buffer.read())
        print(repr(error), repr(error.__cause__), error.more, "daskpickle" in sys.modules)
    """
    error = ValueError("x")
    error.more = 1  # type: ignore[attr-defined]
    error.__cause__ = OSError(2, "no", "f")
    said = b"ValueError('x') FileNotFoundError(2, 'no') 1 False\n"
    assert fresh_process(code, daskpickle.dumps(error)) == said


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Groups are new in Python 3.11.")
def test_groups_keep_what_they_group() -> None:
    """Each with its own cause and notes."""
    inner = raised(TwoArgs(1, "x"), ValueError("why"))
    inner.add_note("note")
    group = raised(ExceptionGroup("several", [inner, ExceptionGroup("more", [KeyError()])]))  # type: ignore[name-defined] # noqa: F821
    received = daskpickle.loads(daskpickle.dumps(group))
    first, second = received.exceptions
    assert (str(first), str(first.__cause__), first.__notes__) == ("1: x", "why", ["note"])
    assert type(second.exceptions[0]) is KeyError
    assert type(received.__context__) is KeyError


def test_one_that_was_raised_leaves_behind_what_cannot_travel() -> None:
    """Wherever it is among what it holds, and only that; the original keeps all."""
    items = (x for x in [])
    lock = threading.Lock()
    error = raised(TwoArgs(1, "x"), raised(ValueError("text", [1, items])))
    error.held, error.lock = {"deep": items}, lock
    received = daskpickle.loads(daskpickle.dumps(error))
    assert str(received) == "1: x"
    assert repr(received.held).startswith("{'deep': <generator")
    assert "cannot be recorded" in received.held.why
    text, (number, left) = received.__cause__.args
    assert (text, number) == ("text", 1)
    assert str(received.__cause__) == str(error.__cause__)
    assert left.type_name == "generator"
    with received.lock:
        pass
    assert error.held["deep"] is items


def test_one_that_was_not_raised_is_data() -> None:
    """What cannot travel in it is refused, with its path."""
    error = TwoArgs(1, "x")
    error.items = (x for x in [])  # type: ignore[attr-defined]
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps([error])
    assert caught.value.path == "obj[0].items"


def test_what_cannot_be_shown_is_left_behind_all_the_same() -> None:
    """Its ``__repr__`` is anyone's."""

    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError

        def __reduce__(self) -> Any:
            raise TypeError("cannot pickle 'Silent' object")

    error = raised(ValueError(Silent()))
    (left,) = daskpickle.loads(daskpickle.dumps(error)).args
    assert repr(left) == "<Silent>"


def test_links_that_go_round() -> None:
    """An error may be in its own context."""
    first, second = ValueError("first"), KeyError("second")
    first.__context__, second.__cause__ = second, first
    received = daskpickle.loads(daskpickle.dumps(first))
    assert received.__context__.__cause__ is received


def test_errors_that_share_what_they_hold() -> None:
    """It is not copied to be looked at."""
    shared = [1]
    first, second = daskpickle.loads(daskpickle.dumps([raised(ValueError(shared)), shared]))
    assert first.args[0] is second


def test_a_traceback_travels_as_dask_has_it() -> None:
    """Files, functions and lines; also where distributed is not in use."""
    sent = raised(ValueError("x")).__traceback__
    received = daskpickle.loads(daskpickle.dumps([sent]))[0]
    assert traceback.extract_tb(received) == traceback.extract_tb(sent)


def test_the_traceback_travels_where_tblib_is_in_use() -> None:
    """As in Dask, also of classes that came after it; elsewhere as plain pickle has it."""
    code = """if True:
        import sys, daskpickle, pickle
        class Late(Exception): pass
        def fail(): raise Late("x")
        def caught():
            try: fail()
            except Late as exc: return exc
        print(daskpickle.loads(daskpickle.dumps(caught())).__traceback__)
        import tblib.pickling_support
        tblib.pickling_support.install()
        class Later(Late): pass
        def fail(): raise Later("x")
        traceback = daskpickle.loads(daskpickle.dumps(caught())).__traceback__
        print(traceback.tb_next.tb_frame.f_code.co_name)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("None\nfail\n", "")


def test_an_attribute_that_a_subclass_hides_is_not_asked_for() -> None:
    """A property may need arguments that the exception does not have, and cannot be set."""
    from importlib.metadata import PackageNotFoundError

    assert daskpickle.loads(daskpickle.dumps(PackageNotFoundError())).args == ()
    assert daskpickle.loads(daskpickle.dumps(PackageNotFoundError("x"))).name == "x"
