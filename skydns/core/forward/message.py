"""The replies of other servers, as bytes.

A message is read if it is a reply and has the id and question that were sent. The bytes of its
records are kept. Only their TTLs count down, and OPT, which is only for the next hop (RFC 6891,
6.1.1), is removed and written again. The name in a question has no pointers and keeps its length,
so the pointers of the records stay right.
"""

import struct
from dataclasses import dataclass

from skydns.core.dns import query_parser
from skydns.core.dns.edns import COOKIE, reply_opt
from skydns.core.dns.header import AD, CD, HEADER_BYTES, OPCODE, QR, RA, RCODE, RD, TC
from skydns.core.dns.query_parser import QueryRefused, skip_name
from skydns.core.dns.question import Query
from skydns.core.dns.rr import STALE_TTL_S, TTL_S_MAX, ExtendedError, Rcode, RRType

# RFC 2308, 7.1 allows five minutes. A server that is back should be asked again soon.
FAILURE_TTL_S = 5


class ReplyMismatch(Exception):  # noqa: N818 - a datagram to ignore, not an error of ours
    """A message that is not the reply to the query."""


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """The reply of another server, without header, question and OPT.

    `ttls` are the offsets of the TTLs in `body`, each with its value. `ttl_s` is how long the
    reply may be cached. `authentic` says that the server has checked its signatures (AD). `cookie`
    is our cookie and the server's.
    """

    rcode: int
    body: bytes
    counts: tuple[int, int, int]
    ttls: tuple[tuple[int, int], ...]
    ttl_s: int
    truncated: bool = False
    authentic: bool = False
    cookie: bytes = b""

    @property
    def is_final(self) -> bool:
        """Whether the server knew the answer: the name's data, or that there is none."""
        return self.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}


@dataclass(frozen=True, slots=True)
class ReplyAge:
    """The age of a reply, and whether its TTL has passed."""

    age_s: int = 0
    stale: bool = False

    def left_s(self, ttl_s: int) -> int:
        """Return what is left of a TTL."""
        return min(ttl_s, STALE_TTL_S) if self.stale else max(0, ttl_s - self.age_s)


FRESH = ReplyAge()


def read_reply(data: bytes, number: int, question: bytes) -> UpstreamReply:
    """Read the reply to the query with this id and question, or raise ReplyMismatch."""
    if len(data) < HEADER_BYTES:
        raise ReplyMismatch("shorter than a header")
    got, flags, questions, *counts = struct.unpack_from("!HHHHHH", data)
    end = HEADER_BYTES + len(question)
    if got != number or not flags & QR or flags & OPCODE or questions != 1:
        raise ReplyMismatch("another id, no reply, or not one question")
    same_name = data[HEADER_BYTES : end - 4].lower() == question[:-4]
    if not same_name or data[end - 4 : end] != question[-4:]:
        raise ReplyMismatch("another question")
    try:
        return _read_records(data, end, flags, counts)
    except (QueryRefused, struct.error, IndexError):
        raise ReplyMismatch("malformed") from None


def _read_records(data: bytes, start: int, flags: int, counts: list[int]) -> UpstreamReply:
    at, kept, ttls, rcode = start, [0, 0, 0], [], flags & RCODE
    ttls_s, negative_s = [], None
    end, cookie = None, b""
    for section, count in enumerate(counts):
        for _ in range(count):
            begin, at = at, skip_name(data, at)
            rtype, _rclass, ttl_s, size = struct.unpack_from("!HHIH", data, at)
            body, at = at + 10, at + 10 + size
            if at > len(data):
                raise ReplyMismatch("a record is truncated")
            if rtype == RRType.OPT:
                rcode |= ttl_s >> 24 << 4
                cookie = query_parser.options(data[body:at], {COOKIE}).get(COOKIE, b"")
                # The records after OPT would move, and pointers into them would be wrong. They are
                # left out, because a client does not need them.
                end = begin if end is None else end
            if end is not None:
                continue
            kept[section] += 1
            # A TTL with its highest bit set is 0 (RFC 2181, 8).
            ttl_s = 0 if ttl_s >> 31 else min(ttl_s, TTL_S_MAX)
            ttls.append((body - 6 - start, ttl_s))
            if section < 2:
                ttls_s.append(ttl_s)
            if rtype == RRType.SOA and section == 1:
                negative_s = min(ttl_s, int.from_bytes(data[body + size - 4 : at], "big"))
    return UpstreamReply(
        rcode,
        data[start : at if end is None else end],
        (kept[0], kept[1], kept[2]),
        tuple(ttls),
        _cache_ttl_s(rcode, kept[0], ttls_s, negative_s),
        bool(flags & TC),
        bool(flags & AD),
        cookie,
    )


def _cache_ttl_s(rcode: int, answers: int, ttls_s: list[int], negative_s: int | None) -> int:
    if rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        return FAILURE_TTL_S
    if answers and rcode == Rcode.NOERROR:
        return min(ttls_s)
    # A denial without an SOA should not be cached (RFC 2308, 5). One second prevents a storm.
    return min(negative_s, TTL_S_MAX) if negative_s is not None else 1


def write_reply(
    upstream: UpstreamReply,
    query: Query,
    data: bytes,
    size_bytes_max: int,
    age: ReplyAge = FRESH,
) -> bytes:
    """Write the reply to a client whose query was `data`."""
    error = ExtendedError.STALE if age.stale else None
    opt = b"" if query.edns is None else reply_opt(query.edns, upstream.rcode, error)
    body, counts, flags = bytearray(upstream.body), upstream.counts, query.flags & (RD | CD)
    for at, ttl_s in upstream.ttls:
        body[at : at + 4] = age.left_s(ttl_s).to_bytes(4, "big")
    if query.end + len(body) + len(opt) > size_bytes_max or upstream.truncated:
        body, counts, flags = bytearray(), (0, 0, 0), flags | TC
    # For clients that can tell (RFC 6840, 5.8). What was checked long ago may be wrong now.
    wants_ad = query.flags & AD or (query.edns is not None and query.edns.do)
    flags |= AD if upstream.authentic and wants_ad and not age.stale else 0
    flags |= QR | RA | upstream.rcode & RCODE
    answers, authorities, additionals = counts
    head = struct.pack("!HHHHH", flags, 1, answers, authorities, additionals + bool(opt))
    return data[:2] + head + data[HEADER_BYTES : query.end] + bytes(body) + opt
