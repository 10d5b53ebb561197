"""What reads standard input reads that of the process it arrives in."""

from __future__ import annotations

import cmd
import io
import pdb
import shlex
import sys
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract


class Shell(cmd.Cmd):
    """A subclass with attributes."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    def do_say(self, line: str) -> None:
        self.said = line


class TestCmd(ReducerContract):
    def make(self) -> Any:
        return Shell("shell")

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Shell
        assert received.label == "shell"
        assert received.stdin is sys.stdin
        received.onecmd("say hello")
        assert received.said == "hello"
        assert vars(received).keys() - vars(sent).keys() <= {"said", "lastcmd"}

    def test_a_fresh_interpreter_loads_and_opens_nothing(self) -> None:
        """Loading it does nothing; there standard output is another stream than here."""
        answer = self._fresh(daskpickle.dumps(self.make()))
        assert (answer["events"], answer["opened"], answer["listing"]) == ([], {}, [])

    @pytest.fixture(autouse=True)
    def streams(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those of a process, and not those of pytest."""
        monkeypatch.setattr(sys, "stdin", sys.__stdin__)
        monkeypatch.setattr(sys, "stdout", sys.__stdout__)


class TestPdb(TestCmd):
    def make(self) -> Any:
        return pdb.Pdb(nosigint=True, readrc=False)

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is pdb.Pdb
        assert received.stdin is sys.stdin
        assert vars(received).keys() == vars(sent).keys()


class TestShlex(TestCmd):
    def make(self) -> Any:
        return shlex.shlex()

    def same(self, sent: Any, received: Any) -> None:
        assert received.instream is sys.stdin
        assert vars(received).keys() == vars(sent).keys()


def test_without_standard_input_it_pickles_by_itself() -> None:
    """A lexer of a string goes on where it was."""
    lexer = shlex.shlex("one 'two three'", posix=True)
    assert lexer.get_token() == "one"
    data = daskpickle.dumps(lexer)
    assert b"daskpickle" not in data
    assert list(daskpickle.loads(data)) == ["two three"]
    shell = cmd.Cmd(stdin=io.StringIO("x"), stdout=io.StringIO())
    assert daskpickle.loads(daskpickle.dumps(shell)).stdin.read() == "x"
