import pytest

from rig.dns_packets import SETTINGS
from skydns.core.dns import name as names
from skydns.core.store_config import merged, server


def test_the_store_beats_the_flags() -> None:
    settings, idle = merged(
        SETTINGS,
        '{"ttl": 60, "min_ttl": 5, "priority": 3, "domain": "a.org,b.org", "round_robin": false,'
        ' "hostmaster": "me@a.org", "local": "x.a.org", "nameservers": ["10.0.0.1", "[::1]:54"],'
        ' "ndot": 1, "read_timeout": 1500000000, "ns_rotate": false, "dns_addr": "0.0.0.0:53"}',
    )
    assert (settings.ttl_s, settings.negative_ttl_s, settings.priority) == (60, 5, 3)
    assert settings.domains == (names.parse("a.org"), names.parse("b.org"))
    assert settings.nameservers == (("10.0.0.1", 53), ("::1", 54))
    assert (settings.ndots, settings.upstream_timeout_s, settings.ns_rotate) == (1, 1.5, False)
    assert (settings.hostmaster, settings.local) == (
        names.parse("me.a.org"),
        names.parse("x.a.org"),
    )
    assert idle == ["dns_addr"]
    assert merged(SETTINGS, "{}") == (SETTINGS, [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "truncated"),
        ("[]", "object"),
        ('{"tll": 1}', "'tll' is no setting; there are domain"),
        ('{"ttl": "60"}', "ttl: '60' is no whole number"),
        ('{"ttl": true}', "ttl: True"),
        ('{"ttl": 0}', "from 1 to"),
        ('{"domain": ""}', "empty label"),
        ('{"domain": []}', "at least one"),
        ('{"round_robin": "yes"}', "neither true nor false"),
        ('{"nameservers": "10.0.0.1"}', "no list"),
        ('{"nameservers": ["10.0.0.1:x"]}', "not an address"),
        ('{"read_timeout": "soon"}', "no time"),
        ('{"read_timeout": true}', "no time"),
        ('{"read_timeout": "2m"}', "not between"),
        ('{"hostmaster": 5}', "no string"),
    ],
)
def test_what_is_wrong_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)" + reason.replace("[", r"\[")):
        merged(SETTINGS, text)


def test_no_recursion_is_no_nameservers() -> None:
    settings, _ = merged(SETTINGS, '{"nameservers": ["10.0.0.1"], "no_rec": true}')
    assert settings.nameservers == ()


def test_a_duration_is_written_as_in_go_or_as_a_number() -> None:
    for text, seconds in (('"500ms"', 0.5), ('"2s"', 2.0), ("3", 3.0), ("2000000000", 2.0)):
        settings, _ = merged(SETTINGS, f'{{"read_timeout": {text}}}')
        assert settings.upstream_timeout_s == seconds


def test_a_server_has_port_53() -> None:
    assert server("10.0.0.1") == ("10.0.0.1", 53)
    assert server("2001:db8::1") == ("2001:db8::1", 53)
    assert server("[::1]:5353") == ("::1", 5353)
