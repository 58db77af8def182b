"""A request head as a server gets it: what the proxy removes, passes on, and adds.

A head is written again from its parsed fields, never passed on as bytes.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from daemonkit.core.framing import BadMessage, RequestHead
from vulcan.core.config.frontend import Frontend
from vulcan.core.http.fields import (
    FORWARDED,
    FRAMING,
    HOP_BY_HOP,
    cgi_name,
    connection_options,
    tokens,
)
from vulcan.core.http.target import RequestTarget
from vulcan.core.http.traceparent import parse_traceparent
from vulcan.core.middleware.specs import HeadersSpec

Field = tuple[bytes, bytes]
_NEVER_PASSED = HOP_BY_HOP | FRAMING | {b"expect", b"x-forwarded-for", b"traceparent"}
_NO_ALIAS = FORWARDED | _NEVER_PASSED

# Field names and client addresses repeat. A new one costs time and, being short, no memory.
CACHED_MAX = 4096
NAME_BYTES_MAX = 64

# A request that has passed through this proxy so often is in a loop.
LOOPS_MAX = 8
# Upgrades to HTTP itself would carry requests past these rules (h2c smuggling).
_NOT_TUNNELED = re.compile(rb"h2c?|http.*|tls.*", re.IGNORECASE)
_PROTOCOL = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(/[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32})?")
# By whether the client uses TLS.
_PORTS = (b"80", b"443")
_FORWARDED_LINES = tuple(
    b"X-Forwarded-Proto: %b\r\nX-Forwarded-Host: %%b\r\nX-Forwarded-Port: %%b" % scheme
    for scheme in (b"http", b"https")
)
_REAL_IP = b"\r\nX-Real-Ip: "
_VIA = (b"Via: 1.0 vulcan", b"Via: 1.1 vulcan")  # by the client's minor version
# Methods whose hops are counted, with our answer at the last hop. We have no options to list,
# and a response to TRACE must not reveal fields that may hold a cookie.
_COUNTED = {b"OPTIONS": 200, b"TRACE": 405}
_HOPS = re.compile(rb"\d{1,9}", re.ASCII)
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


class HopsExhausted(Exception):  # noqa: N818 - not an error: we are the last hop
    """Max-Forwards is 0 (RFC 9110, 7.6.2): the proxy answers with `status` itself."""

    def __init__(self, status: int) -> None:
        super().__init__("Max-Forwards is 0: the request ends here")
        self.status = status


class UpstreamHead(msgspec.Struct, frozen=True, gc=False):
    """A request head for a server, in two parts.

    The Host line goes between them, and the client's address behind the second one.
    """

    start: bytes
    host_line: bytes  # empty: the server's own
    rest: bytes  # ends inside X-Forwarded-For, where the client's address follows
    real_ip: bytes  # starts the X-Real-Ip line; empty when the client sent its own
    trace: bytes = b""  # as `parse_traceparent` returns it
    upgrade: bytes = b""  # the protocol to switch to; empty: none

    def with_target(self, method: bytes, target: bytes) -> "UpstreamHead":
        """Return the head of the same request with another target."""
        return msgspec.structs.replace(self, start=b"%b %b HTTP/1.1\r\n" % (method, target))

    def render(self, server_host_line: bytes, client: bytes, trace: bytes) -> bytes:
        """Return the complete head for a server. `trace` is the value of Traceparent.

        Without an address of the client, as on a Unix socket, no field names it.
        """
        host_line = self.host_line or server_host_line
        if not client:
            lines, _, before = self.rest.rpartition(b"\r\nX-Forwarded-For: ")
            kept = b"\r\nX-Forwarded-For: " + before.removesuffix(b", ") if before else b""
            parts = (self.start, host_line, lines, kept, trace)
            return b"%b%b%b%b\r\nTraceparent: %b\r\n\r\n" % parts
        parts = (self.start, host_line, self.rest, client, self.real_ip)
        if self.real_ip:
            return b"%b%b%b%b%b%b\r\nTraceparent: %b\r\n\r\n" % (*parts, client, trace)
        return b"%b%b%b%b%b\r\nTraceparent: %b\r\n\r\n" % (*parts, trace)


@lru_cache(CACHED_MAX)
def client_address(peer: str) -> bytes:
    """Return a client's address for header fields: without a zone, and no IPv4 mapped into IPv6."""
    address, _, _ = peer.partition("%")
    return address.removeprefix("::ffff:").encode() if "." in address else address.encode()


