"""Watches over HTTP against silence, damage, and servers that repeat events or go back."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from coordinator.client import (
    Event,
    HistoryCleared,
    HttpStore,
    Progress,
    Unavailable,
    connect,
    prefetch,
)
from coordinator.client.http import v2_watch
from tests.coordinator.client.faulty_network import ETCD, FaultyLink, ScriptedServer
from tests.coordinator.client.stores_under_test import StoreUnderTest, events

PROMPT_S = 2.0


def test_a_slow_reader_loses_no_change(
    served: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "AHEAD_MAX", 10)
    after = served.store.list(served.prefix).index
    written = [served.store.put(served.key("a"), str(number)) for number in range(300)]
    with served.store.watch(served.prefix, after) as watch:
        assert [event.entry for event in events(watch, 300)] == written


def test_a_stream_without_progress_marks_is_unavailable(
    coordinator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v2_watch, "PROGRESS_S", 1)
    monkeypatch.setattr(v2_watch, "SILENCE_S", 3.0)
    with FaultyLink(coordinator_url) as link, HttpStore(link.url) as store:
        after = store.list("/").index
        with store.watch("/quiet", after) as watch:
            changes = iter(watch)
            # Marks keep a quiet stream alive beyond its silence.
            assert [next(changes).index >= after for _ in range(5)] == [True] * 5
            link.freeze()
            with pytest.raises(Unavailable, match=link.url):
                for _ in changes:
                    pass


def test_an_empty_poll_is_repeated_from_the_same_index() -> None:
    headers = {"X-Etcd-Index": "7", "X-Etcd-Cluster-Id": "c"}
    prepared = {"/version": ETCD, "/v2/keys/a": (200, b"", headers)}
    with ScriptedServer(prepared) as server, HttpStore(server.url) as store:
        with store.watch("/a", 5) as watch:
            changes = iter(watch)
            assert [next(changes) for _ in range(3)] == [Progress(5)] * 3
        polls = {line for line in server.asked if "/v2/keys/a" in line}
        assert polls == {"GET /v2/keys/a?wait=true&recursive=true&waitIndex=6"}


@pytest.mark.parametrize(
    "body", [b'{"action":"set","no', b"garbage\n", b'{"errorCode":300,"message":"Raft"}\n']
)
def test_a_truncated_event_ends_the_watch(body: bytes) -> None:
    headers = {"X-Etcd-Index": "7", "X-Etcd-Cluster-Id": "c"}
    prepared = {"/version": ETCD, "/v2/keys/a": (200, body, headers)}
    with (
        ScriptedServer(prepared) as server,
        HttpStore(server.url) as store,
        store.watch("/a", 5) as watch,
        pytest.raises(Unavailable, match="/a"),
    ):
        list(watch)


def follow_lines(*lines: bytes) -> list[Event | Progress]:
    """Watch /a after 5 on a coordinator that streams these lines."""
    version = (200, b'{"etcdserver":"3.4.0","coordinator":"1"}', {})
    headers = {"X-Etcd-Index": "7", "X-Etcd-Cluster-Id": "c"}
    prepared = {"/version": version, "/v2/keys/a": (200, b"\n".join((*lines, b"")), headers)}
    found: list[Event | Progress] = []
    with (
        ScriptedServer(prepared) as server,
        HttpStore(server.url) as store,
        store.watch("/a", 5) as watch,
        suppress(Unavailable),
    ):
        found.extend(watch)
    return found


DELETED = b'{"action":"delete","node":{"key":"/a","modifiedIndex":6}}'
MARK = b'{"action":"progress","index":6}'


def test_an_event_sent_twice_is_yielded_once() -> None:
    assert follow_lines(DELETED, DELETED, MARK) == [Progress(5), Event(6, "/a", None), Progress(6)]


def test_a_progress_mark_behind_the_last_event_means_a_restored_store() -> None:
    with pytest.raises(HistoryCleared, match="went back from 6 to 3"):
        follow_lines(DELETED, MARK.replace(b"6", b"3"))


def test_an_error_line_in_a_stream_is_raised() -> None:
    with pytest.raises(HistoryCleared, match="cleared"):
        follow_lines(DELETED, b'{"errorCode":401,"message":"outdated and cleared","index":9}')


def test_a_close_does_not_wait_for_a_server_that_hangs(served: StoreUnderTest) -> None:
    with FaultyLink(served.url) as link, connect(link.url) as store:
        after = store.list("/").index
        link.freeze()
        watch = store.watch("/", after)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(list, watch)
            began_s = time.monotonic()
            watch.close()
            assert waiting.result(10) == []
            assert time.monotonic() - began_s < PROMPT_S
