"""Request targets: percent-decoding, clean paths, and the redirect to one.

An unclean path is answered with a redirect before anything else, for every method, as Go's
HTTP multiplexer does for etcd.
"""

import html
import re
from urllib.parse import quote, unquote_to_bytes

import msgspec

BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# RFC 9112, 3.2.2: servers accept the absolute form too.
ABSOLUTE_FORM = re.compile(rb"https?://[^/?]*", re.IGNORECASE)
# What Go leaves unescaped in a path besides letters and digits.
PATH_SAFE = "$&+,/:;=@-_.~"


class Redirect(msgspec.Struct, frozen=True):
    """301 to the clean path. The answer to a GET has a page with the link."""

    location: bytes
    body: bytes
    content_type: bytes


class BadTarget(msgspec.Struct, frozen=True):
    """400: the path has a `%` without two hex digits. The connection closes after the answer."""

    body: bytes = b"400 Bad Request"
    content_type: bytes = b"text/plain; charset=utf-8"


class RequestTarget(msgspec.Struct, frozen=True):
    """A path as bytes, decoded, and the query as it came."""

    path: bytes
    query: bytes


def split(target: bytes) -> RequestTarget | BadTarget:
    """Take a request target apart."""
    if not target.startswith(b"/") and (absolute := ABSOLUTE_FORM.match(target)):
        target = target[absolute.end() :]
    raw, _, query = target.partition(b"?")
    if b"%" in raw:
        if BAD_ESCAPE.search(raw):
            return BadTarget()
        raw = unquote_to_bytes(raw)
    return RequestTarget(raw, query)


def redirect(method: bytes, target: RequestTarget) -> Redirect:
    """Return the answer to a target whose path is not clean."""
    url = quote(clean(target.path), safe=PATH_SAFE).encode()
    if target.query:
        url += b"?" + target.query
    body = content_type = b""
    if method in {b"GET", b"HEAD"}:
        content_type = b"text/html; charset=utf-8"
    if method == b"GET":
        link = (
            html.escape(url.decode("latin-1")).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
        )
        body = b'<a href="%b">Moved Permanently</a>.\n\n' % link.encode("latin-1")
    return Redirect(_ascii(url), body, content_type)


def clean(path: bytes) -> bytes:
    """Return the path without empty, `.` and `..` segments; a trailing slash stays."""
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in {b"", b"."}:
            kept.append(segment)
    tidy = b"/" + b"/".join(kept)
    return tidy + b"/" if path.endswith(b"/") and kept else tidy


def _ascii(url: bytes) -> bytes:
    return b"".join(b"%c" % byte if byte < 0x80 else b"%%%x" % byte for byte in url)
