import pytest

from rig.dns_packets import CONFIG
from skydns.core.dns import name as names
from skydns.core.store_config import merged, server


def test_settings_in_the_store_override_the_flags() -> None:
    config, ignored = merged(
        CONFIG,
        '{"ttl": 60, "min_ttl": 5, "priority": 3, "domain": "a.org,b.org", "round_robin": false,'
        ' "hostmaster": "me@a.org", "local": "x.a.org", "nameservers": ["10.0.0.1", "[::1]:54"],'
        ' "ndot": 1, "read_timeout": 1500000000, "ns_rotate": false, "dns_addr": "0.0.0.0:53"}',
    )
    assert (config.ttl_s, config.negative_ttl_s, config.priority) == (60, 5, 3)
    assert config.domains == (names.parse("a.org"), names.parse("b.org"))
    assert config.nameservers == (("10.0.0.1", 53), ("::1", 54))
    assert (config.ndots, config.upstream_timeout_s, config.ns_rotate) == (1, 1.5, False)
    assert (config.hostmaster, config.local) == (
        names.parse("me.a.org"),
        names.parse("x.a.org"),
    )
    assert ignored == ["dns_addr"]
    assert merged(CONFIG, "{}") == (CONFIG, [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "truncated"),
        ("[]", "object"),
        ('{"tll": 1}', "'tll' is not a setting; the settings are domain"),
        ('{"ttl": "60"}', "ttl: '60' is not a whole number"),
        ('{"ttl": true}', "ttl: True"),
        ('{"ttl": 0}', "from 1 to"),
        ('{"domain": ""}', "empty label"),
        ('{"domain": []}', "at least one"),
        ('{"round_robin": "yes"}', "neither true nor false"),
        ('{"nameservers": "10.0.0.1"}', "not a list"),
        ('{"nameservers": ["10.0.0.1:x"]}', "not an address"),
        ('{"read_timeout": "soon"}', "not a duration"),
        ('{"read_timeout": true}', "not a duration"),
        ('{"read_timeout": "2m"}', "not between"),
        ('{"hostmaster": 5}', "not a string"),
    ],
)
def test_a_wrong_setting_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)" + reason.replace("[", r"\[")):
        merged(CONFIG, text)


def test_no_rec_removes_the_nameservers() -> None:
    config, _ = merged(CONFIG, '{"nameservers": ["10.0.0.1"], "no_rec": true}')
    assert config.nameservers == ()


def test_a_duration_is_a_text_as_in_go_or_a_number() -> None:
    for text, seconds in (('"500ms"', 0.5), ('"2s"', 2.0), ("3", 3.0), ("2000000000", 2.0)):
        config, _ = merged(CONFIG, f'{{"read_timeout": {text}}}')
        assert config.upstream_timeout_s == seconds


def test_the_default_port_of_a_server_is_53() -> None:
    assert server("10.0.0.1") == ("10.0.0.1", 53)
    assert server("2001:db8::1") == ("2001:db8::1", 53)
    assert server("[::1]:5353") == ("::1", 5353)
