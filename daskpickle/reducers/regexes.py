"""Regular expressions: a match is found again where it arrives.

Notes
-----
- Travels: the pattern of a match, its whole string, and how it is found in it; the lexicon and
  flags of a `re.Scanner`, the lexer; the named constants of the compiler, by name.
- Lost: ``pos`` of a match that ``finditer`` or ``sub`` found after a hundred others: it arrives as
  one that was searched for from its own place. The last match of a lexer.
- Refused: a match whose string has changed since; the scanner that ``finditer`` uses, whose place
  in its string cannot be read.

No match can be made but by matching. Where it is pickled it is tried how the same groups are found.
A pattern pickles by itself; that of a lexer does not, as it was made of no string.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from daskpickle import register
from daskpickle.errors import RefusedError
from daskpickle.handles import add_state, extra_state, neutral

Lexer: Any = re.Scanner  # type: ignore[attr-defined]
Scanner: Any = type(re.compile("").scanner(""))  # type: ignore[attr-defined]
parser: Any = getattr(re, "_parser", None) or re.sre_parse  # type: ignore[attr-defined]
NamedConstant: type = type(parser.MAXREPEAT)

STEPS = 100
STRINGS = (str, bytes, bytearray, memoryview)  # that arrive as what they are


@register(
    re.Match,
    travels="its pattern, its whole string, and how it is found in it",
    lost="its pos, if a hundred others were found before it",
    refused="if its string has changed since",
    hint="Pass what you need of it, such as its groups and span.",
)
def reduce_match(match: Any) -> tuple[Any, ...]:
    """Say how the same is found again."""
    if match.re.pattern is None:
        raise RefusedError(
            match, "It was found by the lexer re.Scanner, whose pattern has no string."
        )
    if not isinstance(match.string, STRINGS):
        raise RefusedError(match, "Its string is no string, and may be another one elsewhere.")
    for how in ways(match):
        found = rebuild_match(match.re, match.string, *how)
        if found is not None and same(found, match):
            return rebuild_match, (match.re, match.string, *how)
    raise RefusedError(match, "Its string has changed since, or another search found it.")


def ways(match: Any) -> Iterator[tuple[str, int, int, int]]:
    """Yield the ways in which it may have been found."""
    for how in ("match", "fullmatch", "search"):
        yield how, match.pos, match.endpos, 0
    others = islice(match.re.finditer(match.string, match.pos, match.endpos), STEPS)
    passed = next((n for n, other in enumerate(others) if same(other, match)), None)
    if passed is not None:
        yield "finditer", match.pos, match.endpos, passed
    for how in ("match", "fullmatch", "search"):
        yield how, match.start(), match.endpos, 0


def same(one: Any, other: Any) -> bool:
    """Tell whether two matches of the same string found the same."""
    return (one.regs, one.lastindex) == (other.regs, other.lastindex)


def rebuild_match(pattern: Any, string: Any, how: str, pos: int, end: int, passed: int = 0) -> Any:
    """Find it again."""
    if how == "finditer":
        return next(islice(pattern.finditer(string, pos, end), passed, None))
    return getattr(pattern, how)(string, pos, end)


@register(
    Scanner,
    action="refuse",
    refused="always",
    hint="Pass a list of the matches, or the pattern and the string.",
)
def reduce_scanner(scanner: Any) -> Any:
    """Refuse: to ask for its place is to move it."""
    raise RefusedError(scanner, "Its place inside its string cannot be read.")


@register(
    Lexer,
    travels="its lexicon and flags",
    lost="its last match",
    refused="nothing",
    hint="Make it inside the task.",
    subclasses=True,
)
def reduce_lexer(lexer: Any) -> tuple[Any, ...]:
    """Say what it was made of."""
    state = extra_state(lexer, None)
    made_of = state.pop("lexicon"), state.pop("scanner").flags
    state.pop("match", None)
    return rebuild_lexer, (type(lexer), *made_of, state)


def rebuild_lexer(cls: type, lexicon: Any, flags: int, state: dict[str, Any]) -> Any:
    """Compile it again."""
    lexer: Any = object.__new__(cls)
    Lexer.__init__(lexer, lexicon, flags)
    add_state(lexer, state)
    return lexer


@register(
    NamedConstant,
    travels="its name",
    lost="nothing",
    refused="nothing",
    hint="Import it inside the task.",
)
@neutral
def reduce_named_constant(constant: Any) -> Any:
    """Say its name, in its module; or of what it was made, if it is not there."""
    name: str = constant.name
    if vars(sys.modules[NamedConstant.__module__]).get(name) is constant:
        return name
    return rebuild_named_constant, (int(constant), name)


def rebuild_named_constant(value: int, name: str) -> Any:
    """Make another one: the compiler knows its own ones by identity."""
    return NamedConstant(value, name)
