"""Answers as bytes.

A reply is the query's id, `head` (flags and counts), the question as it was asked, and `body`.
Neither part holds the id or the question's spelling, so both serve every client that asks the
same, in whatever case (the pointers of `body` lead into its own question).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

import dnslib

from skydns.core.dns.name import Name
from skydns.core.dns.query_parser import DO, HEADER_BYTES, Edns, Query
from skydns.core.dns.rr import (
    Address,
    Extended,
    Hinfo,
    Host,
    Mx,
    Rcode,
    Rdata,
    RRset,
    Soa,
    Srv,
    Txt,
    Type,
)
from skydns.core.zone.answer import Answer, Question

# What passes every usual network in one piece (DNS flag day 2020).
UDP_BYTES_MAX = 1232
UDP_BYTES_MIN = 512
TCP_BYTES_MAX = 65_535
STRING_BYTES_MAX = 255
SOA_TIMES = (28_800, 7_200, 604_800)
# A compression pointer has 14 bits.
_POINTER_MAX = 0x3FFF
_QR, _AA, _TC, _RD, _RA, _CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
_EDE = 15  # RFC 8914, 2
_HEAD = struct.Struct("!HHHHH")
_OPT = struct.Struct("!BHHBBHH")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHI")
_SRV = struct.Struct("!HHH")
_SOA = struct.Struct("!IIIII")


@dataclass(frozen=True, slots=True)
class Packed:
    """The parts of a reply; `cut` says that answers were left out (TC)."""

    head: bytes
    body: bytes
    cut: bool = False

    def reply_to(self, data: bytes, end: int) -> bytes:
        """Put the parts around the question of a query, which ends at `end`."""
        return data[:2] + self.head + data[HEADER_BYTES:end] + self.body


def room_bytes(edns: Edns | None, *, tcp: bool) -> int:
    """Return how long a reply may be."""
    if tcp:
        return TCP_BYTES_MAX
    asked_for = edns.size_bytes if edns is not None else UDP_BYTES_MIN
    return max(UDP_BYTES_MIN, min(asked_for, UDP_BYTES_MAX))


def pack(answer: Answer, query: Query, room: int, extra: bytes = b"") -> Packed:
    """Write a reply of at most `room` bytes; what does not fit is cut between RRsets.

    `extra` are more options for OPT.
    """
    opt = b"" if query.edns is None else _opt(query.edns, answer.rcode, answer.extended, extra)
    body, counts, cut = b"", (0, 0, 0), False
    if answer.answer or answer.authority:
        message = _Message(query.question, room - len(opt))
        counts, cut = message.fill(answer)
        body = bytes(message.data[message.start :])
    flags = query.flags & (_RD | _CD) | _QR | answer.rcode & 15
    flags |= _AA * answer.authoritative | _TC * cut | _RA * query.recursive
    answers, authorities, additionals = counts
    head = _HEAD.pack(flags, 1, answers, authorities, additionals + bool(opt))
    return Packed(head, body + opt, cut)


def bare(data: bytes, rcode: Rcode) -> bytes:
    """Return a reply without a question, for a query whose question cannot be trusted."""
    flags = (data[2] << 8 | data[3]) & (0x7800 | _RD) | _QR | rcode
    return data[:2] + struct.pack("!HHHHH", flags, 0, 0, 0, 0)


def option(code: int, data: bytes) -> bytes:
    """Write one option of OPT."""
    return struct.pack("!HH", code, len(data)) + data


def opt_of(edns: Edns, rcode: int, extended: Extended | None = None) -> bytes:
    """Write OPT for a reply to a query that had one."""
    return _opt(edns, rcode, extended, b"")


def _opt(edns: Edns, rcode: int, extended: Extended | None, extra: bytes) -> bytes:
    if extended is not None:
        extra += option(_EDE, extended.to_bytes(2, "big"))
    flags = DO if edns.do else 0
    head = _OPT.pack(0, Type.OPT, UDP_BYTES_MAX, rcode >> 4, 0, flags, len(extra))
    return head + extra


class _Message:
    """A message under way. Names are compressed against all before them.

    What nearly every answer is made of is written here; the rest is dnslib's, which costs
    several times as much a record.
    """

    def __init__(self, question: Question, room: int) -> None:
        self._room = room
        self._names: dict[Name, int] = {}
        self.data = bytearray(HEADER_BYTES)
        self._name(question.name)
        self.data += _QUESTION.pack(question.type, question.klass)
        self.start = len(self.data)

    def fill(self, answer: Answer) -> tuple[tuple[int, int, int], bool]:
        """Add what fits; return the sections' counts and whether an answer did not."""
        answers = self._add(answer.answer)
        if answers < sum(len(rrset.data) for rrset in answer.answer):
            return (answers, 0, 0), True
        return (answers, self._add(answer.authority), self._add(answer.additional)), False

    def _name(self, name: Name) -> None:
        data, known = self.data, self._names
        for position, label in enumerate(name):
            rest = name[position:]
            if (at := known.get(rest)) is not None:
                data += (0xC000 | at).to_bytes(2, "big")
                return
            if len(data) <= _POINTER_MAX:
                known[rest] = len(data)
            data.append(len(label))
            data += label
        data.append(0)

    def _add(self, rrsets: Iterable[RRset]) -> int:
        count, data = 0, self.data
        for rrset in rrsets:
            mark = len(data)
            for rdata in rrset.data:
                self._name(rrset.name)
                data += _RECORD.pack(rrset.type, rrset.klass, rrset.ttl_s)
                size_at = len(data)
                data += b"\0\0"
                self._rdata(rdata)
                data[size_at : size_at + 2] = (len(data) - size_at - 2).to_bytes(2, "big")
                if len(data) > self._room:
                    self._drop(mark)
                    return count
            count += len(rrset.data)
        return count

    def _drop(self, mark: int) -> None:
        del self.data[mark:]
        self._names = {name: at for name, at in self._names.items() if at < mark}

    def _rdata(self, rdata: Rdata) -> None:
        match rdata:
            case Address(octets):
                self.data += octets
            case Host(name):
                self._name(name)
            case Mx(preference, exchange):
                self.data += preference.to_bytes(2, "big")
                self._name(exchange)
            case Srv(priority, weight, port, target):
                self.data += _SRV.pack(priority, weight, port)
                # Not compressed (RFC 2782).
                self.data += b"".join(bytes((len(label),)) + label for label in target) + b"\0"
            case Soa(primary, mailbox, serial, minimum_s):
                self._name(primary)
                self._name(mailbox)
                self.data += _SOA.pack(serial, *SOA_TIMES, minimum_s)
            case Txt() | Hinfo():
                buffer = dnslib.DNSBuffer()
                _rd(rdata).pack(buffer)
                self.data += buffer.data
            case _:
                assert_never(rdata)


def _rd(rdata: Txt | Hinfo) -> dnslib.RD:
    match rdata:
        case Txt(text):
            starts = range(0, len(text), STRING_BYTES_MAX)
            return dnslib.TXT([text[at : at + STRING_BYTES_MAX] for at in starts])
        case Hinfo(cpu):
            return dnslib.RD(bytes((len(cpu),)) + cpu + b"\0")
        case _:
            assert_never(rdata)
