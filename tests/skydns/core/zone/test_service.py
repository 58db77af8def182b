import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core.store_protocol import Entry
from rig.dns_packets import entry
from skydns.core.zone.service import Bad, Record, is_config, name_of, read

KEY = "/skydns/local/skydns/web/x1"
NAME = (b"x1", b"web", b"skydns", b"local")


def test_a_service_is_read_in_full() -> None:
    value = {
        "host": "db.Example.org",
        "port": 5432,
        "priority": 20,
        "weight": 5,
        "text": "grün",
        "mail": True,
        "ttl": 30,
        "targetstrip": 1,
        "group": "g",
        "unknown": ["ignored"],
    }
    record = read(Entry(KEY, json.dumps(value), 1, 1, 99.5), "/skydns")
    assert isinstance(record, Record)
    assert (record.key, record.name, record.host) == (KEY, NAME, (b"db", b"example", b"org"))
    assert (record.address, record.text, record.expires_at) == (b"", "grün".encode(), 99.5)
    assert (record.service.priority, record.weight, record.target) == (20, 5, (b"example", b"org"))
    assert (record.service.mail, record.service.ttl, record.service.group) == (True, 30, "g")


def test_what_is_not_given_has_its_default() -> None:
    record = read(entry(KEY, "{}"), "/skydns")
    assert isinstance(record, Record)
    assert (record.weight, record.host, record.address) == (100, (), b"")
    assert record.target == ()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.1", bytes((10, 0, 0, 1))),
        ("::1", bytes(15) + b"\1"),
        ("::ffff:10.0.0.1", bytes((10, 0, 0, 1))),
    ],
)
def test_an_address_is_its_octets(host: str, address: bytes) -> None:
    record = read(entry(KEY, json.dumps({"host": host})), "/skydns")
    assert isinstance(record, Record)
    assert (record.address, record.host, record.target) == (address, (), NAME)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "Input data was truncated; a service is written as {"),
        ("10.0.0.1", "Expected `object`, got `float`"),
        ("web", "JSON is malformed"),
        ("[]", "Expected `object`, got `array`"),
        ('"10.0.0.1"', "Expected `object`, got `str`"),
        ('{"port": "80"}', "$.port"),
        ('{"port": 65536}', "<= 65535"),
        ('{"weight": -1}', "$.weight"),
        ('{"ttl": 4294967296}', "$.ttl"),
        ('{"targetstrip": 128}', "$.targetstrip"),
        ('{"host": "10.0.0.1:80"}', "the port has its own field"),
        ('{"host": "fe80::1%eth0"}', "has a zone"),
        ('{"host": "a..b"}', "host: 'a..b' is no domain name"),
        ('{"host": "grün.local"}', "xn--"),
        (json.dumps({"text": "x" * 60_001}), "text: 60001 bytes"),
    ],
)
def test_a_bad_value_is_a_reason_at_a_name(value: str, reason: str) -> None:
    bad = read(entry(KEY, value), "/skydns")
    assert isinstance(bad, Bad)
    assert (bad.key, bad.name) == (KEY, NAME)
    assert reason in bad.reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("/skydns", "no name"),
        ("/skydns/", "empty label"),
        ("/skydns/a//b", "empty label"),
        ("/skydns/local/Web", "upper-case"),
        ("/skydns/local/a.b", "has a dot"),
        ("/skydns/local/a b", "printable ASCII"),
        (f"/skydns/{'x' * 64}", "longer than 63"),
    ],
)
def test_a_bad_key_is_a_reason_without_a_name(key: str, reason: str) -> None:
    bad = read(entry(key, "{}"), "/skydns")
    assert isinstance(bad, Bad)
    assert bad.name is None
    assert reason in bad.reason


def test_the_prefix_may_be_any_path() -> None:
    assert name_of("/a/b/local/web", "/a/b") == (b"web", b"local")


def test_the_settings_of_the_daemon_are_no_service() -> None:
    assert is_config("/skydns/config", "/skydns")
    assert is_config("/skydns/config/x", "/skydns")
    assert not is_config("/skydns/configuration", "/skydns")


@given(st.text(), st.text())
def test_whatever_is_written_is_a_record_or_a_reason(key: str, value: str) -> None:
    leaf = read(entry("/skydns/" + key, value), "/skydns")
    assert isinstance(leaf, Record) or leaf.reason
