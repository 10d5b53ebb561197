"""Sockets: a client's connection is made again; what serves others stays where it is.

Notes
-----
- Travels: family, type, protocol, timeout, those options that are not the default, and the peer. A
  thread that uses a connected one connects once; between two tasks it must be idle, or it is
  connected anew. One that is not connected is new for each task. A closed one arrives closed.
- TLS: also the context, ``server_hostname``, ``suppress_ragged_eofs``, and the ALPN protocol that
  was agreed on. A context arrives as one object per state, with its versions, ciphers, flags,
  options, certificate authorities, ALPN protocols and attributes.
- Lost: the local address, the sizes of buffers, what both ends know of each other (a login, a TLS
  session, STARTTLS); of a context: callbacks, curves, parameters for Diffie and Hellman, which
  CPython does not show, and ``keylog_filename``.
- Refused: listening; accepted, as long as the listening socket is there; bound but not connected; a
  peer without a name; bytes that arrived and were not read; broken, or half closed; a file of
  ``makefile()`` that is open; contexts with a private key, which nobody reads out of them, with
  revocation lists, with a callback for server names, or that trust single certificates. TLS 1.3
  hides whether bytes that were not read are data; such a socket travels.
- ALPN protocols, and whether there is a key, are read from the memory of a context, if that is laid
  out as in CPython 3.10 to 3.14. If it is not, contexts for servers are refused, and those for
  clients arrive without both.
- Certificate authorities in a folder are unknown until they are used: a context that lists none,
  where the default is a folder, arrives with the default ones of the host that it arrives at.
"""

from __future__ import annotations

import _socket
import _ssl
import ctypes
import errno
import functools
import hashlib
import os
import select
import socket
import ssl
import struct
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import IdentityMap, add_state, early_state, intern, token_of

OPTIONS = {
    "SOL_SOCKET": "SO_BROADCAST SO_DONTROUTE SO_KEEPALIVE SO_LINGER SO_OOBINLINE SO_REUSEADDR "
    "SO_REUSEPORT",
    "IPPROTO_IP": "IP_TOS IP_TTL IP_MULTICAST_LOOP IP_MULTICAST_TTL",
    "IPPROTO_IPV6": "IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP IPV6_TCLASS IPV6_UNICAST_HOPS "
    "IPV6_V6ONLY",
    "IPPROTO_TCP": "TCP_KEEPCNT TCP_KEEPIDLE TCP_KEEPINTVL TCP_NODELAY TCP_SYNCNT TCP_USER_TIMEOUT",
}
FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
RDHUP: int = getattr(select, "POLLRDHUP", 0)  # Linux only; elsewhere it is seen as unread bytes
#: What a context is set up by: a class that has its own says itself what a context is.
SETTINGS = (
    "check_hostname load_verify_locations maximum_version minimum_version options "
    "set_alpn_protocols set_ciphers verify_flags verify_mode"
).split()
HINT = "Connect inside the task."
OWN_WAY = "It is of a class that connects in a way of its own."
#: What an SSLSocket keeps, and is made with.
KEPT = {
    "_closed", "_connected", "_context", "_io_refs", "_session", "_sslobj",
    "do_handshake_on_connect", "server_hostname", "server_side", "suppress_ragged_eofs",
}  # fmt: skip

_accepted = IdentityMap()  # addresses of a connection, and whether it was accepted


@register(
    socket.socket, scope="thread", subclasses=True, hint=HINT,
    travels="peer, timeout, options", lost="local address, what was said so far",
    refused="listening, accepted, bound, half read",
)  # fmt: skip
def reduce_socket(sock: socket.socket) -> Any:
    """Say whom it is connected to, if anybody, and with which options."""
    cls = type(sock)
    if cls.connect is not socket.socket.connect:
        raise RefusedError(sock, OWN_WAY)
    state = {n: v for n, v in early_state(sock).items() if n not in ("_closed", "_io_refs")}
    if sock.fileno() == -1:
        return rebuild_closed_socket, (cls, token_of(sock), state)
    facts, peer = _read(sock)
    recipe = Recipe(
        open_socket, cls, facts, peer, state or None, thread_bound=False, drop_on_failure=True,
        reset=functools.partial(reset_socket, sock.gettimeout()),
    )  # fmt: skip
    if peer is None:
        recipe.scope = "fresh"  # or a task would get what another one connected
    return recipe


