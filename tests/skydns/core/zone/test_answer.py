import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rig.dns_packets import CONFIG, DOMAIN, NOW_S, ask, entry, reset_to, snapshot
from skydns.core.config import Config
from skydns.core.dns import name as names
from skydns.core.dns.rr import CLASS_CHAOS, ExtendedError, Rcode, RRset, RRType, Txt, describe
from skydns.core.zone.answer import LOOKUPS_MAX, REFUSED, Answer, Question, answer
from skydns.core.zone.lookup import Snapshot
from skydns.core.zone.zone import SERVICES_MAX, Zone

D = "/skydns/local/skydns"


def test_before_the_first_data_the_answer_is_servfail() -> None:
    empty = Snapshot(Zone("/skydns"), CONFIG, NOW_S)
    assert ask(empty, "web.skydns.local") == Answer(
        Rcode.SERVFAIL, extended_error=ExtendedError.NOT_READY
    )
    assert ask(empty, "example.org") == REFUSED


def test_other_classes_are_refused() -> None:
    for rclass in (CLASS_CHAOS, 4, 255):
        assert answer(Question(DOMAIN, RRType.A, rclass=rclass), snapshot([])) == REFUSED


def test_class_chaos_returns_the_name_of_the_server_but_not_its_version() -> None:
    named = snapshot([], msgspec.structs.replace(CONFIG, identity="node7"))
    for name in ("id.server", "hostname.bind"):
        reply = answer(Question(names.parse(name), RRType.TXT, CLASS_CHAOS), named)
        assert (reply.answer[0].data, reply.answer[0].rclass) == ((Txt(b"node7"),), CLASS_CHAOS)
    version = Question(names.parse("version.bind"), RRType.TXT, CLASS_CHAOS)
    assert answer(version, named) == REFUSED


def test_the_notes_explain_the_answer() -> None:
    keys = [
        (f"{D}/web/x1", '{"host": "10.0.0.1", "weight": 30, "ttl": 60, "group": "a"}'),
        (f"{D}/web/x2", '{"host": "10.0.0.2", "weight": 70, "group": "a"}'),
        (f"{D}/web/sub/x3", '{"host": "10.0.0.3", "group": "b"}'),
        (f"{D}/web/bad", '{"port": "80"}'),
    ]
    notes: list[str] = []
    question = Question(names.parse("web.skydns.local"), RRType.SRV)
    reply = answer(question, snapshot(keys), notes=notes)
    assert reply == answer(question, snapshot(keys))
    text = "\n".join(notes)
    assert f"key: {D}/web/x1 index 1" in text
    assert f"skip: {D}/web/sub/x3 is in group 'b'" in text
    assert f"skip: {D}/web/bad: Expected `int`" in text
    assert f"weight: {D}/web/x1: 100 * 30 // 100 of priority 10 = 30" in text
    assert f"ttl: web.skydns.local. SRV 60: the ttl of {D}/web/x1" in text


def test_a_name_with_too_many_services_is_servfail_with_its_dependencies() -> None:
    keys = [(f"{D}/big/{at}", '{"host": "10.0.0.1"}') for at in range(SERVICES_MAX + 1)]
    asked = snapshot([*keys, (f"{D}/srv", '{"host": "big.skydns.local"}'), (f"{D}/ok", "{}")])
    reply = ask(asked, "big.skydns.local")
    assert (reply.rcode, reply.answer, reply.dependencies) == (
        Rcode.SERVFAIL,
        (),
        {(b"big", *DOMAIN)},
    )
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
    reply = ask(snapshot(keys), "l0.skydns.local")
    assert (reply.rcode, reply.answer) == (Rcode.NOERROR, ())
    many = [(f"{D}/m/{at}", f'{{"host": "t{at}.skydns.local"}}') for at in range(300)]
    assert len(ask(snapshot(many), "m.skydns.local", "SRV").dependencies) <= LOOKUPS_MAX


def test_rotations_put_every_address_first() -> None:
    keys = [(f"{D}/web/{at:02}", f'{{"host": "10.0.0.{at}"}}') for at in range(20)]
    asked = snapshot(keys)
    first = ask(asked, "web.skydns.local")
    orders = [order[0].data for order in first.orders]
    assert len(orders) == 8
    assert len({order[0] for order in orders}) == 8
    assert all(set(order) == set(orders[0]) for order in orders)
    assert ask(asked, "web.skydns.local", "SRV").rotations == ()


def test_an_answer_that_changes_with_time_is_volatile() -> None:
    zone = Zone("/skydns")
    key = f"{D}/a"
    zone.apply(reset_to([]))
    for life_s, volatile in ((90.0, True), (-1.0, True), (-3.0, False)):
        zone._put((entry(key, '{"host": "10.0.0.1"}', NOW_S + life_s),)).__next__()
        reply = ask(Snapshot(zone, CONFIG, NOW_S), "a.skydns.local")
        assert reply.volatile is volatile


def test_an_answer_depends_on_every_name_it_looked_up() -> None:
    keys = [
        (f"{D}/www", '{"host": "web.skydns.local"}'),
        (f"{D}/web/x", '{"host": "10.0.0.1"}'),
    ]
    asked = snapshot(keys)
    assert ask(asked, "www.skydns.local").dependencies == {(b"www", *DOMAIN), (b"web", *DOMAIN)}
    assert ask(asked, "a.*.b.skydns.local").dependencies == {(b"b", *DOMAIN)}
    assert ask(asked, "skydns.local", "NS").dependencies == {(b"ns", b"dns", *DOMAIN)}


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
def test_every_answer_is_valid_for_a_resolver(
    keys: dict[str, str], question: tuple[str, str, int]
) -> None:
    reply = ask(snapshot(keys.items()), *question)
    assert reply.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}
    assert reply.authoritative
    assert bool(reply.answer) != bool(reply.authority)
    assert all(rrset.data and rrset.ttl_s >= 0 for rrset in reply.answer)
    for section in (reply.answer, reply.additional):
        kinds: dict[object, list[RRset]] = {}
        for rrset in section:
            kinds.setdefault(rrset.name, []).append(rrset)
            assert len(set(rrset.data)) == len(rrset.data)
            assert describe(rrset)
        for rrsets in kinds.values():
            types = [rrset.type for rrset in rrsets]
            assert len(types) == len(set(types))
            assert RRType.CNAME not in types or types == [RRType.CNAME]


def test_a_name_in_two_domains_belongs_to_the_longer() -> None:
    settings = Config(domains=((b"local",), DOMAIN))
    assert ask(snapshot([], settings), "x.skydns.local").authority[0].name == DOMAIN
