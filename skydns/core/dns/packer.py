"""Responses as bytes.

A reply is the query's id, `head` (flags and counts), the question as the client wrote it, and
`body`. Neither `head` nor `body` depends on the id or on the letter case of the question. So both
are used for every client with the same question: the pointers in `body` lead into its question.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

import dnslib

from skydns.core.dns.edns import reply_opt
from skydns.core.dns.header import AA, CD, HEADER_BYTES, OPCODE, QR, RA, RCODE, RD, TC
from skydns.core.dns.name import Name
from skydns.core.dns.question import Query, Question
from skydns.core.dns.response import Response
from skydns.core.dns.rr import Address, Hinfo, Host, Mx, Opaque, Rcode, Rdata, RRset, Soa, Srv, Txt

STRING_BYTES_MAX = 255
# A compression pointer has 14 bits.
_POINTER_MAX = 0x3FFF
_HEAD = struct.Struct("!HHHHH")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHI")
_SRV = struct.Struct("!HHH")
_SOA = struct.Struct("!IIIII")


@dataclass(frozen=True, slots=True)
class Packed:
    """The parts of a reply. `truncated` says that answers were left out (TC)."""

    head: bytes
    body: bytes
    truncated: bool = False

    def reply_to(self, data: bytes, end: int) -> bytes:
        """Return the reply: the parts around the question of the query `data`, up to `end`."""
        return data[:2] + self.head + data[HEADER_BYTES:end] + self.body


def reply(response: Response, query: Query, data: bytes, size_bytes_max: int) -> bytes:
    """Write the whole reply to the query `data`, which was parsed as `query`."""
    return pack(response, query, size_bytes_max).reply_to(data, query.end)


def pack(response: Response, query: Query, size_bytes_max: int, options: bytes = b"") -> Packed:
    """Write the parts of a reply. What does not fit is left out, in whole RRsets.

    `options` are more options for OPT.
    """
    opt = b""
    if query.edns is not None:
        opt = reply_opt(query.edns, response.rcode, response.extended_error, options)
    body, counts, truncated = b"", (0, 0, 0), False
    if response.answer or response.authority:
        message = _MessageWriter(query.question, size_bytes_max - len(opt))
        counts, truncated = message.fill(response)
        body = bytes(message.data[message.start :])
    flags = query.flags & (RD | CD) | QR | response.rcode & RCODE
    flags |= AA * response.authoritative | TC * truncated | RA * query.recursive
    answers, authorities, additionals = counts
    head = _HEAD.pack(flags, 1, answers, authorities, additionals + bool(opt))
    return Packed(head, body + opt, truncated)


def header_only(data: bytes, rcode: Rcode) -> bytes:
    """Return a reply without a question, to a query whose question cannot be trusted."""
    flags = (data[2] << 8 | data[3]) & (OPCODE | RD) | QR | rcode
    return data[:2] + _HEAD.pack(flags, 0, 0, 0, 0)


class _MessageWriter:
    """Writes a message. Each name is compressed against all names before it.

    The types of nearly every answer are written here. The others are left to dnslib, which takes
    several times as long for a record.
    """

    def __init__(self, question: Question, size_bytes_max: int) -> None:
        self._size_bytes_max = size_bytes_max
        self._names: dict[Name, int] = {}
        self.data = bytearray(HEADER_BYTES)
        self._name(question.name)
        self.data += _QUESTION.pack(question.type, question.rclass)
        self.start = len(self.data)

    def fill(self, response: Response) -> tuple[tuple[int, int, int], bool]:
        """Add the records that fit; return the section counts, and if an answer was left out."""
        answers = self._add(response.answer)
        if answers < sum(len(rrset.data) for rrset in response.answer):
            return (answers, 0, 0), True
        return (answers, self._add(response.authority), self._add(response.additional)), False

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
                data += _RECORD.pack(rrset.type, rrset.rclass, rrset.ttl_s)
                size_at = len(data)
                data += b"\0\0"
                self._rdata(rdata)
                data[size_at : size_at + 2] = (len(data) - size_at - 2).to_bytes(2, "big")
                if len(data) > self._size_bytes_max:
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
            case Opaque(data):
                self.data += data
            case Soa(primary, mailbox, serial, minimum_s, times_s):
                self._name(primary)
                self._name(mailbox)
                self.data += _SOA.pack(serial, *times_s, minimum_s)
            case Txt() | Hinfo():
                buffer = dnslib.DNSBuffer()
                _dnslib_rd(rdata).pack(buffer)
                self.data += buffer.data
            case _:
                assert_never(rdata)


def _dnslib_rd(rdata: Txt | Hinfo) -> dnslib.RD:
    match rdata:
        case Txt(text):
            starts = range(0, len(text), STRING_BYTES_MAX)
            return dnslib.TXT([text[at : at + STRING_BYTES_MAX] for at in starts])
        case Hinfo(cpu):
            return dnslib.RD(bytes((len(cpu),)) + cpu + b"\0")
        case _:
            assert_never(rdata)
