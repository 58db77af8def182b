"""Watchers get the events of their filter in order, each once, or an error if some are gone."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.store import keyspace_dump
from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.commands import Command, CreateInOrder, Delete, Note, Put, Sync
from coordinator.core.store.encoding import Moment
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.event_history import HistoryBounds
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.watcher_hub import (
    QUEUE_EVENTS_MAX,
    SCAN_SLOTS_MAX,
    Watcher,
    WatchFilter,
)
from tests.coordinator.core.store.strategies import START_NS, commands, keys, paths


@dataclass
class Reader:
    """A watcher and the events that it got."""

    watcher: Watcher
    after: int
    wakes: int = 0
    taken: list[KeyEvent] = field(default_factory=list)

    @property
    def received(self) -> list[tuple[int, str]]:
        return [(event.index, event.key.decode()) for event in self.taken]

    def take_all(self) -> list[tuple[int, str]]:
        while True:
            self.taken += self.watcher.take(5)
            if not self.watcher.more:
                return self.received


def watch(
    space: KeySpace,
    key: str = "/",
    *,
    after: int | None = None,
    recursive: bool = False,
    hidden: bool = False,
) -> Reader:
    begins = space.index if after is None else after
    watch_filter = WatchFilter(key.encode(), recursive, hidden)

    def woken() -> None:
        reader.wakes += 1

    reader = Reader(space.hub.watch(watch_filter, begins, woken), begins)
    return reader


def put(space: KeySpace, *keys: str) -> None:
    for key in keys:
        space.apply(Put(key.encode(), b"v"))


def test_a_watch_sees_its_key_and_nothing_else() -> None:
    space = KeySpace()
    reader = watch(space, "/a")
    put(space, "/a", "/ab", "/b")
    space.apply(Delete(b"/a"))
    assert reader.take_all() == [(1, "/a"), (4, "/a")]


def test_a_watch_on_a_directory_does_not_see_its_children_unless_it_is_recursive() -> None:
    space = KeySpace()
    exact, recursive = watch(space, "/d"), watch(space, "/d", recursive=True)
    put(space, "/d/x", "/d/e/y", "/dx")
    assert exact.take_all() == []
    assert recursive.take_all() == [(1, "/d/x"), (2, "/d/e/y")]


@pytest.mark.parametrize("live", [True, False])
def test_hidden_keys_are_hidden_from_recursive_watches_above_them(live: bool) -> None:
    space = KeySpace()
    if not live:
        put(space, "/d/_h/x", "/_r")
    above, inside = (
        watch(space, "/", after=0, recursive=True),
        watch(space, "/d/_h", after=0, recursive=True),
    )
    exact = watch(space, "/_r", after=0)
    asked = watch(space, "/", after=0, recursive=True, hidden=True)
    if live:
        put(space, "/d/_h/x", "/_r")
    assert above.take_all() == []
    assert inside.take_all() == [(1, "/d/_h/x")]
    assert exact.take_all() == [(2, "/_r")]
    assert asked.take_all() == [(1, "/d/_h/x"), (2, "/_r")]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("how", ["delete", "expire"])
def test_each_watcher_below_a_removed_directory_gets_one_event(live: bool, how: str) -> None:
    space = KeySpace()
    space.apply(Put(b"/p", directory=True, expires_ns=START_NS))
    put(space, "/p/x", "/p/_h/y", "/px")
    keys = ("/p", "/p/x", "/p/_h", "/p/_h/y")
    others = ("/px", "/p/new", "/p/x/z")
    command = Delete(b"/p", recursive=True) if how == "delete" else Sync(START_NS)
    if not live:
        space.apply(command)
    readers = [watch(space, key, after=4, recursive=deep) for key in keys for deep in (True, False)]
    readers.append(watch(space, "/", after=4, recursive=True))
    silent = [
        watch(space, key, after=4, recursive=deep) for key in others for deep in (True, False)
    ]
    if live:
        space.apply(command)
    assert [reader.take_all() for reader in readers] == [[(5, "/p")]] * len(readers)
    assert [reader.take_all() for reader in silent] == [[]] * len(silent)


def test_a_stream_from_an_old_index_replays_and_continues() -> None:
    space = KeySpace()
    put(space, "/a", "/b", "/a")
    reader = watch(space, "/a", after=0)
    assert reader.take_all() == [(1, "/a"), (3, "/a")]
    put(space, "/a")
    assert reader.wakes == 1
    assert reader.take_all() == [(1, "/a"), (3, "/a"), (4, "/a")]


def test_a_watch_waits_for_an_index_in_the_future() -> None:
    space = KeySpace()
    reader = watch(space, "/a", after=2)
    put(space, "/a", "/a")
    assert (reader.take_all(), reader.wakes) == ([], 0)
    put(space, "/a")
    assert reader.take_all() == [(3, "/a")]


def test_a_refresh_and_a_note_wake_no_watcher() -> None:
    space = KeySpace()
    put(space, "/a")
    live, past = watch(space, "/", recursive=True), watch(space, "/a", after=1)
    space.apply(Put(b"/a", expires_ns=START_NS, refresh=True))
    space.apply(Note("kind", b""))
    assert space.index == 3
    assert live.take_all() == past.take_all() == []
    assert live.watcher.position == past.watcher.position == 3


def test_a_watcher_is_woken_once_for_all_waiting_events() -> None:
    space = KeySpace()
    reader = watch(space, "/a")
    put(space, "/a", "/a", "/a")
    assert reader.wakes == 1
    assert [event.index for event in reader.watcher.take(2)] == [1, 2]
    assert reader.watcher.more
    assert reader.watcher.position == 2


def test_a_woken_watcher_may_take_events_and_close_at_once() -> None:
    space = KeySpace()
    seen: list[int] = []

    def once(place: int) -> None:
        seen.extend(event.index for event in watchers[place].take(1))
        for watcher in watchers:
            watcher.close()

    watch_filter = WatchFilter(b"/a")
    watchers = [
        space.hub.watch(watch_filter, 0, lambda: once(0)),
        space.hub.watch(watch_filter, 0, lambda: once(1)),
    ]
    put(space, "/a", "/a")
    assert seen == [1]
    assert len(space.hub) == 0


def test_a_slow_reader_continues_from_the_history_and_misses_nothing() -> None:
    space = KeySpace()
    reader = watch(space, "/a")
    put(space, *["/a"] * (3 * QUEUE_EVENTS_MAX))
    assert reader.wakes == 1
    assert reader.take_all() == [(index, "/a") for index in range(1, 3 * QUEUE_EVENTS_MAX + 1)]
    put(space, "/a")
    assert reader.wakes == 2


def test_the_history_is_searched_in_steps() -> None:
    space = KeySpace()
    for _ in range(2 * SCAN_SLOTS_MAX):
        space.apply(Note("kind", b""))
    put(space, "/a")
    reader = watch(space, "/a", after=0)
    places = []
    while reader.watcher.more:
        reader.taken += reader.watcher.take(5)
        places.append(reader.watcher.position)
    assert places == [SCAN_SLOTS_MAX, 2 * SCAN_SLOTS_MAX, 2 * SCAN_SLOTS_MAX + 1]
    assert reader.received == [(2 * SCAN_SLOTS_MAX + 1, "/a")]


def test_a_watch_from_before_the_history_is_refused() -> None:
    space = KeySpace(HistoryBounds(slots=10))
    put(space, *["/a"] * 25)
    with pytest.raises(ApiError) as refused:
        watch(space, "/a", after=14)
    assert (refused.value.code, refused.value.index) == (401, 25)
    assert refused.value.cause == "the requested history has been cleared [16/15]"
    assert watch(space, "/a", after=15).take_all()[0] == (16, "/a")


def test_a_reader_that_is_too_slow_gets_its_queued_events_and_then_error_401() -> None:
    space = KeySpace(HistoryBounds(slots=10))
    reader = watch(space, "/a")
    put(space, *["/a"] * (QUEUE_EVENTS_MAX + 11))
    with pytest.raises(ApiError) as refused:
        reader.take_all()
    assert [index for index, _ in reader.received] == list(range(1, QUEUE_EVENTS_MAX + 1))
    assert refused.value.code == 401


def test_a_closed_watcher_is_not_woken_and_closing_twice_is_harmless() -> None:
    space = KeySpace()
    reader, other = watch(space, "/a"), watch(space, "/a")
    reader.watcher.close()
    reader.watcher.close()
    put(space, "/a")
    assert (reader.wakes, other.wakes, len(space.hub)) == (0, 1, 1)
    other.watcher.close()
    other.watcher.close()
    assert len(space.hub) == 0


def test_watchers_continue_in_the_key_space_that_replaces_theirs() -> None:
    space, ahead = KeySpace(), KeySpace()
    slow, keen, future = watch(space, "/a"), watch(space, "/a"), watch(space, "/a", after=4)
    for one in (space, ahead):
        put(one, "/a")
    keen.take_all()
    put(ahead, "/a", "/b", "/a")
    loaded = keyspace_dump.load(keyspace_dump.dump(ahead))
    loaded.hub.take_over(space.hub)
    put(loaded, "/a")
    assert (len(space.hub), len(loaded.hub)) == (0, 3)
    assert slow.take_all() == keen.take_all() == [(i, "/a") for i in (1, 2, 4, 5)]
    assert future.take_all() == [(5, "/a")]


interests = st.builds(WatchFilter, keys, st.booleans(), st.booleans())
steps = st.one_of(
    commands,
    commands,
    st.tuples(st.just("burst"), paths, st.integers(1, 90)),
    st.tuples(st.just("watch"), interests, st.integers(-30, 4)),
    st.tuples(st.just("take"), st.integers(0, 5), st.integers(1, 70)),
    st.tuples(st.just("close"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("replace"), st.just(0), st.just(0)),
)
Step = Command | tuple[str, object, int]


class WatchedKeySpace:
    """A key space with readers, and a record of all its events."""

    def __init__(self, bounds: HistoryBounds) -> None:
        self.bounds = bounds
        self.space = KeySpace(bounds)
        self.happened: dict[int, KeyEvent] = {}
        self.readers: list[Reader] = []

    def do(self, step: Step) -> None:
        match step:
            case ("burst", bytes(key), count):
                for _ in range(count):
                    self._apply(Put(key, b"burst"))
            case ("watch", WatchFilter() as watch_filter, offset):
                after = max(0, self.space.index + offset)
                if after + 1 >= self.space.history.first:
                    watcher = self.space.hub.watch(watch_filter, after, lambda: None)
                    self.readers.append(Reader(watcher, after))
            case ("take", int(place), limit) if place < len(self.readers):
                self.take(self.readers[place], limit)
            case ("close", int(place), _) if place < len(self.readers):
                self.readers.pop(place).watcher.close()
            case ("replace", _, _):
                old, self.space = (
                    self.space,
                    keyspace_dump.load(keyspace_dump.dump(self.space), self.bounds),
                )
                self.space.hub.take_over(old.hub)
            case Put() | CreateInOrder() | Delete() | Sync() | Note():
                self._apply(step)

    def take(self, reader: Reader, limit: int) -> bool:
        """Take once and check; say whether there is more to take."""
        try:
            events = reader.watcher.take(limit)
        except ApiError as refused:
            code, events = refused.code, []
            self.readers.remove(reader)
        else:
            code = 0
        left_behind = reader.watcher.position + 1 < self.space.history.first
        assert code == 0 or (code == 401 and left_behind)
        assert len(events) <= limit
        reader.taken += events
        watch_filter, until = reader.watcher.watch_filter, reader.watcher.position
        wanted = [
            index
            for index, event in self.happened.items()
            if reader.after < index <= until and watch_filter.matches(event)
        ]
        assert [event.index for event in reader.taken] == wanted
        assert {event.line(Moment(0)) for event in reader.taken} == {
            self.happened[index].line(Moment(0)) for index in wanted
        }
        return reader in self.readers and reader.watcher.more

    def _apply(self, command: Command) -> None:
        before = self.space.index
        try:
            self.space.apply(command)
        except ApiError:
            return
        # A Sync can end more keys than a small history keeps: read it as it grows.
        for index in range(max(before + 1, self.space.history.first), self.space.index + 1):
            if event := self.space.history.at(index):
                self.happened[index] = event


@settings(deadline=None, max_examples=200)
@given(st.lists(steps, max_size=30), st.sampled_from([50, 1000]))
def test_watchers_get_exactly_the_events_that_match(script: list[Step], slots: int) -> None:
    world = WatchedKeySpace(HistoryBounds(slots=slots))
    for step in script:
        world.do(step)
    for reader in tuple(world.readers):
        while world.take(reader, 20):
            pass
        if reader in world.readers:
            assert reader.watcher.position == world.space.index
