"""Questions to other servers and their replies, as bytes.

A reply is believed when its id, its question and its being a reply fit what was sent; the
socket sees to its source. Its records stay the bytes that they were: only their TTLs count
down, and OPT, which is between two neighbours (RFC 6891, 6.1.1), is taken out and put in anew.
A question's name has no pointers and keeps its length, so the records' pointers stay right.
"""

import struct
from dataclasses import dataclass

import dnslib

from skydns.core.dns.name import Name
from skydns.core.dns.packer import UDP_BYTES_MAX, opt_of, option
from skydns.core.dns.query_parser import HEADER_BYTES, Query, Refused, skip_name
from skydns.core.dns.rr import CLASS_IN, Address, Extended, Host, Rcode, RRset, Type
from skydns.core.zone.answer import Question
from skydns.core.zone.lookup import STALE_TTL_S, TTL_S_MAX

ALIASES_MAX = 16
# RFC 2308, 7.1 allows five minutes; a server that is back should be believed soon.
FAILURE_TTL_S = 5
_QR, _TC, _RD, _RA, _CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
_DO = 0x8000


class Mismatch(Exception):  # noqa: N818 - a datagram to ignore, not an error of ours
    """A message that is no reply to what was asked."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """A reply without its envelope. `ttls` are where the TTLs stand in `body`, and what they
    were; `ttl_s` is how long it may be kept."""

    rcode: int
    body: bytes
    counts: tuple[int, int, int]
    ttls: tuple[tuple[int, int], ...]
    ttl_s: int
    cut: bool = False


def question_bytes(question: Question) -> bytes:
    """Write a question, in lower case."""
    name = b"".join(bytes((len(label),)) + label for label in question.name) + b"\0"
    return name + struct.pack("!HH", question.type, question.klass)


def asking(number: int, asked: bytes, *, do: bool, cd: bool, hop: tuple[int, bytes]) -> bytes:
    """Write a query with the id `number`; `hop` is the option that marks it as ours."""
    extra = option(*hop)
    opt = struct.pack("!BHHIH", 0, Type.OPT, UDP_BYTES_MAX, _DO * do, len(extra)) + extra
    return struct.pack("!HHHHHH", number, _RD | _CD * cd, 1, 0, 0, 1) + asked + opt


def read(data: bytes, number: int, asked: bytes) -> Relayed:
    """Read the reply to `asking(number, asked)`. Mismatch for anything else."""
    if len(data) < HEADER_BYTES:
        raise Mismatch("shorter than a header")
    got, flags, questions, *counts = struct.unpack_from("!HHHHHH", data)
    end = HEADER_BYTES + len(asked)
    if got != number or not flags & _QR or flags & 0x7800 or questions != 1:
        raise Mismatch("another id, no reply, or another number of questions")
    same = data[HEADER_BYTES : end - 4].lower() == asked[:-4] and data[end - 4 : end] == asked[-4:]
    if not same:
        raise Mismatch("another question")
    try:
        return _body(data, end, flags, counts)
    except (Refused, struct.error, IndexError):
        raise Mismatch("malformed") from None


def _body(data: bytes, start: int, flags: int, counts: list[int]) -> Relayed:
    at, kept, ttls, rcode = start, [0, 0, 0], [], flags & 15
    lives, negative_s = [], None
    end = None
    for section, count in enumerate(counts):
        for _ in range(count):
            begin, at = at, skip_name(data, at)
            kind, _klass, ttl_s, size = struct.unpack_from("!HHIH", data, at)
            body, at = at + 10, at + 10 + size
            if at > len(data):
                raise Mismatch("a record is cut")
            if kind == Type.OPT:
                rcode |= ttl_s >> 24 << 4
                # What follows it moves, and pointers into it would not; it is a courtesy.
                end = begin if end is None else end
            if end is not None:
                continue
            kept[section] += 1
            # A TTL with its highest bit set is 0 (RFC 2181, 8).
            life_s = 0 if ttl_s >> 31 else min(ttl_s, TTL_S_MAX)
            ttls.append((body - 6 - start, life_s))
            if section < 2:
                lives.append(life_s)
            if kind == Type.SOA and section == 1:
                negative_s = min(life_s, int.from_bytes(data[body + size - 4 : at], "big"))
    return Relayed(
        rcode,
        data[start : at if end is None else end],
        (kept[0], kept[1], kept[2]),
        tuple(ttls),
        _keep_s(rcode, kept[0], lives, negative_s),
        bool(flags & _TC),
    )


def _keep_s(rcode: int, answers: int, lives: list[int], negative_s: int | None) -> int:
    if rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        return FAILURE_TTL_S
    if answers and rcode == Rcode.NOERROR:
        return min(lives)
    # Without an SOA a denial is not to be kept (RFC 2308, 5); a moment spares a storm.
    return min(negative_s, TTL_S_MAX) if negative_s is not None else 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a reply is made for: how long it may be, how old it is, and whether too old."""

    room: int
    age_s: int = 0
    stale: bool = False