def open_socket(
    cls: type[socket.socket], facts: tuple[Any, ...], peer: Any, state: dict[str, Any] | None = None
) -> socket.socket:
    """Make a socket like it, and connect it to the same peer."""
    family, kind, proto, timeout, options = facts
    sock = socket.socket.__new__(cls)
    socket.socket.__init__(sock, getattr(socket, family), getattr(socket, kind), proto)
    try:
        for level, name, value in options:
            packed = value if isinstance(value, int) else struct.pack("ii", *value)
            sock.setsockopt(getattr(socket, level), getattr(socket, name), packed)
        add_state(sock, state or {})
        if peer is not None:
            sock.settimeout(timeout or None)  # 0 means not to wait, not even for the connection
            try:
                socket.socket.connect(sock, peer)
            except OSError as exc:
                raise ConnectionError(f"No connection to {peer!r}: {exc}.") from exc
        sock.settimeout(timeout)
    except BaseException:
        sock.close()
        raise
    return sock


def reset_socket(timeout: float | None, sock: socket.socket) -> None:
    """Raise unless the connection is open and idle: then the next task may use it."""
    if sock.fileno() == -1:
        raise ConnectionError("It is closed.")
    trouble = _trouble(sock, strict=True)
    if trouble:
        raise ConnectionError(trouble)
    sock.settimeout(timeout)


def rebuild_closed_socket(
    cls: type[socket.socket], token: str, state: dict[str, Any]
) -> socket.socket:
    """Make a closed socket, without opening one first."""

    def make() -> socket.socket:
        sock = socket.socket.__new__(
            cls
        )  # no descriptor before __init__ (socketmodule.c, sock_new)
        add_state(sock, {**state, "_closed": True, "_io_refs": 0})
        return sock

    closed: socket.socket = intern(token, make, (rebuild_closed_socket, (cls, token, state)))
    return closed


@register(_socket.socket, action="refuse", hint="Send a socket.socket instead.", refused="always")
def reduce_bare_socket(sock: _socket.socket) -> NoReturn:
    """Refuse the C base class: it has no weak references, and so no identity."""
    raise RefusedError(sock, "It is the bare socket that socket.socket is made of.")


@register(
    ssl.SSLSocket, scope="thread", subclasses=True, hint=HINT,
    travels="as a socket, its context, server name, ALPN", lost="as a socket, the TLS session",
    refused="as a socket, the server's end",
)  # fmt: skip
def reduce_tls_socket(sock: Any) -> Any:
    """Say whom it is connected to, and how TLS is spoken."""
    cls, state = type(sock), early_state(sock)
    if any(getattr(cls, n) is not getattr(ssl.SSLSocket, n) for n in ("connect", "do_handshake")):
        raise RefusedError(sock, OWN_WAY)
    if sock.fileno() == -1:
        state = {n: v for n, v in state.items() if n not in ("_closed", "_io_refs")}
        state.update(_session=None, _sslobj=None)
        return rebuild_closed_socket, (cls, token_of(sock), state)
    state = {n: v for n, v in state.items() if n not in KEPT}
    if sock.server_side:
        raise RefusedError(sock, "It is the server's end of a connection.")
    facts, peer = _read(sock)
    handshake = sock.do_handshake_on_connect
    if peer is not None:
        if sock._sslobj is None:
            raise RefusedError(sock, "It no longer speaks TLS.")
        handshake = sock.version() is not None
    flags = sock.server_hostname, handshake, sock.suppress_ragged_eofs
    recipe = Recipe(
        open_tls_socket, facts, peer, _read_context(sock.context, sock), flags,
        sock.selected_alpn_protocol(), cls, state or None, thread_bound=False, drop_on_failure=True,
        reset=functools.partial(reset_socket, sock.gettimeout()),
    )  # fmt: skip
    if peer is None:
        recipe.scope = "fresh"
    return recipe


