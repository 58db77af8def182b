"""Requests to change the cluster."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.bootstrap import discovery_service
from coordinator.core.v2api import members_api
from coordinator.core.v2api.members_api import (
    AddMember,
    MembersRequest,
    PromoteMember,
    RejectedRequest,
    RemoveMember,
    TransferLeadership,
)
from tests.coordinator.core.v2api.test_info_pages import OTHER, member_status

JSON = b"application/json"


def asked(method: bytes, path: str, body: bytes = b"") -> MembersRequest:
    return members_api.parse((method, path, JSON), body, member_status(), 0.0)


def refused(method: bytes, path: str, body: bytes = b"") -> int:
    found = asked(method, path, body)
    assert isinstance(found, RejectedRequest), found
    assert "message" in json.loads(found.page.body)
    return found.page.status


def urls(*given: str) -> bytes:
    return json.dumps({"peerURLs": given}).encode()


def test_a_request_names_its_member_in_hexadecimal() -> None:
    assert asked(b"DELETE", "/v2/members/1") == RemoveMember(OTHER.id)
    assert asked(b"POST", "/v2/members/0001/promote") == PromoteMember(OTHER.id)
    assert asked(b"POST", "/v2/members/leader", b'{"id": "8E9E"}') == TransferLeadership(0x8E9E)
    assert asked(b"POST", "/v2/members/leader") == TransferLeadership(0)
    assert refused(b"DELETE", "/v2/members/dead") == 410
    for absent in ("2", "0x1", "1_0", "-1", " 1", "f" * 4000, "\uff11"):
        assert refused(b"DELETE", f"/v2/members/{absent}") == 404


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "' + b"f" * 23 + b'"}',
        b'{"id": "-1"}',
        b'{"id": "0x1"}',
        b'{"id": "1_0"}',
        b'{"id": 1}',
        b'{"x":' + b"[" * 3000,
        b'{"id": "\xff"}',
        b'{"id": "\\ud800"}',
        b"[]",
    ],
)
def test_leadership_goes_to_no_id_that_is_not_64_bits(body: bytes) -> None:
    assert refused(b"POST", "/v2/members/leader", body) == 400


@pytest.mark.parametrize(
    "body",
    [
        urls("http://[::1:2380"),
        urls("http://[::1]:99999"),
        urls("http://a:b"),
        urls("http://a:1\nEvil: x"),
        urls("http://\u00e9:1"),
        urls("http://a:1", "http://" + "a" * 600 + ":1"),
        urls(*(f"http://10.0.0.{number}:1" for number in range(17))),
        urls(),
        b'{"peerURLs":["http://\\ud800:1"]}',
        b'{"peerURLs":' + b"[" * 3000,
        b'{"peerURLs":[],"x":' + b"[" * 60_000,
        b"null",
    ],
    ids=lambda body: body[:40].decode(),
)
def test_peer_urls_that_no_member_can_have_are_refused(body: bytes) -> None:
    assert refused(b"POST", "/v2/members", body) == 400
    assert refused(b"PUT", "/v2/members/1", body) == 400


def test_a_long_request_is_not_even_decoded() -> None:
    for body in (b'{"x":' + b"[" * 100_000, urls(*["http://a:1"] * 10_000)):
        assert refused(b"POST", "/v2/members", body) == 413
        assert refused(b"POST", "/v2/members/leader", body) == 413


def test_a_member_is_added_as_a_learner() -> None:
    found = asked(b"POST", "/v2/members", urls("http://b:1", "https://[::1]:2380"))
    assert isinstance(found, AddMember)
    assert found.member.learner
    assert found.member.peer_urls == ("http://b:1", "https://[::1]:2380")


@given(
    st.sampled_from([b"POST", b"PUT", b"DELETE", b"GET", b"X"]),
    st.text(max_size=30).map("/v2/members/".__add__),
    st.one_of(
        st.binary(max_size=60),
        st.recursive(st.none() | st.text(max_size=5), st.lists, max_leaves=5).map(
            lambda value: json.dumps({"peerURLs": value, "id": value}).encode()
        ),
        st.text(max_size=30).map(urls),
    ),
)
def test_any_request_is_carried_out_or_refused(method: bytes, path: str, body: bytes) -> None:
    found = members_api.parse((method, path, JSON), body, member_status(), 0.0)
    if isinstance(found, RejectedRequest):
        assert 400 <= found.page.status < 500


@pytest.mark.parametrize(
    ("query", "size"),
    [
        (b"", 3),
        (b"size=99", 99),
        (b"size=0", None),
        (b"size=100", None),
        (b"size=" + b"9" * 5000, None),
        (b"size=\xc2\xb2", None),
    ],
)
def test_the_size_of_a_discovered_cluster_is_checked(query: bytes, size: int | None) -> None:
    assert discovery_service.size_asked(query) == size
