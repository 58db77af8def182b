"""Parse the bytes of a query. Anyone may have sent these bytes.

A query is a header, exactly one question, and at most a few records after it, of which only OPT has
a meaning. Everything else is refused here, so that no other module sees it. dnslib's parser is not
used: it recurses on chained pointers, and it accepts labels of 65 octets and any number of records.
"""

from collections.abc import Container

from skydns.core.dns.edns import DO, SPECIAL_OPTIONS, Edns
from skydns.core.dns.header import HEADER_BYTES
from skydns.core.dns.name import LABEL_BYTES_MAX, NAME_BYTES_MAX, Name
from skydns.core.dns.question import Query, Question
from skydns.core.dns.rr import Rcode, RRType

# One SOA for IXFR (RFC 1995, 3), OPT and a signature or two. Real queries have no more.
NSCOUNT_MAX = 1
ARCOUNT_MAX = 4
POINTERS_MAX = 128


class QueryRefused(Exception):  # noqa: N818 - a reply, not an error of ours
    """A message whose reply is only `rcode`. None means no reply at all."""

    def __init__(self, rcode: Rcode | None, reason: str) -> None:
        super().__init__(reason)
        self.rcode = rcode


def parse(data: bytes, *, recursive: bool = False) -> Query:
    """Parse a query. Raises QueryRefused for anything else."""
    if len(data) < HEADER_BYTES:
        raise QueryRefused(None, "shorter than a header")
    if data[2] & 0x80:
        raise QueryRefused(None, "a response")
    if data[2] & 0x78:
        raise QueryRefused(Rcode.NOTIMP, f"opcode {data[2] >> 3 & 15}")
    questions, answers, authorities, additionals = (_u16(data, at) for at in (4, 6, 8, 10))
    if questions != 1 or answers or authorities > NSCOUNT_MAX or additionals > ARCOUNT_MAX:
        raise _malformed(f"counts {questions} {answers} {authorities} {additionals}")
    name, at = _question_name(data)
    end = at + 4
    if end > len(data):
        raise _malformed("the question is truncated")
    question = Question(name, _u16(data, at), _u16(data, at + 2))
    edns = _records(data, end, authorities, additionals)
    return Query(_u16(data, 2), question, end, edns, recursive)


def _question_name(data: bytes) -> tuple[Name, int]:
    """Read the name after the header, in lower case; return it and where it ends.

    It has no pointers, because no name comes before it.
    """
    labels, at = [], HEADER_BYTES
    while at < len(data) and (length := data[at]):
        if length > LABEL_BYTES_MAX:
            raise _malformed(f"label octet {length} in the question")
        labels.append(data[at + 1 : at + 1 + length].lower())
        at += 1 + length
        if at + 1 - HEADER_BYTES > NAME_BYTES_MAX:
            raise _malformed("the name is too long")
    if at >= len(data):
        raise _malformed("the name is truncated")
    return tuple(labels), at + 1


def _records(data: bytes, at: int, authorities: int, additionals: int) -> Edns | None:
    edns = None
    for number in range(authorities + additionals):
        start, at = at, skip_name(data, at)
        if at + 10 > len(data):
            raise _malformed("a record is truncated")
        rtype, body = _u16(data, at), at + 10
        if rtype == RRType.OPT:
            if edns is not None or start + 1 != at or number < authorities:
                raise _malformed("OPT twice, with a name, or in the wrong section")
            edns_at = at
        at = body + _u16(data, body - 2)
        if at > len(data):
            raise _malformed("a record is truncated")
        if rtype == RRType.OPT:
            size_bytes, flags = _u16(data, edns_at + 2), _u16(data, edns_at + 6)
            special = special_options(data[body:at])
            edns = Edns(size_bytes, data[edns_at + 5], bool(flags & DO), special)
    if at != len(data):
        raise _malformed("bytes after the message")
    return edns


def special_options(data: bytes) -> dict[int, bytes]:
    """Return the SPECIAL_OPTIONS among the options of an OPT record, by code."""
    return options(data, SPECIAL_OPTIONS)


def options(data: bytes, codes: Container[int]) -> dict[int, bytes]:
    """Return the options of an OPT record that have one of the codes, by code."""
    found, at = {}, 0
    while at < len(data):
        if at + 4 > len(data):
            raise _malformed("an option is truncated")
        code, end = _u16(data, at), at + 4 + _u16(data, at + 2)
        if end > len(data):
            raise _malformed("an option is truncated")
        if code in codes:
            found[code] = data[at + 4 : end]
        at = end
    return found


def skip_name(data: bytes, at: int) -> int:
    """Follow the name at `at` to its end; return where the next field begins.

    Each pointer must lead to a position before all parts of the name that were read, so that
    pointers cannot form a loop.
    """
    after, first, length, pointers = 0, at, 0, 0
    while at < len(data) and (octet := data[at]):
        if octet >= 0xC0 and at + 1 < len(data):
            after, pointers = after or at + 2, pointers + 1
            at = _u16(data, at) & 0x3FFF
            if not HEADER_BYTES <= at < first or pointers > POINTERS_MAX:
                raise _malformed("a pointer that leads to no name")
            first = at
            continue
        if octet > LABEL_BYTES_MAX:
            raise _malformed(f"label octet {octet}")
        at, length = at + 1 + octet, length + 1 + octet
        if length + 1 > NAME_BYTES_MAX:
            raise _malformed("a name is too long")
    if at >= len(data):
        raise _malformed("a name is truncated")
    return after or at + 1


def _u16(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _malformed(reason: str) -> QueryRefused:
    return QueryRefused(Rcode.FORMERR, reason)
