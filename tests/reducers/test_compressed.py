"""Compressed files are read on where they were."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import handles
from daskpickle.testing import ReducerContract, elsewhere

DATA = b"".join(b"%d\n" % i for i in range(3000))


class Labelled(gzip.GzipFile):
    """A compressed file with an attribute."""


class TestGzip(ReducerContract):
    absent = None  # its bytes travel
    cls: Any = gzip.GzipFile
    compress: Any = staticmethod(gzip.compress)

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "data"
        self.path.write_bytes(self.compress(DATA))

    def make(self) -> Any:
        file = self.cls(self.path)
        file.read(7)
        return file

    def same(self, sent: Any, received: Any) -> None:
        assert received.tell() == sent.tell() == 7
        with received:
            assert received.read() == DATA[7:]
        assert sent.peek(1)

    def state(self, obj: Any) -> Any:
        return obj.closed or obj.tell()

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.tell(), received.readline(), received.read()

    def target(self, obj: Any) -> Path:
        return self.path

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (lambda: self.cls(self.path.with_name("new"), "w"), "It is open for writing"),
            *([(self.closed, "It is closed")] if self.cls is gzip.GzipFile else []),
            (self.after_something, "It did not begin at the start of its file"),
        ]

    def closed(self) -> Any:
        file = self.make()
        file.close()
        return file

    def after_something(self) -> Any:
        source = io.BytesIO(b"something" + self.compress(DATA))
        source.seek(9)
        given = {"fileobj": source} if self.cls is gzip.GzipFile else {"filename": source}
        file = self.cls(**given)
        file.read(1)
        return file


class TestBz2(TestGzip):
    cls = bz2.BZ2File
    compress = staticmethod(bz2.compress)


class TestLzma(TestGzip):
    cls = lzma.LZMAFile
    compress = staticmethod(lzma.compress)


class TestInMemory(ReducerContract):
    """It arrives as itself, not as a handle: there is nothing to open."""

    def make(self) -> Any:
        file: Any = Labelled(fileobj=io.BytesIO(gzip.compress(DATA)))
        file.label = "mine"
        return file

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is Labelled
        assert received.label == "mine"
        assert received.read() == DATA

    def state(self, obj: Any) -> Any:
        return obj.tell()


@pytest.mark.parametrize("owned", [True, False])
def test_what_closes_its_file_still_does(owned: bool, tmp_path: Path) -> None:
    """And what was given one to read does not."""
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(DATA))
    with (
        path.open("rb") as source,
        gzip.GzipFile(path) as own,
        gzip.GzipFile(fileobj=source) as given,
    ):
        data = daskpickle.dumps(own if owned else given)
    with elsewhere(), handles.running_task(), handles.opening():
        received = daskpickle.loads(data)
        beneath = received.fileobj
        received.close()
        assert beneath.closed == owned


def test_the_file_beneath_is_shared_with_who_has_it(tmp_path: Path) -> None:
    """One file that is sent beside what reads it stays one."""
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(DATA) + b"rest")
    with path.open("rb") as source, gzip.GzipFile(fileobj=source) as file:
        data = daskpickle.dumps({"file": file, "source": source})
    with elsewhere(), handles.running_task(), handles.opening():
        received = daskpickle.loads(data)
        assert received["file"].fileobj is received["source"]


@pytest.mark.parametrize("cls", [bz2.BZ2File, lzma.LZMAFile])
def test_what_is_closed_arrives_closed(cls: Any) -> None:
    """Nothing is left of it that could not travel."""
    file = cls(io.BytesIO(), "w")
    file.close()
    received = daskpickle.loads(daskpickle.dumps(file))
    assert type(received) is cls
    assert received.closed
