"""The command line: what it prints, in each form, and with which exit code it ends."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import daskpickle
from daskpickle.cli import FAILED, FOUND, OK, USAGE, main
from daskpickle.policy import set_default_policy

MODULE = """
import threading

ROWS = (n for n in range(3))
LOCKS = [threading.Lock()]
TEXT = "x" * 5000


class Jobs:
    held = LOCKS


def job():
    return ROWS


job.__module__ = "__main__"  # by value
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Return a function that runs a command, in a folder with a module of jobs."""
    (tmp_path / "jobs_of_a_user.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    former = set_default_policy(daskpickle.Policy())
    yield lambda *command, **kwargs: CliRunner().invoke(main, command, **kwargs)
    set_default_policy(former)
    sys.modules.pop("jobs_of_a_user", None)


def test_check_names_all_and_ends_with_one(run: Callable[..., Result]) -> None:
    """What cannot travel is printed, and the exit code tells scripts."""
    result = run("check", "jobs_of_a_user:job")
    assert result.exit_code == FOUND
    assert result.output.startswith("job cannot travel  1 of ")
    assert "at    job<global 'ROWS'>" in result.output
    assert "global variable 'ROWS' of job (jobs_of_a_user.py:13)" in result.output


def test_check_ends_with_nought_if_all_travels(run: Callable[..., Result]) -> None:
    """An attribute of an attribute is found too."""
    result = run("check", "jobs_of_a_user:Jobs.held")
    assert (result.exit_code, result.output.splitlines()[0][:12]) == (OK, "list travels")


def test_check_as_json(run: Callable[..., Result]) -> None:
    """The same facts, as plain values."""
    result = run("check", "jobs_of_a_user:job", "--json")
    facts = json.loads(result.output)
    assert result.exit_code == FOUND
    assert facts["ships"] is False
    assert facts["findings"][0]["path"] == "job<global 'ROWS'>"
    assert facts["findings"][0]["remedy"].startswith("Pass a list")


def test_explain(run: Callable[..., Result]) -> None:
    """The tree as text and as plain values."""
    result = run("explain", "jobs_of_a_user:TEXT")
    assert result.exit_code == OK
    assert "4.9 KiB" in result.output
    facts = json.loads(run("explain", "jobs_of_a_user:TEXT", "--json").output)
    assert facts["bytes"] > 5000
    assert facts["tree"]["type_name"] == "str"


def test_types_lists_each_action_of_each_class(run: Callable[..., Result]) -> None:
    """The table is the live one."""
    lines = run("types").output.splitlines()
    listed = {tuple(line.split()[:2]) for line in lines if not line.startswith(" ")}
    expected = {(r.cls_name, r.action) for r in daskpickle.registrations(load=True)}
    assert expected <= listed
    facts = json.loads(run("types", "--json").output)
    assert {(fact["cls_name"], fact["action"]) for fact in facts} == expected


def test_policy_shows_what_is_chosen(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The action of each class that has several, and who chose it."""
    import dask.config

    with dask.config.set({"daskpickle.actions": {"_thread.lock": "fresh"}}):
        facts = json.loads(run("policy", "--json").output)
        text = run("policy").output
    by_name = {fact["cls_name"]: fact for fact in facts}
    assert by_name["_thread.lock"]["action"] == "fresh"
    assert by_name["_thread.lock"]["by"] == "configuration"
    assert by_name["threading.Event"]["by"] == "default"
    assert "refuse" in by_name["threading.Event"]["actions"]
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("_thread.lock")] == [
        ["_thread.lock", "fresh", "configuration"]
    ]


def test_policy_finds_classes_that_are_unknown(run: Callable[..., Result]) -> None:
    """A misspelt class in the configuration is an error, and named."""
    import dask.config

    with dask.config.set({"daskpickle.actions": {"thread.lock": "fresh"}}):
        result = run("policy")
    assert result.exit_code == FAILED
    assert "have no reducer: thread.lock." in result.stderr


@pytest.mark.filterwarnings("ignore:coroutine 'BaseTCPConnector.connect':RuntimeWarning")
def test_doctor_says_when_there_is_no_scheduler(run: Callable[..., Result]) -> None:
    """A wrong address is a sentence."""
    result = run("doctor", "tcp://127.0.0.1:1", "--timeout", "0.2")
    assert result.exit_code == FAILED
    assert "no scheduler to be reached at tcp://127.0.0.1:1" in result.stderr
    del result
    gc.collect()  # Dask lets go of an attempt to connect that it has not begun


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("jobs_of_a_user", USAGE, "Expected MODULE:OBJECT"),
        ("no_such_module:x", FAILED, "No module named 'no_such_module'"),
        ("jobs_of_a_user:nothing", FAILED, "no attribute 'nothing'"),
    ],
)
def test_what_cannot_be_loaded_is_a_sentence(
    run: Callable[..., Result], target: str, code: int, said: str
) -> None:
    """No traceback, but the reason, and an exit code of its own."""
    result = run("check", target)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize(
    "command",
    [("check", "jobs_of_a_user:job"), ("types",), ("policy",), ("explain", "jobs_of_a_user:job")],
)
def test_lines_fit_the_terminal(
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    columns: int,
) -> None:
    """Nothing is longer than the terminal is wide."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, run(*command).output.splitlines())) <= columns


def test_colours_are_for_terminals_only(run: Callable[..., Result]) -> None:
    """A pipe gets plain text; the words are the same."""
    plain = run("check", "jobs_of_a_user:job").output
    coloured = run("check", "jobs_of_a_user:job", color=True).output
    assert "\x1b" not in plain
    assert "\x1b" in coloured
    assert click.unstyle(coloured) == plain


def test_dask_finds_the_command() -> None:
    """`dask daskpickle` takes a click group, under this name."""
    assert isinstance(main, click.Group)
    assert main.name == "daskpickle"


def test_it_is_a_module_too() -> None:
    """``python -m daskpickle`` is the same command; Dask is not imported for its help."""
    code = (
        "import runpy, sys; sys.argv = ['daskpickle', '--help']\n"
        "try: runpy.run_module('daskpickle', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('dask' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: daskpickle [OPTIONS] COMMAND")
    assert done.stdout.endswith("False\n")


def test_a_long_walk_shows_progress_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how far it is, and wipes that away at the end."""
    from daskpickle.cli import _Progress

    class Terminal:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def isatty(self) -> bool:
            return True

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    with _Progress() as progress:
        assert progress is not None
        daskpickle.check([[n] for n in range(30_000)], _progress=progress)
    assert "20,000 objects" in capsys.readouterr().err
