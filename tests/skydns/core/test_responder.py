import dnslib
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes, View
from rig.dns_packets import CONFIG, NOW_S, entry, opt, packet, reset_to
from skydns.core.dns import name as names
from skydns.core.dns.edns import UDP_BYTES_MIN
from skydns.core.dns.name import Name
from skydns.core.dns.rr import Rcode
from skydns.core.forward.forwarder import PendingForward, Prefetch
from skydns.core.forward.message import UpstreamReply
from skydns.core.hidden_names import FORGET_S, HiddenNames
from skydns.core.responder import DENIALS_MAX, LONG_REPLIES_RATE, PendingLookup, Responder
from skydns.core.zone.zone import Services, Zone

D = "/skydns/local/skydns"


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def responder(keys: list[tuple[str, str]]) -> Responder:
    made = Responder(CONFIG, Clock())
    made.apply(reset_to(keys))
    return made


def parsed_reply(made: Responder, data: bytes, *, tcp: bool = False) -> dnslib.DNSRecord:
    reply = made.reply(data, tcp=tcp)
    assert reply is not None
    return dnslib.DNSRecord.parse(reply)


class CountingZone(Zone):
    """A zone that counts its look-ups."""

    lookups = 0

    def below(self, name: Name) -> Services:
        self.lookups += 1
        return super().below(name)


def test_all_orders_of_an_answer_cost_one_lookup_of_each_name() -> None:
    made = Responder(CONFIG, Clock())
    zone = made.zone = CountingZone("/skydns")
    addresses = [(f"{D}/web/{at}", f'{{"host": "10.0.0.{at}"}}') for at in range(8)]
    aliases = [(f"{D}/www/{at}", '{"host": "web.skydns.local"}') for at in range(8)]
    made.apply(reset_to([*addresses, *aliases]))
    zone.lookups = 0
    data = packet("www.skydns.local")
    orders = {made.reply(data) for _ in range(9)}
    assert len(orders) == 8
    assert zone.lookups == 2


def test_a_cached_reply_has_the_id_and_letter_case_of_its_query() -> None:
    made = responder([(f"{D}/web", '{"host": "10.0.0.1"}')])
    first = made.reply(packet("web.skydns.local"))
    again = packet("WEB.SkyDNS.local")
    second = made.reply(b"zz" + again[2:])
    assert made.counts.computed == 1
    assert first is not None
    assert second is not None
    assert second[:2] == b"zz"
    assert second[12 : len(again)] == again[12:]
    assert first[len(again) :] == second[len(again) :]
    assert made.counts.rcodes[Rcode.NOERROR] == 2


def test_addresses_rotate() -> None:
    made = responder([(f"{D}/web/{at}", f'{{"host": "10.0.0.{at}"}}') for at in range(3)])
    firsts = [str(parsed_reply(made, packet("web.skydns.local")).rr[0].rdata) for _ in range(4)]
    assert firsts == ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.0"]


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (packet("a", flags=0x2800), Rcode.NOTIMP),
        (packet("a") + b"x", Rcode.FORMERR),
        (packet("a.example.org"), Rcode.REFUSED),
    ],
)
def test_a_query_without_an_answer_gets_a_code(data: bytes, rcode: Rcode) -> None:
    made = responder([])
    assert parsed_reply(made, data).header.rcode == rcode
    assert made.counts.rcodes[rcode] == 1
    assert made.cached() == (0, 0)


def test_a_packet_that_is_not_a_query_gets_no_reply() -> None:
    made = responder([])
    assert made.reply(b"") is None
    assert made.reply(packet("a", flags=0x8400)) is None
    assert made.counts.unanswered == 2


def test_the_first_data_ends_servfail() -> None:
    made = Responder(CONFIG, Clock())
    assert parsed_reply(made, packet("web.skydns.local")).header.rcode == Rcode.SERVFAIL
    made.apply(reset_to([(f"{D}/web", '{"host": "10.0.0.1"}')]))
    assert parsed_reply(made, packet("web.skydns.local")).header.rcode == Rcode.NOERROR


def test_a_newer_edns_version_gets_badvers() -> None:
    reply = parsed_reply(
        responder([]), packet("skydns.local", 6, edns=opt(version=1, flags=0x8000))
    )
    assert (reply.header.rcode, reply.ar[0].edns_rcode, reply.ar[0].edns_ver) == (0, 1, 0)
    assert not reply.rr


def test_a_long_answer_is_truncated_over_udp_and_complete_over_tcp() -> None:
    made = responder([(f"{D}/web/{at}", f'{{"host": "10.0.0.{at}"}}') for at in range(200)])
    for _ in range(2):
        cut = parsed_reply(made, packet("web.skydns.local", edns=opt()))
        assert (cut.header.tc, len(cut.rr), len(cut.ar)) == (1, 0, 1)
        full = parsed_reply(made, packet("web.skydns.local", edns=opt()), tcp=True)
        assert (full.header.tc, len(full.rr)) == (0, 200)
    assert (made.counts.computed, made.counts.truncated) == (2, 1)


