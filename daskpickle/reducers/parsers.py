"""Parsers of command lines: what stands for "nothing" in them is known by identity.

Notes
-----
- Travels: parsers, groups and options of `argparse` and `optparse`, with all their attributes.
- Lost: nothing.
- Refused: nothing by itself.

They pickle by themselves, but a copy of ``argparse.SUPPRESS`` is a text like any other: each option
that is to be left out would then be in what is parsed, and shown in the help.
"""

from __future__ import annotations

import argparse
import copyreg
import optparse
from typing import Any

from cloudpickle import cloudpickle

from daskpickle import register
from daskpickle.handles import Call, neutral

NAMED = (
    (argparse, "SUPPRESS"),
    (optparse, "NO_DEFAULT"),
    (optparse, "SUPPRESS_HELP"),
    (optparse, "SUPPRESS_USAGE"),
)


@neutral
def reduce_parser(obj: Any) -> tuple[Any, ...]:
    """Say its attributes, and the names of those that are known by identity."""
    state = {name: name_of(value) for name, value in vars(obj).items()}
    return copyreg.__newobj__, (type(obj),), state  # type: ignore[attr-defined]


def name_of(value: Any) -> Any:
    """Say where it is found, if it is known by identity."""
    for module, name in NAMED:
        if value is getattr(module, name):
            return Call(getattr, Call(cloudpickle.subimport, module.__name__), name)
    return value


for _cls in (
    argparse._ActionsContainer,
    argparse.Action,
    optparse.OptionContainer,
    optparse.Option,
):
    register(
        _cls,
        reduce_parser,
        travels="its attributes",
        lost="nothing",
        refused="nothing",
        hint="Pass what it has parsed.",
        subclasses=True,
    )
