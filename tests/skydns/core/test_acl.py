import pytest

from skydns.core.acl import NetworkList, networks

INSIDE, OUTSIDE = bytes((10, 0, 0, 1)), bytes((10, 0, 1, 1))


def test_a_client_is_matched_by_its_network() -> None:
    clients = NetworkList(("10.0.0.0/24", "2001:db8::/32"))
    assert INSIDE in clients
    assert OUTSIDE not in clients
    assert bytes.fromhex("20010db8") + bytes(12) in clients
    assert bytes(10) + b"\xff\xff" + INSIDE in clients
    assert b"" not in clients
    assert INSIDE in clients


def test_a_text_that_is_not_a_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        networks(["10.0.0.1/8"])
