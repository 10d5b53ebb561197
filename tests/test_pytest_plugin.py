"""The pytest plugin, in test suites of its own: what passes, what fails, and what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SUITE = """
import threading
import pytest

@pytest.fixture
def rows():
    return (n for n in range(3))

@pytest.fixture
def lock():
    return threading.Lock()

def test_travels(assert_ships):
    received = assert_ships([1, threading.Lock()])
    assert received[0] == 1

def test_travels_with_arguments(assert_ships):
    assert assert_ships(len, [1], key=2) == (len, ([1],), {"key": 2})

def test_does_not_travel(assert_ships, rows):
    assert_ships({"rows": rows})

@pytest.mark.ships
def test_all_arguments_travel(lock):
    pass

@pytest.mark.ships
def test_one_argument_does_not(lock, rows):
    pass

@pytest.mark.ships("lock")
def test_only_one_is_asked_for(lock, rows):
    pass

@pytest.mark.ships("nothing")
def test_no_such_argument(lock):
    pass
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a suite with the plugin, and returns what pytest says."""

    def run(suite: str, *options: str) -> str:
        (tmp_path / "test_of_a_user.py").write_text(suite)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers"]
        done = subprocess.run(
            [*command, *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "120"},
        )
        return done.stdout + done.stderr

    return run


def test_what_does_not_travel_fails_with_the_report(run: Callable[..., str]) -> None:
    """The failure is the report of `check`; the marker looks at arguments, all or those named."""
    said = run(SUITE, "-p", "daskpickle.pytest_plugin", "-rA", "-q")
    for name in (
        "travels",
        "travels_with_arguments",
        "all_arguments_travel",
        "only_one_is_asked_for",
    ):
        assert f"PASSED test_of_a_user.py::test_{name}\n" in said
    for name in ("does_not_travel", "one_argument_does_not", "no_such_argument"):
        assert f"FAILED test_of_a_user.py::test_{name}" in said
    assert "at    obj['rows']" in said
    assert "The test has no argument 'nothing' to ship." in said
    assert "4 passed" in said


IMPORTS = """
import sys

def test_nothing():
    ours = ("daskpickle", "dask", "cloudpickle")
    loaded = {name for name in sys.modules if name.startswith(ours)}
    assert loaded == {"daskpickle", "daskpickle.pytest_plugin"}
"""


def test_it_costs_nothing_until_it_is_used(run: Callable[..., str]) -> None:
    """pytest loads it in every run: it imports nothing of daskpickle, nor Dask."""
    assert "1 passed" in run(IMPORTS, "-p", "daskpickle.pytest_plugin")
