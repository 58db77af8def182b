"""What every Store's watch does, whatever serves it: each change once, in order, no gap."""

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


def ask(world: StoreUnderTest, method: str, query: str, key: str) -> None:
    request = urllib.request.Request(f"{world.url}/v2/keys{key}?{query}", method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        reply.read()


def now(world: StoreUnderTest) -> int:
    return world.store.list(world.place).index


def test_a_watch_opens_by_saying_where_it_stands(world: StoreUnderTest) -> None:
    after = now(world)
    with world.store.watch(world.place, after) as watch:
        assert next(iter(watch)) == Progress(after)


def test_an_event_carries_what_was_written(world: StoreUnderTest) -> None:
    after = now(world)
    written = [
        world.store.put(world.key("a"), "1"),
        world.store.put(world.key("a"), "2", when=Present()),
        world.store.put(world.key("b/c"), "3"),
    ]
    written.append(world.store.put(world.key("a"), "", when=AtIndex(written[1].modified)))
    with world.store.watch(world.place, after) as watch:
        found = events(watch, 4)
    assert found == [Event(entry.modified, entry.key, entry) for entry in written]


def test_an_event_tells_when_a_key_ends(world: StoreUnderTest) -> None:
    after = now(world)
    entry = world.store.put(world.key("a"), "1", ttl_s=60)
    with world.store.watch(world.place, after) as watch:
        (found,) = events(watch, 1)
    assert found.entry is not None
    assert found.entry.expires_at == pytest.approx(entry.expires_at, abs=0.001)


def test_a_watch_from_the_past_replays_and_then_goes_on(
    world: StoreUnderTest, threads: ThreadPoolExecutor
) -> None:
    after = now(world)
    for number in range(50):
        world.store.put(world.key("a"), str(number))
    with world.store.watch(world.place, after) as watch:
        following = iter(watch)
        past = [next(following) for _ in range(51)]
        threads.submit(world.store.put, world.key("a"), "live").result()
        live = next(following)
    values = [event.entry.value for event in past if isinstance(event, Event) and event.entry]
    assert values == [str(number) for number in range(50)]
    assert isinstance(live, Event)
    assert live.entry == world.store.get(world.key("a"))


def test_thousands_of_writes_are_seen_each_once_and_in_order(
    world: StoreUnderTest, threads: ThreadPoolExecutor
) -> None:
    after = now(world)
    room = threading.Semaphore(AHEAD_MAX)

    def write() -> list[Entry]:
        with_room = (number for number in range(WRITES) if room.acquire(timeout=30))
        return [world.store.put(world.key(str(n % 100)), str(n)) for n in with_room]

    seen: list[Event] = []
    with world.store.watch(world.place, after) as watch:
        writing = threads.submit(write)
        for change in watch:
            if isinstance(change, Event):
                seen.append(change)
                room.release()
            if len(seen) == WRITES:
                break
    assert seen == [Event(entry.modified, entry.key, entry) for entry in writing.result()]


def test_a_watch_holds_whole_segments(world: StoreUnderTest) -> None:
    after = now(world)
    for name in ("app2/x", "ap", "app-x", "app/x", "app/y"):
        world.store.put(world.key(name), "v")
    with world.store.watch(world.key("app"), after) as watch:
        assert [e.key for e in events(watch, 2)] == [world.key("app/x"), world.key("app/y")]


def test_a_watch_of_one_file_sees_that_file(world: StoreUnderTest) -> None:
    after = now(world)
    world.store.put(world.key("a2"), "other")
    world.store.put(world.key("a"), "1")
    world.store.delete(world.key("a"))
    with world.store.watch(world.key("a"), after) as watch:
        assert [(e.key, e.entry is None) for e in events(watch, 2)] == [
            (world.key("a"), False),
            (world.key("a"), True),
        ]


def test_a_watch_of_the_root_sees_all(world: StoreUnderTest) -> None:
    after = now(world)
    entry = world.store.put(world.key("a"), "1")
    with world.store.watch("/", after) as watch:
        assert events(watch, 1) == [Event(entry.modified, entry.key, entry)]


@pytest.mark.parametrize("recursive", [True, False])
def test_a_deleted_file_is_told_as_gone(world: StoreUnderTest, *, recursive: bool) -> None:
    after = world.store.put(world.key("a"), "1").modified
    world.store.delete(world.key("a"), recursive=recursive)
    with world.store.watch(world.place, after) as watch:
        assert events(watch, 1) == [Event(after + 1, world.key("a"), None)]


def test_a_deleted_directory_is_one_event_or_those_of_one_index(world: StoreUnderTest) -> None:
    for name in NAMES:
        after = world.store.put(world.key(f"dir/{name}"), "v").modified
    world.store.delete(world.key("dir"), recursive=True)
    entry = world.store.put(world.key("end"), "v")
    gone = [Event(after + 1, world.key("dir"), None)]
    if not world.has_directories:
        gone = [Event(after + 1, world.key(f"dir/{name}"), None, name != "d") for name in NAMES]
    with world.store.watch(world.place, after) as watch:
        assert events(watch, len(gone) + 1) == [*gone, Event(after + 2, entry.key, entry)]


@pytest.mark.parametrize("live", [True, False], ids=["live", "history"])
def test_a_directory_deleted_above_the_prefix_names_the_prefix(
    world: StoreUnderTest, threads: ThreadPoolExecutor, *, live: bool
) -> None:
    after = world.store.put(world.key("dir/b/c"), "v").modified
    told = world.key("dir/b" if world.has_directories else "dir/b/c")
    with world.store.watch(world.key("dir/b"), after) as watch:
        if live:
            opened = iter(watch)
            assert next(opened) == Progress(after)
            threads.submit(world.store.delete, world.key("dir"), recursive=True).result()
            assert next(opened) == Event(after + 1, told, None)
        else:
            world.store.delete(world.key("dir"), recursive=True)
            assert events(watch, 1) == [Event(after + 1, told, None)]


def test_a_deleted_directory_of_a_like_name_is_not_told(world: StoreUnderTest) -> None:
    world.store.put(world.key("p/x"), "v")
    after = world.store.put(world.key("px/y"), "v").modified
    world.store.delete(world.key("p"), recursive=True)
    entry = world.store.put(world.key("px/y"), "2")
    with world.store.watch(world.key("px"), after) as watch:
        assert events(watch, 1) == [Event(after + 2, entry.key, entry)]


def test_a_directory_over_a_file_is_told_as_the_end_of_the_file(v2_served: StoreUnderTest) -> None:
    after = v2_served.store.put(v2_served.key("a"), "1").modified
    ask(v2_served, "PUT", "dir=true", v2_served.key("a"))
    ask(v2_served, "PUT", "dir=true", v2_served.key("new"))
    ask(v2_served, "PUT", "dir=true&prevExist=true&ttl=60", v2_served.key("new"))
    entry = v2_served.store.put(v2_served.key("a/b"), "2")
    with v2_served.store.watch(v2_served.place, after) as watch:
        assert events(watch, 2) == [
            Event(after + 1, v2_served.key("a"), None),
            Event(entry.modified, entry.key, entry),
        ]


def test_an_expired_key_is_told_as_gone(world: StoreUnderTest, threads: ThreadPoolExecutor) -> None:
    after = world.store.put(world.key("a"), "1", ttl_s=1).modified
    with world.store.watch(world.place, after) as watch:
        following = iter(watch)
        assert next(following) == Progress(after)
        threads.submit(world.let_expire, 1).result()
        assert next(following) == Event(after + 1, world.key("a"), None)


def test_an_expired_directory_is_one_event(v2_served: StoreUnderTest) -> None:
    ask(v2_served, "PUT", "dir=true&ttl=1", v2_served.key("dir"))
    v2_served.store.put(v2_served.key("dir/a"), "1")
    after = v2_served.store.put(v2_served.key("dir/b"), "2").modified
    with v2_served.store.watch(v2_served.place, after) as watch:
        assert events(watch, 1) == [Event(after + 1, v2_served.key("dir"), None)]


def test_keys_expire_in_the_order_of_their_time(world: StoreUnderTest) -> None:
    world.store.put(world.key("late"), "1", ttl_s=2 * world.shortest_s)
    after = world.store.put(world.key("early"), "1", ttl_s=world.shortest_s).modified
    world.let_expire(2 * world.shortest_s)
    with world.store.watch(world.place, after) as watch:
        found = [event.key for event in events(watch, 2)]
    assert found == [world.key("early"), world.key("late")]


def test_a_refresh_wakes_nobody(world: StoreUnderTest) -> None:
    after = world.store.put(world.key("a"), "1", ttl_s=60).modified
    world.store.refresh(world.key("a"), 90)
    entry = world.store.put(world.key("b"), "2")
    with world.store.watch(world.place, after) as watch:
        assert events(watch, 1) == [Event(after + 2, entry.key, entry)]


def test_hidden_keys_are_told_where_they_are_listed(world: StoreUnderTest) -> None:
    after = now(world)
    hidden = world.store.put(world.key("dir/_hidden/x"), "v")
    seen = world.store.put(world.key("seen"), "v")
    expected = [seen] if world.kind == "etcd" else [hidden, seen]
    with world.store.watch(world.place, after) as watch:
        found = events(watch, len(expected))
    assert [event.entry for event in found] == expected
    with world.store.watch(world.key("dir/_hidden"), after) as watch:
        assert [event.entry for event in events(watch, 1)] == [hidden]


def test_a_history_that_does_not_reach_back_is_cleared(world: StoreUnderTest) -> None:
    after = world.store.put(world.key("a"), "1").modified
    world.overrun_history()
    with pytest.raises(HistoryCleared), world.store.watch(world.place, after) as watch:
        events(watch, 1)


def test_another_cluster_does_not_go_on_where_the_first_ended(world: StoreUnderTest) -> None:
    listing = world.store.list(world.place)
    with (
        pytest.raises(HistoryCleared, match="cluster"),
        world.store.watch(world.place, listing.index, cluster="abc") as watch,
    ):
        events(watch, 1)
    with world.store.watch(world.place, listing.index, cluster=listing.cluster) as watch:
        assert next(iter(watch)) == Progress(listing.index)


def test_a_store_that_stays_behind_the_index_was_restored(world: StoreUnderTest) -> None:
    ahead = now(world) + 1000
    with (
        pytest.raises(HistoryCleared, match=str(ahead)),
        world.store.watch(world.place, ahead) as watch,
    ):
        events(watch, 1)


def test_pending_says_what_the_next_step_would_not_wait_for(world: StoreUnderTest) -> None:
    after = now(world)
    for number in range(3):
        world.store.put(world.key("a"), str(number))
    with world.store.watch(world.place, after) as watch:
        following = iter(watch)
        next(following)
        for _ in range(3):
            wait_until(watch.pending, "the next event is here")
            assert isinstance(next(following), Event)
        assert not watch.pending()


def test_a_close_frees_who_waits(world: StoreUnderTest, threads: ThreadPoolExecutor) -> None:
    after = now(world)
    watch = world.store.watch(world.place, after)
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


def test_a_closed_watch_is_at_its_end(world: StoreUnderTest) -> None:
    world.store.put(world.key("a"), "1")
    watch = world.store.watch(world.place, now(world) - 1)
    watch.close()
    assert [change for change in watch if isinstance(change, Event)] == []


def test_many_watches_share_one_store(world: StoreUnderTest) -> None:
    after = now(world)
    watches = [world.store.watch(world.key(str(number)), after) for number in range(20)]
    with ThreadPoolExecutor(20) as many:
        waiting = [many.submit(events, watch, 1) for watch in watches]
        entries = [world.store.put(world.key(str(number)), "v") for number in range(20)]
        found = [each.result() for each in waiting]
    for watch in watches:
        watch.close()
    assert found == [[Event(entry.modified, entry.key, entry)] for entry in entries]


def test_two_clients_see_the_same(served: StoreUnderTest) -> None:
    after = now(served)
    entry = served.store.put(served.key("a"), "1")
    with connect(served.url) as other, other.watch(served.place, after) as watch:
        assert events(watch, 1) == [Event(entry.modified, entry.key, entry)]
