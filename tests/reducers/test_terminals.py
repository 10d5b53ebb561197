"""The version of curses arrives as the one of the receiver; what is on a terminal is refused."""

from __future__ import annotations

import curses
import pickle

import daskpickle


def test_it_is_the_one_of_the_receiver() -> None:
    """Its name travels."""
    version = curses.ncurses_version
    assert pickle.loads(daskpickle.dumps([version, version])) == [version, version]
    assert pickle.loads(daskpickle.dumps(version)) is version
