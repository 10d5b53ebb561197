"""What `os` gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import HandleError
from daskpickle.testing import ReducerContract


class TestEnviron(ReducerContract):
    """It is the one of the process where it arrives, and nothing of it travels."""

    secret = "marker of a password"

    @pytest.fixture(autouse=True)
    def _set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.secret is not None
        monkeypatch.setenv("PASSWORD", self.secret)

    def make(self) -> Any:
        return os.environ

    def same(self, sent: Any, received: Any) -> bool:
        return received is os.environ

    def test_the_reduced_value_is_well_formed(self) -> None:
        """It is a name in `os`: nothing of ours is needed to load it."""
        assert b"daskpickle" not in daskpickle.dumps(self.make())

    @staticmethod
    def use(received: Any) -> Any:
        return received is os.environ


class TestEnvironOfBytes(TestEnviron):
    def make(self) -> Any:
        return os.environb

    def same(self, sent: Any, received: Any) -> bool:
        return received is os.environb

    @staticmethod
    def use(received: Any) -> Any:
        return received is os.environb


def test_another_environment_is_a_value() -> None:
    """Such as a program may make for its tests."""
    other = os._Environ({}, str, str, str, str)  # type: ignore[type-var,call-arg,arg-type,unused-ignore]
    received = daskpickle.loads(daskpickle.dumps(other))
    assert type(received) is os._Environ
    assert received is not os.environ


class TestEntry(ReducerContract):
    absent = HandleError

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "name"
        self.path.write_bytes(b"content")

    def make(self) -> Any:
        with os.scandir(self.path.parent) as entries:
            return next(iter(entries))

    def same(self, sent: Any, received: Any) -> None:
        assert (received.name, received.path) == (sent.name, sent.path)
        assert received.stat().st_size == 7
        assert received.inode() == sent.inode()

    @staticmethod
    def use(received: Any) -> Any:
        return received.name, received.is_file(), os.fspath(received)

    def target(self, obj: Any) -> Path:
        return self.path

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [(self.gone, "Its path does not lead to it"), (self.of_descriptor, "Its path does")]

    def gone(self) -> Any:
        entry = self.make()
        self.path.rename(self.path.with_name("other"))
        return entry

    def of_descriptor(self) -> Any:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            with os.scandir(folder) as entries:
                return next(iter(entries))
        finally:
            os.close(folder)


def test_an_entry_of_a_relative_path_arrives_with_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that it is relative to is the sender's."""
    tmp_path.joinpath("name").touch()
    monkeypatch.chdir(tmp_path)
    with os.scandir(b".") as entries:
        data = daskpickle.dumps(next(iter(entries)))
    monkeypatch.chdir("/")
    received = daskpickle.loads(data)
    assert received.path == os.fsencode(tmp_path / "name")


@pytest.mark.skipif(not hasattr(os, "sched_param"), reason="This system has none.")
class TestParameters(ReducerContract):
    def make(self) -> Any:
        return os.sched_param(3)

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received == sent)

    @staticmethod
    def use(received: Any) -> Any:
        return received.sched_priority
