from rig.dns_packets import DOMAIN, SETTINGS, entry, whole
from skydns.core.heavy_hitters import Top
from skydns.core.zone.lint import lint
from skydns.core.zone.stub_zones import stubs
from skydns.core.zone.zone import SERVICES_MAX, Zone

D = "/skydns/local/skydns"


def reasons(*keys: tuple[str, str]) -> dict[str, str]:
    return {found.key: found.reason for found in lint([entry(*key) for key in keys], SETTINGS)}


def test_what_is_right_is_not_mentioned() -> None:
    good = [
        (f"{D}/web/x1", '{"host": "10.0.0.1", "port": 80}'),
        (f"{D}/web/x2", '{"host": "10.0.0.2", "port": 80, "ttl": 60}'),
        (f"{D}/www", '{"host": "web.skydns.local"}'),
        (f"{D}/out", '{"host": "www.example.org"}'),
        ("/skydns/arpa/in-addr/10/0/0/1", '{"host": "x1.web.skydns.local"}'),
        ("/skydns/config", '{"ttl": 60}'),
    ]
    assert reasons(*good) == {}


def test_each_oddity_has_its_reason() -> None:
    odd = {
        f"{D}/port": ('{"port": "80"}', "Expected `int`"),
        f"{D}/Upper": ('{"host": "10.0.0.1"}', "upper-case"),
        f"{D}/lost": ('{"host": "gone.skydns.local"}', "does not exist"),
        f"{D}/self": ('{"host": "self.skydns.local"}', "leads back"),
        f"{D}/typo": ('{"host": "10.0.0.1", "prot": 80}', "'prot' is no field"),
        f"{D}/none": ("{}", "neither host nor text"),
        f"{D}/mail": ('{"text": "x", "mail": true}', "without a host"),
        f"{D}/pinned": ('{"host": "10.0.0.7", "ttl": 99999999}', "more than a day"),
        f"{D}/strip": ('{"host": "10.0.0.8", "targetstrip": 99}', "leaves nothing"),
        f"{D}/any": ('{"host": "10.0.0.9"}', "takes for every label"),
        "/skydns/org/other/x": ('{"host": "10.0.0.1"}', "no domain"),
        "/skydns/arpa/in-addr/10/0/0/9": ('{"host": "10.0.0.1"}', "without a name"),
        "/skydns/config": ('{"dnssec": "K"}', "no effect"),
        "/skydns/config/x": ("", "below the settings"),
    }
    found = reasons(*((key, value) for key, (value, _) in odd.items()))
    assert {key for key, (_, reason) in odd.items() if reason not in found.get(key, "")} == set()
    errors = [each.key for each in lint([entry(f"{D}/a", "{"), entry(f"{D}/b", "{}")], SETTINGS)]
    assert errors == [f"{D}/a", f"{D}/b"]
    assert "ttl" in reasons(("/skydns/config", '{"ttl": 0}'))["/skydns/config"]


def test_doubles_chains_and_crowds_are_found() -> None:
    doubles = reasons((f"{D}/w/a", '{"host": "10.0.0.1"}'), (f"{D}/w/b", '{"host": "10.0.0.1"}'))
    assert doubles == {f"{D}/w/b": f"says the same as {D}/w/a"}
    chain = [(f"{D}/c{at}", f'{{"host": "c{at + 1}.skydns.local"}}') for at in range(12)]
    said = reasons(*chain, (f"{D}/c12", '{"host": "10.0.0.1"}'))
    assert "more than 8 aliases" in said[f"{D}/c0"]
    assert f"{D}/c11" not in said
    crowd = [(f"{D}/big/{at}", f'{{"host": "10.0.{at >> 8}.{at & 255}"}}') for at in range(4097)]
    assert str(SERVICES_MAX) in reasons(*crowd)[f"{D}/big"]


def test_stub_zones_are_services_below_stub_dns() -> None:
    zone = Zone("/skydns")
    zone.apply(
        whole(
            [
                (f"{D}/dns/stub/org/example/a", '{"host": "10.0.0.1", "port": 5353}'),
                (f"{D}/dns/stub/org/example/b", '{"host": "::1"}'),
                (f"{D}/dns/stub/org/example/c", '{"host": "named.example.org"}'),
                (f"{D}/dns/stub/toplevel", '{"host": "10.0.0.2"}'),
            ]
        )
    )
    servers = (("10.0.0.1", 5353), ("::1", 53))
    assert stubs(zone, [DOMAIN]) == {(b"example", b"org"): servers}


def test_the_most_frequent_are_found_in_little_room() -> None:
    top = Top(room=10)
    for number in range(1000):
        top.count(b"often", 2)
        top.count(b"rare%d" % number)
    assert top.most(1)[0][0] == b"often"
    assert len(top._counts) <= 10
    before = dict(top.most(10))[b"often"]
    top.halve()
    assert dict(top.most(10))[b"often"] == before // 2
    top.count(b"heavy", 10_000)
    assert top.most(1)[0][0] == b"heavy"
