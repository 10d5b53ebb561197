"""Sockets: clients connect again where they arrive, servers stay, and TLS speaks as it spoke."""

from __future__ import annotations

import _socket
import datetime
import functools
import os
import socket
import ssl
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import daskpickle
from daskpickle import handles
from daskpickle.errors import HandleError, RefusedError
from daskpickle.testing import ReducerContract, elsewhere

WAIT = 10.0  # seconds, for what comes at once unless something is broken
LOCAL = ("127.0.0.1", 0)


class Server:
    """Answers each message with itself, each connection in a thread; counts connections."""

    def __init__(
        self, address: Any = LOCAL, family: int = socket.AF_INET, context: Any = None
    ) -> None:
        self.context = context
        self.accepted = 0
        self.open: list[socket.socket] = []
        self.changed = threading.Condition()
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(address)
        self.listener.listen()
        self.address = self.listener.getsockname()
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:  # closed
                return
            with self.changed:
                self.accepted += 1
                self.open.append(conn)
            self.threads.append(threading.Thread(target=self.converse, args=[conn]))
            self.threads[-1].start()

    def converse(self, conn: socket.socket) -> None:
        spoken = conn
        try:
            if self.context is not None:
                spoken = self.context.wrap_socket(conn, server_side=True)
                with self.changed:
                    self.open[self.open.index(conn)] = spoken
            while message := spoken.recv(1000):
                spoken.sendall(message)
        except OSError:  # the client went away, or does not trust us
            pass
        spoken.close()
        conn.close()
        with self.changed:
            self.open.remove(spoken)
            self.changed.notify_all()

    def wait_until_idle(self) -> None:
        """Wait until all clients have gone and their connections are closed."""
        with self.changed:
            assert self.changed.wait_for(lambda: not self.open, WAIT), "a client is connected"

    def hang_up(self) -> None:
        """Tell all clients that nothing more will be said."""
        with self.changed:
            for conn in self.open:
                socket.socket.shutdown(conn, socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self.listener.close()
        self.threads[0].join()
        for conn in self.open:
            with suppress(OSError):
                socket.socket.shutdown(conn, socket.SHUT_RDWR)
        for thread in self.threads[1:]:
            thread.join()


class DatagramServer:
    """Answers each datagram with itself."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(LOCAL)
        self.address = self.socket.getsockname()
        self.thread = threading.Thread(target=self.answer)
        self.thread.start()

    def answer(self) -> None:
        while True:
            message, sender = self.socket.recvfrom(1000)
            if message == b"stop":
                return
            self.socket.sendto(message, sender)

    def close(self) -> None:
        self.socket.sendto(b"stop", self.address)
        self.thread.join()
        self.socket.close()


class Marked(socket.socket):
    """A subclass with arguments, an attribute and a slot of its own."""

    __slots__ = ("__dict__", "colour")

    def __init__(self, name: str) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.name = name
        self.colour = "red"


class Proxied(socket.socket):
    """A subclass whose peer is not whom it talks to."""

    def connect(self, address: Any) -> None:
        super().connect(address)
        self.sendall(b"CONNECT")


class OwnTls(ssl.SSLSocket):
    """A subclass that a context may be told to make."""


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def certificate() -> trustme.LeafCert:
    return authority().issue_cert("localhost")


def server_context(**attributes: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate().configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def client_context(alpn: str = "", **attributes: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    if alpn:
        context.set_alpn_protocols([alpn])
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def echo(sock: Any, message: bytes = b"hello") -> bytes:
    """What comes back for a message."""
    sock.sendall(message)
    return sock.recv(1000)


def greet(sock: Any, address: Any) -> Any:
    """Connect, and talk, so that the server has accepted it too."""
    sock.settimeout(WAIT)
    sock.connect(address)
    assert echo(sock) == b"hello"
    return sock


def connect(server: Any) -> socket.socket:
    """A client of a server without TLS."""
    return greet(socket.socket(server.listener.family, socket.SOCK_STREAM), server.address)


def connect_tls(server: Any, context: ssl.SSLContext, **options: Any) -> ssl.SSLSocket:
    """A client of a server with TLS."""
    sock = context.wrap_socket(socket.socket(), server_hostname="localhost", **options)
    return greet(sock, server.address)


def accepted(cleanup: ExitStack, family: int = socket.AF_INET, host: str = "127.0.0.1") -> Any:
    """Both ends of a connection: the client's, the server's, and the listening socket."""
    listener = cleanup.enter_context(socket.socket(family, socket.SOCK_STREAM))
    listener.bind((host, 0))
    listener.listen()
    port = listener.getsockname()[1]
    client = cleanup.enter_context(socket.create_connection(("127.0.0.1", port)))
    served = cleanup.enter_context(listener.accept()[0])
    return client, served, listener


def arrive(data: bytes) -> Any:
    """What a task gets of what was sealed for it."""
    with handles.opening():
        return daskpickle.loads(data)


def why(obj: Any) -> str:
    """Why it is refused."""
    with pytest.raises(RefusedError) as caught:
        daskpickle.dumps(obj)
    return caught.value.why


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class SocketContract(ReducerContract):
    """What is true of all that are connected: the server gets one connection more."""

    server: Any

    @pytest.fixture(autouse=True)
    def _serve(self, tmp_path: Path) -> Iterator[None]:
        self.server = self.serve(tmp_path)
        yield
        self.server.close()

    def serve(self, folder: Path) -> Any:
        return Server()

    def make(self) -> Any:
        return connect(self.server)

    def same(self, sent: Any, received: Any) -> None:
        assert received.gettimeout() == sent.gettimeout()
        assert received.getpeername() == sent.getpeername()
        assert (received.family, received.type) == (sent.family, sent.type)
        assert echo(received) == echo(sent) == b"hello"
        assert self.server.accepted == 2

    def state(self, obj: Any) -> Any:
        return obj.fileno(), obj.gettimeout()

    def close(self, obj: Any) -> None:
        obj.close()
        self.server.wait_until_idle()

    @staticmethod
    def use(received: Any) -> Any:
        received.sendall(b"from afar")
        return received.recv(100), received.getpeername(), received.gettimeout()


class TestTcp(SocketContract):
    def make(self) -> Any:
        sock = connect(self.server)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 41)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 42)
        return sock

    def same(self, sent: Any, received: Any) -> None:
        super().same(sent, received)
        assert received.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        linger = received.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (1, 3)
        assert received.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        assert received.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert received.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 41
        assert received.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 42


class TestTcp6(SocketContract):
    def serve(self, folder: Path) -> Any:
        return Server(("::1", 0), socket.AF_INET6)


class TestUnix(SocketContract):
    def serve(self, folder: Path) -> Any:
        return Server(str(folder / "s"), socket.AF_UNIX)


class TestAbstractUnix(SocketContract):
    def serve(self, folder: Path) -> Any:
        return Server(b"\0" + os.urandom(8).hex().encode(), socket.AF_UNIX)


class TestNonBlocking(SocketContract):
    """It connects all the same, and does not block afterwards."""

    def make(self) -> Any:
        sock = connect(self.server)
        sock.setblocking(False)
        return sock

    def same(self, sent: Any, received: Any) -> None:
        with pytest.raises(BlockingIOError):
            received.recv(1)
        assert received.gettimeout() == 0
        received.settimeout(WAIT)
        assert echo(received) == b"hello"

    use = staticmethod(ReducerContract.use)


class TestSubclass(SocketContract):
    def make(self) -> Any:
        return greet(Marked("left"), self.server.address)

    def same(self, sent: Any, received: Any) -> None:
        super().same(sent, received)
        assert received.__class__ is Marked
        assert (received.name, received.colour) == ("left", "red")


class TestUdp(SocketContract):
    def serve(self, folder: Path) -> Any:
        return DatagramServer()

    def make(self) -> Any:
        return greet(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), self.server.address)

    def same(self, sent: Any, received: Any) -> None:
        assert received.gettimeout() == sent.gettimeout()
        assert received.getsockname() != sent.getsockname()
        assert echo(received) == echo(sent) == b"hello"

    def close(self, obj: Any) -> None:
        obj.close()


class TestUnconnected(ReducerContract):
    @pytest.fixture(autouse=True)
    def _serve(self, server: Server, cleanup: ExitStack) -> None:
        self.server, self.cleanup = server, cleanup

    def make(self) -> Any:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.settimeout(1.5)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return sock

    def same(self, sent: Any, received: Any) -> bool:
        return type(self).use(received) == type(self).use(sent)

    @staticmethod
    def use(received: Any) -> Any:
        return (
            received.family, received.type, received.proto, received.gettimeout(),
            received.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
            received.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST),
        )  # fmt: skip

    def state(self, obj: Any) -> Any:
        return obj.fileno(), obj.gettimeout()

    def close(self, obj: Any) -> None:
        with suppress(OSError):
            obj.close()

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (self.bound, "It is bound to an address"),
            (self.listening, "It is listening"),
            (lambda: accepted(self.cleanup)[1], "It was accepted by a server"),
            (lambda: accepted(self.cleanup, socket.AF_INET6, "::")[1], "It was accepted"),
            (self.bound_datagrams, "It is bound to an address"),
            (self.unread, "It has received bytes"),
            (self.half_closed, "Its connection is half closed"),
            (self.hung_up, "Its peer has closed the connection"),
            (self.reset, "Its connection is broken"),
            (self.read_ahead, "It has an open file"),
            (self.paired, "Its peer has no address"),
            (lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), "neither of the Internet"),
            (self.without_descriptor, "It does not answer"),
            (Proxied, "in a way of its own"),
            (lambda: _socket.socket(socket.AF_INET, socket.SOCK_STREAM), "It is the bare socket"),
            (self.own_tls, "in a way of its own"),
        ]

    def bound(self) -> Any:
        sock = socket.socket()
        sock.bind(LOCAL)
        return sock

    def listening(self) -> Any:
        sock = self.bound()
        sock.listen()
        return sock

    def bound_datagrams(self) -> Any:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(LOCAL)
        return sock

    def unread(self) -> Any:
        sock = connect(self.server)
        sock.sendall(b"question")
        assert sock.recv(1) == b"q"
        return sock

    def half_closed(self) -> Any:
        sock, _, _ = accepted(self.cleanup)
        sock.shutdown(socket.SHUT_WR)
        return sock

    def hung_up(self) -> Any:
        sock = connect(self.server)
        self.server.hang_up()
        assert sock.recv(1) == b""
        return sock

    def reset(self) -> Any:
        sock, served, _ = accepted(self.cleanup)
        sock.sendall(b"never read")
        served.close()  # with bytes that nobody read, TCP resets the connection
        return sock

    def read_ahead(self) -> Any:
        sock = connect(self.server)
        self.cleanup.enter_context(sock.makefile("rb"))
        return sock

    def paired(self) -> Any:
        one, other = socket.socketpair()
        self.cleanup.enter_context(other)
        return one

    def without_descriptor(self) -> Any:
        sock = socket.socket()
        os.close(sock.fileno())
        self.cleanup.callback(sock.detach)
        return sock

    def own_tls(self) -> Any:
        context = client_context()
        context.sslsocket_class = OwnTls
        return context.wrap_socket(socket.socket(), server_hostname="localhost")


class TestClosed(ReducerContract):
    def make(self) -> Any:
        sock = Marked("closed")
        sock.close()
        return sock

    def same(self, sent: Any, received: Any) -> None:
        assert received.__class__ is Marked
        assert (received.name, received.colour) == ("closed", "red")
        with pytest.raises(OSError, match="Bad file descriptor"):
            received.recv(1)

    @staticmethod
    def use(received: Any) -> Any:
        return received.fileno(), received.close(), received.detach()


class TlsContract(SocketContract):
    """What is true of all that speak TLS: the other end was looked at, and is trusted."""

    server_attributes: dict[str, Any] = {}
    client_attributes: dict[str, Any] = {}

    def serve(self, folder: Path) -> Any:
        return Server(context=server_context(**self.server_attributes))

    def make(self) -> Any:
        return connect_tls(self.server, client_context(**self.client_attributes))

    def same(self, sent: Any, received: Any) -> None:
        super().same(sent, received)
        assert received.getpeercert() == sent.getpeercert() != {}
        assert received.server_hostname == sent.server_hostname == "localhost"
        assert received.version() == sent.version()
        assert received.selected_alpn_protocol() == sent.selected_alpn_protocol()
        assert received.context.check_hostname


class TestTls(TlsContract):
    pass


class TestTlsWithAlpn(TlsContract):
    client_attributes = {"alpn": "http/1.1"}

    def same(self, sent: Any, received: Any) -> None:
        super().same(sent, received)
        assert received.selected_alpn_protocol() == "http/1.1"


class TestTls12(TlsContract):
    server_attributes = {"maximum_version": ssl.TLSVersion.TLSv1_2}


class TestUnconnectedTls(TlsContract):
    """It connects where it arrives, as it would have where it was made."""

    def make(self) -> Any:
        sock = client_context().wrap_socket(socket.socket(), server_hostname="localhost")
        sock.settimeout(WAIT)
        return sock

    def same(self, sent: Any, received: Any) -> None:
        for sock in (sent, received):
            sock.connect(self.server.address)
        super().same(sent, received)

    use = staticmethod(ReducerContract.use)


class TestClosedTls(ReducerContract):
    def make(self) -> Any:
        sock = client_context().wrap_socket(socket.socket(), server_hostname="localhost")
        sock.close()
        return sock

    def same(self, sent: Any, received: Any) -> None:
        assert received.server_hostname == "localhost"
        assert received.version() is None
        assert received.fileno() == -1


class TestContext(ReducerContract):
    def make(self) -> Any:
        context = client_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AESGCM:@SECLEVEL=1")
        context.options |= ssl.OP_NO_TICKET
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.hostname_checks_common_name = False
        context.post_handshake_auth = True
        return context

    def same(self, sent: Any, received: Any) -> bool:
        return received is not sent and type(self).use(received) == type(self).use(sent)

    state = staticmethod(lambda context: TestContext.use(context))

    @staticmethod
    def use(received: Any) -> Any:
        names = (
            "check_hostname hostname_checks_common_name maximum_version minimum_version options "
            "post_handshake_auth protocol security_level verify_flags verify_mode"
        ).split()
        facts = {name: int(getattr(received, name)) for name in names}
        ciphers = [cipher["name"] for cipher in received.get_ciphers()]
        return facts, ciphers, received.get_ca_certs(binary_form=True)


class TestDefaultContext(TestContext):
    def make(self) -> Any:
        return ssl.create_default_context()


class TestInsecureContext(TestContext):
    def make(self) -> Any:
        context = ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