def reply(relayed: Relayed, query: Query, data: bytes, delivery: Delivery) -> bytes:
    """Write the reply to a client whose query was `data`."""
    extended = Extended.STALE if delivery.stale else None
    opt = b"" if query.edns is None else opt_of(query.edns, relayed.rcode, extended)
    body, counts, flags = bytearray(relayed.body), relayed.counts, query.flags & (_RD | _CD)
    for at, ttl_s in relayed.ttls:
        left_s = STALE_TTL_S if delivery.stale else max(0, ttl_s - delivery.age_s)
        body[at : at + 4] = min(left_s, ttl_s).to_bytes(4, "big")
    if query.end + len(body) + len(opt) > delivery.room or relayed.cut:
        body, counts, flags = bytearray(), (0, 0, 0), flags | _TC
    flags |= _QR | _RA | relayed.rcode & 15
    answers, authorities, additionals = counts
    head = struct.pack("!HHHHH", flags, 1, answers, authorities, additionals + bool(opt))
    return data[:2] + head + data[HEADER_BYTES : query.end] + bytes(body) + opt


def chain(relayed: Relayed, question: Question, age_s: int = 0) -> tuple[RRset, ...]:
    """Return the addresses that a reply has for its question's name, aliases first.

    Nothing that the aliases do not lead to is taken; aliases that lead to no address are for
    the client to follow.
    """
    if relayed.rcode != Rcode.NOERROR or relayed.cut:
        return ()
    head = struct.pack("!HHHHHH", 0, _QR, 1, relayed.counts[0], 0, 0)
    try:
        records = dnslib.DNSRecord.parse(head + question_bytes(question) + relayed.body).rr
        return _chain(records, question, age_s)
    except Exception:  # noqa: BLE001 - dnslib fails in many ways on what others send
        return ()


def _chain(records: list[dnslib.RR], question: Question, age_s: int) -> tuple[RRset, ...]:
    found: list[RRset] = []
    owner: Name = question.name
    for _ in range(ALIASES_MAX):
        own = [r for r in records if _lower(r.rname) == owner and r.rclass == CLASS_IN]
        ttl_s = min((max(0, r.ttl - age_s) for r in own), default=0)
        addresses = tuple(Address(bytes(r.rdata.data)) for r in own if r.rtype == question.type)
        if addresses:
            return (*found, RRset(owner, Type(question.type), ttl_s, addresses))
        aliases = [_lower(r.rdata.label) for r in own if r.rtype == Type.CNAME]
        if not aliases:
            return tuple(found)
        found.append(RRset(owner, Type.CNAME, ttl_s, (Host(aliases[0]),)))
        owner = aliases[0]
    return tuple(found)


def _lower(label: dnslib.DNSLabel) -> Name:
    return tuple(part.lower() for part in label.label)
