"""The rules for single fields: which ones stay on one hop, and which ones nobody may name.

RFC 9110, 7.6 says which fields belong to one hop only. Programs behind CGI or WSGI get `X-A`, `X_A`
and `X.A` under the same name, so a field that must not be forged is dropped in each spelling.
"""

from daemonkit.core.framing import BadMessage, Fields

HOP_BY_HOP = frozenset(
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
# The proxy writes these from the parsed head, so that Connection cannot name them away.
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host", b"trailer"))
# Only a proxy may send these. A client's own are dropped, unless the frontend trusts them.
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
_CGI_NAMES = bytes(
    ord(chr(byte).lower() if byte < 128 and chr(byte).isalnum() else "-") for byte in range(256)
)
# Servers may merge trailers into the header fields, so trailers are filtered like those.
_NEVER_TRAILERS = (
    HOP_BY_HOP | FRAMING | FORWARDED | {b"authorization", b"set-cookie", b"content-type"}
)


def cgi_name(name: bytes) -> bytes:
    """Return what the spellings of a name have in common."""
    return name.translate(_CGI_NAMES)


def trailer_section(fields: Fields, removed: frozenset[bytes] = frozenset()) -> bytes:
    """Return the lines of a trailer section, without the fields that trailers must not have.

    `removed` are the names, as `cgi_name` returns them, that the operator sets or removes.
    """
    names = ((cgi_name(field[0]), field) for field in fields)
    passed = (field for name, field in names if name not in _NEVER_TRAILERS | removed)
    return b"".join(b"%b: %b\r\n" % field for field in passed)


def connection_options(fields: dict[bytes, bytes], status: int) -> frozenset[bytes]:
    """Return the fields that Connection names. Raises BadMessage when it names a framing field."""
    value = fields.get(b"connection")
    if value is None:
        return frozenset()
    names = tokens(value)
    if forbidden := names & FRAMING:
        name = min(forbidden).decode()
        raise BadMessage(status, f"Connection may not name {name}")
    return names


def tokens(value: bytes) -> frozenset[bytes]:
    """Return the members of a comma-separated list, in lower case."""
    return frozenset(token.strip(b" \t").lower() for token in value.split(b","))
