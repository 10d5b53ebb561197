"""Sockets: clients connect again where they arrive, servers stay, and TLS speaks as it spoke."""

from __future__ import annotations

import _socket
import datetime
import functools
import os
import socket
import ssl
import struct
import sys
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


class ProxiedTls(OwnTls):
    """A subclass whose peer is not whom it talks to."""

    def connect(self, address: Any) -> None:
        super().connect(address)
        self.sendall(b"CONNECT")


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
            (self.reset, "or no longer, connected"),
            (self.listening, "It is listening"),
            (lambda: accepted(self.cleanup)[1], "It was accepted by a server"),
            (lambda: accepted(self.cleanup, socket.AF_INET6, "::")[1], "It was accepted"),
            (self.bound_datagrams, "It is bound to an address"),
            (self.unread, "It has received bytes"),
            (self.half_closed, "Its connection is half closed"),
            (self.hung_up, "Its peer has closed the connection"),
            (self.unix_hung_up, "Its peer has closed the connection"),
            (self.unheard, "Its connection is broken"),
            (self.read_ahead, "It has an open file"),
            (self.paired, "Its peer has no address"),
            (lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), "neither of the Internet"),
            (self.without_descriptor, "It does not answer"),
            (Proxied, "in a way of its own"),
            (lambda: _socket.socket(socket.AF_INET, socket.SOCK_STREAM), "It is the bare socket"),
            (self.proxied_tls, "in a way of its own"),
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

    def unix_hung_up(self) -> Any:
        path = b"\0" + os.urandom(8).hex().encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(path)
            listener.accept()[0].close()
        return sock

    def unheard(self) -> Any:
        with self.bound_datagrams() as nobody:
            address = nobody.getsockname()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(address)
        sock.send(b"hello")  # the answer, that nobody is there, is an error of the socket
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

    def proxied_tls(self) -> Any:
        context = client_context()
        context.sslsocket_class = ProxiedTls
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


class Noted(ssl.SSLContext):
    """A context of a user's own."""

    note: str


class TestContextSubclass(TestContext):
    def make(self) -> Any:
        context = Noted(ssl.PROTOCOL_TLS_CLIENT)
        context.note = "mine"
        return context

    def same(self, sent: Any, received: Any) -> bool:
        assert (type(received), received.note) == (Noted, "mine")
        return super().same(sent, received)


class TestServerContext(TestContext):
    def make(self) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 1
        return context

    def same(self, sent: Any, received: Any) -> bool:
        assert received.num_tickets == 1
        return super().same(sent, received)


class TestDefaultContext(TestContext):
    def make(self) -> Any:
        return ssl.create_default_context()


class TestInsecureContext(TestContext):
    def make(self) -> Any:
        context = ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


# --- Sockets in tasks ---------------------------------------------------------------------------


def test_a_thread_has_one_connection(server: Server, cleanup: ExitStack) -> None:
    """All tasks of one thread use one connection; another thread makes its own."""
    sent = cleanup.enter_context(connect(server))
    data = daskpickle.dumps(sent)

    def work() -> None:
        for _ in range(5):
            with handles.running_task():
                assert echo(arrive(data)) == b"hello"

    with elsewhere():
        work()
        assert server.accepted == 2
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert server.accepted == 3


def leave_unread(sock: Any, cleanup: ExitStack) -> None:
    sock.sendall(b"question")
    assert sock.recv(1) == b"q"


def leave_closed(sock: Any, cleanup: ExitStack) -> None:
    sock.close()


def leave_half_closed(sock: Any, cleanup: ExitStack) -> None:
    sock.shutdown(socket.SHUT_WR)


def leave_a_file(sock: Any, cleanup: ExitStack) -> None:
    cleanup.enter_context(sock.makefile("rb"))


@pytest.mark.parametrize("leave", [leave_unread, leave_closed, leave_half_closed, leave_a_file])
def test_what_a_task_leaves_behind_is_not_found_by_the_next(
    leave: Callable[[Any, ExitStack], None], server: Server, cleanup: ExitStack
) -> None:
    """After a task that half read, closed or shut it down, the thread connects again."""
    data = daskpickle.dumps(cleanup.enter_context(connect(server)))
    with elsewhere():
        with handles.running_task():
            leave(arrive(data), cleanup)
        with handles.running_task():
            assert echo(arrive(data)) == b"hello"
        assert server.accepted == 3


