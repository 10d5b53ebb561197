"""Zip archives and their members."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import HandleError
from daskpickle.testing import ReducerContract, elsewhere

DATA = b"".join(b"%d\n" % i for i in range(3000))


def fill(target: Any) -> Any:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", DATA)
        archive.writestr("folder/b.txt", b"text")
    return target


class Archive(zipfile.ZipFile):
    """An archive with an attribute."""

    label = "none"


class TestArchive(ReducerContract):
    cls: Any = Archive

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(daskpickle.handles.settings, "contents_limit", 10)
        self.path = fill(tmp_path / "archive.zip")

    def make(self) -> Any:
        archive = self.cls(self.path)
        archive.label = "mine"
        return archive

    def same(self, sent: Any, received: Any) -> None:
        assert received.namelist() == sent.namelist()
        assert received.label == "mine"
        assert received.read("a.txt") == DATA

    def state(self, obj: Any) -> Any:
        return obj.namelist(), obj._fileRefCnt

    def close(self, obj: Any) -> None:
        obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.read("folder/b.txt")

    def target(self, obj: Any) -> Path:
        return self.path

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (self.with_password, "It holds a password"),
            (self.being_written, "It has a member that is being written"),
        ]

    def with_password(self) -> Any:
        archive = zipfile.ZipFile(self.path)
        archive.setpassword(b"secret")
        return archive

    def being_written(self) -> Any:
        archive = zipfile.ZipFile(io.BytesIO(), "w")
        member = archive.open("new", "w")
        archive.close = member.close  # type: ignore[method-assign]
        return archive


class TestMember(ReducerContract):
    absent = HandleError

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(daskpickle.handles.settings, "contents_limit", 10)
        self.path = fill(tmp_path / "archive.zip")

    def make(self) -> Any:
        archive = zipfile.ZipFile(self.path)
        member = archive.open("a.txt")
        member.read(7)
        return member

    def same(self, sent: Any, received: Any) -> None:
        assert received.tell() == sent.tell() == 7
        with received:
            assert received.read() == DATA[7:]

    def state(self, obj: Any) -> Any:
        return obj.closed or obj.tell()

    def close(self, obj: Any) -> None:
        obj.close()
        close = getattr(obj._fileobj, "_close", None)
        if close is not None:
            close.__self__.close()

    @staticmethod
    def use(received: Any) -> Any:
        return received.name, received.readline()

    def target(self, obj: Any) -> Path:
        return self.path

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (self.closed, "It is closed"),
            (self.by_password, "It is read by a password"),
            (self.of_closed, "Its archive is closed"),
        ]

    def closed(self) -> Any:
        member = self.make()
        self.close(member)
        return member

    def by_password(self) -> Any:
        member = self.make()
        member._decrypter = print  # the standard library does not write such members
        return member

    def of_closed(self) -> Any:
        member = self.make()
        member._fileobj._close.__self__.close()
        return member


def test_of_two_members_of_one_name_it_is_the_same() -> None:
    """Python warns of them, and keeps both."""
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    archive.writestr("a", b"first")
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a", b"other")
    first, other = (archive.open(info) for info in archive.infolist())
    data = daskpickle.dumps([first, other])
    with elsewhere():
        received = daskpickle.loads(data)
        assert [member.read() for member in received] == [b"first", b"other"]
        del received
    for closing in (first, other, archive):
        closing.close()


def test_an_archive_in_memory_goes_on_growing() -> None:
    """It arrives as it stood: whoever has it may write to it."""
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    archive.writestr("a", b"one")
    received = daskpickle.loads(daskpickle.dumps(archive))
    archive.close()
    received.writestr("b", b"two")
    received.close()
    with zipfile.ZipFile(received.fp or io.BytesIO()) if received.fp else archive:
        assert received.namelist() == ["a", "b"]
    assert archive.namelist() == ["a"]


def test_a_path_in_an_archive_opens_nothing_while_loading(tmp_path: Path) -> None:
    """Since Python 3.12 the standard library opens the archive there."""
    path = fill(tmp_path / "archive.zip")
    sent = zipfile.Path(str(path)) / "folder"
    data = daskpickle.dumps(sent)
    sent.root.close()
    path.rename(path.with_name("elsewhere.zip"))
    with elsewhere():
        received = daskpickle.loads(data)
        assert (received / "b.txt").read_text() == "text"  # its bytes came along
        received.root.close()
