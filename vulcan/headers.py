"""Heads on their way through the proxy: what is checked, removed, kept and added.

Heads are written anew from parsed fields, never passed on. RFC 9110, 7.6 says what belongs
to one hop only; RFC 9112, 3.2 what a target and Host may be.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
# Servers behind may read `_` as `-`, as CGI does, and so find what was dropped here.
_NO_ALIAS = FORWARDED | FRAMING

_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\\\s\x00-\x20\x7f]*)(?::(\d{0,5}))?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request wants to go."""

    authority: bytes  # as the client wrote it
    target: bytes  # origin form, with query
    facts: Facts


def origin_of(head: RequestHead) -> Origin:
    """Read the target and Host. Raises BadMessage for what RFC 9112, 3.2 does not allow."""
    if head.method == b"CONNECT":
        raise BadMessage(501, "CONNECT is not served here")
    authority, target = head.fields.get(b"host", b""), head.target
    if absolute := _ABSOLUTE.fullmatch(target):
        authority, target = absolute[1], absolute[2]
        if not target.startswith(b"/"):
            target = b"/" + target
    elif not (target.startswith(b"/") or (target == b"*" and head.method == b"OPTIONS")):
        raise BadMessage(400, "the request target is neither a path nor an http URL")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise BadMessage(400, "the Host is not a host name with an optional port")
    if b"#" in target:
        raise BadMessage(400, "the request target has a fragment")
    host = match[1].lower().removesuffix(b".").removeprefix(b"[").removesuffix(b"]")
    facts = Facts(host, target.partition(b"?")[0], head.method, head.headers)
    return Origin(authority, target, facts)


@dataclass(frozen=True, slots=True)
class Outgoing:
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


def outgoing(head: RequestHead, origin: Origin, frontend: Frontend, *, secure: bool) -> Outgoing:
    """Return the head to send upstream. Raises BadMessage when Connection names our fields."""
    given = head.fields if frontend.trust_forwarded else {}
    dropped = _REQUEST_OWN | _nominated(head.fields, 400)
    if not frontend.trust_forwarded:
        dropped |= FORWARDED
    lines = [
        b"%b: %b" % (name, value)
        for name, value in head.headers
        if (lower := name.lower()) not in dropped and not _alias(lower)
    ]
    if head.chunked:
        lines.append(b"Transfer-Encoding: chunked")
    elif b"content-length" in head.fields:
        lines.append(b"Content-Length: %d" % head.length)
    if head.expects_continue and (head.chunked or head.length):
        lines.append(b"Expect: 100-continue")
    if b"trailers" in _tokens(head.fields.get(b"te", b"")):
        lines.append(b"TE: trailers")
    lines.append(b"Via: 1.%d vulcan" % head.minor)
    lines += _forwarded(given, origin, frontend, secure=secure)
    return Outgoing(
        start=b"%b %b HTTP/1.1\r\n" % (head.method, origin.target),
        host_line=b"Host: %b\r\n" % origin.authority if frontend.pass_host else b"",
        rest=b"\r\n".join(lines),
        real_ip=b"" if b"x-real-ip" in given else b"\r\nX-Real-Ip: ",
    )


def _forwarded(
    given: Mapping[bytes, bytes], origin: Origin, frontend: Frontend, *, secure: bool
) -> list[bytes]:
    """The fields about the client; X-Forwarded-For comes last and lacks the peer's address."""
    scheme, port = (b"https", b"443") if secure else (b"http", b"80")
    match = _AUTHORITY.fullmatch(origin.authority)
    own = {
        b"X-Forwarded-Proto": scheme,
        b"X-Forwarded-Host": origin.authority,
        b"X-Forwarded-Port": (match and match[2]) or port,
        b"X-Forwarded-Server": frontend.hostname.encode(),
    }
    lines = [
        b"%b: %b" % (name, value)
        for name, value in own.items()
        if value and name.lower() not in given
    ]
    before = given.get(b"x-forwarded-for")
    return [*lines, b"X-Forwarded-For: " + (before + b", " if before else b"")]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A response head for the client; a body of unknown length is chunked on the way."""

    status: int
    head: bytes  # without Date
    date_line: bytes  # the server's; empty when it gave none
    chunked: bool

    @property
    def dated_head(self) -> bytes:
        """The head with the server's Date."""
        return self.head + self.date_line


def incoming(head: ResponseHead, method: bytes) -> Incoming:
    """Return the head to send to the client. Raises BadMessage (502)."""
    bodiless = method == b"HEAD" or head.status in {204, 304}
    chunked = head.length is None and not bodiless
    dropped = _RESPONSE_OWN | _nominated(head.fields, 502)
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason)]
    dropped |= {b"date"}
    lines += [b"%b: %b" % field for field in head.headers if field[0].lower() not in dropped]
    if head.length is not None and head.status != 204:
        lines.append(b"Content-Length: %d" % head.length)
    if chunked and (trailer := head.fields.get(b"trailer")):
        lines.append(b"Trailer: " + trailer)
    date = head.fields.get(b"date")
    return Incoming(
        status=head.status,
        head=b"\r\n".join([*lines, b""]),
        date_line=b"" if date is None else b"Date: %b\r\n" % date,
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


def _alias(lower: bytes) -> bool:
    return b"_" in lower and lower.replace(b"_", b"-") in _NO_ALIAS
