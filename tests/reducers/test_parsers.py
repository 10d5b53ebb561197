"""Parsers of command lines leave out what they were told to leave out."""

from __future__ import annotations

import argparse
import optparse
from typing import Any

import daskpickle
from daskpickle.testing import ReducerContract


class Shout(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, values.upper())


class Tool(argparse.ArgumentParser):
    """Its ``__init__`` asks for something else."""

    def __init__(self, label: str) -> None:
        super().__init__(label, usage=argparse.SUPPRESS)
        self.label = label


class DoesTheSame:
    """Texts that are one object where a parser was made may be several where it arrived."""

    def test_it_repeats_what_arrived(self: Any) -> None:
        """Pickled again where it arrived it does the same."""
        with self._made() as sent:
            received = daskpickle.loads(daskpickle.dumps(sent))
            assert self.same(sent, daskpickle.loads(daskpickle.dumps(received)))


class TestArguments(DoesTheSame, ReducerContract):
    def make(self) -> Any:
        parser = argparse.ArgumentParser("prog", argument_default=argparse.SUPPRESS)
        parser.add_argument("-n", type=int)
        parser.add_argument("--hidden", help=argparse.SUPPRESS)
        parser.add_argument("--version", action="version", version="1")
        parser.add_mutually_exclusive_group().add_argument("--loud", action=Shout)
        parser.add_subparsers(dest="command").add_parser("go").add_argument("where", nargs="*")
        return parser

    def same(self, sent: Any, received: Any) -> bool:
        found = received.parse_args(["-n", "3", "--loud", "a", "go", "x"])
        assert vars(found) == {"n": 3, "loud": "A", "command": "go", "where": ["x"]}
        return bool(received.format_help() == sent.format_help())

    @staticmethod
    def use(received: Any) -> Any:
        return sorted(vars(received.parse_args(["-n", "3"])).items())


class TestOptions(DoesTheSame, ReducerContract):
    def make(self) -> Any:
        parser = optparse.OptionParser(usage=optparse.SUPPRESS_USAGE)
        parser.add_option("-n", type="int", help="%default")
        group = parser.add_option_group("group")
        group.add_option("--hidden", help=optparse.SUPPRESS_HELP)
        return parser

    def same(self, sent: Any, received: Any) -> bool:
        assert received.parse_args(["-n", "3"])[0].n == 3
        return bool(received.format_help() == sent.format_help())

    @staticmethod
    def use(received: Any) -> Any:
        return received.format_help()


def test_a_parser_of_ones_own_arrives_as_what_it_is() -> None:
    """Its class is not called; nodes without daskpickle load it."""
    data = daskpickle.dumps(Tool("tool"))
    assert b"daskpickle" not in data
    received = daskpickle.loads(data)
    assert (type(received), received.label, received.usage) == (Tool, "tool", argparse.SUPPRESS)
    assert received.usage is argparse.SUPPRESS
    assert vars(received.parse_args([])) == {}