def test_an_answer_too_long_for_tcp_is_servfail() -> None:
    text = "x" * 40_000
    made = responder([(f"{D}/t/{at}", f'{{"text": "{text}{at}"}}') for at in range(2)])
    assert parsed_reply(made, packet("t.skydns.local", 16)).header.tc == 1
    reply = parsed_reply(made, packet("t.skydns.local", 16), tcp=True)
    assert (reply.header.rcode, reply.header.tc, reply.rr) == (Rcode.SERVFAIL, 0, [])


def test_a_ttl_counts_down_each_second() -> None:
    clock = Clock()
    made = Responder(CONFIG, clock)
    made.apply(Changes("c", 1, (entry(f"{D}/a", '{"host": "10.0.0.1"}', NOW_S + 60),), reset=True))
    data = packet("a.skydns.local")
    assert [parsed_reply(made, data).rr[0].ttl for _ in range(2)] == [60, 60]
    clock.now_s += 1
    made.tick()
    assert parsed_reply(made, data).rr[0].ttl == 59


def test_the_serial_increases_each_hour() -> None:
    clock = Clock()
    made = Responder(CONFIG, clock)
    made.apply(reset_to([]))
    made.tick()
    data = packet("nothing.skydns.local")
    before = parsed_reply(made, data).auth[0].rdata.times[0]
    clock.now_s += 3600
    made.tick()
    assert parsed_reply(made, data).auth[0].rdata.times[0] == before + 3600


def test_ttls_are_short_while_the_store_is_down() -> None:
    made = responder([(f"{D}/a", '{"host": "10.0.0.1"}')])
    data = packet("a.skydns.local")
    ttls = []
    for store_down in (False, True, True, False):
        made.set_store_down(store_down=store_down)
        ttls.append(parsed_reply(made, data).rr[0].ttl)
    assert ttls == [3600, 30, 30, 3600]


def test_denials_do_not_push_out_answers() -> None:
    made = responder([(f"{D}/a", '{"host": "10.0.0.1"}')])
    made.reply(packet("a.skydns.local"))
    for at in range(DENIALS_MAX + 10):
        made.reply(packet(f"n{at}.skydns.local"))
    assert made.cached()[0] == DENIALS_MAX + 1
    before = made.counts.computed
    made.reply(packet("a.skydns.local"))
    assert made.counts.computed == before


def test_a_label_with_a_zero_octet_is_answered_and_not_cached() -> None:
    made = responder([(f"{D}/a", '{"host": "10.0.0.1"}')])
    hidden = packet("aXa.skydns.local").replace(b"aXa", b"a\0a")
    assert parsed_reply(made, hidden).header.rcode == Rcode.NXDOMAIN
    assert made.cached()[0] == 0


class BrokenZone(Zone):
    def below(self, name: Name) -> Services:
        raise ZeroDivisionError(names.text(name))


def test_a_bug_is_servfail_for_one_question_only() -> None:
    made = responder([(f"{D}/a", '{"host": "10.0.0.1"}')])
    sound, made.zone = made.zone, BrokenZone("/skydns")
    made.zone.loaded = True
    assert parsed_reply(made, packet("a.skydns.local")).header.rcode == Rcode.SERVFAIL
    assert parsed_reply(made, packet("skydns.local", 6)).header.rcode == Rcode.NOERROR
    assert made.counts.faults == 1
    assert str(made.last_fault) == "a.skydns.local."
    made.zone = sound
    assert parsed_reply(made, packet("a.skydns.local")).header.rcode == Rcode.NOERROR


@given(st.binary(max_size=100))
def test_any_packet_is_answered_or_dropped_and_the_next_query_is_answered(data: bytes) -> None:
    made = responder([(f"{D}/a", '{"host": "10.0.0.1"}')])
    for tcp in (False, True):
        reply = made.reply(data, tcp=tcp)
        assert reply is None or reply[:2] == data[:2]
        assert parsed_reply(made, packet("a.skydns.local"), tcp=tcp).rr
    assert made.counts.faults == 0


def hiding(keys: list[tuple[str, str]]) -> Responder:
    made = responder(keys)
    made.hidden = HiddenNames()
    return made


def test_a_hidden_name_is_pending_until_the_store_was_asked() -> None:
    made = hiding([])
    assert made.hidden is not None
    data = packet("_tcp.app.skydns.local", 33)
    pending = made.reply(data)
    assert isinstance(pending, PendingLookup)
    assert names.text(pending.name) == "_tcp.app.skydns.local."
    x1 = entry(f"{D}/app/_tcp/x1", '{"host": "10.0.0.1", "port": 80}')
    made.apply(made.hidden.learn(pending.name, {x1.key: x1}, 0.0))
    reply = made.resume(pending, found=True)
    assert isinstance(reply, bytes)
    assert len(dnslib.DNSRecord.parse(reply).rr) == 1
    assert made.reply(data) == reply


