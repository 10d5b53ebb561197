"""Sockets, TLS, selectors, and what talks through them: HTTP, XML-RPC, mail and their like."""

from __future__ import annotations

import email.generator
import email.header
import email.headerregistry
import email.message
import email.mime.text
import email.parser
import email.policy
import ftplib
import functools
import http.client
import http.cookiejar
import http.cookies
import http.server
import imaplib
import importlib
import io
import ipaddress
import poplib
import select
import selectors
import smtplib
import socket
import socketserver
import ssl
import threading
import types
import urllib.error
import urllib.parse
import urllib.request
import urllib.response
import urllib.robotparser
import uuid
import warnings
import wsgiref.headers
import wsgiref.simple_server
import wsgiref.util
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from corpus import Case

BODY = b"0123456789" * 5000
Check = Callable[[Any], Any]


# --- Servers --------------------------------------------------------------------------------------


class Echo(socketserver.BaseRequestHandler):
    """Answers with what it was told."""

    def handle(self) -> None:
        try:
            while message := self.request.recv(1000):
                self.request.sendall(message)
        except OSError:
            pass


class EchoDatagrams(socketserver.BaseRequestHandler):
    """Answers with what it was told."""

    def handle(self) -> None:
        message, sock = self.request
        sock.sendto(message, self.client_address)


class Pages(http.server.BaseHTTPRequestHandler):
    """Has one long page, and misses others."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Greeting(socketserver.StreamRequestHandler):
    """Greets, and then says yes to everything, as servers of mail and files do."""

    def handle(self) -> None:
        greeting: bytes = self.server.greeting  # type: ignore[attr-defined]
        try:
            self.wfile.write(greeting)
            for line in self.rfile:
                first = line.split()[0]
                if greeting[:1] == b"*":
                    self.wfile.write(b"* CAPABILITY IMAP4REV1\r\n" + first + b" OK done\r\n")
                else:
                    self.wfile.write(b"+OK\r\n" if greeting[:1] == b"+" else b"250 yes\r\n")
        except OSError:
            pass


def serving(stack: ExitStack, server: Any) -> Any:
    """Let a server serve until the end."""
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # clients may go whenever they like
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    stack.callback(server.server_close)
    stack.callback(thread.join)
    stack.callback(server.shutdown)
    return server


def echo(stack: ExitStack) -> Any:
    return serving(stack, socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo))


def pages(stack: ExitStack) -> Any:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    return serving(stack, server).server_address


def greeting(stack: ExitStack, line: bytes) -> Any:
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting)
    server.greeting = line
    return serving(stack, server).server_address


# --- What is made, and what it does ---------------------------------------------------------------


def connected(stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(echo(stack).server_address, 10))


def speaks(sock: Any) -> None:
    sock.sendall(b"hello")
    assert sock.recv(100) == b"hello"
    assert sock.gettimeout() == 10


def datagrams(stack: ExitStack) -> socket.socket:
    server = serving(stack, socketserver.UDPServer(("127.0.0.1", 0), EchoDatagrams))
    sock = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    sock.settimeout(10)
    sock.connect(server.server_address)
    return sock


def unix(stack: ExitStack) -> socket.socket:
    name = f"\0{uuid.uuid4()}"
    serving(stack, socketserver.ThreadingUnixStreamServer(name, Echo))
    sock = stack.enter_context(socket.socket(socket.AF_UNIX))
    sock.settimeout(10)
    sock.connect(name)
    return sock


def closed(obj: Any) -> Any:
    obj.close()
    return obj


def opens(family: Any, kind: Any) -> Check:
    """Check an unconnected socket: it sends to itself."""

    def check(sock: Any) -> None:
        assert (sock.family, sock.type) == (family, kind)
        assert sock.fileno() > 2
        if kind == socket.SOCK_DGRAM:
            sock.settimeout(10)
            sock.bind(("127.0.0.1", 0))
            sock.sendto(b"me", sock.getsockname())
            assert sock.recv(10) == b"me"

    return check


def is_closed(sock: Any) -> None:
    assert sock.fileno() == -1


def new(stack: ExitStack, *args: Any) -> socket.socket:
    return stack.enter_context(socket.socket(*args))


class Named(socket.socket):
    """A subclass of a user's own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def nonblocking(stack: ExitStack) -> socket.socket:
    sock = new(stack)
    sock.setblocking(False)
    return sock


