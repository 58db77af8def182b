import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rig.dns_packets import DOMAIN, NOW_S, SETTINGS, ask, entry, whole, world
from skydns.core.config import Settings
from skydns.core.dns import name as names
from skydns.core.dns.rr import CLASS_CHAOS, Extended, Rcode, RRset, Txt, Type, describe
from skydns.core.zone.answer import LOOKUPS_MAX, NOT_OURS, Answer, Question, answer
from skydns.core.zone.lookup import World
from skydns.core.zone.zone import SERVICES_MAX, Zone

D = "/skydns/local/skydns"


def test_before_the_first_data_nothing_is_known() -> None:
    empty = World(Zone("/skydns"), SETTINGS, NOW_S)
    assert ask(empty, "web.skydns.local") == Answer(Rcode.SERVFAIL, extended=Extended.NOT_READY)
    assert ask(empty, "example.org") == NOT_OURS


def test_other_classes_are_refused() -> None:
    for klass in (CLASS_CHAOS, 4, 255):
        assert answer(Question(DOMAIN, Type.A, klass=klass), world([])) == NOT_OURS


def test_chaos_says_who_we_are_but_not_what() -> None:
    named = world([], msgspec.structs.replace(SETTINGS, identity="node7"))
    for name in ("id.server", "hostname.bind"):
        said = answer(Question(names.parse(name), Type.TXT, CLASS_CHAOS), named)
        assert (said.answer[0].data, said.answer[0].klass) == ((Txt(b"node7"),), CLASS_CHAOS)
    version = Question(names.parse("version.bind"), Type.TXT, CLASS_CHAOS)
    assert answer(version, named) == NOT_OURS


def test_the_reasons_are_those_of_the_answer() -> None:
    keys = [
        (f"{D}/web/x1", '{"host": "10.0.0.1", "weight": 30, "ttl": 60, "group": "a"}'),
        (f"{D}/web/x2", '{"host": "10.0.0.2", "weight": 70, "group": "a"}'),
        (f"{D}/web/sub/x3", '{"host": "10.0.0.3", "group": "b"}'),
        (f"{D}/web/bad", '{"port": "80"}'),
    ]
    notes: list[str] = []
    question = Question(names.parse("web.skydns.local"), Type.SRV)
    said = answer(question, world(keys), notes=notes)
    assert said == answer(question, world(keys))
    text = "\n".join(notes)
    assert f"key: {D}/web/x1 index 1" in text
    assert f"out: {D}/web/sub/x3 is of group 'b'" in text
    assert f"out: {D}/web/bad: Expected `int`" in text
    assert f"weight: {D}/web/x1: 100 * 30 // 100 of priority 10 = 30" in text
    assert f"ttl: web.skydns.local. SRV 60: the key's ttl of {D}/web/x1" in text


def test_a_name_with_more_services_than_fit_is_servfail_and_says_what_it_rests_on() -> None:
    keys = [(f"{D}/big/{at}", '{"host": "10.0.0.1"}') for at in range(SERVICES_MAX + 1)]
    asked = world([*keys, (f"{D}/srv", '{"host": "big.skydns.local"}'), (f"{D}/ok", "{}")])
    said = ask(asked, "big.skydns.local")
    assert (said.rcode, said.answer, said.reads) == (Rcode.SERVFAIL, (), {(b"big", *DOMAIN)})
    assert ask(asked, "skydns.local", "SOA").rcode is Rcode.NOERROR
    assert ask(asked, "big.skydns.local", "TYPE65").rcode is Rcode.NOERROR
    srv = ask(asked, "srv.skydns.local", "SRV")
    assert (len(srv.answer), srv.additional) == (1, ())


def test_an_answer_looks_up_a_bounded_number_of_names() -> None:
    keys = [
        (f"{D}/l{level}/{at}", f'{{"host": "l{level + 1}.skydns.local"}}')
        for level in range(9)
        for at in range(10)
    ]
    said = ask(world(keys), "l0.skydns.local")
    assert (said.rcode, said.answer) == (Rcode.NOERROR, ())
    many = [(f"{D}/m/{at}", f'{{"host": "t{at}.skydns.local"}}') for at in range(300)]
    assert len(ask(world(many), "m.skydns.local", "SRV").reads) <= LOOKUPS_MAX


