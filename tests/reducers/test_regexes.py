"""A match is found again where it arrives."""

from __future__ import annotations

import re
from array import array
from typing import Any

import daskpickle
from daskpickle.testing import ReducerContract

Lexer: Any = re.Scanner  # type: ignore[attr-defined]
parser: Any = getattr(re, "_parser", None) or re.sre_parse  # type: ignore[attr-defined]


def facts(match: Any) -> Any:
    return match.group(), match.regs, match.groupdict(), match.pos, match.endpos, match.string


def changed() -> Any:
    text = bytearray(b"abc")
    match = re.search(b"b", text)
    text[1] = 0
    return match


class Own(Lexer):  # type: ignore[misc]
    """A lexer with an attribute."""


class TestMatch(ReducerContract):
    def make(self) -> Any:
        return re.compile(r"(?P<x>b)(c)?").search("abcab", 2)

    def same(self, sent: Any, received: Any) -> bool:
        return facts(received) == facts(sent) and received.re == sent.re

    def refused(self) -> list[Any]:
        lexer = Lexer([("a", None)]).scanner
        return [
            (changed, "string has changed"),
            (lambda: lexer.match("a"), "pattern has no string"),
            (lambda: re.search(b"b", array("b", b"abc")), "string is no string"),
        ]

    @staticmethod
    def use(received: Any) -> Any:
        return received.span(), received["x"], received.expand(r"<\1>")


class TestIteratedMatch(TestMatch):
    def make(self) -> Any:
        return list(re.finditer(r"(?<=a)(?P<x>b)(c)?", "abcab"))[1]


class TestFarMatch(TestMatch):
    """It loses where its search began."""

    def make(self) -> Any:
        return list(re.finditer(r"(?P<x>b)(c)?", "ab" * 200))[150]

    def same(self, sent: Any, received: Any) -> bool:
        assert (sent.pos, received.pos) == (0, 301)
        return (received.regs, received.string) == (sent.regs, sent.string)


class TestScanner(ReducerContract):
    def refused(self) -> list[Any]:
        pattern: Any = re.compile("a")
        return [(lambda: pattern.scanner("aa"), "place inside its string")]


class TestLexer(ReducerContract):
    def make(self) -> Any:
        made = Own([(r"\d+", None), (r"[a-z]+", str_of)], re.I)
        made.label = "lexer"
        made.scan("1a")
        return made

    def same(self, sent: Any, received: Any) -> bool:
        assert received.label == "lexer"
        return bool(received.scan("1A2?") == sent.scan("1A2?") == (["<A>"], "?"))

    @staticmethod
    def use(received: Any) -> Any:
        return received.scan("1A2?")


def str_of(lexer: Any, text: str) -> str:
    return f"<{text}>"


class TestNamedConstant(ReducerContract):
    """One that has no name in the module of the others."""

    def make(self) -> Any:
        return type(parser.MAXREPEAT)(7, "SEVEN")

    def same(self, sent: Any, received: Any) -> bool:
        return (int(received), received.name) == (7, "SEVEN")


def test_a_constant_of_the_compiler_arrives_as_itself() -> None:
    """It is compared by identity."""
    received = daskpickle.loads(daskpickle.dumps([parser.MAXREPEAT, parser.LITERAL]))
    assert received[0] is parser.MAXREPEAT
    assert received[1] is parser.LITERAL


def test_all_matches_of_a_long_string_travel() -> None:
    """Each is found in a bounded number of steps."""
    matches = list(re.finditer(r"\w(?=\W)|^\w", "ab, c " * 500))
    received = daskpickle.loads(daskpickle.dumps(matches))
    assert [match.regs for match in received] == [match.regs for match in matches]
