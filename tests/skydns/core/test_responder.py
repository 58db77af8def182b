import dnslib
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes, View
from rig.dns_packets import NOW_S, SETTINGS, entry, opt, packet, whole
from skydns.core import responder as fronts
from skydns.core.dns import name as names
from skydns.core.dns.name import Name
from skydns.core.dns.rr import Rcode
from skydns.core.responder import Front
from skydns.core.zone.zone import Found, Zone

D = "/skydns/local/skydns"


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def front(keys: list[tuple[str, str]]) -> Front:
    made = Front(SETTINGS, Clock())
    made.apply(whole(keys))
    return made


def said(made: Front, data: bytes, *, tcp: bool = False) -> dnslib.DNSRecord:
    reply = made.reply(data, tcp=tcp)
    assert reply is not None
    return dnslib.DNSRecord.parse(reply)


def test_the_second_reply_is_the_first_in_the_spelling_of_the_second() -> None:
    made = front([(f"{D}/web", '{"host": "10.0.0.1"}')])
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


def test_addresses_take_turns() -> None:
    made = front([(f"{D}/web/{at}", f'{{"host": "10.0.0.{at}"}}') for at in range(3)])
    firsts = [str(said(made, packet("web.skydns.local")).rr[0].rdata) for _ in range(4)]
    assert firsts == ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.0"]


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (packet("a", flags=0x2800), Rcode.NOTIMP),
        (packet("a") + b"x", Rcode.FORMERR),
        (packet("a.example.org"), Rcode.REFUSED),
    ],
)
def test_what_is_not_answered_is_told_why(data: bytes, rcode: Rcode) -> None:
    made = front([])
    assert said(made, data).header.rcode == rcode
    assert made.counts.rcodes[rcode] == 1
    assert made.kept() == (0, 0)


def test_what_is_no_query_gets_no_reply() -> None:
    made = front([])
    assert made.reply(b"") is None
    assert made.reply(packet("a", flags=0x8400)) is None
    assert made.counts.unanswered == 2


def test_before_the_first_data_it_is_servfail_and_right_after_it_is_not() -> None:
    made = Front(SETTINGS, Clock())
    assert said(made, packet("web.skydns.local")).header.rcode == Rcode.SERVFAIL
    made.apply(whole([(f"{D}/web", '{"host": "10.0.0.1"}')]))
    assert said(made, packet("web.skydns.local")).header.rcode == Rcode.NOERROR


def test_a_newer_edns_version_is_told_ours() -> None:
    reply = said(front([]), packet("skydns.local", 6, edns=opt(version=1, flags=0x8000)))
    assert (reply.header.rcode, reply.ar[0].edns_rcode, reply.ar[0].edns_ver) == (0, 1, 0)
    assert not reply.rr


def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp() -> None:
    made = front([(f"{D}/web/{at}", f'{{"host": "10.0.0.{at}"}}') for at in range(200)])
    for _ in range(2):
        cut = said(made, packet("web.skydns.local", edns=opt()))
        assert (cut.header.tc, len(cut.rr), len(cut.ar)) == (1, 0, 1)
        full = said(made, packet("web.skydns.local", edns=opt()), tcp=True)
        assert (full.header.tc, len(full.rr)) == (0, 200)
    assert (made.counts.computed, made.counts.cut) == (2, 1)


def test_an_answer_too_long_for_tcp_is_servfail() -> None:
    text = "x" * 40_000
    made = front([(f"{D}/t/{at}", f'{{"text": "{text}{at}"}}') for at in range(2)])
    assert said(made, packet("t.skydns.local", 16)).header.tc == 1
    reply = said(made, packet("t.skydns.local", 16), tcp=True)
    assert (reply.header.rcode, reply.header.tc, reply.rr) == (Rcode.SERVFAIL, 0, [])


def test_a_ttl_falls_second_by_second() -> None:
    clock = Clock()
    made = Front(SETTINGS, clock)
    made.apply(Changes("c", 1, (entry(f"{D}/a", '{"host": "10.0.0.1"}', NOW_S + 60),), reset=True))
    data = packet("a.skydns.local")
    assert [said(made, data).rr[0].ttl for _ in range(2)] == [60, 60]
    clock.now_s += 1
    made.tick()
    assert said(made, data).rr[0].ttl == 59


