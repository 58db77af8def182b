"""What the watch of every Store does: each change once, in order, without a gap."""

import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from coordinator.client import (
    AtIndex,
    Entry,
    Event,
    HistoryCleared,
    Present,
    Progress,
    connect,
)
from rig.processes import LONG, wait_until
from tests.coordinator.client.stores_under_test import StoreUnderTest, events

WRITES = 10_000 if LONG else 1_500
# How far a writer runs ahead of its watcher: half of what etcd's history holds.
AHEAD_MAX = 500
# Files of a directory, in order.
NAMES = ("a", "b/c", "d")
# A close that waited for the network would take its time-outs.
PROMPT_S = 2.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def ask(subject: StoreUnderTest, method: str, query: str, key: str) -> None:
    request = urllib.request.Request(f"{subject.url}/v2/keys{key}?{query}", method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        reply.read()


def now(subject: StoreUnderTest) -> int:
    return subject.store.list(subject.prefix).index


def test_a_watch_first_yields_its_start_index(subject: StoreUnderTest) -> None:
    after = now(subject)
    with subject.store.watch(subject.prefix, after) as watch:
        assert next(iter(watch)) == Progress(after)


def test_an_event_has_the_written_entry(subject: StoreUnderTest) -> None:
    after = now(subject)
    written = [
        subject.store.put(subject.key("a"), "1"),
        subject.store.put(subject.key("a"), "2", when=Present()),
        subject.store.put(subject.key("b/c"), "3"),
    ]
    written.append(subject.store.put(subject.key("a"), "", when=AtIndex(written[1].modified)))
    with subject.store.watch(subject.prefix, after) as watch:
        found = events(watch, 4)
    assert found == [Event(entry.modified, entry.key, entry) for entry in written]


def test_an_event_has_the_expiry_of_a_key(subject: StoreUnderTest) -> None:
    after = now(subject)
    entry = subject.store.put(subject.key("a"), "1", ttl_s=60)
    with subject.store.watch(subject.prefix, after) as watch:
        (found,) = events(watch, 1)
    assert found.entry is not None
    assert found.entry.expires_at == pytest.approx(entry.expires_at, abs=0.001)


def test_a_watch_from_an_old_index_replays_and_then_follows(
    subject: StoreUnderTest, threads: ThreadPoolExecutor
) -> None:
    after = now(subject)
    for number in range(50):
        subject.store.put(subject.key("a"), str(number))
    with subject.store.watch(subject.prefix, after) as watch:
        following = iter(watch)
        past = [next(following) for _ in range(51)]
        threads.submit(subject.store.put, subject.key("a"), "live").result()
        live = next(following)
    values = [event.entry.value for event in past if isinstance(event, Event) and event.entry]
    assert values == [str(number) for number in range(50)]
    assert isinstance(live, Event)
    assert live.entry == subject.store.get(subject.key("a"))


def test_thousands_of_writes_are_seen_each_once_and_in_order(
    subject: StoreUnderTest, threads: ThreadPoolExecutor
) -> None:
    after = now(subject)
    room = threading.Semaphore(AHEAD_MAX)

    def write() -> list[Entry]:
        with_room = (number for number in range(WRITES) if room.acquire(timeout=30))
        return [subject.store.put(subject.key(str(n % 100)), str(n)) for n in with_room]

    seen: list[Event] = []
    with subject.store.watch(subject.prefix, after) as watch:
        writing = threads.submit(write)
        for change in watch:
            if isinstance(change, Event):
                seen.append(change)
                room.release()
            if len(seen) == WRITES:
                break
    assert seen == [Event(entry.modified, entry.key, entry) for entry in writing.result()]


def test_a_watch_matches_whole_segments(subject: StoreUnderTest) -> None:
    after = now(subject)
    for name in ("app2/x", "ap", "app-x", "app/x", "app/y"):
        subject.store.put(subject.key(name), "v")
    with subject.store.watch(subject.key("app"), after) as watch:
        assert [e.key for e in events(watch, 2)] == [subject.key("app/x"), subject.key("app/y")]


def test_a_watch_of_one_file_sees_that_file(subject: StoreUnderTest) -> None:
    after = now(subject)
    subject.store.put(subject.key("a2"), "other")
    subject.store.put(subject.key("a"), "1")
    subject.store.delete(subject.key("a"))
    with subject.store.watch(subject.key("a"), after) as watch:
        assert [(e.key, e.entry is None) for e in events(watch, 2)] == [
            (subject.key("a"), False),
            (subject.key("a"), True),
        ]


def test_a_watch_of_the_root_sees_all(subject: StoreUnderTest) -> None:
    after = now(subject)
    entry = subject.store.put(subject.key("a"), "1")
    with subject.store.watch("/", after) as watch:
        assert events(watch, 1) == [Event(entry.modified, entry.key, entry)]


@pytest.mark.parametrize("recursive", [True, False])
def test_a_deleted_file_is_an_event_without_an_entry(
    subject: StoreUnderTest, *, recursive: bool
) -> None:
    after = subject.store.put(subject.key("a"), "1").modified
    subject.store.delete(subject.key("a"), recursive=recursive)
    with subject.store.watch(subject.prefix, after) as watch:
        assert events(watch, 1) == [Event(after + 1, subject.key("a"), None)]


def test_a_deleted_directory_is_one_event_or_those_of_one_index(subject: StoreUnderTest) -> None:
    for name in NAMES:
        after = subject.store.put(subject.key(f"dir/{name}"), "v").modified
    subject.store.delete(subject.key("dir"), recursive=True)
    entry = subject.store.put(subject.key("end"), "v")
    gone = [Event(after + 1, subject.key("dir"), None)]
    if not subject.has_directories:
        gone = [Event(after + 1, subject.key(f"dir/{name}"), None, name != "d") for name in NAMES]
    with subject.store.watch(subject.prefix, after) as watch:
        assert events(watch, len(gone) + 1) == [*gone, Event(after + 2, entry.key, entry)]


@pytest.mark.parametrize("live", [True, False], ids=["live", "history"])
def test_a_directory_deleted_above_the_prefix_names_the_prefix(
    subject: StoreUnderTest, threads: ThreadPoolExecutor, *, live: bool
) -> None:
    after = subject.store.put(subject.key("dir/b/c"), "v").modified
    reported = subject.key("dir/b" if subject.has_directories else "dir/b/c")
    with subject.store.watch(subject.key("dir/b"), after) as watch:
        if live:
            opened = iter(watch)
            assert next(opened) == Progress(after)
            threads.submit(subject.store.delete, subject.key("dir"), recursive=True).result()
            assert next(opened) == Event(after + 1, reported, None)
        else:
            subject.store.delete(subject.key("dir"), recursive=True)
            assert events(watch, 1) == [Event(after + 1, reported, None)]


def test_deleting_a_directory_with_a_longer_name_is_no_event(subject: StoreUnderTest) -> None:
    subject.store.put(subject.key("p/x"), "v")
    after = subject.store.put(subject.key("px/y"), "v").modified
    subject.store.delete(subject.key("p"), recursive=True)
    entry = subject.store.put(subject.key("px/y"), "2")
    with subject.store.watch(subject.key("px"), after) as watch:
        assert events(watch, 1) == [Event(after + 2, entry.key, entry)]


def test_a_directory_that_replaces_a_file_removes_the_file(v2_served: StoreUnderTest) -> None:
    after = v2_served.store.put(v2_served.key("a"), "1").modified
    ask(v2_served, "PUT", "dir=true", v2_served.key("a"))
    ask(v2_served, "PUT", "dir=true", v2_served.key("new"))
    ask(v2_served, "PUT", "dir=true&prevExist=true&ttl=60", v2_served.key("new"))
    entry = v2_served.store.put(v2_served.key("a/b"), "2")
    with v2_served.store.watch(v2_served.prefix, after) as watch:
        assert events(watch, 2) == [
            Event(after + 1, v2_served.key("a"), None),
            Event(entry.modified, entry.key, entry),
        ]


def test_an_expired_key_is_an_event_without_an_entry(
    subject: StoreUnderTest, threads: ThreadPoolExecutor
) -> None:
    after = subject.store.put(subject.key("a"), "1", ttl_s=1).modified
    with subject.store.watch(subject.prefix, after) as watch:
        following = iter(watch)
        assert next(following) == Progress(after)
        threads.submit(subject.let_expire, 1).result()
        assert next(following) == Event(after + 1, subject.key("a"), None)


def test_an_expired_directory_is_one_event(v2_served: StoreUnderTest) -> None:
    ask(v2_served, "PUT", "dir=true&ttl=1", v2_served.key("dir"))
    v2_served.store.put(v2_served.key("dir/a"), "1")
    after = v2_served.store.put(v2_served.key("dir/b"), "2").modified
    with v2_served.store.watch(v2_served.prefix, after) as watch:
        assert events(watch, 1) == [Event(after + 1, v2_served.key("dir"), None)]


def test_keys_expire_in_the_order_of_their_expiry(subject: StoreUnderTest) -> None:
    subject.store.put(subject.key("late"), "1", ttl_s=2 * subject.shortest_s)
    after = subject.store.put(subject.key("early"), "1", ttl_s=subject.shortest_s).modified
    subject.let_expire(2 * subject.shortest_s)
    with subject.store.watch(subject.prefix, after) as watch:
        found = [event.key for event in events(watch, 2)]
    assert found == [subject.key("early"), subject.key("late")]


def test_a_refresh_wakes_no_watcher(subject: StoreUnderTest) -> None:
    after = subject.store.put(subject.key("a"), "1", ttl_s=60).modified
    subject.store.refresh(subject.key("a"), 90)
    entry = subject.store.put(subject.key("b"), "2")
    with subject.store.watch(subject.prefix, after) as watch:
        assert events(watch, 1) == [Event(after + 2, entry.key, entry)]


def test_hidden_keys_are_watched_where_they_are_listed(subject: StoreUnderTest) -> None:
    after = now(subject)
    hidden = subject.store.put(subject.key("dir/_hidden/x"), "v")
    seen = subject.store.put(subject.key("seen"), "v")
    expected = [seen] if subject.kind == "etcd" else [hidden, seen]
    with subject.store.watch(subject.prefix, after) as watch:
        found = events(watch, len(expected))
    assert [event.entry for event in found] == expected
    with subject.store.watch(subject.key("dir/_hidden"), after) as watch:
        assert [event.entry for event in events(watch, 1)] == [hidden]


def test_an_index_before_the_history_raises_history_cleared(subject: StoreUnderTest) -> None:
    after = subject.store.put(subject.key("a"), "1").modified
    subject.overrun_history()
    with pytest.raises(HistoryCleared), subject.store.watch(subject.prefix, after) as watch:
        events(watch, 1)


def test_a_watch_does_not_continue_on_another_cluster(subject: StoreUnderTest) -> None:
    listing = subject.store.list(subject.prefix)
    with (
        pytest.raises(HistoryCleared, match="cluster"),
        subject.store.watch(subject.prefix, listing.index, cluster="abc") as watch,
    ):
        events(watch, 1)
    with subject.store.watch(subject.prefix, listing.index, cluster=listing.cluster) as watch:
        assert next(iter(watch)) == Progress(listing.index)


def test_an_index_beyond_the_store_raises_history_cleared(subject: StoreUnderTest) -> None:
    ahead = now(subject) + 1000
    with (
        pytest.raises(HistoryCleared, match=str(ahead)),
        subject.store.watch(subject.prefix, ahead) as watch,
    ):
        events(watch, 1)


def test_pending_returns_whether_the_next_change_has_arrived(subject: StoreUnderTest) -> None:
    after = now(subject)
    for number in range(3):
        subject.store.put(subject.key("a"), str(number))
    with subject.store.watch(subject.prefix, after) as watch:
        following = iter(watch)
        next(following)
        for _ in range(3):
            wait_until(watch.pending, "the next event is here")
            assert isinstance(next(following), Event)
        assert not watch.pending()


def test_a_close_frees_a_waiting_reader(
    subject: StoreUnderTest, threads: ThreadPoolExecutor
) -> None:
    after = now(subject)
    watch = subject.store.watch(subject.prefix, after)
    opened = threading.Event()

    def follow() -> tuple[list[Event], float]:
        changes = iter(watch)
        next(changes)
        opened.set()
        return [change for change in changes if isinstance(change, Event)], time.monotonic()

    waiting: Future[tuple[list[Event], float]] = threads.submit(follow)
    assert opened.wait(10)
    closed_s = time.monotonic()
    watch.close()
    found, ended_s = waiting.result(10)
    assert found == []
    assert ended_s - closed_s < PROMPT_S
    watch.close()


def test_a_closed_watch_yields_nothing_more(subject: StoreUnderTest) -> None:
    subject.store.put(subject.key("a"), "1")
    watch = subject.store.watch(subject.prefix, now(subject) - 1)
    watch.close()
    assert [change for change in watch if isinstance(change, Event)] == []


def test_many_watches_share_one_store(subject: StoreUnderTest) -> None:
    after = now(subject)
    watches = [subject.store.watch(subject.key(str(number)), after) for number in range(20)]
    with ThreadPoolExecutor(20) as many:
        waiting = [many.submit(events, watch, 1) for watch in watches]
        entries = [subject.store.put(subject.key(str(number)), "v") for number in range(20)]
        found = [each.result() for each in waiting]
    for watch in watches:
        watch.close()
    assert found == [[Event(entry.modified, entry.key, entry)] for entry in entries]


def test_two_clients_see_the_same(served: StoreUnderTest) -> None:
    after = now(served)
    entry = served.store.put(served.key("a"), "1")
    with connect(served.url) as other, other.watch(served.prefix, after) as watch:
        assert events(watch, 1) == [Event(entry.modified, entry.key, entry)]
