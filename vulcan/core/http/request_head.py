"""Heads on their way through the proxy: what is checked, removed, kept and added.

Heads are written anew from parsed fields, never passed on. RFC 9110, 7.6 says what belongs
to one hop only; RFC 9112, 3.2 what a target and Host may be.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec

from daemonkit.core.framing import BadMessage, Fields, RequestHead, ResponseHead
from vulcan.core.config.frontend import Frontend
from vulcan.core.middleware.specs import HeadersSpec
from vulcan.core.routing.request_view import RequestView

Field = tuple[bytes, bytes]
PER_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    )
)
# Written by us from the parsed head, so that Connection cannot name them away.
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host", b"trailer"))
# What only a proxy may say. A client's own are dropped, unless the frontend trusts them.
FORWARDED = frozenset(
    (
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-real-ip",
        b"forwarded",
    )
)
_REQUEST_OWN = PER_HOP | FRAMING | {b"expect", b"x-forwarded-for", b"traceparent"}
_RESPONSE_OWN = PER_HOP | FRAMING
# Servers may add trailers to the fields in front, so what is dropped there is dropped here.
_TRAILER_OWN = PER_HOP | FRAMING | FORWARDED | {b"authorization", b"set-cookie", b"content-type"}
_NO_ALIAS = FORWARDED | FRAMING

# Names of fields and hosts come again and again; new ones cost time and, being short, no memory.
REMEMBERED_MAX = 4096
# More than frontends have hosts, as a rule: one that was forgotten costs a microsecond.
HOSTS_REMEMBERED_MAX = 16_384
NAME_BYTES_MAX = 64
# A host name has at most 253 bytes (RFC 1035, 2.3.4), a port 6 with its colon.
AUTHORITY_BYTES_MAX = 260

_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\\\s\x00-\x20\x7f]*)(?::(\d{0,5}))?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
# https://www.w3.org/TR/trace-context/, 3.2: version, trace, parent and flags; zeros mean nothing.
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)
# A request that has come through us so often is in a circle.
ROUNDS_MAX = 8
# Upgrades to HTTP itself would carry requests past these rules (h2c smuggling).
_NOT_TUNNELED = re.compile(rb"h2c?|http.*|tls.*", re.IGNORECASE)
_PROTOCOL = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(/[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32})?")
# By whether the client speaks TLS.
_PORTS = (b"80", b"443")
_TOLD = tuple(
    b"X-Forwarded-Proto: %b\r\nX-Forwarded-Host: %%b\r\nX-Forwarded-Port: %%b" % scheme
    for scheme in (b"http", b"https")
)
_REAL_IP = b"\r\nX-Real-Ip: "
_VIA = (b"Via: 1.0 vulcan", b"Via: 1.1 vulcan")  # by the minor version that came
# Methods whose hops are counted, with what we say as their last one: we have no options, and
# reflect nothing that may hold a cookie.
_COUNTED = {b"OPTIONS": 200, b"TRACE": 405}
_HOPS = re.compile(rb"\d{1,9}", re.ASCII)
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


class EndsHere(Exception):  # noqa: N818 - states what is so
    """A request that asks not to be sent on (RFC 9110, 7.6.2); `status` is our answer to it."""

    def __init__(self, status: int) -> None:
        super().__init__("Max-Forwards is 0: the request ends here")
        self.status = status


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a request wants to go."""

    authority: bytes  # as the client wrote it
    port: bytes  # empty without one
    target: bytes  # origin form, with query
    view: RequestView


def origin_of(head: RequestHead) -> Origin:
    """Read the target and Host. Raises BadMessage for what RFC 9112, 3.2 does not allow."""
    authority, target = head.fields.get(b"host", b""), head.target
    if not target.startswith(b"/"):
        authority, target = _other_form(head, authority)
    named = _named(authority) if len(authority) <= AUTHORITY_BYTES_MAX else None
    if named is None:
        raise BadMessage(400, "the Host is not a host name with an optional port")
    if b"#" in target:
        raise BadMessage(400, "the request target has a fragment")
    host, port = named
    path, _, query = target.partition(b"?")
    return Origin(
        authority, port, target, RequestView(host, path, head.method, head.headers, query)
    )