def named(stack: ExitStack) -> Named:
    sock = stack.enter_context(Named("mine"))
    sock.settimeout(10)
    sock.connect(echo(stack).server_address)
    return sock


def is_named(sock: Any) -> None:
    speaks(sock)
    assert sock.name == "mine"


def in_a_cycle(stack: ExitStack) -> Named:
    sock: Any = named(stack)
    sock.me = sock
    return sock


def accepted(stack: ExitStack) -> socket.socket:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    stack.enter_context(socket.create_connection(listener.getsockname()))
    return stack.enter_context(listener.accept()[0])


def pair(stack: ExitStack) -> socket.socket:
    left, right = socket.socketpair()
    stack.enter_context(right)
    return stack.enter_context(left)


def file_of(stack: ExitStack, mode: Any, **options: Any) -> Any:
    return stack.enter_context(connected(stack).makefile(mode, **options))


def selecting(make: Any, *, watch: Any = None, end: bool = False) -> Any:
    """Make a selector, which watches what ``watch`` makes."""

    def made(stack: ExitStack) -> Any:
        selector = stack.enter_context(make())
        if watch is not None:
            selector.register(watch(stack), selectors.EVENT_WRITE, "data")
        if end:
            selector.close()
        return selector

    return made


def watches_no_more(selector: Any) -> None:
    assert selector.get_map() is None
    selector.close()


def selects(selector: Any) -> None:
    """It watches nothing, and then what it is told to."""
    assert len(selector.get_map()) == 0
    left, right = socket.socketpair()
    with left, right:
        selector.register(left, selectors.EVENT_READ, "mine")
        right.send(b"x")
        [(key, events)] = selector.select(10)
        assert (key.fileobj, key.data, events) == (left, "mine", selectors.EVENT_READ)
        selector.unregister(left)


def selects_a_client(selector: Any) -> None:
    [(key, _)] = selector.select(10)
    assert key.data == "data"
    assert selector.get_key(key.fileobj) is key
    speaks(key.fileobj)


def polling(make: Any, *, watch: Any = None) -> Any:
    def made(stack: ExitStack) -> Any:
        poll = make()
        if hasattr(poll, "close"):
            stack.callback(poll.close)
        if watch is not None:
            poll.register(watch(stack).fileno(), select.POLLIN)
        return poll

    return made


def polls(poll: Any) -> None:
    left, right = socket.socketpair()
    with left, right:
        poll.register(left, select.POLLIN)
        right.send(b"x")
        assert poll.poll(10) == [(left.fileno(), select.POLLIN)]
        poll.unregister(left)


# --- TLS ------------------------------------------------------------------------------------------


@functools.cache
def authority() -> Any:
    return importlib.import_module("trustme").CA()


@functools.cache
def leaf() -> Any:
    return authority().issue_cert("localhost")


def settings(context: Any) -> tuple[Any, ...]:
    return (
        context.protocol, context.options, context.verify_mode, context.verify_flags,
        context.check_hostname, context.minimum_version, context.maximum_version,
        [cipher["name"] for cipher in context.get_ciphers()], context.cert_store_stats(),
        context.num_tickets,
    )  # fmt: skip


