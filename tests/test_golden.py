"""What was sent once loads for ever: golden pickles, made on the oldest and the newest Python."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import pytest
from golden import make

import daskpickle
from daskpickle.testing import elsewhere

GOLDEN = sorted(make.FOLDER.glob("*.pkl"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_pickle_loads_and_travels_on(path: Path) -> None:
    """Plain pickle loads it, each object is of its class and in its state, and is pickled again."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    stream = io.BytesIO(path.read_bytes())
    found = {}
    with elsewhere():
        for maker in make.MAKERS[path.name.partition(".")[0]]:
            objects = pickle.load(stream)
            again = daskpickle.loads(daskpickle.dumps(objects))
            assert list(again) == list(objects)
            for name, obj in again.items():
                found[f"{maker.__name__}: {name}"] = make.describe(obj)
    assert stream.read() == b""
    assert json.loads(json.dumps(found)) == expected["objects"]


def test_each_golden_pickle_says_where_it_comes_from() -> None:
    """Beside each pickle are the versions that made it, and nothing else is in the folder."""
    assert sorted(make.FOLDER.glob("*.json")) == [path.with_suffix(".json") for path in GOLDEN]
    for path in make.FOLDER.glob("*.json"):
        facts = json.loads(path.read_text(encoding="utf-8"))
        assert facts["python"].startswith("3.")
        assert facts["wire"] <= daskpickle.WIRE_VERSION
        assert sum(facts["sizes"]) == path.with_suffix(".pkl").stat().st_size


def test_making_never_writes_over_a_golden_pickle(tmp_path: Path) -> None:
    """A second one of a room gets the next number; where that is taken, nothing is written."""
    first, second = make.write("queues", tmp_path), make.write("queues", tmp_path)
    assert (first.name, second.name) == ("queues.1.pkl", "queues.2.pkl")
    second.rename(tmp_path / "queues.3.pkl")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError):
        make.write("queues", tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
