"""JSON strings and times as etcd writes them for clients of the v2 API."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring
from typing import NamedTuple

NANOSECONDS_PER_SECOND = 1_000_000_000
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - always UTC; the zone is written as a constant
# The characters that a JSON string must escape: controls, quote and backslash, the three that HTML
# would interpret, and everything that is not ASCII, because it may be invalid or a line separator.
SPECIAL = bytes([*range(0x20), *b'"\\<>&', *range(0x80, 0x100)])
HTML_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
)
LINE_SEPARATORS = (("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))
# Unicode has promised that these stay without a meaning.
NONCHARACTERS = tuple(map(chr, range(0xFDD0, 0xFDF0)))
UNDECODABLE = re.compile("[\udc80-\udcff]")


def json_string(raw: bytes) -> bytes:
    """Return `raw` as a JSON string with its quotes; a byte that is not UTF-8 becomes U+FFFD."""
    if len(raw.translate(None, SPECIAL)) == len(raw):
        return b'"%b"' % raw
    # A value can have a million characters to escape, so each step is one call of C code. (The
    # encoder of msgspec takes ten times as long.)
    decoded = text(raw)
    quoted = encode_basestring(decoded).encode()
    for plain, escaped in HTML_ESCAPES:
        quoted = quoted.replace(plain, escaped)
    if not decoded.isascii():
        for plain, escaped in LINE_SEPARATORS:
            quoted = quoted.replace(plain, escaped)
    return quoted


def text(raw: bytes) -> str:
    """Decode UTF-8; each byte that is not UTF-8 becomes one U+FFFD, as in Go."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        decoded = raw.decode(errors="surrogateescape")
    mark = next((char for char in NONCHARACTERS if char not in decoded), "")
    if not mark:
        return UNDECODABLE.sub("\ufffd", decoded)
    # Python replaces a million bytes fast, but only by question marks. Those that are there already
    # are another character meanwhile.
    replaced = decoded.replace("?", mark).encode(errors="replace").decode()
    return replaced.replace("?", "\ufffd").replace(mark, "?")


def rfc3339(moment_ns: int) -> bytes:
    """Return a Unix time as RFC 3339 in UTC with up to nine digits of a second."""
    seconds, fraction_ns = divmod(moment_ns, NANOSECONDS_PER_SECOND)
    fraction = f".{fraction_ns:09}".rstrip("0") if fraction_ns else ""
    return f"{_stamp(seconds)}{fraction}Z".encode()


class Moment(NamedTuple):
    """When something is shown: the cluster time, and how far UTC is ahead of it."""

    now_ns: int
    utc_ahead_ns: int = 0

    def expiry(self, expires_ns: int) -> bytes:
        """Return when a key ends, for people and programs with a wall clock."""
        return rfc3339(expires_ns + self.utc_ahead_ns)


def remaining_s(expires_ns: int, now_ns: int) -> int:
    """Return the whole seconds left, rounded up; 0 or less once the time is reached."""
    return -((now_ns - expires_ns) // NANOSECONDS_PER_SECOND)


# The heartbeat keys of many hosts expire in the same few seconds.
@lru_cache(1024)
def _stamp(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()
