"""Type variables, new types and aliases keep their identity and what they say."""

from __future__ import annotations

import pickle
import sys
import typing
from typing import Any

import cloudpickle
import pytest

import daskpickle
from daskpickle.reducers import typings
from daskpickle.testing import ReducerContract

P = typing.ParamSpec("P")
UserId = typing.NewType("UserId", int)


def made_by(source: str) -> Any:
    """Return the variable ``made`` of a source that only a newer Python can compile."""
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(source, namespace)
    return namespace["made"]


class TestParamSpec(ReducerContract):
    def make(self) -> Any:
        return typing.ParamSpec("Local")

    def same(self, sent: Any, received: Any) -> None:
        assert received.__name__ == "Local"
        assert received.__module__ == __name__


class TestNewType(ReducerContract):
    def make(self) -> Any:
        return typing.NewType("Local", int)

    def same(self, sent: Any, received: Any) -> None:
        assert (received.__name__, received.__supertype__, received(5)) == ("Local", int, 5)
        assert received.__module__ == __name__


if sys.version_info >= (3, 11):

    class TestTypeVarTuple(ReducerContract):
        def make(self) -> Any:
            return typing.TypeVarTuple("Local")

        def same(self, sent: Any, received: Any) -> bool:
            return bool(received.__name__ == "Local")


if sys.version_info >= (3, 12):

    class TestTypeVar(ReducerContract):
        def make(self) -> Any:
            return made_by("class C[A: int]: pass\nmade = C.__type_params__[0]")

        def same(self, sent: Any, received: Any) -> None:
            assert (received.__name__, received.__bound__) == ("A", int)
            assert received.__infer_variance__

    class TestTypeAlias(ReducerContract):
        def make(self) -> Any:
            return made_by("type Pair[A] = tuple[A, A]\nmade = Pair")

        def same(self, sent: Any, received: Any) -> None:
            (variable,) = received.__type_params__
            assert (received.__name__, received.__module__) == ("Pair", __name__)
            assert received.__value__ == tuple[variable, variable]

        def refused(self) -> list[Any]:
            return [(lambda: made_by("type T[A] = A | list[T]\nmade = T"), "refers to itself")]

    class TestRecursiveAlias(ReducerContract):
        def make(self) -> Any:
            return made_by("type Json = int | list[Json]\nmade = Json")

        def same(self, sent: Any, received: Any) -> None:
            assert (received.__name__, received.__module__) == ("Json", __name__)
            assert received.__value__ == int | list[received]


@pytest.mark.parametrize("obj", [P, UserId], ids=str)
def test_what_can_be_imported_travels_by_name(obj: Any) -> None:
    """It arrives as itself; no node needs anything of ours."""
    data = daskpickle.dumps([obj, 1])
    assert b"daskpickle" not in data
    assert daskpickle.loads(data)[0] is obj


def test_it_arrives_as_one() -> None:
    """Twice, in another pickle, and where it was made."""
    local = typing.NewType("local", int)
    spec: Any = typing.ParamSpec("spec")
    assert daskpickle.loads(daskpickle.dumps(local)) is local
    assert daskpickle.loads(daskpickle.dumps([spec, spec.args]))[1].__origin__ is spec


def test_of_a_module_that_travels_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver lacks the module: so does what is in it."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        data = daskpickle.dumps([P, UserId])
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert b"rebuild_variable" in data
    assert daskpickle.loads(data) == [P, UserId]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Defaults are new in Python 3.13.")
def test_a_variable_keeps_its_default() -> None:
    """Which cloudpickle loses."""
    local = typing.TypeVar("local", default=int)  # type: ignore[misc]
    data = daskpickle.dumps(local)
    assert b"rebuild_variable" in data
    assert daskpickle.loads(data).__default__ is int


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Aliases are new in Python 3.12.")
def test_aliases_that_refer_to_each_other_travel() -> None:
    """Each is made before what it is for; nothing is kept of that."""
    received = daskpickle.loads(
        daskpickle.dumps(made_by("type A = list[B]\ntype B = dict[str, A]\nmade = A"))
    )
    (other,) = received.__value__.__args__
    assert other.__value__.__args__[1] is received
    assert typings._unset == {}


def test_a_type_variable_is_of_the_module_that_made_it() -> None:
    """With cloudpickle it is of cloudpickle; any node can load it."""
    data = daskpickle.dumps(typing.TypeVar("Local"))  # type: ignore[misc]
    assert b"daskpickle" not in data
    assert pickle.loads(data).__module__ == __name__