def test_the_serial_goes_on_with_the_hour() -> None:
    clock = Clock()
    made = Front(SETTINGS, clock)
    made.apply(whole([]))
    made.tick()
    data = packet("nothing.skydns.local")
    before = said(made, data).auth[0].rdata.times[0]
    clock.now_s += 3600
    made.tick()
    assert said(made, data).auth[0].rdata.times[0] == before + 3600


def test_blind_answers_promise_little() -> None:
    made = front([(f"{D}/a", '{"host": "10.0.0.1"}')])
    data = packet("a.skydns.local")
    ttls = []
    for blind in (False, True, True, False):
        made.set_blind(blind=blind)
        ttls.append(said(made, data).rr[0].ttl)
    assert ttls == [3600, 30, 30, 3600]


def test_denials_do_not_push_out_answers() -> None:
    made = front([(f"{D}/a", '{"host": "10.0.0.1"}')])
    made.reply(packet("a.skydns.local"))
    for at in range(fronts.DENIALS_MAX + 10):
        made.reply(packet(f"n{at}.skydns.local"))
    assert made.kept()[0] == fronts.DENIALS_MAX + 1
    before = made.counts.computed
    made.reply(packet("a.skydns.local"))
    assert made.counts.computed == before


def test_a_label_that_hides_a_zero_octet_is_answered_and_not_kept() -> None:
    made = front([(f"{D}/a", '{"host": "10.0.0.1"}')])
    hidden = packet("aXa.skydns.local").replace(b"aXa", b"a\0a")
    assert said(made, hidden).header.rcode == Rcode.NXDOMAIN
    assert made.kept()[0] == 0


class BrokenZone(Zone):
    def below(self, name: Name) -> Found:
        raise ZeroDivisionError(names.text(name))


def test_a_mistake_of_ours_is_servfail_for_one_question() -> None:
    made = front([(f"{D}/a", '{"host": "10.0.0.1"}')])
    sound, made.zone = made.zone, BrokenZone("/skydns")
    made.zone.loaded = True
    assert said(made, packet("a.skydns.local")).header.rcode == Rcode.SERVFAIL
    assert said(made, packet("skydns.local", 6)).header.rcode == Rcode.NOERROR
    assert made.counts.faults == 1
    assert str(made.last_fault) == "a.skydns.local."
    made.zone = sound
    assert said(made, packet("a.skydns.local")).header.rcode == Rcode.NOERROR


@given(st.binary(max_size=100))
def test_whatever_arrives_is_answered_or_dropped_and_the_canary_lives(data: bytes) -> None:
    made = front([(f"{D}/a", '{"host": "10.0.0.1"}')])
    for tcp in (False, True):
        reply = made.reply(data, tcp=tcp)
        assert reply is None or reply[:2] == data[:2]
        assert said(made, packet("a.skydns.local"), tcp=tcp).rr
    assert made.counts.faults == 0


LABELS = st.sampled_from(["a", "b", "any", "_x"])
PATHS = st.lists(LABELS, min_size=1, max_size=3).map(lambda path: "/".join([D, *path]))
HOSTS = st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "", "x.org", "a.skydns.local", "b.a."])
NAMES = st.lists(st.sampled_from(["a", "A", "b", "*", "_x"]), max_size=3)


class CachedAndFresh(RuleBasedStateMachine):
    """Whatever changes, a kept answer is one that would be made now."""

    @initialize()
    def start(self) -> None:
        self.clock = Clock()
        self.view = View()
        self.cached = Front(SETTINGS, self.clock)
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

    @rule(blind=st.booleans())
    def lose_sight(self, blind: bool) -> None:
        self.cached.set_blind(blind=blind)

    @rule(
        labels=NAMES,
        kind=st.sampled_from([1, 2, 5, 6, 16, 28, 33, 65, 255]),
        edns=st.sampled_from([b"", opt(), opt(512)]),
        tcp=st.booleans(),
    )
    def ask(self, labels: list[str], kind: int, edns: bytes, tcp: bool) -> None:
        data = packet(".".join([*labels, "skydns.local"]), kind, edns=edns)
        fresh = Front(SETTINGS, self.clock)
        fresh.set_blind(blind=self.cached.blind)
        fresh.apply(Changes("c", 1, tuple(self.view.entries.values()), reset=True))
        possible = {fresh.reply(data, tcp=tcp) for _ in range(8)}
        assert self.cached.reply(data, tcp=tcp) in possible


TestCachedAndFresh = CachedAndFresh.TestCase
