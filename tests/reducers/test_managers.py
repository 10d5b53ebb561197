"""A proxy reconnects with the key of the process where it arrives; keys and managers stay."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.managers import BaseManager, SyncManager
from typing import Any

import pytest

import daskpickle
from daskpickle.errors import HandleError, RefusedError
from daskpickle.handles import settings
from daskpickle.testing import ReducerContract
from daskpickle.testing.contract import elsewhere

KEY = b"secret of the manager"


@pytest.fixture
def manager() -> Iterator[SyncManager]:
    """A manager whose key the user has chosen, for this process too."""
    own = multiprocessing.current_process().authkey
    multiprocessing.current_process().authkey = KEY
    try:
        with multiprocessing.get_context("spawn").Manager() as started:
            yield started
        started._process.close()  # pytest keeps the manager, and so its pipes, for longer
    finally:
        multiprocessing.current_process().authkey = own


@pytest.mark.usefixtures("with_manager")
class TestProxy(ReducerContract):
    secret = KEY.decode()

    @pytest.fixture
    def with_manager(self, manager: SyncManager) -> None:
        self.manager = manager

    def make(self) -> Any:
        return self.manager.dict({"a": 1})

    def same(self, sent: Any, received: Any) -> None:
        assert received["a"] == 1
        received["b"] = 2
        assert sent["b"] == 2
        del sent["b"]
        assert len(received) == 1

    def state(self, obj: Any) -> Any:
        return obj.copy()


class TestAutoProxy(TestProxy):
    """Its type is made for what it is a proxy of."""

    def make(self) -> Any:
        return self.manager.Queue()

    def same(self, sent: Any, received: Any) -> None:
        received.put(1)
        assert sent.get() == 1
        assert type(received).__name__ in ("AutoProxy[Queue]", "Handle")

    def state(self, obj: Any) -> Any:
        return obj.qsize()


class TestManager(ReducerContract):
    def refused(self) -> list[Any]:
        key = multiprocessing.current_process().authkey
        return [
            (lambda: key, "It is a key"),
            (BaseManager, "It belongs to this process"),
            (lambda: BaseManager(authkey=KEY).get_server(), "It belongs to this process"),
        ]

    def state(self, obj: Any) -> Any:
        return type(obj)

    def close(self, obj: Any) -> None:
        listener = getattr(obj, "listener", None)
        if listener is not None:
            listener.close()


def test_a_random_key_is_known_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Dask it may be: the workers of this process inherit it, and threads of it have it."""
    with multiprocessing.get_context("spawn").Manager() as manager:
        proxy = manager.list([1])
        with pytest.raises(RefusedError, match="no other is known to have"):
            daskpickle.dumps(proxy)
        monkeypatch.setattr(settings, "installed", True)
        data = daskpickle.dumps(proxy)
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError):
            len(received)


def test_another_key_is_named_as_the_cause(manager: SyncManager) -> None:
    """The error is raised at first use, and says what to set."""
    data = daskpickle.dumps(manager.list([1]))
    multiprocessing.current_process().authkey = b"another"
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match="its manager has another key"):
            len(received)
    multiprocessing.current_process().authkey = KEY
