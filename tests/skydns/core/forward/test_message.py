import struct

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.dns_packets import opt, packet
from skydns.core.dns import query_parser
from skydns.core.dns.rr import Host, Type
from skydns.core.forward import message as relay
from skydns.core.forward.cache import STALE_S_MAX, RelayCache
from skydns.core.forward.health import REST_S_MAX, Health
from skydns.core.forward.message import FAILURE_TTL_S, Delivery, Mismatch, Relayed
from skydns.core.zone.answer import Question

NAME = (b"www", b"example", b"org")
QUESTION = Question(NAME, Type.A)
ASKED = relay.question_bytes(QUESTION)
ZONE = """
www.example.org. 60 IN CNAME web.example.org.
web.example.org. 30 IN A 192.0.2.1
web.example.org. 30 IN A 192.0.2.2
evil.skydns.local. 30 IN A 192.0.2.66
"""


def answered(zone: str = ZONE, *, rcode: int = 0, authority: str = "", edns: bool = True) -> bytes:
    said = dnslib.DNSRecord(
        dnslib.DNSHeader(id=7, qr=1, ra=1, rcode=rcode), q=dnslib.DNSQuestion("www.example.org")
    )
    said.add_answer(*dnslib.RR.fromZone(zone))
    said.add_auth(*dnslib.RR.fromZone(authority))
    if edns:
        said.add_ar(dnslib.EDNS0(udp_len=1232))
    return bytes(said.pack())


def test_a_reply_is_kept_as_long_as_its_shortest_record_and_counts_down() -> None:
    relayed = relay.read(answered(), 7, ASKED)
    assert (relayed.rcode, relayed.counts, relayed.ttl_s) == (0, (4, 0, 0), 30)
    data = packet("WWW.example.org", edns=opt())
    query = query_parser.parse(data, recursive=True)
    said = dnslib.DNSRecord.parse(relay.reply(relayed, query, data, Delivery(1232, age_s=12)))
    assert [record.ttl for record in said.rr] == [48, 18, 18, 18]
    assert (said.header.id, said.header.ra, said.header.aa, len(said.ar)) == (0x1234, 1, 0, 1)
    assert said.q.qname.label[0] == b"WWW"
    stale = dnslib.DNSRecord.parse(
        relay.reply(relayed, query, data, Delivery(1232, age_s=999, stale=True))
    )
    assert {record.ttl for record in stale.rr} == {30}
    assert bytes(stale.pack()).endswith(b"\0\x0f\0\2\0\3")


def test_what_does_not_fit_is_cut() -> None:
    relayed = relay.read(answered(), 7, ASKED)
    data = packet("www.example.org")
    query = query_parser.parse(data, recursive=True)
    said = dnslib.DNSRecord.parse(relay.reply(relayed, query, data, Delivery(100)))
    assert (said.header.tc, said.rr) == (1, [])


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
def test_a_forged_reply_is_none(change: object) -> None:
    with pytest.raises(Mismatch):
        relay.read(change(answered()), 7, ASKED)  # type: ignore[operator]


@given(st.data())
def test_no_reply_breaks_the_reader(data: st.DataObject) -> None:
    said = bytearray(answered())
    for _ in range(data.draw(st.integers(1, 6))):
        said[data.draw(st.integers(len(ASKED) + 12, len(said) - 1))] = data.draw(
            st.integers(0, 255)
        )
    try:
        relayed = relay.read(bytes(said), 7, ASKED)
    except Mismatch:
        return
    relay.chain(relayed, QUESTION)


def test_a_denial_is_kept_by_its_soa_and_a_failure_for_a_moment() -> None:
    soa = "example.org. 100 IN SOA ns.example.org. host.example.org. 1 2 3 4 25"
    assert relay.read(answered("", rcode=3, authority=soa), 7, ASKED).ttl_s == 25
    assert relay.read(answered("", rcode=3), 7, ASKED).ttl_s == 1
    assert relay.read(answered("", rcode=2), 7, ASKED).ttl_s == FAILURE_TTL_S


def test_only_what_the_aliases_lead_to_is_taken() -> None:
    relayed = relay.read(answered(), 7, ASKED)
    alias, addresses = relay.chain(relayed, QUESTION, age_s=10)
    assert (alias.data, alias.ttl_s) == ((Host((b"web", b"example", b"org")),), 50)
    assert (addresses.name, len(addresses.data), addresses.ttl_s) == (
        (b"web", b"example", b"org"),
        2,
        20,
    )
    assert relay.chain(relay.read(answered("", rcode=3), 7, ASKED), QUESTION) == ()
    circle = "www.example.org. 60 IN CNAME www.example.org."
    assert len(relay.chain(relay.read(answered(circle), 7, ASKED), QUESTION)) <= 16


def test_the_query_says_who_asks() -> None:
    sent = relay.asking(7, ASKED, do=True, cd=False, hop=(query_parser.HOP, b"tag"))
    query = query_parser.parse(sent)
    assert query.question == QUESTION
    assert query.edns is not None
    assert (query.edns.do, query.edns.options) == (True, {query_parser.HOP: b"tag"})
    assert struct.unpack_from("!H", sent)[0] == 7


def test_the_cache_is_bounded_and_keeps_what_is_old_for_bad_days() -> None:
    cache = RelayCache(count_max=2, size_bytes_max=5000)
    relayed = Relayed(0, b"x" * 100, (1, 0, 0), (), 60)
    for key in (b"a", b"b", b"c"):
        cache.keep(key, relayed, 0.0)
    assert (len(cache), cache.find(b"a", 1.0)) == (2, None)
    kept = cache.find(b"b", 70.0)
    assert kept is not None
    assert not kept.is_fresh(70.0)
    assert cache.find(b"b", 61.0 + STALE_S_MAX) is None
    cache.keep(b"big", Relayed(0, bytes(9000), (1, 0, 0), (), 60), 0.0)
    assert cache.size_bytes <= 5000
    cache.clear()
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_what_is_asked_for_often_is_renewed_before_its_end() -> None:
    cache = RelayCache()
    cache.keep(b"a", Relayed(0, b"", (1, 0, 0), (), 100), 0.0)
    kept = cache.find(b"a", 95.0)
    assert kept is not None
    assert not kept.is_due(95.0)
    kept.hits = 2
    assert kept.is_due(95.0)
    assert not kept.is_due(50.0)
    kept.renewing = True
    assert not kept.is_due(95.0)


def test_servers_take_turns_and_those_that_fail_rest() -> None:
    health, servers = Health(), [("a", 53), ("b", 53), ("c", 53)]
    assert health.order(servers, 1, 0.0) == [("b", 53), ("c", 53), ("a", 53)]
    health.failed(("b", 53), 0.0)
    assert health.order(servers, 1, 0.0)[0] == ("b", 53)
    health.failed(("b", 53), 0.0)
    assert health.order(servers, 1, 0.5)[-1] == ("b", 53)
    assert health.order(servers, 1, 1.5)[0] == ("b", 53)
    for _ in range(20):
        health.failed(("b", 53), 0.0)
    assert not health.rests(("b", 53), REST_S_MAX)
    assert health.rests(("b", 53), REST_S_MAX - 1)
    health.answered(("b", 53))
    assert not health.rests(("b", 53), 0.1)
    assert health.order([], 3, 0.0) == []