def _other_form(head: RequestHead, authority: bytes) -> tuple[bytes, bytes]:
    """Return authority and target of a request whose target is not a path."""
    if head.method == b"CONNECT":
        raise BadMessage(501, "CONNECT is not served here")
    if absolute := _ABSOLUTE.fullmatch(head.target):
        target = absolute[2]
        return absolute[1], target if target.startswith(b"/") else b"/" + target
    if head.target == b"*" and head.method == b"OPTIONS":
        return authority, head.target
    raise BadMessage(400, "the request target is neither a path nor an http URL")


@lru_cache(HOSTS_REMEMBERED_MAX)
def _named(authority: bytes) -> tuple[bytes, bytes] | None:
    """Return the host as routes compare it, and the port."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    host = match[1].lower().removesuffix(b".").removeprefix(b"[").removesuffix(b"]")
    return host, match[2] or b""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A request head for upstream in two parts: the Host line goes between, the peer after."""

    start: bytes
    host_line: bytes  # empty: the server's own
    rest: bytes  # ends within X-Forwarded-For
    real_ip: bytes  # the name of the field that holds the peer alone; empty when it is there
    trace: bytes = b""  # the trace that the client is in, with its flags; empty without one
    upgrade: bytes = b""  # what the connection shall become; empty: it stays HTTP

    def to(self, method: bytes, target: bytes) -> "Outgoing":
        """Return the head of the same request for another target."""
        return msgspec.structs.replace(self, start=b"%b %b HTTP/1.1\r\n" % (method, target))

    def render(self, server_host_line: bytes, peer: bytes, trace: bytes) -> bytes:
        """Return the complete head for a server, of a client with this address.

        `trace` is a traceparent's value.
        """
        host_line = self.host_line or server_host_line
        parts = (self.start, host_line, self.rest, peer, self.real_ip)
        if self.real_ip:
            return b"%b%b%b%b%b%b\r\nTraceparent: %b\r\n\r\n" % (*parts, peer, trace)
        return b"%b%b%b%b%b\r\nTraceparent: %b\r\n\r\n" % (*parts, trace)


@lru_cache(REMEMBERED_MAX)
def address_of(peer: str) -> bytes:
    """Return a client's address as headers have it: no zone, and IPv4 as such on a dual socket."""
    address, _, _ = peer.partition("%")
    return address.removeprefix("::ffff:").encode() if "." in address else address.encode()


def outgoing(
    head: RequestHead,
    origin: Origin,
    frontend: Frontend,
    *,
    secure: bool,
    edits: HeadersSpec | None = None,
) -> Outgoing:
    """Return the head to send upstream. Raises BadMessage when Connection names our fields."""
    fields = head.fields
    if b"via" in fields and fields[b"via"].count(b" vulcan") >= ROUNDS_MAX:
        raise BadMessage(508, "the request goes in a circle: it has come here several times")
    upgrade = upgrade_of(head) if b"upgrade" in fields else b""
    passing = _passing(head, trusted=frontend.trust_forwarded, edits=edits)
    if b"max-forwards" in fields and head.method in _COUNTED:
        passing = _one_less(passing, fields[b"max-forwards"], _COUNTED[head.method])
    lines = [b"%b: %b" % field for field in passing]
    if edits is not None:
        lines += [b"%b: %b" % field for field in edits.request]
    lines += _own_lines(head, upgrade)
    real_ip = _REAL_IP
    if frontend.trust_forwarded or not origin.authority:
        given = {name.lower() for name, _ in passing}
        told = _told(origin.authority, origin.port, frontend.hostname, secure=secure)
        lines += [line for name, line in told if name not in given]
        before = fields.get(b"x-forwarded-for") if frontend.trust_forwarded else None
        lines.append(b"X-Forwarded-For: " + (before + b", " if before else b""))
        if b"x-real-ip" in given:
            real_ip = b""
    else:
        lines.append(_TOLD[secure] % (origin.authority, origin.port or _PORTS[secure]))
        if frontend.hostname:
            lines.append(b"X-Forwarded-Server: " + frontend.hostname.encode())
        lines.append(b"X-Forwarded-For: ")
    return Outgoing(
        start=b"%b %b HTTP/1.1\r\n" % (head.method, origin.target),
        host_line=b"Host: %b\r\n" % origin.authority if frontend.pass_host else b"",
        rest=b"\r\n".join(lines),
        real_ip=real_ip,
        trace=_trace(fields[b"traceparent"]) if b"traceparent" in fields else b"",
        upgrade=upgrade,
    )