def open_tls_socket(
    facts: tuple[Any, ...],
    peer: Any,
    context_facts: tuple[Any, ...],
    flags: tuple[Any, ...],
    alpn: str | None,
    cls: type[ssl.SSLSocket] = ssl.SSLSocket,
    state: dict[str, Any] | None = None,
) -> ssl.SSLSocket:
    """Connect, and speak TLS as it was spoken; with a context of its own, because of ALPN."""
    context = _make_context(*context_facts)
    if context.sslsocket_class is not cls:
        context.sslsocket_class = cls
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    server_hostname, handshake, suppress_ragged_eofs = flags
    *_, timeout, options = facts
    plain = open_socket(socket.socket, (*facts[:3], timeout or None, options), peer)
    try:
        sock = context.wrap_socket(
            plain, server_hostname=server_hostname, do_handshake_on_connect=handshake,
            suppress_ragged_eofs=suppress_ragged_eofs,
        )  # fmt: skip
    finally:
        plain.close()  # its descriptor is the TLS socket's now, if there is one
    if sock.selected_alpn_protocol() != alpn:
        sock.close()
        raise ssl.SSLError(f"{peer!r} does not agree on the ALPN protocol {alpn!r} any more.")
    sock.settimeout(timeout)
    add_state(sock, state or {})
    return sock


@register(
    ssl.SSLContext, subclasses=True,
    hint="Make the context inside the task, and load its key there from a file.",
    travels="versions, ciphers, verification, certificate authorities, ALPN protocols, attributes",
    lost="callbacks, curves, keylog_filename",
    refused="private keys, revocation lists, trusted single certificates",
)  # fmt: skip
def reduce_context(context: ssl.SSLContext) -> Any:
    """Say all that CPython tells of it."""
    facts = _read_context(context, context)
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return rebuild_context, (f"{token_of(context)}:{digest}", *facts)


def rebuild_context(key: str, *facts: Any) -> ssl.SSLContext:
    """Make the context; the same one of one state is made once in this process."""
    reduced = rebuild_context, (key, *facts)
    context: ssl.SSLContext = intern(key, lambda: _make_context(*facts), reduced)
    return context


def _read_context(context: ssl.SSLContext, obj: object) -> tuple[Any, ...]:
    """Return the arguments of `_make_context`; refuse ``obj`` if they do not tell enough."""
    if any(getattr(type(context), name) is not getattr(ssl.SSLContext, name) for name in SETTINGS):
        raise RefusedError(obj, "Its context is of a class that is set up in a way of its own.")
    alpn, has_key = _hidden(context)
    is_server = context.protocol == ssl.PROTOCOL_TLS_SERVER
    if has_key or (has_key is None and is_server):
        raise RefusedError(obj, "Its context has a private key, which CPython does not show.")
    if context.sni_callback is not None:
        raise RefusedError(obj, "Its context asks a function which server is meant.")
    stats = context.cert_store_stats()
    if stats["crl"]:
        raise RefusedError(obj, "Its context has revocation lists, which CPython does not show.")
    if stats["x509"] > stats["x509_ca"]:
        why = (
            "Its context trusts certificates that are no authorities, which CPython does not show."
        )
        raise RefusedError(obj, why)
    authorities = b"".join(context.get_ca_certs(binary_form=True))
    # The default authorities are listed at once if they are in a file; if in a folder, once used.
    in_folder = ssl.get_default_verify_paths().cafile is None
    default = in_folder and not authorities and context.verify_mode != ssl.CERT_NONE
    ciphers = [c["name"] for c in context.get_ciphers() if c["protocol"] != "TLSv1.3"]
    return (
        int(context.protocol), int(context.options), int(context.verify_mode),
        context.check_hostname, int(context.verify_flags), int(context.minimum_version),
        int(context.maximum_version), ":".join(ciphers), context.security_level,
        context.post_handshake_auth, context.hostname_checks_common_name, authorities, default,
        type(context), alpn, context.num_tickets if is_server else None, early_state(context),
    )  # fmt: skip


