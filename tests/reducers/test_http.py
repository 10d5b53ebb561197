"""HTTP connections connect at their next request; what is half said or half read stays."""

from __future__ import annotations

import email.message
import http.client
import io
import socket
import threading
import urllib.error
import urllib.request
import urllib.response
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract, elsewhere

BODY = b"0123456789" * 20000  # more than the buffers of sockets and files hold

pytestmark = pytest.mark.usefixtures("without_tblib")


class Pages(BaseHTTPRequestHandler):
    """Has one page, and misses others."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.accepted.release()  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        if self.path != "/":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Does not mind clients that go, and ends all its threads."""

    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class Unix(http.client.HTTPConnection):
    """A connection of a user's own, which connects in its own way."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Serving(ReducerContract):
    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        with Server(("127.0.0.1", 0), Pages) as server:
            server.accepted = self.accepted = threading.Semaphore(0)  # type: ignore[attr-defined]
            self.address: Any = server.server_address
            self.made: list[Any] = []
            thread = threading.Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            yield
            for made in self.made:
                made.close()
            server.shutdown()
            thread.join()

    def connect(self) -> http.client.HTTPConnection:
        conn = http.client.HTTPConnection(self.address[0], self.address[1], timeout=10)
        self.made.append(conn)
        conn.connect()
        assert self.accepted.acquire(timeout=10)
        return conn

    def ask(self) -> http.client.HTTPConnection:
        conn = self.connect()
        conn.request("GET", "/")
        return conn

    def respond(self, amount: int | None) -> Any:
        response = self.ask().getresponse()
        self.made.append(response)
        response.read(amount)
        return response


class TestConnection(Serving):
    def make(self) -> Any:
        return self.connect()

    def same(self, sent: Any, received: Any) -> None:
        assert received.sock is None
        assert vars(received).keys() == vars(sent).keys()
        for conn in (received, received, sent):
            conn.request("GET", "/")
            assert conn.getresponse().read() == BODY
        assert received.timeout == 10
        received.close()

    def state(self, obj: Any) -> Any:
        return obj.sock

    def close(self, obj: Any) -> None:
        obj.close()

    def refused(self) -> list[Any]:
        def with_half_a_response() -> Any:
            conn = self.ask()
            response = conn.getresponse()
            self.made.append(response)
            response.read(10)
            return conn

        def without_auto_open() -> Any:
            conn = self.connect()
            conn.auto_open = 0
            return conn

        def with_half_a_request() -> Any:
            conn = self.connect()
            conn.putrequest("POST", "/")
            return conn

        return [
            (self.ask, "in the middle of a request"),
            (with_half_a_request, "in the middle of a request"),
            (with_half_a_response, "in the middle of a request"),
            (without_auto_open, "It was told not to connect again"),
        ]

    def test_the_reduced_value_is_well_formed(self) -> None:
        """It is that of pickle: no daskpickle is needed where it arrives."""
        with self._made() as sent:
            assert b"daskpickle" not in daskpickle.dumps(sent)

    @staticmethod
    def use(received: Any) -> Any:
        received.request("GET", "/")
        length = len(received.getresponse().read())
        received.close()
        return length


class TestUsedConnection(TestConnection):
    def make(self) -> Any:
        conn = self.ask()
        conn.getresponse().read()
        return conn


class TestTunnel(TestConnection):
    """Its socket talks to the proxy, and through it to the host: it is set up anew."""

    def make(self) -> Any:
        conn = http.client.HTTPConnection("proxy.example", 3128)
        conn.set_tunnel("host.example", 80, {"X": "1"})
        conn.sock = io.BytesIO()
        return conn

    def same(self, sent: Any, received: Any) -> None:
        tunnel = received._tunnel_host, received._tunnel_port, received._tunnel_headers["X"]
        assert (received.sock, tunnel) == (None, ("host.example", 80, "1"))

    refused, use = ReducerContract.refused, staticmethod(ReducerContract.use)


class TestConnectionSubclass(TestTunnel):
    def make(self) -> Any:
        conn = Unix("/run/service")
        conn.sock = io.BytesIO()
        return conn

    def same(self, sent: Any, received: Any) -> None:
        assert (type(received), received.path, received.sock) == (Unix, "/run/service", None)


class TestResponse(Serving):
    def refused(self) -> list[Any]:
        return [
            (lambda: self.respond(10), "Its body was not read to its end"),
            (lambda: self.respond(0), "Its body was not read to its end"),
        ]

    def test_one_that_was_read_travels(self) -> None:
        """With status and headers, and nothing to read."""
        received = daskpickle.loads(daskpickle.dumps(self.respond(None)))
        assert (received.status, received.read()) == (200, b"")
        assert received.getheader("Content-Length") == str(len(BODY))


class TestAnswer(ReducerContract):
    def make(self) -> Any:
        headers = email.message.Message()
        headers["A"] = "b"
        answer = urllib.response.addinfourl(io.BytesIO(b"answer"), headers, "lab:x", 7)
        answer.read(1)  # since then, it keeps the method of its file
        return answer

    def same(self, sent: Any, received: Any) -> None:
        assert (received.geturl(), received.status, received.info()["a"]) == ("lab:x", 7, "b")
        assert received.read() == b"nswer"
        received.close()

    def state(self, obj: Any) -> Any:
        return obj.fp.tell()


class TestAnswerWithHook(ReducerContract):
    def make(self) -> Any:
        return urllib.response.addclosehook(io.BytesIO(b"body"), int, "5")

    def same(self, sent: Any, received: Any) -> None:
        assert (received.closehook, received.hookargs) == (int, ("5",))
        received.close()
        assert received.closehook is None


class TestError(Serving):
    """An error whose body is still on its way."""

    def make(self) -> Any:
        host, port = self.address
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(f"http://{host}:{port}/missing")
        error = caught.value.with_traceback(None)
        self.made.append(error)
        error.__cause__ = KeyError("why")
        error.note = "mine"  # type: ignore[attr-defined]
        return error

    def same(self, sent: Any, received: Any) -> None:
        assert str(received) == str(sent) == "HTTP Error 404: Not Found"
        assert (received.url, received.filename, received.args) == (sent.url, sent.url, sent.args)
        assert received.headers.items() == sent.headers.items()
        assert received.note == "mine"
        assert repr(received.__cause__) == "KeyError('why')"
        with pytest.raises(ValueError, match="closed file"):
            received.read()
        received.close()

    def close(self, obj: Any) -> None:
        obj.close()


class TestErrorInMemory(ReducerContract):
    def make(self) -> Any:
        return urllib.error.HTTPError(
            "lab:x", 500, "Broken", email.message.Message(), io.BytesIO(b"body")
        )

    def same(self, sent: Any, received: Any) -> bool:
        return (received.code, received.read()) == (500, b"body")


def test_what_urllib_opened_of_a_file_travels_as_the_file(tmp_path: Path) -> None:
    """It is a handle inside of what `urllib` makes, and opens when it is read."""
    path = tmp_path / "data"
    path.write_bytes(b"content")
    with urllib.request.urlopen(path.as_uri()) as answer:
        data = daskpickle.dumps(answer)
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(daskpickle.loads(data)))
        assert received.headers["Content-Length"] == "7"
        assert received.read() == b"content"
        received.close()
