"""The bounds of the event history."""

import pytest

from coordinator.core.store.commands import Delete, Note, Put
from coordinator.core.store.event_history import (
    EVENT_BYTES,
    REMOVED_KEY_BYTES,
    HistoryBounds,
    size_bytes,
)
from coordinator.core.store.keyspace import KeySpace


def test_the_oldest_events_go_when_there_are_too_many() -> None:
    space = KeySpace(HistoryBounds(slots=3))
    for _ in range(5):
        space.apply(Put(b"/a", b"v"))
    assert (space.history.first, space.history.last) == (3, 5)
    assert [event and event.index for event in space.history.kept()] == [3, 4, 5]
    with pytest.raises(AssertionError):
        space.history.at(2)


def test_the_oldest_events_go_when_they_are_too_large_and_the_newest_stays() -> None:
    space = KeySpace(HistoryBounds(slots=100, size_bytes=10 * EVENT_BYTES))
    for _ in range(30):
        space.apply(Put(b"/a", b""))
    assert space.history.first == 22
    space.apply(Put(b"/a", bytes(100 * EVENT_BYTES)))
    assert (space.history.first, space.history.last) == (31, 31)
    space.apply(Note("kind", b""))
    assert space.history.first == 31
    space.apply(Put(b"/b", b""))
    assert space.history.first == 32


def test_the_size_of_an_event_counts_its_values_and_removed_keys() -> None:
    space = KeySpace()
    space.apply(Put(b"/d/x", b"12345"))
    space.apply(Put(b"/d/x", b"1"))
    space.apply(Delete(b"/d", recursive=True))
    put, removal = space.history.at(2), space.history.at(3)
    assert put is not None
    assert removal is not None
    assert size_bytes(put) == EVENT_BYTES + 4 * 4 + 2 * 6
    assert size_bytes(removal) == EVENT_BYTES + 4 * 2 + 4 + REMOVED_KEY_BYTES