def test_turns_give_every_address_the_first_place() -> None:
    keys = [(f"{D}/web/{at:02}", f'{{"host": "10.0.0.{at}"}}') for at in range(20)]
    asked = world(keys)
    first = ask(asked, "web.skydns.local")
    assert first.turns == 8
    orders = [ask(asked, "web.skydns.local", turn=turn).answer[0].data for turn in range(8)]
    assert len({order[0] for order in orders}) == 8
    assert all(set(order) == set(orders[0]) for order in orders)
    assert ask(asked, "web.skydns.local", "SRV").turns == 1


def test_an_answer_that_changes_with_time_is_passing() -> None:
    zone = Zone("/skydns")
    key = f"{D}/a"
    zone.apply(whole([]))
    for life_s, passing in ((90.0, True), (-1.0, True), (-3.0, False)):
        zone._put((entry(key, '{"host": "10.0.0.1"}', NOW_S + life_s),)).__next__()
        said = ask(World(zone, SETTINGS, NOW_S), "a.skydns.local")
        assert said.passing is passing


def test_an_answer_rests_on_every_name_it_looked_at() -> None:
    keys = [
        (f"{D}/www", '{"host": "web.skydns.local"}'),
        (f"{D}/web/x", '{"host": "10.0.0.1"}'),
    ]
    asked = world(keys)
    assert ask(asked, "www.skydns.local").reads == {(b"www", *DOMAIN), (b"web", *DOMAIN)}
    assert ask(asked, "a.*.b.skydns.local").reads == {(b"b", *DOMAIN)}
    assert ask(asked, "skydns.local", "NS").reads == {(b"ns", b"dns", *DOMAIN)}


LABELS = st.sampled_from(["a", "b", "c", "*", "any", "_x", "dns", "ns", "config"])
HOSTS = st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "", "x.org"]) | st.lists(
    LABELS, max_size=3
).map(lambda labels: ".".join([*labels, "skydns.local"]))
VALUES = st.builds(
    lambda host, text, strip, mail: (
        f'{{"host": "{host}", "text": "{text}", "targetstrip": {strip}, "mail": {mail}}}'
    ),
    HOSTS,
    st.sampled_from(["", "t"]),
    st.integers(0, 5),
    st.sampled_from(["true", "false"]),
)
ZONES = st.dictionaries(
    st.lists(LABELS, min_size=1, max_size=3).map(lambda path: "/".join([D, *path])), VALUES
)
QUESTIONS = st.tuples(
    st.lists(LABELS, max_size=4).map(lambda labels: ".".join([*labels, "skydns.local"])),
    st.sampled_from(["A", "AAAA", "SRV", "TXT", "MX", "CNAME", "NS", "SOA", "PTR", "ANY"]),
    st.integers(0, 9),
)


@given(ZONES, QUESTIONS)
def test_every_answer_is_one_a_resolver_accepts(
    keys: dict[str, str], question: tuple[str, str, int]
) -> None:
    said = ask(world(keys.items()), *question)
    assert said.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}
    assert said.authoritative
    assert bool(said.answer) != bool(said.authority)
    assert all(rrset.data and rrset.ttl_s >= 0 for rrset in said.answer)
    for section in (said.answer, said.additional):
        kinds: dict[object, list[RRset]] = {}
        for rrset in section:
            kinds.setdefault(rrset.name, []).append(rrset)
            assert len(set(rrset.data)) == len(rrset.data)
            assert describe(rrset)
        for rrsets in kinds.values():
            types = [rrset.type for rrset in rrsets]
            assert len(types) == len(set(types))
            assert Type.CNAME not in types or types == [Type.CNAME]


def test_a_name_in_two_domains_belongs_to_the_longer() -> None:
    settings = Settings(domains=((b"local",), DOMAIN))
    assert ask(world([], settings), "x.skydns.local").authority[0].name == DOMAIN