def talk(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[str | None, ssl.SSLObject]:
    """Let two contexts talk in memory; return the ALPN protocol, and the client's end."""
    left, right = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(left, right, server_hostname="localhost"),
        server.wrap_bio(right, left, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    ends[0].write(b"hello")
    assert ends[1].read(100) == b"hello"
    return ends[0].selected_alpn_protocol(), ends[0]


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf().configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def trusting(stack: ExitStack, **attributes: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def speaks_alpn(context: Any) -> None:
    # Its authority is another one in the process that checks: only the handshake's start counts.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert talk(context, server_context())[0] == "http/1.1"


def with_alpn(stack: ExitStack) -> ssl.SSLContext:
    context = trusting(stack)
    context.set_alpn_protocols(["spdy/3", "http/1.1"])
    return context


def custom(stack: ExitStack) -> ssl.SSLContext:
    context = trusting(stack, minimum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE+AESGCM")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def is_custom(context: Any) -> None:
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_TICKET
    assert context.verify_flags & ssl.VERIFY_X509_STRICT
    assert len(context.get_ca_certs()) >= 1
    ciphers = {c["name"] for c in context.get_ciphers() if c["protocol"] != "TLSv1.3"}
    assert "ECDHE-RSA-AES128-GCM-SHA256" in ciphers
    assert all("GCM" in name for name in ciphers)


def insecure(stack: ExitStack) -> ssl.SSLContext:
    return ssl._create_unverified_context()


def is_insecure(context: Any) -> None:
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert talk(context, server_context())[1].version() == "TLSv1.3"


def old_protocol(stack: ExitStack) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return ssl.SSLContext(ssl.PROTOCOL_TLS)


class Context(ssl.SSLContext):
    """A subclass of a user's own."""

    note = ""


def own_context(stack: ExitStack) -> Context:
    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    context.note = "mine"
    return context


def is_own(context: Any) -> None:
    assert (type(context).__name__, context.note) == ("Context", "mine")
    assert context.check_hostname


class Tagged(Context):
    """A class with an argument of its own."""

    me: Any

    def __new__(cls, protocol: Any, *, tag: str) -> Tagged:
        return super().__new__(cls, protocol)

    def __init__(self, protocol: Any, *, tag: str) -> None:
        self.tag, self.me = tag, self


def tagged(stack: ExitStack) -> ssl.SSLContext:
    return Tagged(ssl.PROTOCOL_TLS_CLIENT, tag="mine")


def is_tagged(context: Any) -> None:
    assert (type(context).__name__, context.tag) == ("Tagged", "mine")
    assert context.me is context


def keyed(make: Any) -> Any:
    """Put a key into a context."""

    def made(stack: ExitStack) -> ssl.SSLContext:
        context: ssl.SSLContext = make(stack)
        leaf().configure_cert(context)
        return context

    return made


def serves(context: Any) -> None:
    """A context for servers that got its key where it arrived."""
    assert context.protocol == ssl.PROTOCOL_TLS_SERVER
    leaf().configure_cert(context)
    client = ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())
    assert talk(client, context)[1].version() == "TLSv1.3"


class TlsEcho(socketserver.ThreadingTCPServer):
    """Speaks TLS."""

    def get_request(self) -> Any:
        sock, address = super().get_request()
        return server_context().wrap_socket(sock, server_side=True), address


def tls_client(stack: ExitStack, **options: Any) -> ssl.SSLSocket:
    server = serving(stack, TlsEcho(("127.0.0.1", 0), Echo))
    sock = trusting(stack).wrap_socket(
        socket.create_connection(server.server_address, 10), server_hostname="localhost"
    )
    return stack.enter_context(sock)


class OwnTls(ssl.SSLSocket):
    """What a context may be told to make."""

    def hello(self) -> str:
        return "hello"


def own_tls_client(stack: ExitStack) -> ssl.SSLSocket:
    server = serving(stack, TlsEcho(("127.0.0.1", 0), Echo))
    context = trusting(stack, sslsocket_class=OwnTls)
    plain = socket.create_connection(server.server_address, 10)
    return stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))


def is_own_tls(sock: Any) -> None:
    speaks(sock)
    assert sock.hello() == "hello"


def noted_tls_client(stack: ExitStack) -> Any:
    sock: Any = tls_client(stack)
    sock.name = "mine"
    return sock


def written(stack: ExitStack) -> ssl.MemoryBIO:
    buffer = ssl.MemoryBIO()
    buffer.write(b"x")
    return buffer


def ended(stack: ExitStack) -> ssl.MemoryBIO:
    buffer = ssl.MemoryBIO()
    buffer.write_eof()
    return buffer


def buffers(buffer: Any) -> None:
    assert not buffer.eof
    buffer.write(b"abc")
    assert (buffer.pending, buffer.read()) == (3, b"abc")


def is_ended(buffer: Any) -> None:
    assert buffer.eof


def tls12_session(stack: ExitStack) -> Any:
    client = trusting(stack, maximum_version=ssl.TLSVersion.TLSv1_2)
    return talk(client, server_context())[1].session


# --- HTTP -----------------------------------------------------------------------------------------


def http_client(stack: ExitStack, state: str) -> http.client.HTTPConnection:
    """Make a connection that is idle, open, used, or waits for a response."""
    host, port = pages(stack)
    conn = http.client.HTTPConnection(host, port, timeout=10)
    stack.callback(conn.close)
    if state != "idle":
        conn.connect()
    if state in ("used", "waiting"):
        conn.request("GET", "/")
    if state == "used":
        assert conn.getresponse().read() == BODY
    return conn


def gets(conn: Any) -> None:
    """It asks, and asks again."""
    for _ in range(2):
        conn.request("GET", "/")
        assert conn.getresponse().read() == BODY
    assert conn.timeout == 10
    conn.close()


def response(stack: ExitStack, amount: int | None) -> Any:
    conn = http_client(stack, "open")
    conn.request("GET", "/")
    answer = stack.enter_context(conn.getresponse())
    answer.read(amount)
    return answer


def was_read(answer: Any) -> None:
    assert (answer.status, answer.reason, answer.read()) == (200, "OK", b"")
    assert answer.getheader("Content-Length") == str(len(BODY))
    assert answer.isclosed()


def tunnel(stack: ExitStack) -> http.client.HTTPSConnection:
    conn = http.client.HTTPSConnection("proxy.example", 3128, timeout=3, context=trusting(stack))
    conn.set_tunnel("host.example", 443, {"X-Tunnel": "1"})
    return conn


def is_tunnel(conn: Any) -> None:
    assert (conn.host, conn.port, conn.timeout) == ("proxy.example", 3128, 3)
    assert (conn._tunnel_host, conn._tunnel_headers["X-Tunnel"]) == ("host.example", "1")
    assert len(conn._context.get_ca_certs()) >= 1


def error(stack: ExitStack) -> urllib.error.HTTPError:
    host, port = pages(stack)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://{host}:{port}/missing")
    except urllib.error.HTTPError as exc:
        stack.callback(exc.close)
        exc.__cause__ = ValueError("the cause")
        return exc
    raise AssertionError


def is_missing(exc: Any) -> None:
    assert (exc.code, exc.msg, exc.reason) == (404, "Not Found", "Not Found")
    assert str(exc) == "HTTP Error 404: Not Found"
    assert exc.headers["Connection"] == "close"
    assert exc.url == exc.filename == exc.geturl()
    assert exc.url.endswith("/missing")
    assert str(exc.__cause__) == "the cause"
    try:
        exc.read()
    except ValueError as closed:
        assert "closed file" in str(closed)  # noqa: PT017
    else:
        raise AssertionError


def error_in_memory(stack: ExitStack) -> urllib.error.HTTPError:
    headers = email.message.Message()
    headers["A"] = "b"
    return urllib.error.HTTPError("http://x/", 500, "Broken", headers, io.BytesIO(b"body"))


def is_broken(exc: Any) -> None:
    assert (exc.code, exc.headers["a"], exc.read()) == (500, "b", b"body")


def opener(stack: ExitStack) -> urllib.request.OpenerDirector:
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, "http://x/", "me", "pw")
    return urllib.request.build_opener(
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPCookieProcessor(),
        urllib.request.ProxyHandler({}),
    )


