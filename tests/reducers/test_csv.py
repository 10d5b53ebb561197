"""Readers go on with the next row; writers write where they did."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract


class TestReader(ReducerContract):
    def make(self) -> Any:
        reader = csv.reader(iter(["a;b", "'c", "d';e"]), delimiter=";", quotechar="'")
        next(reader)
        return reader

    def same(self, sent: Any, received: Any) -> None:
        assert type(received) is type(sent)
        assert received.line_num == sent.line_num == 1
        assert list(received) == list(sent) == [["cd", "e"]]
        assert received.line_num == sent.line_num == 3

    def state(self, obj: Any) -> Any:
        return obj.line_num

    @staticmethod
    def use(received: Any) -> Any:
        return next(received), received.line_num, received.dialect.quotechar


class TestWriter(ReducerContract):
    def make(self) -> Any:
        return csv.writer(io.StringIO(), quoting=csv.QUOTE_ALL)

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received.writerow([1]) == sent.writerow([1]) == len('"1"\r\n'))

    @staticmethod
    def use(received: Any) -> Any:
        return received.writerow(["a", 1])


class TestDialect(ReducerContract):
    def make(self) -> Any:
        return csv.reader((), dialect="excel-tab", escapechar="!", strict=True).dialect

    def same(self, sent: Any, received: Any) -> bool:
        names = [name for name in dir(sent) if not name.startswith("_")]
        return all(getattr(received, name) == getattr(sent, name) for name in names)

    @staticmethod
    def use(received: Any) -> Any:
        return next(csv.reader(["a\tb!\t"], received))


def test_a_dict_reader_goes_on() -> None:
    """It is made of a reader."""
    reader = csv.DictReader(["a,b", "1,2", "3,4"])
    next(reader)
    received = daskpickle.loads(daskpickle.dumps(reader))
    assert list(received) == list(reader) == [{"a": "3", "b": "4"}]


def test_a_writer_and_its_target_stay_together() -> None:
    """What it writes is in the target that travelled with it, and not in the sender's."""
    target = io.StringIO()
    received, there = daskpickle.loads(daskpickle.dumps((csv.writer(target), target)))
    received.writerow([1, 2])
    assert (there.getvalue(), target.getvalue()) == ("1,2\r\n", "")


def test_a_reader_of_a_file_does_not_open_it_before_it_reads(tmp_path: Path) -> None:
    """It arrives where the file is missing, and says so when it is asked for a row."""
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" * 300_000)  # its bytes do not travel
    with path.open(newline="") as file:
        data = daskpickle.dumps(csv.reader(file))
    path.unlink()
    received = daskpickle.loads(data)
    with pytest.raises(daskpickle.HandleError):
        next(received)


def test_a_reader_over_a_generator_is_refused() -> None:
    """The path leads to the generator."""
    with pytest.raises(daskpickle.errors.RefusedError, match="generator at"):
        daskpickle.dumps(csv.reader(line for line in "ab"))