def upgrade_of(head: RequestHead) -> bytes:
    """Return the protocol that a request asks to go over to, empty when it is not tunnelled."""
    wanted = head.fields.get(b"upgrade", b"")
    if not wanted or head.method != b"GET" or head.minor == 0 or head.chunked or head.length:
        return b""
    if b"upgrade" not in _tokens(head.fields.get(b"connection", b"")):
        return b""
    if _PROTOCOL.fullmatch(wanted) is None or _NOT_TUNNELED.fullmatch(wanted):
        return b""
    return wanted


def _passing(head: RequestHead, *, trusted: bool, edits: HeadersSpec | None) -> Sequence[Field]:
    """The client's own fields that go on."""
    passes = _passes_trusted if trusted else _passes
    passing = [
        field for field in head.headers if len(field[0]) > NAME_BYTES_MAX or passes(field[0])
    ]
    removed = _nominated(head.fields, 400) if b"connection" in head.fields else frozenset()
    if edits is not None:
        removed |= edits.remove_request
    if removed:
        passing = [field for field in passing if field[0].lower() not in removed]
    return passing


def _one_less(passing: Sequence[Field], given: bytes, status: int) -> list[Field]:
    """Count a hop. Raises EndsHere at the last one, BadMessage for what is no number."""
    if _HOPS.fullmatch(given) is None:
        raise BadMessage(400, "Max-Forwards is not a number")
    hops = int(given)
    if not hops:
        raise EndsHere(status)
    left = b"%d" % (hops - 1)
    return [(n, left if n.lower() == b"max-forwards" else value) for n, value in passing]


def _own_lines(head: RequestHead, upgrade: bytes) -> list[bytes]:
    """What frames the request and says what the next hop needs to know."""
    lines = [_VIA[head.minor]]
    if head.chunked:
        lines.append(b"Transfer-Encoding: chunked")
        if trailer := head.fields.get(b"trailer"):
            lines.append(b"Trailer: " + trailer)
    elif b"content-length" in head.fields:
        lines.append(b"Content-Length: %d" % head.length)
    if head.expects_continue and (head.chunked or head.length):
        lines.append(b"Expect: 100-continue")
    if upgrade:
        lines += [b"Connection: Upgrade", b"Upgrade: " + upgrade]
    if b"te" in head.fields and b"trailers" in _tokens(head.fields[b"te"]):
        lines.append(b"TE: trailers")
    return lines


def _trace(given: bytes) -> bytes:
    match = _TRACEPARENT.fullmatch(given)
    return b"%b-%b" % match.groups() if match else b""


@lru_cache(REMEMBERED_MAX)
def _passes(name: bytes) -> bool:
    """Whether a request's field goes on when Connection does not name it; long ones all do."""
    return name.lower() not in FORWARDED and _passes_trusted(name)


@lru_cache(REMEMBERED_MAX)
def _passes_trusted(name: bytes) -> bool:
    """Whether it goes on when what other proxies say is believed."""
    lower = name.lower()
    if lower in _REQUEST_OWN:
        return False
    # Servers behind may read `_` as `-`, as CGI does, and so find what was dropped here.
    return b"_" not in lower or lower.replace(b"_", b"-") not in _NO_ALIAS


