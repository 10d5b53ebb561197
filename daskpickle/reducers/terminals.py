"""The version of `curses`, by reference. Windows are of one terminal: nobody can pickle them.

Notes
-----
- Travels: the name of ``curses.ncurses_version``: that of the library where it arrives.
- Lost: which version the sender has.
- Refused: nothing.
"""

from __future__ import annotations

import curses
from typing import Any

from daskpickle import register


@register(
    type(curses.ncurses_version), travels="a reference: the version where it arrives",
    lost="the version here", refused="nothing", hint="Send tuple() of it.",
)  # fmt: skip
def reduce_version(version: Any) -> str:
    """Say the name that it has in `curses`; nobody can make another one."""
    return "ncurses_version"
