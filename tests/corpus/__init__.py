"""Live objects of the standard library: what each is for, checked where it arrives.

Each module here is a domain, with a list ``CASES``. ``python -m corpus files`` (in ``tests/``)
pickles those of one domain, loads them in a process that never saw the sender, in another folder,
and checks that they do what they did: see `corpus.__main__`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

__all__ = ["DOMAINS", "Case", "cases"]

DOMAINS = (
    "archives",
    "cdata",
    "classes",
    "contexts",
    "errors",
    "event_loops",
    "files",
    "functions",
    "iterators",
    "logs",
    "making",
    "multiprocess",
    "natives",
    "net",
    "queues",
    "schedulers",
    "sqlite",
    "subclasses",
    "text",
    "thread_locals",
    "threads",
    "views",
    "weak",
)


@dataclass(frozen=True)
class Case:
    """One object.

    Attributes
    ----------
    id
        Its name in reports.
    make
        ``make(stack)`` returns it; ``stack`` closes what must stay open until it has arrived.
    check
        ``check(received)`` asserts that it does what it did. None for what is refused.
    refused
        For what is refused: a regular expression that the reason matches.
    versions
        The first and the last Python that has it.
    routes
        How it goes through a cluster: not as an "argument" if Dask looks into that before it
        pickles it; not as "data", which other threads pickle and load, if that is not the same.
    """

    id: str
    make: Callable[[ExitStack], Any]
    check: Callable[[Any], Any] | None = None
    refused: str = ""
    versions: tuple[tuple[int, int], tuple[int, int]] = ((3, 10), (3, 99))
    routes: str = "argument closure data"

    def __post_init__(self) -> None:
        if (self.check is None) != bool(self.refused):
            raise ValueError(f"{self.id} either has a check, or is refused for a reason.")


def cases(found: list[Case]) -> dict[str, Case]:
    """Return by their names those cases that this Python has."""
    here = sys.version_info[:2]
    by_name = {case.id: case for case in found if case.versions[0] <= here <= case.versions[1]}
    if len({case.id for case in found}) != len(found):
        raise ValueError("Two cases have the same name.")
    return by_name
