import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core.store_protocol import Entry
from rig.dns_packets import entry
from skydns.core.zone.service import InvalidKey, Service, read

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
    service = read(Entry(KEY, json.dumps(value), 1, 1, 99.5), "/skydns")
    assert isinstance(service, Service)
    assert (service.key, service.name, service.host) == (KEY, NAME, (b"db", b"example", b"org"))
    assert (service.address, service.text, service.expires_at) == (b"", "grün".encode(), 99.5)
    assert (service.value.priority, service.weight, service.target) == (
        20,
        5,
        (b"example", b"org"),
    )
    assert (service.value.mail, service.value.ttl, service.value.group) == (True, 30, "g")


def test_fields_that_are_not_given_have_defaults() -> None:
    service = read(entry(KEY, "{}"), "/skydns")
    assert isinstance(service, Service)
    assert (service.weight, service.host, service.address) == (100, (), b"")
    assert service.target == ()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.1", bytes((10, 0, 0, 1))),
        ("::1", bytes(15) + b"\1"),
        ("::ffff:10.0.0.1", bytes((10, 0, 0, 1))),
    ],
)
def test_an_address_is_read_as_octets(host: str, address: bytes) -> None:
    service = read(entry(KEY, json.dumps({"host": host})), "/skydns")
    assert isinstance(service, Service)
    assert (service.address, service.host, service.target) == (address, (), NAME)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "Input data was truncated; write a service as {"),
        ("10.0.0.1", "Expected `object`, got `float`"),
        ("web", "JSON is malformed"),
        ("[]", "Expected `object`, got `array`"),
        ('"10.0.0.1"', "Expected `object`, got `str`"),
        ('{"port": "80"}', "$.port"),
        ('{"port": 65536}', "<= 65535"),
        ('{"weight": -1}', "$.weight"),
        ('{"ttl": 4294967296}', "$.ttl"),
        ('{"targetstrip": 128}', "$.targetstrip"),
        ('{"host": "10.0.0.1:80"}', "write a port in the field"),
        ('{"host": "fe80::1%eth0"}', "has a zone"),
        ('{"host": "a..b"}', "host: 'a..b' is not a domain name"),
        ('{"host": "grün.local"}', "xn--"),
        (json.dumps({"text": "x" * 60_001}), "text: it has 60001 bytes"),
    ],
)
def test_a_bad_value_is_an_invalid_key_with_a_name(value: str, reason: str) -> None:
    bad = read(entry(KEY, value), "/skydns")
    assert isinstance(bad, InvalidKey)
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
def test_a_bad_key_is_an_invalid_key_without_a_name(key: str, reason: str) -> None:
    bad = read(entry(key, "{}"), "/skydns")
    assert isinstance(bad, InvalidKey)
    assert bad.name is None
    assert reason in bad.reason


@given(st.text(), st.text())
def test_any_entry_is_a_service_or_an_invalid_key(key: str, value: str) -> None:
    leaf = read(entry("/skydns/" + key, value), "/skydns")
    assert isinstance(leaf, Service) or leaf.reason