def _hidden(context: ssl.SSLContext) -> tuple[list[str], bool | None]:
    """Return ALPN protocols, and whether there is a private key; None if nobody knows.

    A context is a head, SSL_CTX, ALPN protocols and their length (CPython, Modules/_ssl.c,
    PySSLContext).
    """
    memory = _memory()
    if memory is None:
        return [], None
    look, key_of = memory
    ssl_ctx, address, length = look(context)
    packed = ctypes.string_at(address, length) if address else b""
    alpn = []
    while packed:
        alpn.append(packed[1 : 1 + packed[0]].decode("ascii"))
        packed = packed[1 + packed[0] :]
    return alpn, None if key_of is None else bool(key_of(ssl_ctx))


@functools.cache
def _memory() -> Any:
    """Return how to look into a context, once that has proved right; or None.

    And the function of OpenSSL that tells the private key, where OpenSSL is a library.
    """

    def look(context: ssl.SSLContext) -> tuple[int, int, int]:
        found = ctypes.string_at(id(context) + object.__basicsize__, struct.calcsize("PPI"))
        ssl_ctx, address, length = struct.unpack("PPI", found)
        return ssl_ctx, address, length

    with suppress(Exception):
        probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        before = look(probe)
        probe.set_alpn_protocols(["daskpickle"])
        after = look(probe)
        if before != (after[0], 0, 0) or not before[0] or after[2] != 11:
            return None
        try:
            key_of = ctypes.CDLL(_ssl.__file__).SSL_CTX_get0_privatekey
        except (AttributeError, OSError):
            return look, None
        key_of.argtypes, key_of.restype = [ctypes.c_void_p], ctypes.c_void_p
        return look, key_of
    return None


def _make_context(
    protocol: int,
    options: int,
    verify_mode: int,
    check_hostname: bool,
    verify_flags: int,
    minimum_version: int,
    maximum_version: int,
    ciphers: str,
    security_level: int,
    post_handshake_auth: bool,
    hostname_checks_common_name: bool,
    authorities: bytes,
    default: bool,
    cls: type[ssl.SSLContext] = ssl.SSLContext,
    alpn: Sequence[str] = (),
    num_tickets: int | None = None,
    state: dict[str, Any] | None = None,
) -> ssl.SSLContext:
    with warnings.catch_warnings():  # some versions of TLS are deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        context = ssl.SSLContext.__new__(cls, protocol)
        # As long as this is true, nothing but CERT_REQUIRED is allowed.
        context.check_hostname = False
        context.verify_mode = ssl.VerifyMode(verify_mode)
        context.check_hostname = check_hostname
        context.verify_flags = ssl.VerifyFlags(verify_flags)
        # Not to be set where the protocol is one version.
        if context.minimum_version != minimum_version:
            context.minimum_version = ssl.TLSVersion(minimum_version)
        if context.maximum_version != maximum_version:
            context.maximum_version = ssl.TLSVersion(maximum_version)
        if ciphers:
            context.set_ciphers(f"{ciphers}:@SECLEVEL={security_level}")
        context.options = ssl.Options(options)
    context.post_handshake_auth = post_handshake_auth
    if context.hostname_checks_common_name != hostname_checks_common_name:
        context.hostname_checks_common_name = hostname_checks_common_name
    if authorities:
        context.load_verify_locations(cadata=authorities)
    if default:
        context.set_default_verify_paths()
    if alpn:
        context.set_alpn_protocols(alpn)
    if num_tickets is not None:
        context.num_tickets = num_tickets
    add_state(context, state or {})
    return context


def _read(sock: socket.socket) -> tuple[tuple[Any, ...], Any]:
    """Return the facts that `open_socket` takes, and the peer or None; refuse what cannot go on."""
    if sock.family not in FAMILIES or sock.type not in KINDS:
        raise RefusedError(sock, "It is neither of the Internet nor of Unix, or it is raw.")
    try:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            why = "It is listening, which another host cannot do for this one."
            raise RefusedError(sock, why, "Send its address, or let a task listen by itself.")
        peer = _peer(sock)
        facts = (
            sock.family.name, sock.type.name, sock.proto, sock.gettimeout(), tuple(_options(sock)),
        )  # fmt: skip
    except OSError as exc:
        raise RefusedError(sock, f"It does not answer: {exc}.") from exc
    return facts, peer


