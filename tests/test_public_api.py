"""The public names, and what importing them costs: nothing that others could notice."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import daskpickle

PUBLIC = [
    "DispatchTable",
    "HandleError",
    "Pickler",
    "Policy",
    "Recipe",
    "RefusedError",
    "Unpickler",
    "check",
    "doctor",
    "dump",
    "dumps",
    "errors",
    "explain",
    "install",
    "load",
    "loads",
    "register",
    "registrations",
    "uninstall",
    "unregister",
    "use_policy",
]


def test_the_public_names_are_these_and_sorted() -> None:
    assert daskpickle.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


def test_dir_lists_every_public_name() -> None:
    assert set(PUBLIC) <= set(dir(daskpickle))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_object_has_a_docstring_of_its_own(name: str) -> None:
    obj = getattr(daskpickle, name)
    assert obj.__doc__, name
    assert not obj.__doc__.startswith(f"{name}("), "a dataclass's signature is no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        daskpickle.no_such_name  # noqa: B018


def test_import_imports_neither_dask_nor_distributed_nor_numpy(
    fresh_process: Callable[..., bytes],
) -> None:
    loaded = fresh_process("import daskpickle, json, sys; print(json.dumps(sorted(sys.modules)))")
    assert not {"dask", "distributed", "numpy"} & set(json.loads(loaded))


def test_import_changes_nothing_of_pickle_cloudpickle_and_copyreg(
    fresh_process: Callable[..., bytes],
) -> None:
    code = """
        import cloudpickle, copyreg, pickle

        def state():
            subjects = [(1, "a"), {"b": [2.5, None]}, ValueError("c"), lambda x: x + 1]
            return (
                pickle.dumps, pickle.loads, pickle.Pickler, cloudpickle.dumps, cloudpickle.loads,
                cloudpickle.Pickler, cloudpickle.Pickler.dispatch_table,
                list(map(dict, cloudpickle.Pickler.dispatch_table.maps)),
                dict(copyreg.dispatch_table),
                [pickle.dumps(subject) for subject in subjects[:-1]],
                [cloudpickle.dumps(subject) for subject in subjects],
            )

        before = state()
        import daskpickle
        daskpickle.dumps([1])
        assert state() == before
    """
    fresh_process(code)