def test_a_failed_task_drops_its_connection(server: Server, cleanup: ExitStack) -> None:
    """What was half said when a task failed is not continued by the next."""
    data = daskpickle.dumps(cleanup.enter_context(connect(server)))
    with elsewhere():
        with suppress(ZeroDivisionError), handles.running_task():
            assert echo(arrive(data)) == b"hello"
            raise ZeroDivisionError
        with handles.running_task():
            assert echo(arrive(data)) == b"hello"
        assert server.accepted == 3


def test_the_timeout_is_what_was_submitted(server: Server, cleanup: ExitStack) -> None:
    """One task's change does not reach the next; a change by the sender is another state."""
    sent = cleanup.enter_context(connect(server))
    data = daskpickle.dumps(sent)
    with elsewhere():
        with handles.running_task():
            arrive(data).settimeout(77)
        with handles.running_task():
            assert arrive(data).gettimeout() == WAIT
    assert daskpickle.dumps(sent) == data
    sent.settimeout(77)
    assert daskpickle.dumps(sent) != data


def test_each_task_has_its_own_unconnected_socket(server: Server) -> None:
    """What one task connects is not connected in the next."""
    with socket.socket() as sent:
        data = daskpickle.dumps(sent)
    with elsewhere():
        for _ in range(2):
            with handles.running_task():
                greet(arrive(data), server.address)
        server.wait_until_idle()


def test_a_missing_server_is_an_error_of_first_use() -> None:
    """It names the peer; loading does not connect."""
    server = Server()
    sent = connect(server)
    data = daskpickle.dumps(sent)
    sent.close()
    server.close()
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match=rf"No connection to .*{server.address[1]}"):
            received.sendall(b"hello")


def test_a_missing_unix_server_is_seen_at_once(tmp_path: Path, cleanup: ExitStack) -> None:
    """The name of a peer is that of a socket that is there."""
    server = Server(str(tmp_path / "s"), socket.AF_UNIX)
    cleanup.callback(server.close)
    sent = cleanup.enter_context(connect(server))
    (tmp_path / "s").unlink()
    assert why(sent) == f"Its peer is not there any more: {tmp_path / 's'}."


def test_ports_are_looked_up_once_per_connection(
    monkeypatch: pytest.MonkeyPatch, server: Server, cleanup: ExitStack
) -> None:
    """Whether a connection was accepted does not change."""
    sent = cleanup.enter_context(connect(server))
    module: Any = sys.modules["daskpickle.reducers.sockets"]
    looked: list[Any] = []
    monkeypatch.setattr(module, "_is_listened_at", lambda *args: looked.append(args))
    for _ in range(3):
        daskpickle.dumps(sent)
    assert looked == [(sent.family, *sent.getsockname())]


def test_only_options_that_were_set_travel() -> None:
    """Those of a new socket are what the system where it arrives says."""
    with socket.socket() as sent:
        assert b"SO_" not in daskpickle.dumps(sent)
        sent.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert b"SO_KEEPALIVE" in daskpickle.dumps(sent)


def test_a_closed_socket_is_one_object() -> None:
    """It opens nothing where it arrives, and comes home as the original."""
    sent = socket.socket()
    sent.close()
    data = daskpickle.dumps(sent)
    assert daskpickle.loads(data) is sent
    with elsewhere():
        received = daskpickle.loads(data)
        assert received is not sent
        assert daskpickle.loads(data) is received
        assert repr(received).startswith("<socket.socket [closed] fd=-1")


# --- TLS ----------------------------------------------------------------------------------------


@pytest.fixture
def tls_server() -> Iterator[Server]:
    server = Server(context=server_context())
    yield server
    server.close()


@pytest.fixture
def tls12_server() -> Iterator[Server]:
    server = Server(context=server_context(maximum_version=ssl.TLSVersion.TLSv1_2))
    yield server
    server.close()


