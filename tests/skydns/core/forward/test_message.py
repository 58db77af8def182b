import struct

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.dns_packets import opt, packet
from skydns.core.dns import query_parser
from skydns.core.dns.edns import NAMESERVER_LOOP
from skydns.core.dns.question import Question, question_bytes
from skydns.core.dns.response import Response
from skydns.core.dns.rr import Host, Rcode, RRset, RRType
from skydns.core.forward import alias_target, message, upstream_query
from skydns.core.forward.forwarder import PendingForward
from skydns.core.forward.message import FAILURE_TTL_S, ReplyAge, ReplyMismatch

NAME = (b"www", b"example", b"org")
QUESTION = Question(NAME, RRType.A)
ASKED = question_bytes(QUESTION)
ZONE = """
www.example.org. 60 IN CNAME web.example.org.
web.example.org. 30 IN A 192.0.2.1
web.example.org. 30 IN A 192.0.2.2
evil.skydns.local. 30 IN A 192.0.2.66
"""


def upstream(zone: str = ZONE, *, rcode: int = 0, authority: str = "") -> bytes:
    record = dnslib.DNSRecord(
        dnslib.DNSHeader(id=7, qr=1, ra=1, rcode=rcode), q=dnslib.DNSQuestion("www.example.org")
    )
    record.add_answer(*dnslib.RR.fromZone(zone))
    record.add_auth(*dnslib.RR.fromZone(authority))
    record.add_ar(dnslib.EDNS0(udp_len=1232))
    return bytes(record.pack())


def test_the_ttls_of_a_reply_count_down_and_its_shortest_is_the_cache_time() -> None:
    reply = message.read_reply(upstream(), 7, ASKED)
    assert (reply.rcode, reply.counts, reply.ttl_s) == (0, (4, 0, 0), 30)
    data = packet("WWW.example.org", edns=opt())
    query = query_parser.parse(data, recursive=True)
    made = dnslib.DNSRecord.parse(message.write_reply(reply, query, data, 1232, ReplyAge(age_s=12)))
    assert [record.ttl for record in made.rr] == [48, 18, 18, 18]
    assert (made.header.id, made.header.ra, made.header.aa, len(made.ar)) == (0x1234, 1, 0, 1)
    assert made.q.qname.label[0] == b"WWW"


def test_a_stale_reply_has_ttls_of_30_seconds_and_the_stale_answer_code() -> None:
    reply = message.read_reply(upstream(), 7, ASKED)
    data = packet("www.example.org", edns=opt())
    query = query_parser.parse(data, recursive=True)
    stale = dnslib.DNSRecord.parse(
        message.write_reply(reply, query, data, 1232, ReplyAge(age_s=999, stale=True))
    )
    assert {record.ttl for record in stale.rr} == {30}
    assert bytes(stale.pack()).endswith(b"\0\x0f\0\2\0\3")


def test_a_reply_that_does_not_fit_is_truncated() -> None:
    reply = message.read_reply(upstream(), 7, ASKED)
    data = packet("www.example.org")
    query = query_parser.parse(data, recursive=True)
    made = dnslib.DNSRecord.parse(message.write_reply(reply, query, data, 100))
    assert (made.header.tc, made.rr) == (1, [])


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\0\x08" + data[2:],
        lambda data: data[:2] + b"\x01" + data[3:],
        lambda data: data[:13] + b"v" + data[14:],
        lambda data: data[:30] + b"\0\x1c" + data[32:],
        lambda data: data[:-3],
        lambda data: data[:5],
        lambda data: data[:4] + b"\0\2" + data[6:],
    ],
)
def test_a_forged_reply_does_not_match(change: object) -> None:
    with pytest.raises(ReplyMismatch):
        message.read_reply(change(upstream()), 7, ASKED)  # type: ignore[operator]


@given(st.data())
def test_any_damaged_reply_is_read_or_does_not_match(data: st.DataObject) -> None:
    damaged = bytearray(upstream())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(len(ASKED) + 12, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        reply = message.read_reply(bytes(damaged), 7, ASKED)
    except ReplyMismatch:
        return
    alias_target.behind(Response(Rcode.NOERROR), QUESTION, reply)


def test_a_reply_that_was_checked_says_so() -> None:
    for authentic in (False, True):
        record = dnslib.DNSRecord.parse(upstream())
        record.header.ad = int(authentic)
        assert message.read_reply(bytes(record.pack()), 7, ASKED).authentic is authentic


def test_a_denial_is_cached_by_its_soa_and_a_failure_for_a_moment() -> None:
    soa = "example.org. 100 IN SOA ns.example.org. host.example.org. 1 2 3 4 25"
    assert message.read_reply(upstream("", rcode=3, authority=soa), 7, ASKED).ttl_s == 25
    assert message.read_reply(upstream("", rcode=3), 7, ASKED).ttl_s == 1
    assert message.read_reply(upstream("", rcode=2), 7, ASKED).ttl_s == FAILURE_TTL_S


def rest(data: bytes, age_s: int = 0) -> tuple[RRset, ...]:
    reply = message.read_reply(data, 7, ASKED)
    made = alias_target.behind(Response(Rcode.NOERROR), QUESTION, reply, ReplyAge(age_s))
    assert made is not None
    return made.answer


def test_only_records_that_the_aliases_lead_to_are_used() -> None:
    alias, addresses = rest(upstream(), age_s=10)
    assert (alias.data, alias.ttl_s) == ((Host((b"web", b"example", b"org")),), 50)
    assert (addresses.name, len(addresses.data), addresses.ttl_s) == (
        (b"web", b"example", b"org"),
        2,
        20,
    )
    assert rest(upstream("", rcode=3)) == ()
    loop = "www.example.org. 60 IN CNAME www.example.org."
    assert len(rest(upstream(loop))) <= 16


def test_a_query_carries_the_loop_option() -> None:
    data = packet("www.example.org", edns=opt(flags=0x8000))
    asked = query_parser.parse(data)
    pending = PendingForward(data, asked, 1232, QUESTION, (), (NAMESERVER_LOOP, b"t"))
    written = upstream_query.write(pending, (b"12345678", b""), bytes).message
    query = query_parser.parse(written)
    assert query.question == QUESTION
    assert query.edns is not None
    assert (query.edns.do, query.edns.options) == (True, {NAMESERVER_LOOP: b"t"})
    assert struct.unpack_from("!H", written)[0] == 0
