"""Lines of several files."""

from __future__ import annotations

import fileinput
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle import RefusedError
from daskpickle.testing import ReducerContract


class TestFileInput(ReducerContract):
    cls = fileinput.FileInput

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        self.paths = [tmp_path / "one", tmp_path / "two"]
        for path in self.paths:
            path.write_text(f"first of {path.name}\nsecond of {path.name}\n")

    def make(self) -> Any:
        lines = fileinput.FileInput([str(path) for path in self.paths], mode="rb")
        lines.readline()
        return lines

    def same(self, sent: Any, received: Any) -> None:
        assert (received.lineno(), received.filelineno()) == (1, 1)
        assert list(received) == [b"second of one\n", b"first of two\n", b"second of two\n"]

    def state(self, obj: Any) -> Any:
        return obj._files, obj.lineno(), obj._file and obj._file.tell()

    def close(self, obj: Any) -> None:
        obj.close()


def test_names_lead_to_the_files_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are absolute; a name for standard input stays."""
    tmp_path.joinpath("name").write_text("line\n")
    monkeypatch.chdir(tmp_path)
    sent = fileinput.FileInput(["name", Path("name"), "-"], encoding="utf-8")
    data = daskpickle.dumps(sent)
    assert sent._files == ("name", Path("name"), "-")  # type: ignore[attr-defined]
    monkeypatch.chdir("/")
    with daskpickle.loads(data) as lines:
        assert next(lines) == next(lines) == "line\n"
        assert lines._files == ("-",)


def test_an_edit_that_has_begun_is_refused(tmp_path: Path) -> None:
    """Another process cannot go on with it."""
    path = tmp_path / "name"
    path.write_text("one\ntwo\n")
    with fileinput.FileInput([str(path)], inplace=True, encoding="utf-8") as lines:
        next(lines)
        with pytest.raises(RefusedError, match="edits in place"):
            daskpickle.dumps(lines)
