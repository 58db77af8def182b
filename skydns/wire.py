"""Answers as bytes: records by dnslib, envelope and limits by us.

A reply is the query's id, `head` (flags and counts), the question as it was asked, and `body`.
Neither part holds the id or the question's spelling, so both serve every client that asks the
same, in whatever case (the pointers of `body` lead into its own question).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

import dnslib

from skydns.answer import Answer, Question
from skydns.message import DO, HEADER_BYTES, Edns, Query
from skydns.name import Name
from skydns.rr import CLASS_IN, Address, Hinfo, Host, Mx, Rcode, Rdata, RRset, Soa, Srv, Txt, Type

# What passes every usual network in one piece (DNS flag day 2020).
UDP_BYTES_MAX = 1232
UDP_BYTES_MIN = 512
TCP_BYTES_MAX = 65_535
STRING_BYTES_MAX = 255
SOA_TIMES = (28_800, 7_200, 604_800)
# A compression pointer has 14 bits.
_POINTER_MAX = 0x3FFF
_QR, _AA, _TC, _RD, _CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0010


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


def pack(answer: Answer, query: Query, room: int) -> Packed:
    """Write a reply of at most `room` bytes; what does not fit is cut between RRsets."""
    opt = b"" if query.edns is None else _opt(query.edns, answer.rcode)
    body, counts, cut = b"", (0, 0, 0), False
    if answer.answer or answer.authority:
        message = _Message(query.question, room - len(opt))
        counts, cut = message.fill(answer)
        body = bytes(message.data[message.start :])
    flags = query.flags & (_RD | _CD) | _QR | answer.rcode & 15
    flags |= _AA * answer.authoritative | _TC * cut
    answers, authorities, additionals = counts
    head = struct.pack("!HHHHH", flags, 1, answers, authorities, additionals + bool(opt))
    return Packed(head, body + opt, cut)


def bare(data: bytes, rcode: Rcode) -> bytes:
    """Return a reply without a question, for a query whose question cannot be trusted."""
    flags = (data[2] << 8 | data[3]) & (0x7800 | _RD) | _QR | rcode
    return data[:2] + struct.pack("!HHHHH", flags, 0, 0, 0, 0)


def _opt(edns: Edns, rcode: Rcode) -> bytes:
    flags = DO if edns.do else 0
    return b"\0" + struct.pack("!HHBBHH", Type.OPT, UDP_BYTES_MAX, rcode >> 4, 0, flags, 0)


class _Message(dnslib.DNSBuffer):  # type: ignore[misc]  # dnslib has no types
    """A message under way. Names are compressed against all before them."""

    names: dict[Name, int]

    def __init__(self, question: Question, room: int) -> None:
        super().__init__()
        self._room = room
        self.append(bytes(HEADER_BYTES))
        self.encode_name(question.name)
        self.pack("!HH", question.type, question.klass)
        self.start = self.offset

    def fill(self, answer: Answer) -> tuple[tuple[int, int, int], bool]:
        """Add what fits; return the sections' counts and whether an answer did not."""
        answers = self._add(answer.answer)
        if answers < sum(len(rrset.data) for rrset in answer.answer):
            return (answers, 0, 0), True
        return (answers, self._add(answer.authority), self._add(answer.additional)), False

    def encode_name(self, name: Name | dnslib.DNSLabel) -> None:
        """Write a name. Unlike dnslib's, it points only where 14 bits reach."""
        labels = name.label if isinstance(name, dnslib.DNSLabel) else name
        for position, label in enumerate(labels):
            rest = labels[position:]
            if (known := self.names.get(rest)) is not None:
                self.pack("!H", 0xC000 | known)
                return
            if self.offset <= _POINTER_MAX:
                self.names[rest] = self.offset
            self.append(bytes((len(label),)) + label)
        self.append(b"\0")

    def _add(self, rrsets: Iterable[RRset]) -> int:
        count = 0
        for rrset in rrsets:
            mark = self.offset
            owner = dnslib.DNSLabel(rrset.name)
            for rdata in rrset.data:
                dnslib.RR(owner, rrset.type, CLASS_IN, rrset.ttl_s, _rd(rdata)).pack(self)
                if self.offset > self._room:
                    self._drop(mark)
                    return count
            count += len(rrset.data)
        return count

    def _drop(self, mark: int) -> None:
        del self.data[mark:]
        self.offset = mark
        self.names = {name: at for name, at in self.names.items() if at < mark}


def _rd(rdata: Rdata) -> dnslib.RD:
    match rdata:
        case Address(octets):
            return dnslib.RD(octets)
        case Host(name):
            # NS and PTR look the same on the wire.
            return dnslib.CNAME(dnslib.DNSLabel(name))
        case Mx(preference, exchange):
            return dnslib.MX(dnslib.DNSLabel(exchange), preference)
        case Srv(priority, weight, port, target):
            return dnslib.SRV(priority, weight, port, dnslib.DNSLabel(target))
        case Txt(text):
            return dnslib.TXT(
                [text[at : at + STRING_BYTES_MAX] for at in range(0, len(text), STRING_BYTES_MAX)]
            )
        case Soa(primary, mailbox, serial, minimum_s):
            times = (serial, *SOA_TIMES, minimum_s)
            return dnslib.SOA(dnslib.DNSLabel(primary), dnslib.DNSLabel(mailbox), times)
        case Hinfo(cpu):
            return dnslib.RD(bytes((len(cpu),)) + cpu + b"\0")
        case _:
            assert_never(rdata)
