"""A server's response head as the client gets it.

A head is written again from its parsed fields, never passed on as bytes.
"""

import re
from dataclasses import dataclass, replace

from daemonkit.core.framing import BadMessage, ResponseHead
from vulcan.core.http.fields import FRAMING, HOP_BY_HOP, cgi_name, connection_options, tokens
from vulcan.core.middleware.specs import HeadersSpec

_NEVER_PASSED = HOP_BY_HOP | FRAMING
_BEGINNING = b"HTTP/1."
_BARE_LF = re.compile(rb"(?<!\r)\n")
_IDLE_LIMIT = re.compile(rb"(?:^|[\s,;])timeout=(\d{1,9})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ClientHead:
    """A response head for the client. The proxy chunks a body of unknown length."""

    status: int
    head: bytes
    dated: bool  # whether the server sent a Date
    chunked: bool


def check_begun_head(data: bytes) -> None:
    """Refuse the beginning of a head that can never become one. Raises BadMessage (502).

    Otherwise a server that speaks another protocol is noticed when the time for a response is over.
    """
    if not data.startswith(_BEGINNING[: len(data)]):
        raise BadMessage(502, "the response does not begin with HTTP/1")
    if _BARE_LF.search(data) is not None:
        raise BadMessage(502, "a line of the response head ends with a bare LF")


def idle_limit_s(head: ResponseHead) -> float | None:
    """Return how long the server keeps an idle connection, None if it does not say."""
    match = _IDLE_LIMIT.search(head.fields[b"keep-alive"]) if b"keep-alive" in head.fields else None
    return float(match[1]) if match else None


def client_head(head: ResponseHead, method: bytes) -> ClientHead:
    """Return the head to send to the client. Raises BadMessage (502)."""
    bodiless = method == b"HEAD" or head.status in {204, 304}
    chunked = head.length is None and not bodiless
    dropped = _NEVER_PASSED | connection_options(head.fields, 502)
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason)]
    lines += [b"%b: %b" % field for field in head.headers if field[0].lower() not in dropped]
    if head.length is not None and head.status != 204:
        lines.append(b"Content-Length: %d" % head.length)
    if chunked and (trailer := head.fields.get(b"trailer")):
        lines.append(b"Trailer: " + trailer)
    return ClientHead(
        status=head.status,
        head=b"\r\n".join([*lines, b""]),
        dated=b"date" in head.fields,
        chunked=chunked,
    )


def switching_head(head: ResponseHead) -> bytes:
    """Return the head of a 101 response for the client. Raises BadMessage (502)."""
    protocol = head.fields.get(b"upgrade", b"")
    if b"upgrade" not in tokens(head.fields.get(b"connection", b"")) or not protocol:
        raise BadMessage(502, "a 101 that does not name the new protocol")
    lines = [b"HTTP/1.1 101 Switching Protocols", *_end_to_end_lines(head)]
    return b"\r\n".join([*lines, b"Connection: Upgrade", b"Upgrade: " + protocol, b""])


def interim_head(head: ResponseHead) -> bytes:
    """Return the head of another 1xx response for the client."""
    status_line = b"HTTP/1.1 %d %b" % (head.status, head.reason)
    return b"\r\n".join([status_line, *_end_to_end_lines(head), b""])


def edit_head(head: ClientHead, edits: HeadersSpec | None, cookie: bytes) -> ClientHead:
    """Return a response head with an operator's edits and the line of a cookie."""
    if edits is None and not cookie:
        return head
    text = head.head
    if edits is not None:
        status_line, *lines = text.removesuffix(b"\r\n").split(b"\r\n")
        kept = [line for line in lines if _name_of(line) not in edits.remove_response]
        added = [b"%b: %b" % field for field in edits.response]
        text = b"\r\n".join([status_line, *kept, *added, b""])
    return replace(head, head=text + cookie)


def _end_to_end_lines(head: ResponseHead) -> list[bytes]:
    dropped = _NEVER_PASSED | tokens(head.fields.get(b"connection", b""))
    return [b"%b: %b" % field for field in head.headers if field[0].lower() not in dropped]


def _name_of(line: bytes) -> bytes:
    return cgi_name(line.partition(b":")[0])
