"""The errors: full sentences with their facts as attributes, which survive every journey."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle import errors
from daskpickle.errors import (
    DaskpickleError,
    DaskpickleWarning,
    HandleError,
    PluginError,
    RefusedError,
    RegistrationError,
    VersionError,
    describe_type,
    refused_as,
)

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def refused() -> RefusedError:
    error = RefusedError(print, "It cannot travel.", "Call it by its name.")
    error.path, error.key, error.host = "f<closure 'p'>", "sum-1", "tcp://10.0.0.1:8786"
    error.own_thread = True
    return error


def with_note() -> DaskpickleError:
    error = DaskpickleError("Something is wrong.")
    error.__notes__ = ["While pickling it."]  # type: ignore[attr-defined,unused-ignore]
    return error


ERRORS: dict[str, Callable[[], Exception]] = {
    "DaskpickleError": lambda: DaskpickleError("Something", "is wrong."),
    "DaskpickleWarning": lambda: DaskpickleWarning("Something may be wrong."),
    "HandleError": lambda: HandleError("a.B", "OSError: no", host="tcp://10.0.0.1:8786"),
    "PluginError": lambda: PluginError("The plug-in 'x' could not be loaded."),
    "RefusedError": refused,
    "RegistrationError": lambda: RegistrationError("It contradicts itself."),
    "refused_as": lambda: refused_as(RuntimeError)(print, "It stays here.", "Leave it."),
    "refused_as OSError": lambda: refused_as(OSError)(print, "It stays here.", "Leave it."),
    "refused_as AttributeError": lambda: refused_as(AttributeError)(print, "It stays here."),
    "VersionError": lambda: VersionError("It was written by a newer daskpickle."),
    "notes": with_note,
}

JOURNEYS: dict[str, Callable[[Any], Any]] = {
    **{f"pickle {n}": (lambda e, n=n: pickle.loads(pickle.dumps(e, n))) for n in PROTOCOLS},  # type: ignore[misc]
    **{f"ours {n}": (lambda e, n=n: daskpickle.loads(daskpickle.dumps(e, n))) for n in PROTOCOLS},  # type: ignore[misc]
    "cloudpickle": lambda e: cloudpickle.loads(cloudpickle.dumps(e)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "twice": lambda e: pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(e)))),
}


def test_every_error_is_tested() -> None:
    """A new error class needs an example here."""
    assert set(errors.__all__) == {name.partition(" ")[0] for name in ERRORS} - {"notes"}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("journey", JOURNEYS)
def test_errors_survive(name: str, journey: str) -> None:
    """The copy has the class, the arguments, the sentence and all facts."""
    error = ERRORS[name]()
    received = JOURNEYS[journey](error)
    assert received is not error
    assert type(received) is type(error)
    assert received.args == error.args
    assert str(received) == str(error)
    assert vars(received) == vars(error)


def test_a_refusal_can_be_caught_as_what_pickle_and_dask_expect() -> None:
    """It is a PicklingError for pickle's users, and the TypeError that Dask tells from others."""
    assert issubclass(RefusedError, (pickle.PicklingError, TypeError))
    assert RefusedError.__mro__.index(pickle.PicklingError) > 0
    assert RefusedError.__mro__.index(TypeError) > 0


def test_bases_are_those_that_others_know() -> None:
    """Code that does not know daskpickle can catch its errors by their ordinary names."""
    assert issubclass(RegistrationError, ValueError)
    assert issubclass(refused_as(ValueError), ValueError)
    assert refused_as(ValueError) is refused_as(ValueError)
    assert refused_as(TypeError) is RefusedError
    assert issubclass(VersionError, ImportError)
    assert issubclass(DaskpickleWarning, UserWarning)
    everything = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert all(issubclass(error, DaskpickleError) for error in everything)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "Cannot pickle int: it is odd. Make it even."),
        ({"path": "obj.x"}, "Cannot pickle int at `obj.x`: it is odd. Make it even."),
        (
            {"path": "graph.operands[0]", "key": "a-1", "host": "tcp://h:1"},
            "Cannot pickle int at `graph.operands[0]` on tcp://h:1 for task 'a-1': it is odd. "
            "Make it even.",
        ),
        (
            {"path": "task 'a-1'.args[0]", "key": "a-1"},
            "Cannot pickle int at `task 'a-1'.args[0]`: it is odd. Make it even.",
        ),
        ({"hint": ""}, "Cannot pickle int: it is odd."),
        ({"why": "Its place is taken."}, "Cannot pickle int: its place is taken. Make it even."),
        ({"why": "ITEMS are no good."}, "Cannot pickle int: ITEMS are no good. Make it even."),
    ],
)
def test_the_sentence_of_a_refusal(facts: dict[str, str], sentence: str) -> None:
    """Type, path, node, task, reason and remedy, as far as they are known."""
    error = RefusedError(3, "It is odd.", "Make it even.")
    vars(error).update(facts)
    assert str(error) == sentence


def test_a_refusal_does_not_keep_the_object() -> None:
    """The facts are strings: the error of a large object is small."""
    large = bytearray(10_000_000)
    assert len(pickle.dumps(RefusedError(large, "It is large."))) < 500


def test_a_handle_error_says_what_where_and_why() -> None:
    """It names the type, the node and the cause."""
    error = HandleError("lab.Client", "OSError: no route", host="tcp://10.0.0.1:1")
    assert str(error) == "Cannot open lab.Client on tcp://10.0.0.1:1: OSError: no route"
    assert (error.type_name, error.why, error.host) == (
        "lab.Client",
        "OSError: no route",
        "tcp://10.0.0.1:1",
    )
    assert str(HandleError("lab.Client", "no")) == "Cannot open lab.Client: no"


class Outer:
    class Inner:
        pass


class Disguised:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        return int


@pytest.mark.parametrize(
    ("obj", "name"),
    [
        (1, "int"),
        (int, "int"),
        (type, "type"),
        (Outer.Inner, f"{__name__}.Outer.Inner"),
        (Outer.Inner(), f"{__name__}.Outer.Inner"),
        pytest.param(Disguised(), f"{__name__}.Disguised", id="disguised"),
        (None, "NoneType"),
    ],
)
def test_types_are_named_by_where_they_are(obj: object, name: str) -> None:
    """Builtins by name alone, others by module and qualified name; it is not asked."""
    assert describe_type(obj) == name


def test_nothing_is_paid_where_nothing_fails(fresh_process: Callable[..., bytes]) -> None:
    """The search for paths is imported by the first failure, and by nothing before it."""
    code = """
        import sys, threading
        import daskpickle

        daskpickle.loads(daskpickle.dumps([threading.Lock(), {"a": lambda: 1}, 2.5]))
        assert "daskpickle.paths" not in sys.modules
        try:
            daskpickle.dumps(i for i in ())
        except daskpickle.RefusedError as exc:
            assert exc.path == "obj"
        assert "daskpickle.paths" in sys.modules
    """
    fresh_process(code)
