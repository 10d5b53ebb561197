"""Copies of temporary folders delete nothing."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from typing import Any

from daskpickle.testing import ReducerContract


class TestFolder(ReducerContract):
    def make(self) -> Any:
        return tempfile.TemporaryDirectory()

    def same(self, sent: Any, received: Any) -> None:
        path = Path(sent.name)
        with received as name:
            assert name == sent.name
        assert path.is_dir()
        received.cleanup()
        assert path.is_dir()
        del received
        gc.collect()
        assert path.is_dir()

    def close(self, obj: Any) -> None:
        path = Path(obj.name)
        assert path.is_dir()
        obj.cleanup()
        assert not path.exists()

    @staticmethod
    def use(received: Any) -> Any:
        return received.cleanup(), received.name
