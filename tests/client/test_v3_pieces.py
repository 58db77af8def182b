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
from coordinator.client.errors import StoreError
from coordinator.client.v3 import calls, leases, pages, pairs, wire
from coordinator.client.v3.wire import Change, Header, Pair, Ranged, Told
from coordinator.client.wire import Malformed


def test_a_lease_number_tells_its_end_and_whose_it_is() -> None:
    number = leases.number(1_700_000_000.26, leases.CHANCE_MAX - 1)
    assert 0 < number < 2**63
    assert leases.is_ours(number)
    assert not leases.is_refresh(number)
    assert leases.end_at(number) == 1_700_000_000.25
    assert leases.is_refresh(leases.number(1.0, 0, refresh=True))
    assert leases.number(2**31 + 1.8e9, 0) < 2**63
    assert not leases.is_ours(7587870129392387077)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":"e","message":"etcdserver: permission denied","code":7}', Unauthorized),
        (b'{"code":7,"message":"etcdserver: permission denied","details":[]}', Unauthorized),
        (b'{"code":16,"message":"etcdserver: invalid auth token"}', Unauthorized),
        (b'{"code":3,"message":"etcdserver: user name is empty"}', Unauthorized),
        (b'{"code":11,"message":"required revision has been compacted"}', HistoryCleared),
        (b'{"code":14,"message":"etcdserver: no leader"}', Unavailable),
        (b'{"code":5,"message":"etcdserver: requested lease not found"}', wire.LeaseGone),
        (b'{"code":9,"message":"etcdserver: lease already exists"}', wire.LeaseTaken),
        (b'{"code":3,"message":"etcdserver: request is too large"}', BadRequest),
        (b'{"grpc_code":14,"http_code":503,"message":"closing"}', Unavailable),
    ],
)
def test_an_error_of_any_version_is_one_of_ours(body: bytes, kind: type[StoreError]) -> None:
    error = wire.failure(body).error("get /a")
    assert type(error) is kind
    assert "get /a" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b"\xff"])
def test_what_is_no_error_of_the_api_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.failure(body)


def change(key: str, revision: int, *, deleted: bool = False) -> Change:
    pair = Pair(key.encode(), b"v", revision, revision)
    return Change("DELETE" if deleted else "PUT", pair)


def shown(told: Told, prefix: str = "/app") -> list[tuple[str, int, bool]]:
    return [
        ("", each.index, False) if isinstance(each, Progress) else (each.key, each.index, each.more)
        for each in pairs.events(told, prefix, {})
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
    lease = leases.number(2e9, 1, refresh=True)
    told = Told(events=(Change("PUT", Pair(b"/app/a", b"v", 1, 5, lease)),))
    assert shown(told) == [("", 5, False)]


def test_pages_grow_until_they_are_large_enough() -> None:
    small = Ranged(kvs=(Pair(b"/a", b"1"),) * 500)
    large = Ranged(kvs=(Pair(b"/a", b"x" * pages.PAGE_BYTES * 2),))
    assert pages.next_limit(small) == pages.PAGE_KEYS_MAX
    assert pages.next_limit(large) == 1


def test_a_prefix_is_a_range_of_whole_segments() -> None:
    assert calls.below("/app") == {"key": b"/app/", "range_end": b"/app0"}
    assert calls.below("/") == {"key": b"/", "range_end": b"0"}
    assert calls.at_and_below("/app") == {"key": b"/app", "range_end": b"/app0"}
    assert calls.at_and_below("/") == calls.below("/")


def test_a_pair_with_a_lease_of_unknown_end_is_a_file_without_one() -> None:
    assert pairs.entry(Pair(b"/a", b"v", 1, 2, 77), {}) == Entry("/a", "v", 1, 2)
