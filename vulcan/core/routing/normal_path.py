"""One reading of a request's path, for routes and for the server.

Servers read the same bytes in different ways: `/x/../admin`, `/%61dmin` and `//admin` reach
`/admin` at many of them. If routes looked at the bytes as they came, such a path would go past the
frontend that protects `/admin`. So a path is normalized once, and nothing looks at the raw bytes:

1. Unreserved characters are decoded, other escapes get upper case, and dot segments are removed
   (RFC 3986, 6.2.2). The server gets this path.
2. Routes see the same path, decoded and with `//` merged. What could be taken for structure stays
   encoded: `/`, `\\`, `;`, `%` and control characters.
3. Some servers also take an encoded `/`, or a `\\`, for a `/`, and drop what follows a `;` in a
   segment. Where that gives another path, `lenient` is this second reading. A request whose two
   readings belong to different frontends is refused by the caller.

Traefik does 1 and 2, and sends `//` merged, too. nginx matches decoded paths. Envoy does 1 when it
is told to. Step 3 keeps `%2F` usable, for example in a name that is one segment.
"""

import re
from collections.abc import Callable

import msgspec

# Only a path with one of these needs to be normalized.
_DOUBTFUL = re.compile(rb"[%\\;]|//|/\.")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_SLASHES = re.compile(rb"//+")
_LENIENT_SLASH = re.compile(rb"\\|%2F|%5C")
_PARAMETER = re.compile(rb"(?:;|%3B)[^/]*")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# A control character must not get into a log or a header; the others give a path its structure.
_KEPT_IN_PATHS = frozenset((*range(0x20), 0x7F, *b"/\\;%"))
_KEPT_IN_QUERIES = frozenset((*range(0x20), 0x7F, *b"&;%"))


class NormalPath(msgspec.Struct, frozen=True, gc=False):
    """The readings of one path."""

    forwarded: bytes  # what the server gets
    matched: bytes  # what routes see
    lenient: bytes  # what routes would see if a lenient server read the path


def normalize(path: bytes) -> NormalPath:
    """Normalize the path of a request. ValueError for a malformed escape or a NUL."""
    if _DOUBTFUL.search(path) is None:
        return NormalPath(path, path, path)
    forwarded = _without_dot_segments(_unescaped(path, _UNRESERVED.__contains__, strict=True))
    matched = _matched(forwarded)
    split = _PARAMETER.sub(b"", _LENIENT_SLASH.sub(b"/", forwarded))
    lenient = matched if split == forwarded else _matched(_lenient(split))
    return NormalPath(forwarded, matched, lenient)


def path_literal(text: str) -> bytes:
    """Return the text of a route's pattern as it appears in a normalized path."""
    return _matched(text.encode())


def query_literal(text: str) -> bytes:
    """Return a text of a route as it appears in a normalized query parameter."""
    return decoded_query(text.encode())


def decoded_query(text: bytes) -> bytes:
    """Decode a name or a value of a query, but for what separates parameters."""
    return _unescaped(text, lambda byte: byte not in _KEPT_IN_QUERIES) if b"%" in text else text


def _matched(path: bytes) -> bytes:
    return _SLASHES.sub(b"/", _unescaped(path, lambda byte: byte not in _KEPT_IN_PATHS))


def _lenient(path: bytes) -> bytes:
    """Resolve a path as servers do that merge slashes first."""
    return _without_dot_segments(_SLASHES.sub(b"/", path))


def _unescaped(path: bytes, decodes: Callable[[int], bool], *, strict: bool = False) -> bytes:
    """Decode the escapes of some characters, and write the others in upper case."""

    def replaced(escape: re.Match[bytes]) -> bytes:
        byte = int(escape[1], 16) if escape[1] else None
        if strict and not byte:
            raise ValueError(f"the path has the escape {escape[0].decode()}, which is not valid")
        return bytes((byte,)) if byte is not None and decodes(byte) else escape[0].upper()

    return _ESCAPE.sub(replaced, path)


def _without_dot_segments(path: bytes) -> bytes:
    """Resolve `.` and `..` (RFC 3986, 5.2.4); `..` at the root stays there."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in {b".", b".."}:
        kept.append(b"")
    return b"/" + b"/".join(kept)
