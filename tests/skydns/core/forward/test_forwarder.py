from dataclasses import replace

import dnslib
import msgspec
import pytest

from rig.dns_packets import CONFIG, NOW_S, opt, packet, snapshot
from skydns.core.dns import query_parser
from skydns.core.dns.edns import NAMESERVER_LOOP, STUB_LOOP, option
from skydns.core.dns.question import question_bytes
from skydns.core.dns.rr import STALE_TTL_S, Rcode, RRType
from skydns.core.forward import message
from skydns.core.forward.forwarder import Forwarded, Forwarder, PendingForward, Prefetch
from skydns.core.forward.message import FAILURE_TTL_S, UpstreamReply
from skydns.core.zone.answer import answer
from skydns.core.zone.zone import Zone

SERVERS = (("192.0.2.53", 53),)
ASKED = packet("www.example.org", edns=opt())


class Site:
    """A forwarder with one nameserver, and a clock."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        config = msgspec.structs.replace(CONFIG, nameservers=SERVERS, loop_tag=b"tag")
        self.forwarder = Forwarder(config, lambda: self.now_s)

    def forward(self, data: bytes = ASKED, *, recursive: bool = True) -> Forwarded | None:
        query = query_parser.parse(data, recursive=recursive)
        return self.forwarder.forward(query, data, 1232, Zone("/skydns"))

    def pending(self, data: bytes = ASKED) -> PendingForward:
        pending = self.forward(data)
        assert isinstance(pending, PendingForward)
        return pending


def reply_to(
    pending: PendingForward, address: str = "192.0.2.80", ttl_s: int = 60
) -> UpstreamReply:
    record = dnslib.DNSRecord(
        dnslib.DNSHeader(id=7, qr=1, ra=1), q=dnslib.DNSQuestion("www.example.org")
    )
    record.add_answer(*dnslib.RR.fromZone(f"www.example.org. {ttl_s} IN A {address}"))
    return message.read_reply(bytes(record.pack()), 7, question_bytes(pending.question))


def denial(rcode: int, authority: str, zone: str = "") -> bytes:
    record = dnslib.DNSRecord(
        dnslib.DNSHeader(id=7, qr=1, ra=1, rcode=rcode), q=dnslib.DNSQuestion("www.example.org")
    )
    record.add_answer(*dnslib.RR.fromZone(zone))
    record.add_auth(*dnslib.RR.fromZone(authority))
    return bytes(record.pack())


def read(data: bytes, pending: PendingForward) -> UpstreamReply:
    question = question_bytes(pending.question)
    return message.read_reply(data[:29] + question[-4:] + data[33:], 7, question)


def parsed(reply: object) -> dnslib.DNSRecord:
    assert isinstance(reply, bytes)
    return dnslib.DNSRecord.parse(reply)


def test_a_query_is_pending_until_its_reply_is_cached() -> None:
    site = Site()
    pending = site.pending()
    assert (pending.servers, pending.loop_option) == (SERVERS, (NAMESERVER_LOOP, b"tag"))
    reply = reply_to(pending)
    site.forwarder.learn(pending, reply)
    assert str(parsed(site.forwarder.finish(pending, reply)).rr[0].rdata) == "192.0.2.80"
    site.now_s += 20
    assert parsed(site.forward()).rr[0].ttl == 40


def test_only_recursive_queries_for_names_of_others_are_forwarded() -> None:
    site = Site()
    assert site.forward(recursive=False) is None
    assert site.forward(packet("www.example.org", flags=0)) is None
    assert site.forward(packet("web.skydns.local")) is None
    assert site.forward(packet("www.example.org", 255)) is None
    assert site.forward(packet("short")) is None


def test_reverse_names_with_keys_are_ours_also_when_the_keys_are_below() -> None:
    zone = snapshot(
        [
            ("/skydns/arpa/in-addr/10/0/0/1", '{"host": "a.skydns.local"}'),
            ("/skydns/arpa/in-addr/10/0/0/2/x", '{"host": "b.skydns.local"}'),
            ("/skydns/arpa/in-addr/10/0/0/2/y", '{"host": "c.skydns.local"}'),
            ("/skydns/arpa/in-addr/10/0/0/3/x", '{"text": "no pointer"}'),
        ]
    ).zone
    site = Site()
    for host, is_ours in (("1", True), ("2", True), ("3", False), ("4", False), ("*", False)):
        data = packet(f"{host}.0.0.10.in-addr.arpa", 12)
        query = query_parser.parse(data, recursive=True)
        forwarded = site.forwarder.forward(query, data, 1232, zone)
        assert (forwarded is None) is is_ours, host


def follow(site: Site, rtype: RRType = RRType.A) -> PendingForward:
    """Ask for an alias to `www.example.org`; return the forward of its target."""
    keys = [("/skydns/local/skydns/out", '{"host": "www.example.org"}')]
    data = packet("out.skydns.local", rtype, edns=opt())
    query = query_parser.parse(data, recursive=True)
    made = answer(query.question, snapshot(keys))
    pending = site.forwarder.follow(query, data, 1232, made)
    assert isinstance(pending, PendingForward)
    return pending


SOA = "example.org. 100 IN SOA ns.example.org. host.example.org. 1 2 3 4 25"


@pytest.mark.parametrize(
    ("rcode", "authority", "expected"),
    [(3, SOA, (Rcode.NXDOMAIN, 1, 1)), (0, SOA, (0, 1, 1)), (0, "", (0, 1, 0))],
)
def test_an_alias_to_an_outside_name_has_the_code_of_the_last_name(
    rcode: int, authority: str, expected: tuple[int, int, int]
) -> None:
    """RFC 6604, 2.1; the SOA record says how long the denial may be cached."""
    site = Site()
    pending = follow(site)
    reply = read(denial(rcode, authority), pending)
    site.forwarder.learn(pending, reply)
    for _ in range(2):
        made = parsed(site.forwarder.finish(pending, reply))
        assert (made.header.rcode, len(made.rr), len(made.auth)) == expected
        assert str(made.rr[0].rdata) == "www.example.org."
    if authority:
        assert (made.auth[0].ttl, made.auth[0].rdata.times) == (100, (1, 2, 3, 4, 25))


def test_an_alias_to_an_outside_name_is_servfail_when_no_server_answers() -> None:
    site = Site()
    pending = follow(site)
    for failure in (None, read(denial(2, ""), pending)):
        site.forwarder.learn(pending, failure)
        made = parsed(site.forwarder.finish(pending, failure))
        assert (made.header.rcode, made.rr) == (Rcode.SERVFAIL, [])


def test_an_alias_to_an_outside_name_has_stale_data_when_no_server_answers() -> None:
    site = Site()
    pending = follow(site)
    site.forwarder.learn(pending, reply_to(pending))
    site.now_s += 100
    site.forwarder.learn(pending, None)
    made = parsed(site.forwarder.finish(pending, None))
    assert [record.ttl for record in made.rr] == [3600, STALE_TTL_S]
    assert bytes(made.pack()).endswith(b"\0\x0f\0\2\0\3")


@pytest.mark.parametrize(
    ("rtype", "zone"),
    [
        (RRType.TXT, 'www.example.org. 60 IN TXT "one" "two"'),
        (RRType.MX, "www.example.org. 60 IN MX 5 mail.example.org."),
        (RRType.AAAA, "www.example.org. 60 IN AAAA 2001:db8::80"),
    ],
)
def test_the_data_behind_an_outside_alias_arrive_as_they_are(rtype: RRType, zone: str) -> None:
    site = Site()
    pending = follow(site, rtype)
    made = parsed(site.forwarder.finish(pending, read(denial(0, "", zone), pending)))
    (expected,) = dnslib.RR.fromZone(zone)
    assert made.rr[1] == expected


def test_our_own_query_in_a_loop_is_refused() -> None:
    site = Site()
    own = packet("www.example.org", edns=opt(options=option(NAMESERVER_LOOP, b"tag")))
    assert parsed(site.forward(own)).header.rcode == Rcode.REFUSED
    other = packet("www.example.org", edns=opt(options=option(NAMESERVER_LOOP, b"gat")))
    assert isinstance(site.forward(other), PendingForward)
    site.forwarder.configure(CONFIG, {(b"example", b"org"): SERVERS})
    stub = packet("www.example.org", edns=opt(options=option(STUB_LOOP, b"\1")))
    assert parsed(site.forward(stub)).header.rcode == Rcode.REFUSED


def test_a_stale_reply_is_sent_when_no_server_answers() -> None:
    site = Site()
    pending = site.pending()
    site.forwarder.learn(pending, reply_to(pending))
    site.now_s += 100
    again = site.pending()
    site.forwarder.learn(again, None)
    assert parsed(site.forwarder.finish(again, None)).rr[0].ttl == 30
    # For a moment no server is asked at all.
    assert parsed(site.forward()).rr[0].ttl == 30
    site.now_s += FAILURE_TTL_S
    assert isinstance(site.forward(), PendingForward)


def test_a_failure_is_servfail_and_is_cached_for_a_moment() -> None:
    site = Site()
    pending = site.pending()
    site.forwarder.learn(pending, None)
    assert parsed(site.forwarder.finish(pending, None)).header.rcode == Rcode.SERVFAIL
    assert parsed(site.forward()).header.rcode == Rcode.SERVFAIL
    site.now_s += FAILURE_TTL_S
    assert isinstance(site.forward(), PendingForward)


def test_a_reply_near_its_end_is_sent_and_prefetched_once() -> None:
    site = Site()
    pending = site.pending()
    site.forwarder.learn(pending, reply_to(pending))
    site.forward()
    site.now_s += 58
    prefetch = site.forward()
    assert isinstance(prefetch, Prefetch)
    assert parsed(prefetch.reply).rr[0].ttl == 2
    assert isinstance(site.forward(), bytes)
    site.forwarder.learn(prefetch.forward, reply_to(pending))
    assert parsed(site.forward()).rr[0].ttl == 60


def test_a_prefetch_that_was_turned_away_is_tried_again() -> None:
    site = Site()
    pending = site.pending()
    site.forwarder.learn(pending, reply_to(pending))
    site.forward()
    site.now_s += 58
    prefetch = site.forward()
    assert isinstance(prefetch, Prefetch)
    site.forwarder.refuse(prefetch.forward)
    assert isinstance(site.forward(), Prefetch)


def test_authentic_data_is_passed_on_to_clients_that_can_tell() -> None:
    """RFC 6840, 5.8: to those that set AD or DO. A stale reply is authentic no more."""
    site = Site()
    pending = site.pending()
    checked = replace(reply_to(pending), authentic=True)
    site.forwarder.learn(pending, checked)
    asks_ad = packet("www.example.org", edns=opt(), flags=0x0120)
    asks_do = packet("www.example.org", edns=opt(flags=0x8000))
    assert parsed(site.forward(asks_ad)).header.ad == 1
    assert parsed(site.forward()).header.ad == 0
    secured = site.pending(asks_do)
    assert parsed(site.forwarder.finish(secured, checked)).header.ad == 1
    site.now_s += 100
    again = site.pending(asks_ad)
    site.forwarder.learn(again, None)
    assert parsed(site.forwarder.finish(again, None)).header.ad == 0


def test_new_nameservers_drop_the_replies_of_the_old_ones() -> None:
    site = Site()
    pending = site.pending()
    site.forwarder.learn(pending, reply_to(pending))
    other = msgspec.structs.replace(CONFIG, nameservers=(("192.0.2.54", 53),))
    site.forwarder.configure(other, {})
    assert isinstance(site.forward(), PendingForward)


def test_too_many_forwards_are_refused() -> None:
    site = Site()
    assert parsed(site.forwarder.refuse(site.pending())).header.rcode == Rcode.REFUSED
