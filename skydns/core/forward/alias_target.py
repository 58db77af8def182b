"""What the reply of another server says about the target of one of our aliases.

Our reply has other names before these records, so they are parsed and packed again.
"""

import struct

import dnslib

from skydns.core.dns.header import QR
from skydns.core.dns.name import Name
from skydns.core.dns.question import Question, question_bytes
from skydns.core.dns.response import Response
from skydns.core.dns.rr import (
    CLASS_IN,
    ExtendedError,
    Host,
    Mx,
    Opaque,
    Rcode,
    Rdata,
    RRset,
    RRType,
    Soa,
)
from skydns.core.forward.message import FRESH, ReplyAge, UpstreamReply

ALIASES_MAX = 16


def behind(
    alias: Response, question: Question, upstream: UpstreamReply, age: ReplyAge = FRESH
) -> Response | None:
    """Return an alias with what a reply to `question`, about its target, has for it.

    The code is that of the last name (RFC 6604, 2.1). Records that the aliases do not lead to are
    ignored. None if the reply has no answer.
    """
    if upstream.truncated or not upstream.is_final:
        return None
    answers, authorities, _ = upstream.counts
    head = struct.pack("!HHHHHH", 0, QR, 1, answers, authorities, 0)
    try:
        message = dnslib.DNSRecord.parse(head + question_bytes(question) + upstream.body)
        answer = _followed(message.rr, question, age)
        authority = _denial(message.auth, age)
    except Exception:  # noqa: BLE001 - dnslib fails in many ways on bad input
        return None
    is_denied = not answer or answer[-1].type != question.type
    return Response(
        Rcode(upstream.rcode),
        authoritative=alias.authoritative,
        answer=(*alias.answer, *answer),
        authority=authority if is_denied else (),
        extended_error=ExtendedError.STALE if age.stale else alias.extended_error,
    )


def _followed(records: list[dnslib.RR], question: Question, age: ReplyAge) -> tuple[RRset, ...]:
    """Return the aliases from the name of the question on, and the data that they lead to."""
    found: list[RRset] = []
    owner: Name = question.name
    for _ in range(ALIASES_MAX):
        own = [r for r in records if _lower(r.rname) == owner and r.rclass == CLASS_IN]
        data = [r for r in own if r.rtype == question.type]
        if data:
            return (*found, _rrset(owner, data, age))
        aliases = [r for r in own if r.rtype == RRType.CNAME]
        if not aliases:
            break
        found.append(_rrset(owner, aliases[:1], age))
        owner = _lower(aliases[0].rdata.label)
    return tuple(found)


def _denial(records: list[dnslib.RR], age: ReplyAge) -> tuple[RRset, ...]:
    """Return the SOA record, which says how long a denial may be cached (RFC 2308, 5)."""
    soas = [r for r in records if r.rtype == RRType.SOA and r.rclass == CLASS_IN]
    return tuple(_rrset(_lower(soa.rname), [soa], age) for soa in soas[:1])


def _rrset(owner: Name, records: list[dnslib.RR], age: ReplyAge) -> RRset:
    ttl_s = min(age.left_s(record.ttl) for record in records)
    data = tuple(dict.fromkeys(_rdata(record) for record in records))
    return RRset(owner, RRType(records[0].rtype), ttl_s, data)


def _rdata(record: dnslib.RR) -> Rdata:
    rdata = record.rdata
    match record.rtype:
        case RRType.CNAME:
            return Host(_lower(rdata.label))
        case RRType.MX:
            return Mx(rdata.preference, _lower(rdata.label))
        case RRType.SOA:
            serial, *times, minimum_s = rdata.times
            return Soa(_lower(rdata.mname), _lower(rdata.rname), serial, minimum_s, tuple(times))
        case _:
            # Types without names: there is nothing to compress.
            buffer = dnslib.DNSBuffer()
            rdata.pack(buffer)
            return Opaque(bytes(buffer.data))


def _lower(label: dnslib.DNSLabel) -> Name:
    return tuple(part.lower() for part in label.label)
