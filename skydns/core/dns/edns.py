"""EDNS: the OPT record of queries and replies (RFC 6891), and the options that skydns knows."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from skydns.core.dns.rr import ExtendedError, RRType

# The largest datagram that usual networks carry in one piece (DNS flag day 2020).
UDP_BYTES_MAX = 1232
UDP_BYTES_MIN = 512
TCP_BYTES_MAX = 65_535
# The root, type, size, extended RCODE, version, flags and length of an OPT record.
OPT_BYTES = 11
DO = 0x8000
# Asks for the name of this server (RFC 5001).
NSID = 3
# Proves that a reply comes from the server that was asked (RFC 7873).
COOKIE = 10
# An extended error (RFC 8914, 2).
EDE = 15
# Marks queries to the servers of stub zones, as SkyDNS does, so that a loop is noticed.
STUB_LOOP = 65011
# Marks queries to nameservers with the sender's tag, for the same reason.
NAMESERVER_LOOP = 65023
# Asks for the reasons of an answer instead of the answer.
EXPLAIN = 65024
# Queries with one of these options are answered one by one. All others may share a cached answer.
SPECIAL_OPTIONS = frozenset({NSID, STUB_LOOP, NAMESERVER_LOOP, EXPLAIN})
_OPT = struct.Struct("!BHHBBHH")
_OPTION = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Edns:
    """The content of a client's OPT record. `options` holds only SPECIAL_OPTIONS, by code."""

    size_bytes: int
    version: int
    do: bool
    options: Mapping[int, bytes] = field(default_factory=dict)


def reply_bytes_max(edns: Edns | None, *, tcp: bool) -> int:
    """Return the size limit of a reply.

    There are two for UDP, whatever size a client names, so that it needs at most two answers.
    """
    if tcp:
        return TCP_BYTES_MAX
    is_large = edns is not None and edns.size_bytes >= UDP_BYTES_MAX
    return UDP_BYTES_MAX if is_large else UDP_BYTES_MIN


def option(code: int, data: bytes) -> bytes:
    """Write one option of an OPT record."""
    return _OPTION.pack(code, len(data)) + data


def query_opt(options: bytes, *, do: bool) -> bytes:
    """Write the OPT record of a query; `options` are written already."""
    return _OPT.pack(0, RRType.OPT, UDP_BYTES_MAX, 0, 0, DO * do, len(options)) + options


def reply_opt(
    edns: Edns, rcode: int, extended_error: ExtendedError | None = None, options: bytes = b""
) -> bytes:
    """Write the OPT record of a reply to a query that has one; `options` are written already."""
    if extended_error is not None:
        options += option(EDE, extended_error.to_bytes(2, "big"))
    flags = DO if edns.do else 0
    return _OPT.pack(0, RRType.OPT, UDP_BYTES_MAX, rcode >> 4, 0, flags, len(options)) + options
