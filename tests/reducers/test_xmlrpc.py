"""XML-RPC proxies call their server from where they arrive, and nobody while they are loaded."""

from __future__ import annotations

import threading
import xmlrpc.client
from collections.abc import Iterator
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

import pytest

import daskpickle
from daskpickle.testing import ReducerContract, elsewhere


@pytest.fixture
def uri() -> Iterator[str]:
    with SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as server:
        server.register_function(lambda *args: list(args), "lab.echo")
        server.register_multicall_functions()
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        host, port = server.server_address[:2]
        yield f"http://{host!s}:{port}/RPC2"
        server.shutdown()
        thread.join()


class Calling(ReducerContract):
    @pytest.fixture(autouse=True)
    def _serve(self, uri: str) -> Iterator[None]:
        self.uri = uri
        with xmlrpc.client.ServerProxy(uri, encoding="latin-1", verbose=False) as self.proxy:
            yield


class TestProxy(Calling):
    def make(self) -> Any:
        assert self.proxy.lab.echo("sent") == ["sent"]  # it has a connection, which stays open
        return self.proxy

    def same(self, sent: Any, received: Any) -> None:
        with received:
            assert received.lab.echo("there", 1) == ["there", 1]
        assert vars(received)["_ServerProxy__encoding"] == "latin-1"
        assert vars(received).keys() == vars(sent).keys()

    def refused(self) -> list[Any]:
        make = xmlrpc.client.ServerProxy
        return [(lambda: make("http://me:secret@host.example"), "It holds a password")]

    @staticmethod
    def use(received: Any) -> Any:
        with received:
            return received.lab.echo("used")


class TestMethod(Calling):
    def make(self) -> Any:
        return self.proxy.lab.echo

    def same(self, sent: Any, received: Any) -> bool:
        proxy = vars(received)["_Method__send"].__self__
        with proxy:
            return bool(received(5) == [5])


class TestMultiCall(Calling):
    def make(self) -> Any:
        calls = xmlrpc.client.MultiCall(self.proxy)
        calls.lab.echo(1)
        return calls

    def same(self, sent: Any, received: Any) -> None:
        received.lab.echo(2)
        with vars(received)["_MultiCall__server"]:
            assert list(received()) == [[1], [2]]


class TestMultiCallMethod(Calling):
    def make(self) -> Any:
        return xmlrpc.client.MultiCall(self.proxy).lab.echo

    def same(self, sent: Any, received: Any) -> None:
        received(3)
        assert vars(received)["_MultiCallMethod__call_list"] == [("lab.echo", (3,))]


def test_a_method_of_something_else_is_copied() -> None:
    """Whatever sends for it."""
    send: Any = max
    sent = xmlrpc.client._Method(send, "name")
    received = daskpickle.loads(daskpickle.dumps(sent))
    assert vars(received) == vars(sent)


def test_a_method_and_its_proxy_stay_together(uri: str) -> None:
    """What travels together stays together."""
    with xmlrpc.client.ServerProxy(uri) as proxy:
        data = daskpickle.dumps([proxy, proxy.lab.echo])
    with elsewhere():
        proxy, method = daskpickle.loads(data)
        assert vars(method)["_Method__send"].__self__ is proxy