def test_a_hidden_name_waits_also_when_a_hidden_name_below_it_is_known() -> None:
    made = hiding([])
    assert made.hidden is not None
    x1 = entry(f"{D}/app/_tcp/_http/x1", '{"host": "10.0.0.1", "port": 80}')
    made.apply(made.hidden.learn(names.parse("_http._tcp.app.skydns.local"), {x1.key: x1}, 0.0))
    assert isinstance(made.reply(packet("x1._http._tcp.app.skydns.local")), bytes)
    pending = made.reply(packet("x._tcp.app.skydns.local"))
    assert isinstance(pending, PendingLookup)
    assert names.text(pending.name) == "_tcp.app.skydns.local."


def test_questions_for_a_hidden_name_are_seen_each_second() -> None:
    """The name is forgotten when there are none; an answer from the cache would hide them."""
    made = hiding([])
    assert made.hidden is not None
    data, name = packet("_tcp.app.skydns.local", 33), names.parse("_tcp.app.skydns.local")
    x1 = entry(f"{D}/app/_tcp/x1", '{"host": "10.0.0.1", "port": 80}')
    made.apply(made.hidden.learn(name, {x1.key: x1}, 0.0))
    asked_s = 0.0
    while asked_s < 3 * FORGET_S:
        assert isinstance(made.reply(data), bytes)
        asked_s += FORGET_S / 2
        made.apply(made.hidden.expire(asked_s))
        made.tick()


def test_a_denied_hidden_name_is_looked_up_again_once_it_is_forgotten() -> None:
    made = hiding([])
    assert made.hidden is not None
    data, name = packet("_tcp.app.skydns.local", 33), names.parse("_tcp.app.skydns.local")
    made.tick()
    made.apply(made.hidden.learn(name, {}, 0.0))
    denied = made.reply(data)
    assert isinstance(denied, bytes)
    assert denied[3] & 15 == Rcode.NXDOMAIN
    made.apply(made.hidden.expire(1.0))
    made.apply(made.hidden.expire(2 * FORGET_S))
    made.tick()
    assert isinstance(made.reply(data), PendingLookup)


def test_a_hidden_name_is_servfail_when_the_store_does_not_answer() -> None:
    made = hiding([])
    pending = made.reply(packet("_tcp.app.skydns.local", 33))
    assert isinstance(pending, PendingLookup)
    reply = made.resume(pending, found=False)
    assert isinstance(reply, bytes)
    assert dnslib.DNSRecord.parse(reply).header.rcode == Rcode.SERVFAIL
    assert made.counts.rcodes[Rcode.SERVFAIL] == 1


def forwarding(**options: object) -> Responder:
    config = msgspec.structs.replace(CONFIG, nameservers=(("192.0.2.53", 53),), **options)
    made = Responder(config, Clock())
    made.apply(reset_to([]))
    return made


def test_a_limited_reply_is_prefetched_all_the_same() -> None:
    made = forwarding(rate=1)
    here, data = b"\x7f\0\0\1", packet("www.example.org")
    pending = made.reply(data, here)
    assert isinstance(pending, PendingForward)
    made.forwarder.learn(pending, UpstreamReply(0, b"", (1, 0, 0), (), 100))
    assert isinstance(made.reply(data, here), bytes)
    clock = made._clock
    assert isinstance(clock, Clock)
    clock.now_s += 95
    prefetch = made.reply(data, here)
    assert isinstance(prefetch, Prefetch)
    assert prefetch.reply is not None
    assert prefetch.forward.question.name == (b"www", b"example", b"org")
    assert made.limit(prefetch.reply, here) == prefetch.reply
    assert made.limit(prefetch.reply, here) is None
    assert made.counts.limited == 1


def test_a_forged_source_gets_few_long_replies_and_no_other_network_suffers() -> None:
    made = responder([(f"{D}/web/{at}", f'{{"host": "10.0.0.{at}"}}') for at in range(70)])
    data, victim, other = packet("web.skydns.local", edns=opt()), b"\xc0\0\2\1", b"\xc6\x33\x64\1"
    sent = [made.reply(data, victim) for _ in range(20 * LONG_REPLIES_RATE)]
    long = [reply for reply in sent if isinstance(reply, bytes) and len(reply) > UDP_BYTES_MIN]
    assert len(long) == LONG_REPLIES_RATE
    short = [reply for reply in sent if isinstance(reply, bytes) and len(reply) <= UDP_BYTES_MIN]
    # Empty, with TC: an honest client asks again over TCP, and a victim gets no more than was sent.
    assert all(reply[2] & 2 and len(reply) <= len(data) for reply in short)
    assert made.counts.limited == len(sent) - len(long)
    for full in (
        made.reply(data, other),
        made.reply(data, victim, tcp=True),
        made.reply(data, b"\x7f\0\0\1"),
    ):
        assert isinstance(full, bytes)
        assert len(full) > UDP_BYTES_MIN


