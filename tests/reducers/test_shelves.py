"""Databases of `dbm`, and shelves."""

from __future__ import annotations

import dbm.dumb
import shelve
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract, elsewhere


class Labelled(shelve.Shelf):  # type: ignore[type-arg]
    """A shelf with an attribute."""

    label = "none"


class TestDatabase(ReducerContract):
    """It is sent before its index is written, and the copy does not write it."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path
        monkeypatch.chdir(tmp_path)

    def make(self) -> Any:
        database = dbm.dumb.open("data", "n")
        database["one"] = "1"
        return database

    def same(self, sent: Any, received: Any) -> None:
        assert received[b"one"] == b"1"
        index = (self.folder / "data.dir").read_bytes()
        received.close()
        assert (self.folder / "data.dir").read_bytes() == index
        assert sent[b"one"] == b"1"

    def state(self, obj: Any) -> Any:
        return dict(obj), obj._modified

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received["one"], len(received)

    def test_a_fresh_interpreter_loads_and_opens_nothing(self) -> None:
        """Loading does not; comparing reads, because it is a mapping."""
        with self._made() as sent:
            data = daskpickle.dumps(sent)
        for file in self.folder.iterdir():
            file.unlink()
        assert type(daskpickle.loads(data)) is type(sent)


class TestShelf(ReducerContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self, **options: Any) -> Any:
        shelf = Labelled(dbm.dumb.open(str(self.folder / "data"), "n"), **options)
        shelf.label = "mine"
        shelf["one"] = [1]
        return shelf

    def same(self, sent: Any, received: Any) -> None:
        assert (received.label, received["one"]) == ("mine", [1])

    def state(self, obj: Any) -> Any:
        return list(obj), dict(obj.cache)

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received["one"], received.writeback

    def test_a_fresh_interpreter_loads_and_opens_nothing(self) -> None:
        """Loading does not; comparing reads, because it is a mapping."""
        with self._made() as sent:
            data = daskpickle.dumps(sent)
        for file in self.folder.iterdir():
            file.unlink()
        assert type(daskpickle.loads(data)) is type(sent)

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [(self.cached, "It holds entries that are not written back")]

    def cached(self) -> Any:
        shelf = self.make(writeback=True)
        shelf["one"].append(2)
        return shelf

    def test_what_was_written_back_travels(self) -> None:
        """By ``sync``, as the refusal says."""
        shelf = self.cached()
        shelf.sync()
        received = daskpickle.loads(daskpickle.dumps(shelf))
        assert (received["one"], received.writeback) == ([1, 2], True)
        shelf.close()


def test_a_shelf_in_memory_is_a_value() -> None:
    """Whatever it holds back is its own."""
    shelf: Any = shelve.Shelf({}, writeback=True)
    shelf["one"] = [1]
    shelf["one"].append(2)
    with elsewhere():
        assert daskpickle.loads(daskpickle.dumps(shelf))["one"] == [1, 2]


def test_a_database_that_is_closed_arrives_closed(tmp_path: Path) -> None:
    """Nothing of it is left."""
    database: Any = dbm.dumb.open(str(tmp_path / "data"), "n")
    database.close()
    received = daskpickle.loads(daskpickle.dumps(database))
    with pytest.raises(dbm.dumb.error, match="already been closed"):
        received[b"key"]