def _peer(sock: socket.socket) -> Any:
    try:
        peer = sock.getpeername()
    except OSError as exc:
        if exc.errno != errno.ENOTCONN:
            raise
        name = sock.getsockname()
        if not (name[1] if isinstance(name, tuple) else name):
            return None
        why = "It is bound to an address, but not, or no longer, connected."
        hint = "Connect it to its peer, even if it sends datagrams; or make it inside the task."
        raise RefusedError(sock, why, hint) from None  # one `sendto` binds it as well
    if not peer:
        raise RefusedError(sock, "Its peer has no address, as those of socketpair() have none.")
    trouble = _trouble(sock)
    if trouble:
        raise RefusedError(sock, trouble)
    if _is_accepted(sock):
        raise RefusedError(sock, "It was accepted by a server, and its peer accepts none.")
    if isinstance(peer, str):
        peer = os.path.abspath(peer)  # noqa: PTH100 - symbolic links stay
        if not os.path.exists(peer):  # noqa: PTH110
            raise RefusedError(sock, f"Its peer is not there any more: {peer}.")
    return peer


def _trouble(sock: socket.socket, strict: bool = False) -> str:
    """Return why a new connection would not be the same as this one, or ""; nothing is consumed.

    In TLS 1.3 bytes that were not read may be tickets, which servers send after the handshake (RFC
    8446, 4.6.1): they count if ``strict``.
    """
    if getattr(sock, "_io_refs", 0):
        return "It has an open file of makefile(), which may hold bytes that were read ahead."
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN | RDHUP)
    events = dict(poll.poll(0)).get(sock.fileno(), 0)
    if events & RDHUP:
        return "Its peer has closed the connection."
    if events & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
        return "Its connection is broken."
    with suppress(AttributeError, OSError):  # it is not Linux, or not TCP
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01":  # TCP_ESTABLISHED
            return "Its connection is half closed."
    pending = events & select.POLLIN
    if isinstance(sock, ssl.SSLSocket):
        tickets = sock.version() == "TLSv1.3" and not strict
        pending = sock.pending() or (pending and not tickets)
    return "It has received bytes that were not read." if pending else ""


def _is_accepted(sock: socket.socket) -> bool:
    """Tell whether a listening socket of this host has its port.

    Linux gives an outgoing connection no port that is bound (net/ipv4/inet_hashtables.c,
    __inet_hash_connect).
    """
    if sock.family == socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        return False  # the peers of accepted Unix sockets have no names
    addresses = sock.getsockname(), sock.getpeername()
    known = _accepted.get(sock)
    if known is None or known[0] != addresses:  # reading that table takes milliseconds
        known = addresses, _is_listened_at(sock.family, *addresses[0][:2])
        _accepted.set(sock, known)
    return bool(known[1])


def _is_listened_at(family: int, host: str, port: int) -> bool:
    packed = socket.inet_pton(family, host.partition("%")[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    hosts = ["".join(f"{word:08X}" for word in words), "0" * 2 * len(packed)]
    for table in ("tcp", "tcp6"):
        with suppress(OSError), Path("/proc/net", table).open() as lines:
            next(lines)
            for line in lines:
                _, local, _, state, *_ = line.split()
                if state != "0A":  # TCP_LISTEN; those come first
                    break
                if local in [f"{host}:{port:04X}" for host in hosts]:
                    return True
    return False


def _options(sock: socket.socket) -> Any:
    """Yield the options that a new socket has not, by name: numbers depend on the system."""
    with socket.socket(sock.family, sock.type, sock.proto) as new:
        for level, names in OPTIONS.items():
            for name in names.split():
                with suppress(AttributeError, OSError):  # not here, or not for this kind of socket
                    where = getattr(socket, level), getattr(socket, name)
                    value: Any = sock.getsockopt(*where)
                    default: Any = new.getsockopt(*where)
                    if name == "SO_LINGER":
                        value, default = (
                            struct.unpack("ii", s.getsockopt(*where, 8)) for s in (sock, new)
                        )
                    if value != default:
                        yield level, name, value
