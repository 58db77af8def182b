"""Dumps: what they refuse and what they keep."""

import time

import msgspec
import pytest

from coordinator.core.store import keyspace_dump
from coordinator.core.store.commands import Delete, Note, Put
from coordinator.core.store.encoding import Moment
from coordinator.core.store.event_history import HistoryBounds
from coordinator.core.store.keyspace import KeySpace
from tests.coordinator.core.store.strategies import START_NS


def filled() -> KeySpace:
    space = KeySpace(HistoryBounds(slots=8))
    space.apply(Note("version", b"1"))
    space.apply(Put(b"/d/_h", b"\xff", expires_ns=START_NS))
    space.apply(Put(b"/d/x", b"v"))
    space.apply(Put(b"/d/x", b"w"))
    space.apply(Delete(b"/d", recursive=True))
    space.apply(Put(b"/e", directory=True))
    return space


def test_a_dump_contains_keys_history_notes_and_counters() -> None:
    space = filled()
    loaded = keyspace_dump.load(keyspace_dump.dump(space), HistoryBounds(slots=8))
    assert loaded.tree.rows() == space.tree.rows() == [(b"/e", None, 6, 6, 0)]
    assert (loaded.index, loaded.notes, loaded.digest) == (6, {"version": b"1"}, space.digest)
    for index in range(1, 7):
        event, original = loaded.history.at(index), space.history.at(index)
        assert (event and event.line(Moment(0))) == (original and original.line(Moment(0)))
        assert (event and event.removed) == (original and original.removed)


def test_a_loaded_history_shares_the_nodes_of_neighbouring_events() -> None:
    loaded = keyspace_dump.load(keyspace_dump.dump(filled()))
    first, second = loaded.history.at(3), loaded.history.at(4)
    assert first is not None
    assert second is not None
    assert first.node is second.prev


def test_a_smaller_bound_keeps_the_newest_events_of_a_dump() -> None:
    loaded = keyspace_dump.load(keyspace_dump.dump(filled()), HistoryBounds(slots=2))
    assert (loaded.history.first, loaded.index) == (5, 6)


def test_bytes_that_are_not_a_dump_are_refused_with_a_reason() -> None:
    data = keyspace_dump.dump(filled())
    with pytest.raises(
        keyspace_dump.UnreadableDump, match="not a dump of keys: it begins with b'somethin'"
    ):
        keyspace_dump.load(b"something else")
    with pytest.raises(keyspace_dump.UnreadableDump, match="version 09; this program reads 1"):
        keyspace_dump.load(keyspace_dump.MAGIC + b"\x09" + data[len(keyspace_dump.HEADER) :])
    with pytest.raises(keyspace_dump.UnreadableDump, match="version missing"):
        keyspace_dump.load(keyspace_dump.MAGIC)
    with pytest.raises(keyspace_dump.UnreadableDump, match="a damaged dump of keys"):
        keyspace_dump.load(data[:-1])
    with pytest.raises(keyspace_dump.UnreadableDump, match=r"a damaged dump of keys: .*\$\[0\]"):
        keyspace_dump.load(keyspace_dump.HEADER + msgspec.msgpack.encode(["x", {}, [], 1, [], []]))


def test_a_hundred_thousand_keys_are_dumped_and_loaded_quickly() -> None:
    space = KeySpace()
    for number in range(100_000):
        space.apply(Put(b"/d%d/key-%d" % (number % 100, number), b"a value of some length"))
    began = time.process_time()
    data = keyspace_dump.dump(space)
    dumped = time.process_time()
    loaded = keyspace_dump.load(data)
    took_s = dumped - began, time.process_time() - dumped
    assert len(loaded.tree.nodes) == 100_101
    assert max(took_s) < 1.5
