"""The keys that only the auth API shows: they are state, and no events."""

import pytest

from coordinator.core.store import keyspace_dump
from coordinator.core.store.commands import Delete, Put
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.reserved_keys import is_reserved
from coordinator.core.store.watcher_hub import WatchFilter

USER = b"/_security/v1/users/root"


@pytest.mark.parametrize("key", [b"/_security", b"/_security/v1", USER])
def test_these_keys_are_reserved(key: bytes) -> None:
    assert is_reserved(key)


@pytest.mark.parametrize("key", [b"/", b"/_securityx", b"/_secur", b"/a/_security", b"/x"])
def test_these_keys_are_not(key: bytes) -> None:
    assert not is_reserved(key)


def test_a_change_takes_an_index_without_an_event() -> None:
    space = KeySpace()
    woken: list[int] = []
    watcher = space.hub.watch(
        WatchFilter(b"/", recursive=True, hidden=True), 0, lambda: woken.append(1)
    )
    space.apply(Put(USER, b"secret"))
    space.apply(Put(b"/a", b"1"))
    space.apply(Delete(USER))
    assert (space.index, space.security_index) == (3, 3)
    assert [event.key for event in watcher.take(10)] == [b"/a"]
    assert woken == [1]
    assert [event and event.key for event in space.history.kept()] == [None, b"/a", None]


def test_the_digest_covers_them() -> None:
    one, other = KeySpace(), KeySpace()
    one.apply(Put(USER, b"1"))
    other.apply(Put(USER, b"2"))
    assert one.digest != other.digest


def test_a_snapshot_has_them_and_notes_that_they_may_have_changed() -> None:
    space = KeySpace()
    space.apply(Put(USER, b"secret"))
    space.apply(Put(b"/a", b"1"))
    loaded = keyspace_dump.load(keyspace_dump.dump(space))
    assert loaded.find(USER).value == b"secret"
    assert loaded.security_index == 2
    space.apply(Delete(b"/_security", recursive=True))
    assert keyspace_dump.load(keyspace_dump.dump(space)).security_index == 0


def test_events_of_them_in_an_old_snapshot_are_forgotten() -> None:
    """Before release 0.2 everybody could write them."""
    space = KeySpace()
    node = space.apply(Put(b"/a", b"1"))
    assert node is not None
    space.history.append(KeyEvent("set", USER, 2, 2, None, None))
    loaded = keyspace_dump.load(keyspace_dump.dump(space))
    assert [event and event.key for event in loaded.history.kept()] == [b"/a", None]
