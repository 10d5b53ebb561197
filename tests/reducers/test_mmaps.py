"""Memory maps."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import HandleError, handles
from daskpickle.errors import RefusedError
from daskpickle.testing import ReducerContract, elsewhere

DATA = bytes(range(256)) * 64


class TestReading(ReducerContract):
    """Its bytes travel, and lie in a file without a name."""

    limit = len(DATA)
    absent: Any = None

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(handles.settings, "contents_limit", self.limit)
        self.path = tmp_path / "data"
        self.path.write_bytes(DATA)

    def make(self) -> Any:
        return self.map(access=mmap.ACCESS_READ)

    def map(self, size: int = 0, **options: Any) -> Any:
        with self.path.open("rb+") as file:
            memory = mmap.mmap(file.fileno(), size, **options)
        memory.seek(5)
        return memory

    def same(self, sent: Any, received: Any) -> None:
        assert received.tell() == 5
        assert received[:] == sent[:]
        with pytest.raises(TypeError):
            received[0] = 1

    def state(self, obj: Any) -> Any:
        return obj.closed or (obj.tell(), obj[:])

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.tell(), received.read(10), len(received)

    def target(self, obj: Any) -> Path:
        return self.path


class TestBig(TestReading):
    """It is the same part of the same file."""

    limit = 10
    absent = HandleError

    def make(self) -> Any:
        return self.map(4096, offset=mmap.ALLOCATIONGRANULARITY, prot=mmap.PROT_READ)

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (self.closed, "It is closed"),
            (lambda: self.map(), "It writes to its file"),
            (self.unlinked, "Its file has no name any more"),
        ]

    def closed(self) -> Any:
        memory = self.make()
        memory.close()
        return memory

    def unlinked(self) -> Any:
        memory = self.make()
        self.path.unlink()
        self.path.write_bytes(DATA)  # another file
        return memory


class TestMemory(ReducerContract):
    """Memory that no file has is a value."""

    def make(self) -> Any:
        memory = mmap.mmap(-1, 10)
        memory.write(b"abc")
        return memory

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is mmap.mmap
        assert (received.tell(), received[:]) == (3, sent[:])
        received.write(b"d")
        assert received[:4] == b"abcd"

    def state(self, obj: Any) -> Any:
        return obj.tell(), obj[:]

    @staticmethod
    def use(received: Any) -> Any:
        return received[:]


class TestPrivateMemory(TestMemory):
    def make(self) -> Any:
        memory = mmap.mmap(-1, 10, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.write(b"abc")
        return memory


class TestPrivateCopy(TestReading):
    """What was changed in a private copy of a file is kept; the file is no longer needed."""

    limit = 10
    target = ReducerContract.target

    def make(self) -> Any:
        memory = self.map(access=mmap.ACCESS_COPY)
        memory[0] = 7
        return memory

    def same(self, sent: Any, received: Any) -> None:
        assert (received.tell(), received[:]) == (5, b"\x07" + DATA[1:])
        received[1] = 8
        assert self.path.read_bytes() == DATA


def test_a_file_that_changed_is_an_error_of_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which file."""
    monkeypatch.setattr(handles.settings, "contents_limit", 10)
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = daskpickle.dumps(memory)
    assert len(data) < 1000
    memory.close()
    path.write_bytes(DATA[1:])
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match=str(path)):
            received.read()


def test_where_nobody_tells_what_is_mapped_only_what_is_read_travels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there is no /proc, it may be a file that is written to."""
    from daskpickle.reducers import mmaps

    monkeypatch.setattr(mmaps, "MAPS", "/nowhere/maps")
    with mmap.mmap(-1, 10) as memory, pytest.raises(RefusedError, match="writes to its file"):
        daskpickle.dumps(memory)