def fetches(opener: Any) -> None:
    with opener.open("data:,hello", timeout=5) as answer:
        assert answer.read() == b"hello"
    names = {type(handler).__name__ for handler in opener.handlers}
    assert {"HTTPCookieProcessor", "HTTPBasicAuthHandler", "HTTPSHandler"} <= names
    assert all(handler.parent is opener for handler in opener.handlers)


def data_url(stack: ExitStack) -> Any:
    answer = stack.enter_context(urllib.request.urlopen("data:text/plain,hello"))
    answer.read(1)
    return answer


def is_data(answer: Any) -> None:
    assert answer.info()["Content-Type"] == "text/plain"
    assert answer.geturl().startswith("data:")
    assert answer.read() == b"ello"


def jar(cls: Any, *args: Any) -> Any:
    cookie = http.cookiejar.Cookie(
        0, "name", "value", None, False, "x.example", True, False, "/", True, False, None, False,
        None, None, {},
    )  # fmt: skip

    def made(stack: ExitStack) -> Any:
        made = cls(*args)
        made.set_cookie(cookie)
        return made

    return made


def has_cookie(jar: Any) -> None:
    request = urllib.request.Request("http://x.example/")
    jar.add_cookie_header(request)
    assert request.get_header("Cookie") == "name=value"
    jar.clear()
    assert len(jar) == 0


# --- Others ---------------------------------------------------------------------------------------


def proxy(stack: ExitStack) -> xmlrpc.client.ServerProxy:
    server = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False, allow_none=True)
    server.register_function(lambda *args: [None, *args], "echo")
    server.register_multicall_functions()
    host, port = serving(stack, server).server_address
    made = xmlrpc.client.ServerProxy(f"http://{host}:{port}/RPC2", allow_none=True)
    stack.callback(made("close"))
    return made


def used_proxy(stack: ExitStack) -> xmlrpc.client.ServerProxy:
    made = proxy(stack)
    assert made.echo(1) == [None, 1]
    return made