def upstream_head(
    head: RequestHead,
    target: RequestTarget,
    frontend: Frontend,
    *,
    secure: bool,
    edits: HeadersSpec | None = None,
) -> UpstreamHead:
    """Return the head to send to a server.

    Raises BadMessage for what must not be passed on, and HopsExhausted at the last hop.
    """
    fields = head.fields
    if b"via" in fields and fields[b"via"].count(b" vulcan") >= LOOPS_MAX:
        raise BadMessage(508, "the request is in a loop: it has passed this proxy several times")
    upgrade = upgrade_of(head) if b"upgrade" in fields else b""
    passed = _passed_fields(head, trusted=frontend.trust_forwarded, edits=edits)
    if b"max-forwards" in fields and head.method in _COUNTED:
        passed = _count_hop(passed, fields[b"max-forwards"], _COUNTED[head.method])
    lines = [b"%b: %b" % field for field in passed]
    if edits is not None:
        lines += [b"%b: %b" % field for field in edits.request]
    lines += _proxy_lines(head, upgrade)
    real_ip = _REAL_IP
    if frontend.trust_forwarded or not target.authority:
        present = {name.lower() for name, _ in passed}
        forwarded = _forwarded_lines(
            target.authority, target.port, frontend.hostname, secure=secure
        )
        lines += [line for name, line in forwarded if name not in present]
        before = fields.get(b"x-forwarded-for") if frontend.trust_forwarded else None
        lines.append(b"X-Forwarded-For: " + (before + b", " if before else b""))
        if b"x-real-ip" in present:
            real_ip = b""
    else:
        lines.append(_FORWARDED_LINES[secure] % (target.authority, target.port or _PORTS[secure]))
        if frontend.hostname:
            lines.append(b"X-Forwarded-Server: " + frontend.hostname.encode())
        lines.append(b"X-Forwarded-For: ")
    return UpstreamHead(
        start=b"%b %b HTTP/1.1\r\n" % (head.method, target.origin_form),
        host_line=b"Host: %b\r\n" % target.authority if frontend.pass_host else b"",
        rest=b"\r\n".join(lines),
        real_ip=real_ip,
        trace=parse_traceparent(fields[b"traceparent"]) if b"traceparent" in fields else b"",
        upgrade=upgrade,
    )


def upgrade_of(head: RequestHead) -> bytes:
    """Return the protocol that a request asks to switch to, empty when we do not tunnel it."""
    wanted = head.fields.get(b"upgrade", b"")
    if not wanted or head.method != b"GET" or head.minor == 0 or head.chunked or head.length:
        return b""
    if b"upgrade" not in tokens(head.fields.get(b"connection", b"")):
        return b""
    if _PROTOCOL.fullmatch(wanted) is None or _NOT_TUNNELED.fullmatch(wanted):
        return b""
    return wanted


def _passed_fields(
    head: RequestHead, *, trusted: bool, edits: HeadersSpec | None
) -> Sequence[Field]:
    """Return the client's fields that are passed on."""
    passes = _is_passed_trusted if trusted else _is_passed
    passed = [field for field in head.headers if len(field[0]) > NAME_BYTES_MAX or passes(field[0])]
    removed = connection_options(head.fields, 400) if b"connection" in head.fields else frozenset()
    if removed:
        passed = [field for field in passed if field[0].lower() not in removed]
    if edits is not None:
        passed = [field for field in passed if cgi_name(field[0]) not in edits.remove_request]
    return passed


def _count_hop(passed: Sequence[Field], given: bytes, status: int) -> list[Field]:
    """Decrement Max-Forwards. Raises HopsExhausted at 0, and BadMessage when it is not a number."""
    if _HOPS.fullmatch(given) is None:
        raise BadMessage(400, "Max-Forwards is not a number")
    hops = int(given)
    if not hops:
        raise HopsExhausted(status)
    left = b"%d" % (hops - 1)
    return [(n, left if n.lower() == b"max-forwards" else value) for n, value in passed]


def _proxy_lines(head: RequestHead, upgrade: bytes) -> list[bytes]:
    """Return the lines that the proxy writes itself: framing, Via, and what the next hop needs."""
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
    if b"te" in head.fields and b"trailers" in tokens(head.fields[b"te"]):
        lines.append(b"TE: trailers")
    return lines


@lru_cache(CACHED_MAX)
def _is_passed(name: bytes) -> bool:
    """Whether a field of this name is passed on, when no proxy in front of us is trusted."""
    return name.lower() not in FORWARDED and _is_passed_trusted(name)


@lru_cache(CACHED_MAX)
def _is_passed_trusted(name: bytes) -> bool:
    """Whether a field of this name is passed on, when the proxies in front of us are trusted."""
    lower = name.lower()
    if lower in _NEVER_PASSED:
        return False
    name = cgi_name(lower)
    return name == lower or name not in _NO_ALIAS


def _forwarded_lines(
    authority: bytes, port: bytes, hostname: str, *, secure: bool
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the X-Forwarded lines by name. The fields of a trusted client replace them."""
    own = {
        b"X-Forwarded-Proto": b"https" if secure else b"http",
        b"X-Forwarded-Host": authority,
        b"X-Forwarded-Port": port or _PORTS[secure],
        b"X-Forwarded-Server": hostname.encode(),
    }
    return tuple((name.lower(), b"%b: %b" % (name, value)) for name, value in own.items() if value)


def is_idempotent(head: RequestHead) -> bool:
    """Whether a request may be sent again when nobody knows if a server has acted on it."""
    return head.method in IDEMPOTENT or b"idempotency-key" in head.fields
