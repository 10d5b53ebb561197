"""Mailboxes."""

from __future__ import annotations

import mailbox
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import HandleError
from daskpickle.testing import ReducerContract, elsewhere


class Labelled(mailbox.mbox):
    """A mailbox with an attribute."""

    label = "none"


class TestMailbox(ReducerContract):
    cls: Any = Labelled

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "box"

    def make(self) -> Any:
        self.path.unlink(missing_ok=True)
        box = self.cls(self.path)
        box.label = "mine"
        for number in range(3):
            box.add(f"Subject: {number}\n\ntext\n")
        box.remove(0)
        box.flush()
        return box

    def same(self, sent: Any, received: Any) -> None:
        assert received.label == "mine"
        assert {key: m["subject"] for key, m in received.items()} == {1: "1", 2: "2"}

    def state(self, obj: Any) -> Any:
        return obj._file.closed or (obj.keys(), obj._file.tell())

    def close(self, obj: Any) -> None:
        if obj._locked:
            obj.unlock()
        if not obj._file.closed:
            obj.close()

    @staticmethod
    def use(received: Any) -> Any:
        return len(received), received[1]["subject"]

    def target(self, obj: Any) -> Path:
        return self.path

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (lambda: self.changed("close"), "It is closed"),
            (lambda: self.changed("lock"), "It is locked"),
            (
                lambda: self.changed("add", "Subject: 4\n\n"),
                "It holds changes that are not flushed",
            ),
        ]

    def changed(self, method: str, *args: Any) -> Any:
        box = self.make()
        getattr(box, method)(*args)
        return box


class TestMmdf(TestMailbox):
    cls = mailbox.MMDF


class TestBabyl(TestMailbox):
    cls = mailbox.Babyl


def test_a_mailbox_that_others_wrote_to_is_an_error_of_first_use(tmp_path: Path) -> None:
    """What lies where in it is no longer known."""
    path = tmp_path / "box"
    box = mailbox.mbox(path)
    box.add("Subject: 1\n\n")
    box.flush()
    data = daskpickle.dumps(box)
    box.close()
    with path.open("ab") as file:
        file.write(b"more")
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match=f"{path} is not as it was submitted"):
            len(received)


def test_a_mailbox_that_may_only_be_read_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it was made."""
    path = tmp_path / "box"
    box = mailbox.mbox(path)
    box.add("Subject: 1\n\n")
    box.flush()
    data = daskpickle.dumps(box)
    box.close()
    plain = Path.open

    def open_to_read(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if "+" in mode:
            raise PermissionError("It may only be read.")
        return plain(self, mode, *args, **options)

    monkeypatch.setattr(Path, "open", open_to_read)
    with elsewhere():
        received = daskpickle.loads(data)
        assert received[0]["subject"] == "1"
        assert received._file.mode == "rb"


def test_a_part_of_the_file_travels_as_its_bytes(tmp_path: Path) -> None:
    """At its position; not if they are many."""
    box = mailbox.mbox(tmp_path / "box")
    box.add("Subject: one\n\ntext\n")
    box.flush()
    part = box.get_file(0)
    part.readline()
    received = daskpickle.loads(daskpickle.dumps(part))
    assert type(received) is mailbox._PartialFile
    assert received.tell() == part.tell()
    assert received.read() == part.read() == b"\ntext\n"
    part._stop = part._start + daskpickle.handles.settings.contents_limit + 1  # type: ignore[attr-defined]
    with pytest.raises(daskpickle.RefusedError, match="contents-limit"):
        daskpickle.dumps(part)
    part.close()
    with pytest.raises(daskpickle.RefusedError, match="it is closed"):
        daskpickle.dumps(part)
    box.close()