def held(make: Any) -> Any:
    """Hold what is made as an attribute."""
    return lambda stack: types.SimpleNamespace(obj=make(stack))


def calls(made: Any) -> bool:
    assert type(made) is xmlrpc.client.ServerProxy
    assert made.echo(1, None) == [None, 1, None]
    made("close")()
    return True


def calls_later(stack: ExitStack) -> Any:
    calls = xmlrpc.client.MultiCall(proxy(stack))
    calls.echo(1)
    return calls


def is_gathered(calls: Any) -> bool:
    assert vars(calls)["_MultiCall__call_list"] == [("echo", (1,))]
    assert list(calls()) == [[None, 1]]
    return type(calls) is xmlrpc.client.MultiCall


def refused_proxy(stack: ExitStack) -> Any:
    return xmlrpc.client.ServerProxy("http://me:secret@host.example/")


def mail(client: Any, line: bytes) -> Any:
    def made(stack: ExitStack) -> Any:
        connected = client(*greeting(stack, line), timeout=10)
        stack.callback(connected.sock.close)
        if connected.file is not None:
            stack.callback(connected.file.close)
        return connected

    return made


def ftp(host: str, port: int, timeout: float) -> ftplib.FTP:
    client = ftplib.FTP(timeout=timeout)
    client.connect(host, port)
    return client


def greets(line: bytes) -> Check:
    """Check an idle client by connecting it where it arrived."""

    def check(client: Any) -> None:
        with ExitStack() as stack:
            client.connect(*greeting(stack, line))
            client.quit()

    return check


def old(module: str, name: str, *args: Any) -> Any:
    """Make what newer versions of Python do not have."""

    def made(stack: ExitStack) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return getattr(importlib.import_module(module), name)(*args)

    return made


def telnet(stack: ExitStack) -> Any:
    client = old("telnetlib", "Telnet", *greeting(stack, b"login:\r\n"))(stack)
    stack.callback(client.close)
    return client


def dispatcher(stack: ExitStack) -> Any:
    return old("asyncore", "dispatcher", connected(stack), {})(stack)


def wrapper(stack: ExitStack) -> Any:
    made = old("asyncore", "file_wrapper", connected(stack).fileno())(stack)
    stack.callback(made.close)
    return made


def message(stack: ExitStack) -> email.message.EmailMessage:
    made = email.message.EmailMessage()
    made["Subject"] = "Grüße"
    made["To"] = "a@example.org"
    made.set_content("text")
    made.add_attachment(b"\x00", maintype="application", subtype="octet-stream", filename="f")
    return made


def is_message(made: Any) -> None:
    assert (made["subject"], made["to"].addresses[0].domain) == ("Grüße", "example.org")
    assert made.get_body().get_content() == "text\n"
    assert [part.get_content() for part in made.iter_attachments()] == [b"\x00"]
    assert b"Subject: =?utf-8?" in made.as_bytes()


def parses(parser: Any) -> None:
    assert parser.parsestr("A: b\n\nc")["a"] == "b"


def tcp_server(stack: ExitStack, cls: Any, *args: Any) -> Any:
    server = cls(("127.0.0.1", 0), *args)
    stack.callback(server.server_close)
    return server


def unbound(stack: ExitStack) -> Any:
    server = socketserver.TCPServer(("127.0.0.1", 0), Echo, bind_and_activate=False)
    stack.callback(server.server_close)
    return server


def can_be_bound(server: Any) -> None:
    server.server_bind()
    server.server_activate()
    with socket.create_connection(server.server_address, 10):
        server.handle_request  # noqa: B018
    server.server_close()


def truth(test: Check) -> Check:
    """Check what a function says of it."""

    def check(received: Any) -> None:
        assert test(received)

    return check


def equals(make: Callable[[], Any], **attributes: Any) -> Any:
    """Return a maker, and a check for what is equal to another one, or has these attributes."""

    def check(received: Any) -> None:
        if not attributes:
            assert received == make()
        for name, value in attributes.items():
            assert getattr(received, name) == value

    return (lambda stack: make()), check


def robots() -> urllib.robotparser.RobotFileParser:
    parser = urllib.robotparser.RobotFileParser("http://x/robots.txt")
    parser.parse(["User-agent: *", "Disallow: /private"])
    return parser


def forbids(parser: Any) -> None:
    assert not parser.can_fetch("me", "/private")
    assert parser.can_fetch("me", "/")


