"""What a request asks for: its target and Host (RFC 9112, 3.2), read once a head."""

import re
from functools import lru_cache

import msgspec

from daemonkit.core.framing import BadMessage, RequestHead
from vulcan.core.routing.normal_path import NormalPath, normalize
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
    origin_form: bytes  # the normal path with its query, as the server gets it
    view: RequestView
    lenient_view: RequestView | None = None  # with the path's second reading, if that differs


def parse_target(head: RequestHead) -> RequestTarget:
    """Read target and Host. Raises BadMessage for what RFC 9112, 3.2 does not allow."""
    if head.method == b"CONNECT":
        raise BadMessage(501, "CONNECT is not served here")
    authority, target = head.fields.get(b"host", b""), head.target
    if not target.startswith(b"/"):
        authority, target = _other_form(head, authority)
    parsed = _parse_authority(authority) if len(authority) <= AUTHORITY_BYTES_MAX else None
    if parsed is None:
        raise BadMessage(400, "the Host is not a host name with an optional port")
    if b"#" in target:
        raise BadMessage(400, "the request target has a fragment")
    host, port = parsed
    given, mark, query = target.partition(b"?")
    path = _normal_path(given)
    if path.forwarded != given:
        target = b"%b%b%b" % (path.forwarded, mark, query)
    view = RequestView(host, path.matched, head.method, head.headers, query)
    lenient_view = None if path.lenient == path.matched else view.with_path(path.lenient)
    return RequestTarget(authority, port, target, view, lenient_view)


def _normal_path(path: bytes) -> NormalPath:
    try:
        return normalize(path)
    except ValueError as error:
        raise BadMessage(400, str(error)) from None


def _other_form(head: RequestHead, authority: bytes) -> tuple[bytes, bytes]:
    """Return authority and origin form of a target that is not a path."""
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