def _told(
    authority: bytes, port: bytes, hostname: str, *, secure: bool
) -> tuple[tuple[bytes, bytes], ...]:
    """What a server is told of a request, by name: lines that a trusted client's own replace."""
    own = {
        b"X-Forwarded-Proto": b"https" if secure else b"http",
        b"X-Forwarded-Host": authority,
        b"X-Forwarded-Port": port or _PORTS[secure],
        b"X-Forwarded-Server": hostname.encode(),
    }
    return tuple((name.lower(), b"%b: %b" % (name, value)) for name, value in own.items() if value)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A response head for the client; a body of unknown length is chunked on the way."""

    status: int
    head: bytes
    dated: bool  # whether the server gave a Date
    chunked: bool


def incoming(head: ResponseHead, method: bytes) -> Incoming:
    """Return the head to send to the client. Raises BadMessage (502)."""
    bodiless = method == b"HEAD" or head.status in {204, 304}
    chunked = head.length is None and not bodiless
    dropped = _RESPONSE_OWN | _nominated(head.fields, 502)
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason)]
    lines += [b"%b: %b" % field for field in head.headers if field[0].lower() not in dropped]
    if head.length is not None and head.status != 204:
        lines.append(b"Content-Length: %d" % head.length)
    if chunked and (trailer := head.fields.get(b"trailer")):
        lines.append(b"Trailer: " + trailer)
    return Incoming(
        status=head.status,
        head=b"\r\n".join([*lines, b""]),
        dated=b"date" in head.fields,
        chunked=chunked,
    )


def switching(head: ResponseHead) -> bytes:
    """Return the head of a 101 for the client. Raises BadMessage (502)."""
    protocol = head.fields.get(b"upgrade", b"")
    if b"upgrade" not in _tokens(head.fields.get(b"connection", b"")) or not protocol:
        raise BadMessage(502, "a 101 that does not say what to")
    lines = [b"HTTP/1.1 101 Switching Protocols", *_passing_back(head)]
    return b"\r\n".join([*lines, b"Connection: Upgrade", b"Upgrade: " + protocol, b""])


def interim(head: ResponseHead) -> bytes:
    """Return the head of another 1xx for the client."""
    return b"\r\n".join([b"HTTP/1.1 %d %b" % (head.status, head.reason), *_passing_back(head), b""])


def _passing_back(head: ResponseHead) -> list[bytes]:
    dropped = _RESPONSE_OWN | (_tokens(head.fields.get(b"connection", b"")))
    return [b"%b: %b" % field for field in head.headers if field[0].lower() not in dropped]


def edited(incoming: Incoming, edits: HeadersSpec | None, cookie: bytes) -> Incoming:
    """Return an answer's head with an operator's edits, and a cookie's line."""
    if edits is None and not cookie:
        return incoming
    head = incoming.head
    if edits is not None:
        first, *lines = head.removesuffix(b"\r\n").split(b"\r\n")
        kept = [line for line in lines if _name_in(line) not in edits.remove_response]
        added = [b"%b: %b" % field for field in edits.response]
        head = b"\r\n".join([first, *kept, *added, b""])
    return replace(incoming, head=head + cookie)


def _name_in(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def trailers(fields: Fields) -> bytes:
    """Return a trailer section without what may not stand there."""
    return b"".join(
        b"%b: %b\r\n" % field
        for field in fields
        if field[0].lower().replace(b"_", b"-") not in _TRAILER_OWN
    )


def idempotent(head: RequestHead) -> bool:
    """Whether a request may be sent again when nobody knows if it was acted on."""
    return head.method in IDEMPOTENT or b"idempotency-key" in head.fields


def _nominated(fields: dict[bytes, bytes], status: int) -> frozenset[bytes]:
    value = fields.get(b"connection")
    if value is None:
        return frozenset()
    names = _tokens(value)
    if forbidden := names & FRAMING:
        name = min(forbidden).decode()
        raise BadMessage(status, f"Connection may not name {name}")
    return names


def _tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(token.strip(b" \t").lower() for token in value.split(b","))
