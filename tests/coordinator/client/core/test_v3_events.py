"""Pairs and events of the v3 API as the store's own values."""

from collections.abc import Mapping

from coordinator.client.core import v3_events, v3_lease_ids
from coordinator.client.core.store_protocol import Entry, Progress
from coordinator.client.core.v3_responses import (
    KeyValue,
    ResponseHeader,
    WatchEvent,
    WatchResponse,
)


def event(key: str, revision: int, *, deleted: bool = False) -> WatchEvent:
    pair = KeyValue(key.encode(), b"v", revision, revision)
    return WatchEvent("DELETE" if deleted else "PUT", pair)


def shown(
    message: WatchResponse, prefix: str = "/app", expiries: Mapping[int, float] = {}
) -> list[tuple[str, int, bool]]:
    return [
        ("", each.index, False) if isinstance(each, Progress) else (each.key, each.index, each.more)
        for each in v3_events.changes(message, prefix, expiries)
    ]


def test_events_of_one_revision_are_marked_as_more() -> None:
    message = WatchResponse(events=(event("/app/a", 5), event("/app/b", 5), event("/app/a", 6)))
    assert shown(message) == [("/app/a", 5, True), ("/app/b", 5, False), ("/app/a", 6, False)]


def test_the_last_event_of_a_fragment_is_marked_as_more() -> None:
    message = WatchResponse(events=(event("/app/a", 5), event("/app/b", 6)), fragment=True)
    assert shown(message) == [("/app/a", 5, False), ("/app/b", 6, True)]
    assert shown(WatchResponse(events=(event("/other", 6),), fragment=True)) == []


def test_events_outside_the_prefix_move_the_index_on() -> None:
    message = WatchResponse(events=(event("/app/a", 5), event("/app-x", 6), event("/app2", 7)))
    assert shown(message) == [("/app/a", 5, False), ("", 7, False)]
    assert shown(WatchResponse(ResponseHeader("c", 9))) == [("", 9, False)]


def test_a_refresh_is_not_an_event() -> None:
    lease = v3_lease_ids.lease_id(2e9, 1, refresh=True)
    message = WatchResponse(events=(WatchEvent("PUT", KeyValue(b"/app/a", b"v", 1, 5, lease)),))
    assert shown(message, expiries={lease: 2e9}) == [("", 5, False)]


def test_a_foreign_lease_whose_id_looks_like_a_refresh_is_an_event() -> None:
    lease = v3_lease_ids.lease_id(2e9, 1, refresh=True)
    message = WatchResponse(events=(WatchEvent("PUT", KeyValue(b"/app/a", b"v", 1, 5, lease)),))
    assert shown(message, expiries={lease: 1.8e9}) == [("/app/a", 5, False)]


def test_an_entry_has_no_expiry_if_that_of_its_lease_is_unknown() -> None:
    assert v3_events.entry(KeyValue(b"/a", b"v", 1, 2, 77), {}) == Entry("/a", "v", 1, 2)