def test_a_thread_has_one_tls_connection(tls_server: Server, cleanup: ExitStack) -> None:
    """Tasks that read their answers share it; nothing but a close shuts it."""
    data = daskpickle.dumps(cleanup.enter_context(connect_tls(tls_server, client_context())))
    with elsewhere():
        for _ in range(5):
            with handles.running_task(), arrive(data) as sock:
                assert echo(sock) == b"hello"
        assert tls_server.accepted == 2


def test_a_tls_connection_with_unread_answers_is_made_anew(
    tls_server: Server, cleanup: ExitStack
) -> None:
    """What the last task did not read, the next does not get."""
    data = daskpickle.dumps(cleanup.enter_context(connect_tls(tls_server, client_context())))
    with elsewhere():
        with handles.running_task():
            sock = arrive(data)
            sock.sendall(b"question")
            assert sock.recv(1) == b"q"
        with handles.running_task():
            assert echo(arrive(data)) == b"hello"
        assert tls_server.accepted == 3


def test_bytes_that_were_decrypted_and_not_read_are_refused(
    tls_server: Server, cleanup: ExitStack
) -> None:
    """Whatever the version of TLS."""
    sent = cleanup.enter_context(connect_tls(tls_server, client_context()))
    sent.sendall(b"question")
    assert sent.recv(1) == b"q"
    assert why(sent) == "It has received bytes that were not read."


def test_bytes_that_were_not_decrypted_are_refused_in_tls12(
    tls12_server: Server, cleanup: ExitStack
) -> None:
    """They can be nothing but data."""
    sent = cleanup.enter_context(connect_tls(tls12_server, client_context()))
    sent.sendall(b"one")
    socket.socket.recv(sent, 1, socket.MSG_PEEK)  # waits for it
    assert why(sent) == "It has received bytes that were not read."


def test_tickets_of_tls13_are_no_unread_bytes(tls_server: Server, cleanup: ExitStack) -> None:
    """The server sends them after the handshake, and they are read with the first data."""
    context = client_context()
    sent = context.wrap_socket(socket.socket(), server_hostname="localhost")
    cleanup.enter_context(sent)
    sent.connect(tls_server.address)
    socket.socket.recv(sent, 1, socket.MSG_PEEK)
    data = daskpickle.dumps(sent)
    with elsewhere(), handles.running_task():
        assert echo(arrive(data)) == b"hello"


def test_the_handshake_is_where_it_was(tls_server: Server, cleanup: ExitStack) -> None:
    """One that has not been made is left to the task."""
    context = client_context()
    sent = context.wrap_socket(
        socket.socket(), server_hostname="localhost", do_handshake_on_connect=False
    )
    cleanup.enter_context(sent)
    sent.connect(tls_server.address)
    before = daskpickle.dumps(sent)
    sent.do_handshake()
    after = daskpickle.dumps(sent)
    with elsewhere(), handles.running_task():
        received = arrive(before)
        assert received.version() is None
        received.do_handshake()
        assert echo(received) == b"hello"
        assert arrive(after).version() == sent.version()


def test_a_servers_end_is_refused(cleanup: ExitStack) -> None:
    """Its client would not accept a connection."""
    one, other = socket.socketpair()
    cleanup.enter_context(other)
    served = server_context().wrap_socket(one, server_side=True, do_handshake_on_connect=False)
    cleanup.enter_context(served)
    assert why(served) == "It is the server's end of a connection."


def test_what_left_tls_is_refused(cleanup: ExitStack) -> None:
    """The plain connection below is not what a new one would be."""
    client, served, _ = accepted(cleanup)
    left = threading.Event()

    def serve() -> None:
        with server_context().wrap_socket(served, server_side=True) as sock:
            sock.unwrap()
            left.wait(WAIT)

    thread = threading.Thread(target=serve)
    thread.start()
    with client_context().wrap_socket(client, server_hostname="localhost") as sent:
        sent.unwrap()
        assert why(sent) == "It no longer speaks TLS."
        left.set()
        thread.join()


