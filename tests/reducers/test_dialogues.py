"""Clients of mail and files travel while they are idle, and are refused once they are connected."""

from __future__ import annotations

import contextlib
import ftplib
import imaplib
import importlib
import poplib
import smtplib
import socketserver
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import daskpickle
from daskpickle.testing import ReducerContract


class Polite(socketserver.StreamRequestHandler):
    """Greets, and says yes to everything."""

    def handle(self) -> None:
        greeting: bytes = self.server.greeting  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            self.wfile.write(greeting)
            for line in self.rfile:
                tag = line.split()[0]
                yes = b"+OK\r\n" if greeting[:1] == b"+" else b"250 yes\r\n"
                capable = b"* CAPABILITY IMAP4REV1\r\n" + tag + b" OK done\r\n"
                self.wfile.write(capable if greeting[:1] == b"*" else yes)


class TestConnected(ReducerContract):
    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        with contextlib.ExitStack() as self.stack:
            yield

    def address(self, greeting: bytes) -> Any:
        server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Polite)
        server.greeting, server.daemon_threads = greeting, True
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        self.stack.callback(server.server_close)
        self.stack.callback(thread.join)
        self.stack.callback(server.shutdown)
        return server.server_address

    def client(self, make: Any, greeting: bytes) -> Callable[[], Any]:
        def connect() -> Any:
            client = make(*self.address(greeting))
            self.stack.callback(client.sock.close)
            if getattr(client, "file", None) is not None:
                self.stack.callback(client.file.close)
            return client

        return connect

    def refused(self) -> list[Any]:
        def ftp(host: str, port: int) -> ftplib.FTP:
            client = ftplib.FTP()
            client.connect(host, port)
            return client

        makers = [
            (ftp, b"220 hi\r\n"),
            (smtplib.SMTP, b"220 hi\r\n"),
            (poplib.POP3, b"+OK\r\n"),
            (imaplib.IMAP4, b"* OK\r\n"),
        ]
        if sys.version_info < (3, 13):
            makers.append((old("telnetlib").Telnet, b"login:"))
        return [(self.client(*maker), "It is connected, and what was said") for maker in makers]


def old(name: str) -> Any:
    """A module that newer versions of Python do not have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(name)


@pytest.mark.parametrize("make", [smtplib.SMTP, smtplib.LMTP, ftplib.FTP, ftplib.FTP_TLS])
def test_an_idle_client_travels(make: Any) -> None:
    """With all its attributes."""
    sent = make()
    received = daskpickle.loads(daskpickle.dumps(sent))
    assert type(received) is make
    assert vars(received).keys() == vars(sent).keys()
    assert (received.sock, received.timeout) == (None, sent.timeout)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="asyncore was removed in Python 3.12.")
def test_what_the_loop_of_asyncore_watches_is_refused() -> None:
    """It knows its descriptors by number; idle dispatchers travel."""
    import socket

    asyncore = old("asyncore")
    received = daskpickle.loads(daskpickle.dumps(asyncore.dispatcher(map={})))
    assert received.socket is None
    with socket.socket() as sock:
        with pytest.raises(daskpickle.RefusedError, match="watched by the loop"):
            daskpickle.dumps(asyncore.dispatcher(sock, {}))
        wrapper = asyncore.file_wrapper(sock.fileno())
        with pytest.raises(daskpickle.RefusedError, match="owns a descriptor"):
            daskpickle.dumps(wrapper)
        wrapper.close()
