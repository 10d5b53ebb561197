"""What is known of an installed package arrives as it is known here."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from daskpickle.testing import ReducerContract


class TestMessage(ReducerContract):
    def make(self) -> Any:
        return metadata.metadata("cloudpickle")

    def same(self, sent: Any, received: Any) -> bool:
        assert type(received) is type(sent)
        return bool(received.items() == sent.items() and received.json == sent.json)

    @staticmethod
    def use(received: Any) -> Any:
        return received["Name"]


class TestFastPath(ReducerContract):
    def make(self) -> Any:
        return metadata.FastPath("here")  # type: ignore[attr-defined]

    def same(self, sent: Any, received: Any) -> bool:
        return type(received) is type(sent) and vars(received) == vars(sent)


class TestPackagePath(ReducerContract):
    def make(self) -> Any:
        # What finds packages is that of the backport, once something has imported it.
        found: Any = metadata.distribution("cloudpickle")
        files = metadata.PathDistribution(Path(str(found._path))).files
        assert files is not None
        return files[0]

    def same(self, sent: Any, received: Any) -> bool:
        assert type(received) is type(sent)
        assert vars(received).keys() == vars(sent).keys()
        return bool(received == sent and received.locate() == sent.locate())

    @staticmethod
    def use(received: Any) -> Any:
        return received.size
