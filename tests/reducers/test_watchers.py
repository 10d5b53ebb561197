"""Selectors watch what arrives with them; what is watched by number is refused."""

from __future__ import annotations

import contextlib
import pickle
import select
import selectors
import socket
from collections.abc import Iterator
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract, elsewhere


class Noted(selectors.SelectSelector):
    """A selector with arguments and attributes of its own."""

    def __init__(self, note: str) -> None:
        super().__init__()
        self.note = note


class Listening(ReducerContract):
    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        with contextlib.ExitStack() as self.stack:
            self.listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            address = self.listener.getsockname()
            self.client = self.stack.enter_context(socket.create_connection(address))
            self.stack.enter_context(self.listener.accept()[0])
            yield

    def closed(self, obj: Any) -> Any:
        obj.close()
        return obj

    def close(self, obj: Any) -> None:
        if hasattr(obj, "close"):
            obj.close()


class TestSelector(Listening):
    def make(self) -> Any:
        selector = selectors.DefaultSelector()
        selector.register(self.client, selectors.EVENT_WRITE, {"my": "data"})
        return selector

    def same(self, sent: Any, received: Any) -> None:
        [(key, events)] = received.select(10)
        assert (key.data, events) == ({"my": "data"}, selectors.EVENT_WRITE)
        served = self.listener.accept()[0]
        with served:
            key.fileobj.sendall(b"hello")
            assert served.recv(10) == b"hello"
        received.unregister(key.fileobj)
        assert received.select(0) == []

    def state(self, obj: Any) -> Any:
        return obj.get_map() and list(obj.get_map().values())

    def refused(self) -> list[Any]:
        def by_number() -> Any:
            selector = selectors.SelectSelector()
            selector.register(self.listener.fileno(), selectors.EVENT_READ)
            return selector

        return [
            (by_number, "It watches descriptors of this process by their numbers"),
        ]


class TestSelectorSubclass(Listening):
    def make(self) -> Any:
        return Noted("mine")

    def same(self, sent: Any, received: Any) -> None:
        assert received.note == "mine"
        assert list(received.get_map()) == []
        received.register(self.listener, selectors.EVENT_READ)
        assert received.select(0) == []


@pytest.mark.parametrize(
    "make", [selectors.SelectSelector, selectors.PollSelector, selectors.DefaultSelector]
)
def test_an_empty_selector_watches_what_it_is_told_to(make: Any) -> None:
    """A selector of the same class, which watches nothing yet."""
    with make() as selector:
        data = daskpickle.dumps(selector)
    left, right = socket.socketpair()
    with left, right, elsewhere():
        received = daskpickle.loads(data)
        received.register(left, selectors.EVENT_READ)
        right.send(b"x")
        assert [key.fileobj for key, _ in received.select(10)] == [left]


def test_a_socket_that_is_watched_is_the_one_that_travels_with_it() -> None:
    """Both lead to one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(listener.getsockname()))
        stack.enter_context(listener.accept()[0])
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(client, selectors.EVENT_WRITE)
        data = daskpickle.dumps([client, selector])
        with elsewhere():
            client, selector = daskpickle.loads(data)
            [(key, _)] = selector.select(10)
            assert key.fileobj.getsockname() == client.getsockname()


def test_what_is_watched_and_cannot_travel_is_named() -> None:
    """The error is about the socket, not about its selector."""
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.SelectSelector() as watcher:
        watcher.register(listener, selectors.EVENT_READ)
        with pytest.raises(daskpickle.RefusedError, match=r"socket\.socket at .* it is listening"):
            daskpickle.dumps(watcher)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="Only Linux has epoll.")
class TestEpoll(Listening):
    def make(self) -> Any:
        return select.epoll()

    def same(self, sent: Any, received: Any) -> None:
        received.register(self.listener, select.EPOLLIN)
        assert received.poll(0) == []
        with socket.create_connection(self.listener.getsockname()):
            assert received.poll(10) == [(self.listener.fileno(), select.EPOLLIN)]

    def refused(self) -> list[Any]:
        def watching() -> Any:
            epoll = select.epoll()
            epoll.register(self.listener, select.EPOLLIN)
            return epoll

        return [(watching, "by their numbers")]


class TestClosedEpoll(Listening):
    def make(self) -> Any:
        return self.closed(select.epoll())

    def same(self, sent: Any, received: Any) -> None:
        assert received.closed


@pytest.mark.parametrize("make", [selectors.SelectSelector, selectors.DefaultSelector, Noted])
def test_a_closed_selector_arrives_closed(make: Any) -> None:
    """With its attributes, and it can be closed once more."""
    selector = make(*["mine"][: make is Noted])
    selector.close()
    data = daskpickle.dumps(selector)
    with elsewhere():
        received = daskpickle.loads(data)
        assert type(received) is make
        assert received.get_map() is None
        received.close()
        assert getattr(received, "note", "mine") == "mine"


def test_what_holds_nothing_of_the_system_is_pickled_as_ever() -> None:
    """Where nobody opens anything it is a selector too, and no handle."""
    with selectors.SelectSelector() as selector:
        data = daskpickle.dumps(selector)
    assert b"daskpickle" not in data
    with pickle.loads(data) as received:
        assert received.select(0) == []


class TestPoll(Listening):
    def refused(self) -> list[Any]:
        return [(select.poll, "It does not tell which descriptors")]