def test_short_replies_are_not_limited_by_default() -> None:
    made = responder([(f"{D}/a", '{"host": "10.0.0.1"}')])
    data, client = packet("a.skydns.local", edns=opt()), b"\xc0\0\2\1"
    assert len({made.reply(data, client) for _ in range(5 * LONG_REPLIES_RATE)}) == 1
    assert made.counts.limited == 0


def test_a_reply_that_waited_for_the_store_is_limited_like_all_others() -> None:
    config = msgspec.structs.replace(CONFIG, rate=1)
    made = Responder(config, Clock())
    made.apply(reset_to([]))
    made.hidden = HiddenNames()
    data, client = packet("_tcp.app.skydns.local", 33), b"\xc0\0\2\1"
    pending = made.reply(data, client)
    assert isinstance(pending, PendingLookup)
    made.apply(made.hidden.learn(pending.name, {}, 0.0))
    replies = [made.resume(pending, found=True) for _ in range(2)]
    assert isinstance(replies[0], bytes)
    assert [made.limit(reply, client) is None for reply in replies if isinstance(reply, bytes)] == [
        False,
        True,
    ]


def test_only_clients_within_the_networks_are_answered() -> None:
    made = Responder(msgspec.structs.replace(CONFIG, clients=("10.0.0.0/8",)), Clock())
    made.apply(reset_to([(f"{D}/a", '{"host": "10.0.0.1"}')]))
    data = packet("a.skydns.local")
    allowed, other = made.reply(data, b"\x0a\0\0\1"), made.reply(data, b"\x0b\0\0\1")
    assert isinstance(allowed, bytes)
    assert isinstance(other, bytes)
    assert (allowed[3] & 15, other[3] & 15) == (Rcode.NOERROR, Rcode.REFUSED)
    assert made.counts.prohibited == 1


LABELS = st.sampled_from(["a", "b", "any", "_x"])
PATHS = st.lists(LABELS, min_size=1, max_size=3).map(lambda path: "/".join([D, *path]))
HOSTS = st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "", "x.org", "a.skydns.local", "b.a."])
NAMES = st.lists(st.sampled_from(["a", "A", "b", "*", "_x"]), max_size=3)


class CachedAndFresh(RuleBasedStateMachine):
    """After any change, a cached answer equals a new one."""

    @initialize()
    def start(self) -> None:
        self.clock = Clock()
        self.view = View()
        self.cached = Responder(CONFIG, self.clock)
        self.change(Changes("c", 1, reset=True))

    def change(self, changes: Changes) -> None:
        self.view.apply(changes)
        self.cached.apply(changes)

    @rule(key=PATHS, host=HOSTS, life_s=st.none() | st.integers(-5, 5))
    def put(self, key: str, host: str, life_s: int | None) -> None:
        value = msgspec.json.encode({"host": host, "text": "t"}).decode()
        expires_at = None if life_s is None else self.clock.now_s + life_s
        self.change(Changes("c", 1, (Entry(key, value, 1, 1, expires_at),)))

    @rule(key=PATHS)
    def remove(self, key: str) -> None:
        self.change(Changes("c", 1, removed=(key,)))

    @rule(step_s=st.sampled_from([1, 2, 3600]))
    def wait(self, step_s: int) -> None:
        self.clock.now_s += step_s
        self.cached.tick()

    @rule(store_down=st.booleans())
    def change_store_state(self, store_down: bool) -> None:
        self.cached.set_store_down(store_down=store_down)

    @rule(
        labels=NAMES,
        rtype=st.sampled_from([1, 2, 5, 6, 16, 28, 33, 65, 255]),
        edns=st.sampled_from([b"", opt(), opt(512)]),
        tcp=st.booleans(),
    )
    def ask(self, labels: list[str], rtype: int, edns: bytes, tcp: bool) -> None:
        data = packet(".".join([*labels, "skydns.local"]), rtype, edns=edns)
        fresh = Responder(CONFIG, self.clock)
        fresh.set_store_down(store_down=self.cached.store_down)
        fresh.apply(Changes("c", 1, tuple(self.view.entries.values()), reset=True))
        possible = {fresh.reply(data, tcp=tcp) for _ in range(8)}
        assert self.cached.reply(data, tcp=tcp) in possible


TestCachedAndFresh = CachedAndFresh.TestCase
