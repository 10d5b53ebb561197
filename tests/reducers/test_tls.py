"""TLS in memory: buffers that hold nothing travel, keys do not."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

import pytest
import trustme

import daskpickle
from daskpickle.testing import ReducerContract


class TestBuffer(ReducerContract):
    def make(self) -> Any:
        buffer = ssl.MemoryBIO()
        buffer.write(b"read")
        buffer.read()
        return buffer

    def same(self, sent: Any, received: Any) -> bool:
        received.write(b"abc")
        return (received.eof, received.read()) == (False, b"abc")

    def state(self, obj: Any) -> Any:
        return obj.pending, obj.eof

    def refused(self) -> list[Any]:
        def filled() -> Any:
            buffer = self.make()
            buffer.write(b"x")
            return buffer

        return [(filled, "Its bytes cannot be read without taking them out")]


class TestBufferAtItsEnd(ReducerContract):
    def make(self) -> Any:
        buffer = ssl.MemoryBIO()
        buffer.write_eof()
        return buffer

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received.eof)


class TestObjectIdentifier(ReducerContract):
    def make(self) -> Any:
        return ssl._ASN1Object("1.3.6.1.5.5.7.3.1")

    def same(self, sent: Any, received: Any) -> bool:
        return bool(received == sent and received.shortname == "serverAuth")


def talk() -> ssl.SSLObject:
    """The client's end of a conversation in memory."""
    authority = trustme.CA()
    server, client = (ssl.SSLContext(p) for p in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    left, right = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(left, right, server_hostname="localhost"),
        server.wrap_bio(right, left, server_side=True),
    ]
    for end in ends * 3:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return ends[0]


class TestKeys(ReducerContract):
    def refused(self) -> list[Any]:
        return [
            (talk, "Its keys stay in this process"),
            (lambda: talk().session, "Its keys stay in this process"),
            (lambda: talk()._sslobj, "Its keys stay in this process"),  # type: ignore[attr-defined]
        ]


FLAGS = [ssl.OP_NO_TLSv1 | ssl.OP_NO_TICKET, ssl.OP_NO_TICKET, ssl.VERIFY_X509_STRICT]


@pytest.mark.parametrize("flags", FLAGS, ids=repr)
def test_flags_travel(flags: Any) -> None:
    """One by one, and combined."""
    received = daskpickle.loads(daskpickle.dumps(flags))
    assert received == flags
    assert type(received) is type(flags)


def test_a_purpose_travels() -> None:
    """It is the same object where it arrives."""
    purpose = ssl.Purpose.SERVER_AUTH
    assert daskpickle.loads(daskpickle.dumps(purpose)) is purpose