CONNECTED = "It is connected"
OLD = ((3, 10), (3, 11))
TELNET = ((3, 10), (3, 12))

CASES = [
    Case("socket.connected", connected, speaks),
    Case("socket.datagrams", datagrams, speaks),
    Case("socket.unix", unix, speaks),
    Case("socket.subclass", named, is_named),
    Case("socket.closed", lambda stack: closed(connected(stack)), is_closed),
    Case("socket.new", new, opens(socket.AF_INET, socket.SOCK_STREAM)),
    Case(
        "socket.udp", lambda stack: new(stack, socket.AF_INET, socket.SOCK_DGRAM),
        opens(socket.AF_INET, socket.SOCK_DGRAM),
    ),
    Case(
        "socket.unix.new", lambda stack: new(stack, socket.AF_UNIX),
        opens(socket.AF_UNIX, socket.SOCK_STREAM),
    ),
    Case(
        "socket.nonblocking", nonblocking, truth(lambda sock: sock.gettimeout() == 0),
    ),
    Case(
        "socket.listening", lambda stack: stack.enter_context(socket.create_server(("", 0))),
        refused="It is listening",
    ),
    Case("socket.accepted", accepted, refused="It was accepted"),
    Case("socket.pair", pair, refused="Its peer has no address"),
    Case("socket.bare", lambda stack: __import__("_socket").socket(), refused="bare socket"),
    Case("socket.makefile.text", lambda stack: file_of(stack, "r"), refused="socket.SocketIO"),
    Case("socket.makefile.binary", lambda stack: file_of(stack, "rb"), refused="socket.SocketIO"),
    Case(
        "socket.makefile.raw", lambda stack: file_of(stack, "rb", buffering=0),
        refused="open file of makefile",
    ),
    Case("select.epoll", polling(select.epoll), polls),
    Case("select.epoll.watching", polling(select.epoll, watch=connected), refused="by their numb"),
    Case("select.epoll.closed", lambda stack: closed(select.epoll()),
         truth(lambda epoll: epoll.closed)),
    Case("select.poll", polling(select.poll), refused="does not tell which"),
    Case("select.poll.watching", polling(select.poll, watch=connected), refused="does not tell"),
    Case("selector.default", selecting(selectors.DefaultSelector), selects),
    Case("selector.poll", selecting(selectors.PollSelector), selects),
    Case("selector.select", selecting(selectors.SelectSelector), selects),
    Case("selector.map", lambda stack: selecting(selectors.DefaultSelector)(stack).get_map(),
         truth(lambda watched: list(watched) == [])),
    Case("selector.client", selecting(selectors.DefaultSelector, watch=connected),
         selects_a_client),
    Case("selector.select.client", selecting(selectors.SelectSelector, watch=connected),
         selects_a_client),
    Case("selector.number", selecting(
        selectors.DefaultSelector, watch=lambda stack: connected(stack).fileno()
    ), refused="by their numbers"),
    Case("selector.closed", selecting(selectors.DefaultSelector, end=True), watches_no_more),
    Case("selector.select.closed", selecting(selectors.SelectSelector, end=True), watches_no_more),
    # TLS
    Case("ssl.context.default", lambda stack: ssl.create_default_context(),
         truth(lambda context: settings(context) == settings(ssl.create_default_context()))),
    Case("ssl.context.client", lambda stack: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
         truth(lambda made: settings(made) == settings(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))),
    Case("ssl.context.custom", custom, is_custom),
    Case("ssl.context.insecure", insecure, is_insecure),
    Case("ssl.context.alpn", with_alpn, speaks_alpn),
    Case("ssl.context.old", old_protocol, lambda context: context.wrap_bio(
        ssl.MemoryBIO(), ssl.MemoryBIO())),
    Case("ssl.context.subclass", own_context, is_own),
    Case("ssl.context.subclass.arguments", tagged, is_tagged),
    Case("ssl.context.server", lambda stack: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), serves),
    Case("ssl.context.server.default",
         lambda stack: ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), serves),
    Case("ssl.context.server.key", lambda stack: server_context(), refused="private key"),
    Case("ssl.context.client.key", keyed(trusting), refused="private key"),
    Case("ssl.socket", tls_client, speaks),
    Case("ssl.socket.subclass", own_tls_client, is_own_tls),
    Case("ssl.socket.attribute", noted_tls_client, is_named),
    Case("socket.subclass.cycle", in_a_cycle, truth(lambda sock: sock.me is sock.me.me)),
    Case("ssl.object", lambda stack: talk(trusting(stack), server_context())[1],
         refused="Its keys stay"),
    Case("ssl.session", tls12_session, refused="Its keys stay"),
    Case("ssl.memory", lambda stack: ssl.MemoryBIO(), buffers),
    Case("ssl.memory.ended", ended, is_ended),
    Case("ssl.memory.filled", written, refused="without taking them out"),
    Case("ssl.purpose", lambda stack: ssl.Purpose.SERVER_AUTH,
         truth(lambda purpose: purpose is ssl.Purpose.SERVER_AUTH)),
    Case("ssl.options", *equals(lambda: ssl.OP_ALL | ssl.OP_NO_TLSv1)),
    Case("socket.flags", *equals(lambda: socket.AI_PASSIVE | socket.AI_CANONNAME)),
    Case("ssl.flags", *equals(lambda: ssl.VERIFY_X509_STRICT)),
    Case("ssl.version", *equals(lambda: ssl.TLSVersion.TLSv1_2)),
    Case("ssl.paths", *equals(ssl.get_default_verify_paths)),
    Case("ssl.error", *equals(lambda: ssl.SSLError(1, "no"), args=(1, "no"))),
    # HTTP
    Case("http.connection.idle", lambda stack: http_client(stack, "idle"), gets),
    Case("http.connection.open", lambda stack: http_client(stack, "open"), gets),
    Case("http.connection.used", lambda stack: http_client(stack, "used"), gets),
    Case("http.connection.waiting", lambda stack: http_client(stack, "waiting"),
         refused="in the middle of a request"),
    Case("http.connection.tunnel", tunnel, is_tunnel),
    Case("http.connection.tls", lambda stack: http.client.HTTPSConnection("h"),
         truth(lambda conn: conn._context.check_hostname)),
    Case("http.response.read", lambda stack: response(stack, None), was_read),
    Case("http.response.half", lambda stack: response(stack, 10), refused="was not read"),
    Case("http.headers", lambda stack: response(stack, None).headers,
         truth(lambda headers: headers["content-length"] == str(len(BODY)))),
    Case("http.status", *equals(lambda: http.HTTPStatus.NOT_FOUND)),
    Case("http.error", *equals(lambda: http.client.IncompleteRead(b"ab", 3), partial=b"ab")),
    Case("http.cookies", *equals(lambda: http.cookies.SimpleCookie("a=b; c=d"))),
    Case("http.cookiejar", jar(http.cookiejar.CookieJar), has_cookie),
    Case("http.cookiejar.mozilla", jar(http.cookiejar.MozillaCookieJar, "f"), has_cookie),
    Case("http.cookiejar.lwp", jar(http.cookiejar.LWPCookieJar, "f"), has_cookie),
    Case("http.server", lambda stack: tcp_server(stack, http.server.HTTPServer, Pages),
         refused="It is listening"),
    Case("socketserver.udp", lambda stack: tcp_server(stack, socketserver.UDPServer, Echo),
         refused="It is bound"),
    Case("socketserver.unbound", unbound, can_be_bound),
    Case("wsgiref.server", lambda stack: tcp_server(
        stack, wsgiref.simple_server.WSGIServer, wsgiref.simple_server.WSGIRequestHandler
    ), refused="It is listening"),
    Case("wsgiref.headers", lambda stack: wsgiref.headers.Headers([("a", "b")]),
         truth(lambda headers: headers.items() == [("a", "b")])),
    Case("wsgiref.wrapper", lambda stack: wsgiref.util.FileWrapper(io.BytesIO(b"abc"), 2),
         truth(lambda wrapper: next(wrapper) == b"ab")),
    Case("urllib.httperror", error, is_missing),
    Case("urllib.httperror.memory", error_in_memory, is_broken),
    Case("urllib.urlerror", *equals(lambda: urllib.error.URLError("no"), reason="no")),
    Case("urllib.opener", opener, fetches),
    Case("urllib.opener.empty", lambda stack: urllib.request.OpenerDirector(),
         lambda made: made.add_handler(urllib.request.DataHandler())),
    Case("urllib.request", *equals(
        lambda: urllib.request.Request("http://x/", b"d", {"A": "b"}), full_url="http://x/",
        data=b"d", headers={"A": "b"},
    )),
    Case("urllib.data", data_url, is_data),
    Case("urllib.response",
         lambda stack: urllib.response.addclosehook(io.BytesIO(b"x"), print, "closed"),
         truth(lambda made: (made.read(), made.hookargs) == (b"x", ("closed",)))),
    Case("urllib.parse", *equals(lambda: urllib.parse.urlsplit("http://x/y?z#a"))),
    Case("urllib.robots", lambda stack: robots(), forbids),
    # Others
    # Dask takes them for futures where they are arguments themselves: they have all attributes.
    Case("xmlrpc.proxy", held(proxy), truth(lambda held: calls(held.obj))),
    Case("xmlrpc.proxy.used", held(used_proxy), truth(lambda held: calls(held.obj))),
    Case("xmlrpc.proxy.password", refused_proxy, refused="holds a password"),
    Case("xmlrpc.method", held(lambda stack: proxy(stack).echo),
         truth(lambda held: held.obj(2) == [None, 2])),
    Case("xmlrpc.multicall", held(calls_later), truth(lambda held: is_gathered(held.obj))),
    Case("xmlrpc.transport", lambda stack: xmlrpc.client.Transport(use_datetime=True),
         truth(lambda transport: transport._use_datetime)),
    Case("xmlrpc.datetime", *equals(lambda: xmlrpc.client.DateTime("20200102T03:04:05"))),
    Case("xmlrpc.binary", *equals(lambda: xmlrpc.client.Binary(b"x"))),
    Case("xmlrpc.server", lambda stack: tcp_server(stack, xmlrpc.server.SimpleXMLRPCServer),
         refused="It is listening"),
    Case("smtp.idle", lambda stack: smtplib.SMTP(timeout=10), greets(b"220 hi\r\n")),
    Case("smtp.ssl.idle", lambda stack: smtplib.SMTP_SSL(timeout=10),
         truth(lambda client: client.context.verify_mode == ssl.CERT_NONE)),
    Case("lmtp.idle", lambda stack: smtplib.LMTP(), greets(b"220 hi\r\n")),
    Case("smtp.connected", mail(smtplib.SMTP, b"220 hi\r\n"), refused=CONNECTED),
    Case("ftp.idle", lambda stack: ftplib.FTP(timeout=10), greets(b"220 hi\r\n")),
    Case("ftp.tls", lambda stack: ftplib.FTP_TLS(timeout=10), greets(b"220 hi\r\n")),
    Case("ftp.connected", mail(ftp, b"220 hi\r\n"), refused=CONNECTED),
    Case("pop.connected", mail(poplib.POP3, b"+OK\r\n"), refused=CONNECTED),
    Case("imap.connected", mail(imaplib.IMAP4, b"* OK\r\n"), refused=CONNECTED),
    Case("telnet.idle", old("telnetlib", "Telnet"), truth(lambda client: client.sock is None),
         versions=TELNET),
    Case("telnet.connected", telnet, refused=CONNECTED, versions=TELNET),
    Case("asyncore.idle", old("asyncore", "dispatcher"), truth(lambda made: made.socket is None),
         versions=OLD),
    Case("asyncore.connected", dispatcher, refused="watched by the loop", versions=OLD),
    Case("asyncore.file", wrapper, refused="owns a descriptor", versions=OLD),
    Case("email.message", message, is_message),
    Case("email.mime", lambda stack: email.mime.text.MIMEText("x"),
         truth(lambda made: made.get_payload() == "x")),
    Case("email.parser", lambda stack: email.parser.Parser(policy=email.policy.default), parses),
    Case("email.parser.fed", lambda stack: email.parser.FeedParser(), refused="Its place inside"),
    Case("email.policy", lambda stack: email.policy.SMTP.clone(max_line_length=50),
         truth(lambda policy: (policy.linesep, policy.max_line_length) == ("\r\n", 50))),
    Case("email.header", *equals(lambda: email.header.Header("ä", "utf-8"))),
    Case("email.address", *equals(lambda: email.headerregistry.Address("x", "y", "z"))),
    Case("email.generator", lambda stack: email.generator.Generator(io.StringIO()),
         lambda made: made.flatten(message(ExitStack()))),
    Case("ipaddress.network", *equals(lambda: ipaddress.ip_network("10.0.0.0/30"))),
    Case("ipaddress.hosts", lambda stack: ipaddress.ip_network("10.0.0.0/30").hosts(),
         refused="Its place inside"),
    Case("uuid", *equals(lambda: uuid.UUID(int=5))),
]  # fmt: skip
