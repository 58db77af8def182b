"""What a request asks for: its target and Host (RFC 9112, 3.2), read once a head."""

import re
from functools import lru_cache

import msgspec

from daemonkit.core.framing import BadMessage, RequestHead
from vulcan.core.routing.request_view import RequestView

# Usually more than the frontends have hosts. Parsing a forgotten one costs a microsecond.
HOSTS_CACHED_MAX = 16_384
# A host name has at most 253 bytes (RFC 1035, 2.3.4), a port 6 with its colon.
AUTHORITY_BYTES_MAX = 260

_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\\\s\x00-\x20\x7f]*)(?::(\d{0,5}))?")
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class RequestTarget(msgspec.Struct, frozen=True, gc=False):
    """Where a request wants to go."""

    authority: bytes  # as the client wrote it
    port: bytes  # empty without one
    origin_form: bytes  # the path with its query
    view: RequestView


def parse_target(head: RequestHead) -> RequestTarget:
    """Read target and Host. Raises BadMessage for what RFC 9112, 3.2 does not allow."""
    authority, target = head.fields.get(b"host", b""), head.target
    if not target.startswith(b"/"):
        authority, target = _other_form(head, authority)
    parsed = _parse_authority(authority) if len(authority) <= AUTHORITY_BYTES_MAX else None
    if parsed is None:
        raise BadMessage(400, "the Host is not a host name with an optional port")
    if b"#" in target:
        raise BadMessage(400, "the request target has a fragment")
    host, port = parsed
    path, _, query = target.partition(b"?")
    view = RequestView(host, path, head.method, head.headers, query)
    return RequestTarget(authority, port, target, view)


def _other_form(head: RequestHead, authority: bytes) -> tuple[bytes, bytes]:
    """Return authority and origin form of a target that is not a path."""
    if head.method == b"CONNECT":
        raise BadMessage(501, "CONNECT is not served here")
    if absolute := _ABSOLUTE_FORM.fullmatch(head.target):
        target = absolute[2]
        return absolute[1], target if target.startswith(b"/") else b"/" + target
    if head.target == b"*" and head.method == b"OPTIONS":
        return authority, head.target
    raise BadMessage(400, "the request target is neither a path nor an http URL")


@lru_cache(HOSTS_CACHED_MAX)
def _parse_authority(authority: bytes) -> tuple[bytes, bytes] | None:
    """Return the host as routes compare it, and the port; None when it is malformed."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    host = match[1].lower().removesuffix(b".").removeprefix(b"[").removesuffix(b"]")
    return host, match[2] or b""