def test_the_other_end_is_verified_where_it_arrives(tls_server: Server, cleanup: ExitStack) -> None:
    """A server with another certificate is an error there."""
    data = daskpickle.dumps(cleanup.enter_context(connect_tls(tls_server, client_context())))
    trustme.CA().issue_cert("localhost").configure_cert(tls_server.context)
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match="CERTIFICATE_VERIFY_FAILED"):
            received.version()


def test_another_protocol_is_not_spoken(tls_server: Server, cleanup: ExitStack) -> None:
    """Where the server no longer agrees on it, that is an error."""
    sent = cleanup.enter_context(connect_tls(tls_server, client_context(alpn="h2")))
    data = daskpickle.dumps(sent)
    tls_server.context.set_alpn_protocols(["http/1.1"])
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match="'h2' any more"):
            received.version()


def test_a_client_with_a_certificate_is_refused(tls12_server: Server, cleanup: ExitStack) -> None:
    """Without its key, it would not be let in where it arrives."""
    context = client_context()
    certificate().configure_cert(context)
    sent = cleanup.enter_context(connect_tls(tls12_server, context))
    assert why(sent) == "Its context has a private key, which CPython does not show."


def test_the_plain_socket_beside_a_tls_socket_travels(
    tls_server: Server, cleanup: ExitStack
) -> None:
    """It is closed, as wrap_socket leaves it."""
    plain = socket.socket()
    sent = client_context().wrap_socket(plain, server_hostname="localhost")
    greet(cleanup.enter_context(sent), tls_server.address)
    data = daskpickle.dumps({"plain": plain, "tls": sent})
    with elsewhere(), handles.running_task():
        received = arrive(data)
        assert received["plain"].fileno() == -1
        assert echo(received["tls"]) == b"hello"


# --- TLS contexts -------------------------------------------------------------------------------


def test_a_context_is_one_object_per_state() -> None:
    """It arrives once; after a change it is another one, and the first stays as it was."""
    context = client_context()
    before = daskpickle.dumps(context)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    after = daskpickle.dumps(context)
    with elsewhere():
        first = daskpickle.loads(before)
        assert daskpickle.loads(daskpickle.dumps([first]))[0] is first
        assert daskpickle.loads(before) is first
        assert first.minimum_version != ssl.TLSVersion.TLSv1_3
        second = daskpickle.loads(after)
        assert second is not first
        assert second.minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("name", ["PROTOCOL_TLS", "PROTOCOL_TLSv1_2"])
def test_a_context_of_a_deprecated_protocol_travels(name: str) -> None:
    """Also where deprecations are errors: nobody made it there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = ssl.SSLContext(getattr(ssl, name))
        context.options |= ssl.OP_NO_TLSv1
    data = daskpickle.dumps(context)
    with elsewhere():
        received = daskpickle.loads(data)
    assert TestContext.use(received) == TestContext.use(context)


class Changed(ssl.SSLContext):
    """A context that does something else than it is told."""

    @property
    def options(self) -> Any:
        return super().options

    @options.setter
    def options(self, value: Any) -> None:
        raise NotImplementedError


def holding() -> ssl.SSLContext:
    """A client's context with a key."""
    context = client_context()
    certificate().configure_cert(context)
    return context


