"""The pure pieces of the v3 adapter: leases, errors, events, ranges."""

import pytest

from coordinator.client import (
    BadRequest,
    Entry,
    HistoryCleared,
    Progress,
    Unauthorized,
    Unavailable,
)
from coordinator.client.core import v3_events, v3_lease_ids, v3_requests, v3_responses
from coordinator.client.core.errors import StoreError
from coordinator.client.core.v2_responses import Malformed
from coordinator.client.core.v3_responses import Change, Header, Pair, Ranged, Told
from coordinator.client.v3 import v3_paging


def test_a_lease_number_tells_its_end_and_whose_it_is() -> None:
    number = v3_lease_ids.number(1_700_000_000.26, v3_lease_ids.CHANCE_MAX - 1)
    assert 0 < number < 2**63
    assert v3_lease_ids.is_ours(number)
    assert not v3_lease_ids.is_refresh(number)
    assert v3_lease_ids.end_at(number) == 1_700_000_000.25
    assert v3_lease_ids.is_refresh(v3_lease_ids.number(1.0, 0, refresh=True))
    assert v3_lease_ids.number(2**31 + 1.8e9, 0) < 2**63
    assert not v3_lease_ids.is_ours(7587870129392387077)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":"e","message":"etcdserver: permission denied","code":7}', Unauthorized),
        (b'{"code":7,"message":"etcdserver: permission denied","details":[]}', Unauthorized),
        (b'{"code":16,"message":"etcdserver: invalid auth token"}', Unauthorized),
        (b'{"code":3,"message":"etcdserver: user name is empty"}', Unauthorized),
        (b'{"code":11,"message":"required revision has been compacted"}', HistoryCleared),
        (b'{"code":14,"message":"etcdserver: no leader"}', Unavailable),
        (b'{"code":5,"message":"etcdserver: requested lease not found"}', v3_responses.LeaseGone),
        (b'{"code":9,"message":"etcdserver: lease already exists"}', v3_responses.LeaseTaken),
        (b'{"code":3,"message":"etcdserver: request is too large"}', BadRequest),
        (b'{"grpc_code":14,"http_code":503,"message":"closing"}', Unavailable),
    ],
)
def test_an_error_of_any_version_is_one_of_ours(body: bytes, kind: type[StoreError]) -> None:
    error = v3_responses.failure(body).error("get /a")
    assert type(error) is kind
    assert "get /a" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b"\xff"])
def test_what_is_no_error_of_the_api_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        v3_responses.failure(body)


def change(key: str, revision: int, *, deleted: bool = False) -> Change:
    pair = Pair(key.encode(), b"v", revision, revision)
    return Change("DELETE" if deleted else "PUT", pair)


def shown(told: Told, prefix: str = "/app") -> list[tuple[str, int, bool]]:
    return [
        ("", each.index, False) if isinstance(each, Progress) else (each.key, each.index, each.more)
        for each in v3_events.events(told, prefix, {})
    ]


def test_events_of_one_revision_hang_together() -> None:
    told = Told(events=(change("/app/a", 5), change("/app/b", 5), change("/app/a", 6)))
    assert shown(told) == [("/app/a", 5, True), ("/app/b", 5, False), ("/app/a", 6, False)]


def test_a_fragment_ends_with_more_to_come() -> None:
    told = Told(events=(change("/app/a", 5), change("/app/b", 6)), fragment=True)
    assert shown(told) == [("/app/a", 5, False), ("/app/b", 6, True)]
    assert shown(Told(events=(change("/other", 6),), fragment=True)) == []


def test_events_beside_the_prefix_move_a_watch_on() -> None:
    told = Told(events=(change("/app/a", 5), change("/app-x", 6), change("/app2", 7)))
    assert shown(told) == [("/app/a", 5, False), ("", 7, False)]
    assert shown(Told(Header("c", 9))) == [("", 9, False)]


def test_a_refresh_is_told_to_nobody() -> None:
    lease = v3_lease_ids.number(2e9, 1, refresh=True)
    told = Told(events=(Change("PUT", Pair(b"/app/a", b"v", 1, 5, lease)),))
    assert shown(told) == [("", 5, False)]


def test_pages_grow_until_they_are_large_enough() -> None:
    small = Ranged(kvs=(Pair(b"/a", b"1"),) * 500)
    large = Ranged(kvs=(Pair(b"/a", b"x" * v3_paging.PAGE_BYTES * 2),))
    assert v3_paging.next_limit(small) == v3_paging.PAGE_KEYS_MAX
    assert v3_paging.next_limit(large) == 1


def test_a_prefix_is_a_range_of_whole_segments() -> None:
    assert v3_requests.below("/app") == {"key": b"/app/", "range_end": b"/app0"}
    assert v3_requests.below("/") == {"key": b"/", "range_end": b"0"}
    assert v3_requests.at_and_below("/app") == {"key": b"/app", "range_end": b"/app0"}
    assert v3_requests.at_and_below("/") == v3_requests.below("/")


def test_a_pair_with_a_lease_of_unknown_end_is_a_file_without_one() -> None:
    assert v3_events.entry(Pair(b"/a", b"v", 1, 2, 77), {}) == Entry("/a", "v", 1, 2)
