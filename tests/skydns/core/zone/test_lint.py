from rig.dns_packets import CONFIG, entry
from skydns.core.zone.lint import lint
from skydns.core.zone.zone import SERVICES_MAX

D = "/skydns/local/skydns"


def reasons(*keys: tuple[str, str]) -> dict[str, str]:
    return {found.key: found.reason for found in lint([entry(*key) for key in keys], CONFIG)}


def test_keys_that_are_right_have_no_finding() -> None:
    good = [
        (f"{D}/web/x1", '{"host": "10.0.0.1", "port": 80}'),
        (f"{D}/web/x2", '{"host": "10.0.0.2", "port": 80, "ttl": 60}'),
        (f"{D}/www", '{"host": "web.skydns.local"}'),
        (f"{D}/out", '{"host": "www.example.org"}'),
        ("/skydns/arpa/in-addr/10/0/0/1", '{"host": "x1.web.skydns.local"}'),
        ("/skydns/config", '{"ttl": 60}'),
    ]
    assert reasons(*good) == {}


def test_each_finding_has_a_reason() -> None:
    wrong = {
        f"{D}/port": ('{"port": "80"}', "Expected `int`"),
        f"{D}/Upper": ('{"host": "10.0.0.1"}', "upper-case"),
        f"{D}/lost": ('{"host": "gone.skydns.local"}', "does not exist"),
        f"{D}/self": ('{"host": "self.skydns.local"}', "leads back"),
        f"{D}/typo": ('{"host": "10.0.0.1", "prot": 80}', "'prot' is not a field"),
        f"{D}/none": ("{}", "neither host nor text"),
        f"{D}/mail": ('{"text": "x", "mail": true}', "no host"),
        f"{D}/pinned": ('{"host": "10.0.0.7", "ttl": 99999999}', "lowered to a day"),
        f"{D}/strip": ('{"host": "10.0.0.8", "targetstrip": 99}', "leaves no label"),
        f"{D}/any": ('{"host": "10.0.0.9"}', "matches every label"),
        "/skydns/org/other/x": ('{"host": "10.0.0.1"}', "none of the domains"),
        "/skydns/arpa/in-addr/10/0/0/9": ('{"host": "10.0.0.1"}', "host is not a name"),
        "/skydns/config": ('{"dnssec": "K"}', "no effect"),
        "/skydns/config/x": ("", "below the settings"),
    }
    found = reasons(*((key, value) for key, (value, _) in wrong.items()))
    assert {key for key, (_, reason) in wrong.items() if reason not in found.get(key, "")} == set()
    errors = [each.key for each in lint([entry(f"{D}/a", "{"), entry(f"{D}/b", "{}")], CONFIG)]
    assert errors == [f"{D}/a", f"{D}/b"]
    assert "ttl" in reasons(("/skydns/config", '{"ttl": 0}'))["/skydns/config"]


def test_duplicates_long_alias_chains_and_too_many_services_are_found() -> None:
    duplicates = reasons((f"{D}/w/a", '{"host": "10.0.0.1"}'), (f"{D}/w/b", '{"host": "10.0.0.1"}'))
    assert duplicates == {f"{D}/w/b": f"is a duplicate of {D}/w/a"}
    chain = [(f"{D}/c{at}", f'{{"host": "c{at + 1}.skydns.local"}}') for at in range(12)]
    found = reasons(*chain, (f"{D}/c12", '{"host": "10.0.0.1"}'))
    assert "more than 8 other aliases" in found[f"{D}/c0"]
    assert f"{D}/c11" not in found
    many = [(f"{D}/big/{at}", f'{{"host": "10.0.{at >> 8}.{at & 255}"}}') for at in range(4097)]
    assert str(SERVICES_MAX) in reasons(*many)[f"{D}/big"]


def test_the_domains_are_those_of_the_settings_in_the_store() -> None:
    keys = [("/skydns/org/other/x", '{"host": "10.0.0.1"}')]
    assert "(skydns.local.; see --domain)" in reasons(*keys)["/skydns/org/other/x"]
    assert reasons(*keys, ("/skydns/config", '{"domain": "other.org."}')) == {}
    assert "see --domain" in reasons(*keys, ("/skydns/config", "{"))["/skydns/org/other/x"]
