"""The front door: what may be asked, read from bytes that anyone may have sent.

A query is a header, exactly one question, and at most a few records behind it, of which only
OPT means something. Everything else is refused here, so that nothing behind sees it. dnslib's
parser is not used: it recurses on chained pointers, takes labels of 65 octets and any count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skydns.core.dns.name import LABEL_BYTES_MAX, NAME_BYTES_MAX, Name
from skydns.core.dns.rr import Rcode, Type
from skydns.core.zone.answer import Question

HEADER_BYTES = 12
# Size, the extended RCODE, version, flags and the options' length behind root and type.
OPT_BYTES = 11
DO = 0x8000
# One SOA for IXFR (RFC 1995, 3), OPT and a signature or two: nothing real has more.
NSCOUNT_MAX = 1
ARCOUNT_MAX = 4
POINTERS_MAX = 128
# RFC 5001: which of several servers this is.
NSID = 3
# What SkyDNS puts on queries to stub zones, so that one that comes back is known.
STUB_HOP = 65011
# On queries to nameservers, with the sender's tag, for the same reason.
HOP = 65023
# Asks for the reasons of an answer beside the answer.
EXPLAIN = 65024
# Queries with any of these are answered one by one; of all others equal ones get equal replies.
SPECIAL_OPTIONS = frozenset({NSID, STUB_HOP, HOP, EXPLAIN})


class Refused(Exception):  # noqa: N818 - a reply, not an error of ours
    """A message that gets `rcode` and nothing else, or no reply at all for None."""

    def __init__(self, rcode: Rcode | None, reason: str) -> None:
        super().__init__(reason)
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class Edns:
    """What OPT says about the client (RFC 6891). Of its options only those that mean something
    here are kept, by code."""

    size_bytes: int
    version: int
    do: bool
    options: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """A question, the header's flags, and the first octet behind the question.

    `recursive` says that this client may have names looked up elsewhere.
    """

    flags: int
    question: Question
    end: int
    edns: Edns | None
    recursive: bool = False


def parse(data: bytes, *, recursive: bool = False) -> Query:
    """Read a query, or raise Refused."""
    if len(data) < HEADER_BYTES:
        raise Refused(None, "shorter than a header")
    if data[2] & 0x80:
        raise Refused(None, "a response")
    if data[2] & 0x78:
        raise Refused(Rcode.NOTIMP, f"opcode {data[2] >> 3 & 15}")
    questions, answers, authorities, additionals = (_u16(data, at) for at in (4, 6, 8, 10))
    if questions != 1 or answers or authorities > NSCOUNT_MAX or additionals > ARCOUNT_MAX:
        raise _malformed(f"counts {questions} {answers} {authorities} {additionals}")
    name, at = _question_name(data)
    end = at + 4
    if end > len(data):
        raise _malformed("the question is cut")
    question = Question(name, _u16(data, at), _u16(data, at + 2))
    edns = _records(data, end, authorities, additionals)
    return Query(_u16(data, 2), question, end, edns, recursive)


def _question_name(data: bytes) -> tuple[Name, int]:
    """Read the name behind the header, in lower case, and where it ends. It has no pointers:
    there is nothing before it to point at."""
    labels, at = [], HEADER_BYTES
    while at < len(data) and (length := data[at]):
        if length > LABEL_BYTES_MAX:
            raise _malformed(f"label octet {length} in the question")
        labels.append(data[at + 1 : at + 1 + length].lower())
        at += 1 + length
        if at + 1 - HEADER_BYTES > NAME_BYTES_MAX:
            raise _malformed("the name is too long")
    if at >= len(data):
        raise _malformed("the name is cut")
    return tuple(labels), at + 1


def _records(data: bytes, at: int, authorities: int, additionals: int) -> Edns | None:
    edns = None
    for number in range(authorities + additionals):
        start, at = at, skip_name(data, at)
        if at + 10 > len(data):
            raise _malformed("a record is cut")
        kind, body = _u16(data, at), at + 10
        if kind == Type.OPT:
            if edns is not None or start + 1 != at or number < authorities:
                raise _malformed("OPT twice, with a name, or in the wrong section")
            edns_at = at
        at = body + _u16(data, body - 2)
        if at > len(data):
            raise _malformed("a record is cut")
        if kind == Type.OPT:
            size_bytes, flags = _u16(data, edns_at + 2), _u16(data, edns_at + 6)
            options = special_options(data[body:at])
            edns = Edns(size_bytes, data[edns_at + 5], bool(flags & DO), options)
    if at != len(data):
        raise _malformed("bytes behind the message")
    return edns


def special_options(data: bytes) -> dict[int, bytes]:
    """Return those options of an OPT record that mean something here, by code."""
    found, at = {}, 0
    while at < len(data):
        if at + 4 > len(data):
            raise _malformed("an option is cut")
        code, end = _u16(data, at), at + 4 + _u16(data, at + 2)
        if end > len(data):
            raise _malformed("an option is cut")
        if code in SPECIAL_OPTIONS:
            found[code] = data[at + 4 : end]
        at = end
    return found


def skip_name(data: bytes, at: int) -> int:
    """Return where the name at `at` ends, having followed it to its end. Each pointer leads
    before all that was read of the name, so that no chain of them is a loop."""
    after, first, length, pointers = 0, at, 0, 0
    while at < len(data) and (octet := data[at]):
        if octet >= 0xC0 and at + 1 < len(data):
            after, pointers = after or at + 2, pointers + 1
            at = _u16(data, at) & 0x3FFF
            if not HEADER_BYTES <= at < first or pointers > POINTERS_MAX:
                raise _malformed("a pointer that leads nowhere")
            first = at
            continue
        if octet > LABEL_BYTES_MAX:
            raise _malformed(f"label octet {octet}")
        at, length = at + 1 + octet, length + 1 + octet
        if length + 1 > NAME_BYTES_MAX:
            raise _malformed("a name is too long")
    if at >= len(data):
        raise _malformed("a name is cut")
    return after or at + 1


def _u16(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _malformed(reason: str) -> Refused:
    return Refused(Rcode.FORMERR, reason)