def naming() -> ssl.SSLContext:
    """A context that is asked for the names of a server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS)
    context.sni_callback = print
    return context


def revoking() -> ssl.SSLContext:
    """A context with a revocation list."""
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer = x509.load_pem_x509_certificate(authority().cert_pem.bytes())
    key = serialization.load_pem_private_key(authority().private_key_pem.bytes(), None)
    revoked = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now)
        .next_update(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    context = client_context()
    pem = revoked.public_bytes(serialization.Encoding.PEM)
    with trustme.Blob(pem).tempfile() as path:
        context.load_verify_locations(path)
    return context


def pinning() -> ssl.SSLContext:
    """A context that trusts a certificate which is no authority."""
    context = client_context()
    pem = certificate().cert_chain_pems[0].bytes().decode()
    context.load_verify_locations(cadata=pem)
    return context


class TestContextRefusals(ReducerContract):
    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        return [
            (server_context, "Its context has a private key"),
            (holding, "Its context has a private key"),
            (naming, "Its context asks a function"),
            (
                lambda: Changed(ssl.PROTOCOL_TLS_CLIENT),
                "Its context is of a class that is set up in a way of its own",
            ),
            (revoking, "Its context has revocation lists"),
            (pinning, "Its context trusts certificates that are no authorities"),
        ]


def agreed(client: ssl.SSLContext, *protocols: str) -> str | None:
    """The ALPN protocol that a client and a server with these protocols agree on."""
    server = server_context()
    server.set_alpn_protocols(protocols)
    left, right = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(left, right, server_hostname="localhost"),
        server.wrap_bio(right, left, server_side=True),
    ]
    for end in ends * 2:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return ends[0].selected_alpn_protocol()


def test_alpn_protocols_arrive() -> None:
    """Those that were set are offered, in their order; none if there are none."""
    sent = client_context()
    assert agreed(daskpickle.loads(daskpickle.dumps(sent)), "h2") is None
    sent.set_alpn_protocols(["http/1.1", "h2", "x" * 255])
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(sent))
        assert agreed(received, "x" * 255) == "x" * 255
        assert agreed(received, "h2", "http/1.1") == agreed(sent, "h2", "http/1.1")


@pytest.mark.parametrize("shown", ["nothing", "no key"])
def test_where_contexts_are_not_to_be_looked_into(
    monkeypatch: pytest.MonkeyPatch, shown: str
) -> None:
    """Servers are refused, for they may have a key; clients travel."""
    module: Any = sys.modules["daskpickle.reducers.sockets"]
    memory = module._memory()
    found = None if shown == "nothing" else (memory[0], None)
    monkeypatch.setattr(module, "_memory", lambda: found)
    assert why(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)).startswith("Its context has a private key")
    sent = client_context("h2")
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(sent))
        assert agreed(received, "h2") == (None if shown == "nothing" else "h2")


def test_what_a_context_refuses_its_sockets_refuse() -> None:
    """The refusal is that of the socket."""
    with pinning().wrap_socket(socket.socket(), server_hostname="localhost") as sock:
        assert why(sock).startswith("Its context trusts certificates")


def test_authorities_in_a_folder_are_those_of_the_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the default is a folder, a context that lists none has the default."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    data = daskpickle.dumps(ssl.create_default_context())
    authority().cert_pem.write_to_path(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority"))
    with elsewhere():
        assert len(daskpickle.loads(data).get_ca_certs()) == 1


def test_authorities_in_a_file_are_those_of_the_sender(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the default is a file, a context that lists none trusts none."""
    authority().cert_pem.write_to_path(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with elsewhere():
        assert daskpickle.loads(daskpickle.dumps(context)).get_ca_certs() == []


def test_a_tls_socket_keeps_its_class_and_its_attributes(tls_server: Server) -> None:
    """A context may make a subclass; any socket of TLS takes attributes."""
    context = client_context()
    context.sslsocket_class = OwnTls
    with connect_tls(tls_server, context) as sock:
        sock.note, sock.me = "mine", sock
        data = daskpickle.dumps(sock)
        with elsewhere(), handles.running_task(), handles.opening():
            received = daskpickle.loads(data)
            assert type(received) is OwnTls
            assert received.note == "mine"
            assert received.me is received
            assert echo(received) == b"hello"


def test_a_context_of_a_class_with_arguments_of_its_own() -> None:
    """Neither ``__new__`` nor ``__init__`` of a subclass runs; an attribute may be itself."""
    context = Tagged(ssl.PROTOCOL_TLS_CLIENT, tag="mine")
    context.me = context
    with elsewhere():
        received = daskpickle.loads(daskpickle.dumps(context))
        assert (type(received), received.tag) == (Tagged, "mine")
        assert received.me is received


class Tagged(ssl.SSLContext):
    """A subclass with an argument of its own."""

    me: Any

    def __new__(cls, protocol: Any, *, tag: str) -> Tagged:
        return super().__new__(cls, protocol)

    def __init__(self, protocol: Any, *, tag: str) -> None:
        self.tag = tag
