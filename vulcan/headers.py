"""Heads on their way through the proxy: what is checked, removed, kept and added.

Heads are written anew from parsed fields, never passed on. RFC 9110, 7.6 says what belongs
to one hop only; RFC 9112, 3.2 what a target and Host may be.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from daemonkit.http.framing import BadMessage, Fields, RequestHead, ResponseHead
from vulcan.model import Frontend
from vulcan.route import Facts

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
_REQUEST_OWN = PER_HOP | FRAMING | {b"expect", b"x-forwarded-for"}
_RESPONSE_OWN = PER_HOP | FRAMING
_TRAILER_OWN = PER_HOP | FRAMING | {b"authorization", b"set-cookie", b"content-type"}
_NO_ALIAS = FORWARDED | FRAMING

# Names of fields and hosts come again and again; new ones cost time and, being short, no memory.
REMEMBERED_MAX = 4096
NAME_BYTES_MAX = 64
# A host name has at most 253 bytes (RFC 1035, 2.3.4), a port 6 with its colon.
AUTHORITY_BYTES_MAX = 260

_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\\\s\x00-\x20\x7f]*)(?::(\d{0,5}))?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a request wants to go."""

    authority: bytes  # as the client wrote it
    port: bytes  # empty without one
    target: bytes  # origin form, with query
    facts: Facts


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
    return Origin(authority, port, target, Facts(host, path, head.method, head.headers, query))


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


@lru_cache(REMEMBERED_MAX)
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

    def render(self, server_host_line: bytes, peer: bytes) -> bytes:
        """Return the complete head for a server, of a client with this address."""
        host_line = self.host_line or server_host_line
        if self.real_ip:
            parts = (self.start, host_line, self.rest, peer, self.real_ip, peer)
            return b"%b%b%b%b%b%b\r\n\r\n" % parts
        return b"%b%b%b%b\r\n\r\n" % (self.start, host_line, self.rest, peer)


@lru_cache(REMEMBERED_MAX)
def address_of(peer: str) -> bytes:
    """Return a client's address as headers have it: no zone, and IPv4 as such on a dual socket."""
    address, _, _ = peer.partition("%")
    return address.removeprefix("::ffff:").encode() if "." in address else address.encode()


def outgoing(head: RequestHead, origin: Origin, frontend: Frontend, *, secure: bool) -> Outgoing:
    """Return the head to send upstream. Raises BadMessage when Connection names our fields."""
    trusted = frontend.trust_forwarded
    passing = [
        field
        for field in head.headers
        if len(field[0]) > NAME_BYTES_MAX or _passes(field[0], trusted=trusted)
    ]
    if nominated := _nominated(head.fields, 400):
        passing = [field for field in passing if field[0].lower() not in nominated]
    lines = [b"%b: %b" % field for field in passing]
    if head.chunked:
        lines.append(b"Transfer-Encoding: chunked")
    elif b"content-length" in head.fields:
        lines.append(b"Content-Length: %d" % head.length)
    if head.expects_continue and (head.chunked or head.length):
        lines.append(b"Expect: 100-continue")
    if b"te" in head.fields and b"trailers" in _tokens(head.fields[b"te"]):
        lines.append(b"TE: trailers")
    lines.append(b"Via: 1.%d vulcan" % head.minor)
    given = {name.lower() for name, _ in passing} if trusted else frozenset()
    told = _told(origin.authority, origin.port, frontend.hostname, secure=secure)
    lines += [line for name, line in told if name not in given]
    before = head.fields.get(b"x-forwarded-for") if trusted else None
    lines.append(b"X-Forwarded-For: " + (before + b", " if before else b""))
    return Outgoing(
        start=b"%b %b HTTP/1.1\r\n" % (head.method, origin.target),
        host_line=b"Host: %b\r\n" % origin.authority if frontend.pass_host else b"",
        rest=b"\r\n".join(lines),
        real_ip=b"" if b"x-real-ip" in given else b"\r\nX-Real-Ip: ",
    )


@lru_cache(REMEMBERED_MAX)
def _passes(name: bytes, *, trusted: bool) -> bool:
    """Whether a request's field goes on when Connection does not name it; long ones all do."""
    lower = name.lower()
    if lower in _REQUEST_OWN or (lower in FORWARDED and not trusted):
        return False
    # Servers behind may read `_` as `-`, as CGI does, and so find what was dropped here.
    return b"_" not in lower or lower.replace(b"_", b"-") not in _NO_ALIAS


@lru_cache(REMEMBERED_MAX)
def _told(
    authority: bytes, port: bytes, hostname: str, *, secure: bool
) -> tuple[tuple[bytes, bytes], ...]:
    """What a server is told of a request, by name: lines that a trusted client's own replace."""
    scheme, usual = (b"https", b"443") if secure else (b"http", b"80")
    own = {
        b"X-Forwarded-Proto": scheme,
        b"X-Forwarded-Host": authority,
        b"X-Forwarded-Port": port or usual,
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


def trailers(fields: Fields) -> bytes:
    """Return a response's trailer section without what may not stand there."""
    return b"".join(
        b"%b: %b\r\n" % field for field in fields if field[0].lower() not in _TRAILER_OWN
    )


def replayable(head: RequestHead) -> bool:
    """Whether a request may be sent again when nobody knows if it was acted on."""
    return head.method in IDEMPOTENT and not head.chunked and not head.length


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
