"""What each write does to the keys, one sentence at a time."""

import json

import pytest

from coordinator.core.store import keyspace_dump
from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.commands import Command, CreateInOrder, Delete, Note, Put, Sync
from coordinator.core.store.encoding import Moment
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.keyspace import EXPIRES_NS_MIN, KeySpace, operation_of
from coordinator.core.store.listing import ListingScope
from tests.coordinator.core.store.rendering import json_of
from tests.coordinator.core.store.strategies import SECOND, START_NS


@pytest.fixture
def space() -> KeySpace:
    """A file `/f` at index 1 and a file `/d/x`, with its directory, at index 2."""
    space = KeySpace()
    space.apply(Put(b"/f", b"one"))
    space.apply(Put(b"/d/x", b"two"))
    return space


def done(space: KeySpace, command: Command) -> KeyEvent:
    event = space.apply(command)
    assert event is not None
    return event


def refused(space: KeySpace, command: Command) -> tuple[int, str]:
    index = space.index
    with pytest.raises(ApiError) as refusal:
        space.apply(command)
    assert space.index == refusal.value.index == index
    return refusal.value.code, refusal.value.cause


def shown(space: KeySpace, key: bytes, now_ns: int = 0) -> dict[str, object]:
    node: dict[str, object] = json.loads(
        json_of(space, key, ListingScope(recursive=False, hidden=False, at=Moment(now_ns)))
    )
    return node


def line(event: KeyEvent, now_ns: int = 0) -> str:
    return event.line(Moment(now_ns)).decode()


def test_a_set_creates_missing_parents_at_its_index_and_without_events(space: KeySpace) -> None:
    event = done(space, Put(b"/a/b/c", b"v"))
    assert (event.action, event.index, event.is_creation, event.prev) == ("set", 3, True, None)
    assert shown(space, b"/a/b") == {
        "key": "/a/b",
        "dir": True,
        "nodes": [{"key": "/a/b/c", "value": "v", "modifiedIndex": 3, "createdIndex": 3}],
        "modifiedIndex": 3,
        "createdIndex": 3,
    }
    assert space.index == 3


def test_a_set_over_a_file_makes_a_new_node(space: KeySpace) -> None:
    event = done(space, Put(b"/f", b"new"))
    assert line(event) == (
        '{"action":"set","node":{"key":"/f","value":"new","modifiedIndex":3,"createdIndex":3},'
        '"prevNode":{"key":"/f","value":"one","modifiedIndex":1,"createdIndex":1}}\n'
    )
    assert not event.is_creation


def test_a_set_without_a_ttl_drops_the_old_one(space: KeySpace) -> None:
    space.apply(Put(b"/f", b"v", expires_ns=START_NS))
    space.apply(Put(b"/f", b"v"))
    space.apply(Sync(START_NS))
    assert (space.index, space.next_expiry_ns) == (4, None)


def test_a_file_can_become_a_directory_but_a_directory_not_a_file(space: KeySpace) -> None:
    event = done(space, Put(b"/f", b"ignored", directory=True))
    assert line(event) == (
        '{"action":"set","node":{"key":"/f","dir":true,"modifiedIndex":3,"createdIndex":3},'
        '"prevNode":{"key":"/f","value":"one","modifiedIndex":1,"createdIndex":1}}\n'
    )
    assert refused(space, Put(b"/f", b"v")) == (102, "/f")
    assert refused(space, Put(b"/f", directory=True)) == (102, "/f")


def test_nothing_can_be_below_a_file(space: KeySpace) -> None:
    below = b"/f/x/y"
    assert refused(space, Put(below, b"v")) == (104, "/f")
    assert refused(space, Put(below, b"v", prev_exist=False)) == (104, "/f")
    assert refused(space, Put(below, b"v", prev_exist=True)) == (104, "/f")
    assert refused(space, Delete(below)) == (104, "/f")
    assert refused(space, CreateInOrder(b"/f", b"v")) == (104, "/f")
    with pytest.raises(ApiError, match="Not a directory"):
        space.read(below)


def test_the_root_is_read_only_and_takes_children_in_order(space: KeySpace) -> None:
    assert refused(space, Put(b"/", b"v")) == (107, "/")
    assert refused(space, Put(b"/", directory=True, prev_exist=False)) == (107, "/")
    assert refused(space, Put(b"/", b"v", prev_exist=True)) == (107, "/")
    assert refused(space, Put(b"/", b"v", prev_index=1)) == (107, "/")
    assert refused(space, Delete(b"/", recursive=True)) == (107, "/")
    assert refused(space, Delete(b"/", prev_index=1)) == (102, "")
    assert done(space, CreateInOrder(b"/", b"v")).key == b"/00000000000000000003"


def test_create_needs_an_absent_key_and_ignores_other_conditions(space: KeySpace) -> None:
    assert refused(space, Put(b"/f", b"v", prev_exist=False)) == (105, "/f")
    assert refused(space, Put(b"/d", b"v", prev_exist=False)) == (105, "/d")
    event = done(space, Put(b"/n", b"v", prev_exist=False, prev_value=b"w", prev_index=9))
    assert (event.action, event.is_creation) == ("create", True)


def test_update_keeps_the_created_index_and_without_a_value_empties_the_file(
    space: KeySpace,
) -> None:
    event = done(space, Put(b"/f", prev_exist=True))
    assert line(event) == (
        '{"action":"update","node":{"key":"/f","value":"","modifiedIndex":3,"createdIndex":1},'
        '"prevNode":{"key":"/f","value":"one","modifiedIndex":1,"createdIndex":1}}\n'
    )
    assert refused(space, Put(b"/n/m", b"v", prev_exist=True)) == (100, "/n")


def test_update_of_a_directory_changes_only_its_ttl_and_index(space: KeySpace) -> None:
    event = done(space, Put(b"/d", prev_exist=True, expires_ns=START_NS))
    assert event.node is not None
    assert (event.index, event.created) == (3, 2)
    now_ns = START_NS - 2 * SECOND + 1
    assert shown(space, b"/d", now_ns) == {
        "key": "/d",
        "dir": True,
        "expiration": "2023-11-14T22:13:20Z",
        "ttl": 2,
        "nodes": [{"key": "/d/x", "value": "two", "modifiedIndex": 2, "createdIndex": 2}],
        "modifiedIndex": 3,
        "createdIndex": 2,
    }
    assert refused(space, Put(b"/d", b"v", prev_exist=True)) == (102, "/d")
    space.apply(Sync(START_NS))
    assert refused(space, Delete(b"/d/x")) == (100, "/d")


def test_a_failed_compare_and_swap_names_value_and_index(space: KeySpace) -> None:
    assert refused(space, Put(b"/f", b"v", prev_value=b"1", prev_index=7)) == (
        101,
        "[1 != one] [7 != 1]",
    )
    assert refused(space, Put(b"/f", b"v", prev_value=b"one", prev_index=7)) == (101, "[7 != 1]")
    assert refused(space, Put(b"/n", b"v", prev_index=7)) == (100, "/n")
    assert refused(space, Put(b"/d", b"v", prev_index=2)) == (102, "/d")
    event = done(space, Put(b"/f", b"v", prev_value=b"one", prev_index=1))
    assert (event.action, event.index, event.created) == ("compareAndSwap", 3, 1)
    assert done(space, Put(b"/f", b"w", prev_exist=True, prev_index=3)).action == "compareAndSwap"


def test_a_key_created_in_order_is_named_by_its_index(space: KeySpace) -> None:
    event = done(space, CreateInOrder(b"/new/q", b"v"))
    assert (event.action, event.key, event.created) == ("create", b"/new/q/00000000000000000003", 3)
    inner = done(space, CreateInOrder(b"/new/q", directory=True))
    assert shown(space, inner.key)["dir"] is True
    space.apply(Put(b"/new/q/00000000000000000006", b"taken"))
    taken = "/new/q/00000000000000000006"
    assert refused(space, CreateInOrder(b"/new/q", b"v")) == (105, taken)


def test_delete_of_a_directory_needs_a_flag_and_an_empty_directory(
    space: KeySpace,
) -> None:
    space.apply(Put(b"/e/_hidden", b"v"))
    assert refused(space, Delete(b"/e")) == (102, "/e")
    assert refused(space, Delete(b"/e", directory=True)) == (108, "/e")
    space.apply(Delete(b"/e/_hidden", directory=True, recursive=True))
    assert line(done(space, Delete(b"/e", directory=True))) == (
        '{"action":"delete","node":{"key":"/e","dir":true,"modifiedIndex":5,"createdIndex":3},'
        '"prevNode":{"key":"/e","dir":true,"modifiedIndex":3,"createdIndex":3}}\n'
    )


def test_a_recursive_delete_is_one_event(space: KeySpace) -> None:
    space.apply(Put(b"/d/e/f", b"v", expires_ns=START_NS))
    event = done(space, Delete(b"/d", recursive=True))
    assert event.removed is not None
    assert (event.index, set(event.removed)) == (4, {b"/d/x", b"/d/e", b"/d/e/f"})
    assert [row[0] for row in space.tree.rows()] == [b"/f"]
    assert space.next_expiry_ns is None


def test_compare_and_delete_works_only_on_files(space: KeySpace) -> None:
    assert refused(space, Delete(b"/d", recursive=True, prev_index=2)) == (102, "/d")
    assert refused(space, Delete(b"/f", prev_value=b"x")) == (101, "[x != one]")
    assert refused(space, Delete(b"/n", prev_value=b"x")) == (100, "/n")
    assert done(space, Delete(b"/f", prev_value=b"one", prev_index=1)).action == "compareAndDelete"


def test_a_refresh_keeps_the_value_and_takes_an_index(space: KeySpace) -> None:
    event = done(space, Put(b"/f", expires_ns=START_NS, prev_exist=True, refresh=True))
    assert event.node is not None
    assert (event.node.value, event.index, event.created) == (b"one", 3, 1)
    again = done(space, Put(b"/f", expires_ns=START_NS + SECOND, refresh=True))
    assert (again.action, again.created) == ("set", 4)
    assert space.history.at(3) is space.history.at(4) is None
    assert space.next_expiry_ns == START_NS + SECOND
    assert refused(space, Put(b"/n", expires_ns=START_NS, refresh=True)) == (100, "/n")
    assert refused(space, Put(b"/d", expires_ns=START_NS, refresh=True)) == (102, "/d")


def test_keys_expire_in_the_order_of_their_expiry(space: KeySpace) -> None:
    space.apply(Put(b"/late", b"v", expires_ns=START_NS + 2))
    space.apply(Put(b"/b", b"v", expires_ns=START_NS + 1))
    space.apply(Put(b"/a", b"v", expires_ns=START_NS + 1))
    space.apply(Put(b"/first/x", b"v"))
    space.apply(Put(b"/first", prev_exist=True, expires_ns=START_NS))
    space.apply(Put(b"/first/y", b"v", expires_ns=START_NS + 1))
    start = space.index
    assert space.apply(Sync(START_NS + 1)) is None
    events = [space.history.at(index) for index in range(start + 1, space.index + 1)]
    assert [(e.action, e.key) for e in events if e] == [
        ("expire", b"/first"),
        ("expire", b"/a"),
        ("expire", b"/b"),
    ]
    assert events[1] is not None
    now_ns = START_NS + SECOND + SECOND // 2
    assert json.loads(events[1].line(Moment(now_ns)))["prevNode"]["ttl"] == -1
    assert space.next_expiry_ns == START_NS + 2


def test_an_expiry_before_the_year_2000_means_never(space: KeySpace) -> None:
    space.apply(Put(b"/f", b"v", expires_ns=EXPIRES_NS_MIN - 1))
    assert space.next_expiry_ns is None
    space.apply(Put(b"/f", b"v", expires_ns=EXPIRES_NS_MIN))
    assert space.next_expiry_ns == EXPIRES_NS_MIN


def test_the_remaining_ttl_is_computed_at_each_read(space: KeySpace) -> None:
    event = done(space, Put(b"/t", b"v", expires_ns=START_NS))
    for now_ns, ttl in ((START_NS - 3 * SECOND, 3), (START_NS - 1, 1), (START_NS, None)):
        assert shown(space, b"/t", now_ns).get("ttl") == ttl
        assert json.loads(event.line(Moment(now_ns)))["node"].get("ttl") == ttl


def test_a_note_takes_an_index_and_replaces_the_one_of_its_kind(space: KeySpace) -> None:
    assert space.apply(Note("m", b"1")) is None
    space.apply(Note("m", b"2"))
    assert (space.index, space.notes, space.history.at(4)) == (4, {"m": b"2"}, None)


def test_the_counters_count_successes_and_failures(space: KeySpace) -> None:
    for command in (
        Put(b"/d", b"v"),
        Put(b"/f", b"v", prev_exist=False),
        Put(b"/n", b"v", prev_exist=True),
        Put(b"/f", b"v", prev_value=b"w"),
        Delete(b"/n"),
        Delete(b"/f", prev_value=b"w"),
    ):
        refused(space, command)
    done(space, CreateInOrder(b"/q", b"v", expires_ns=START_NS))
    done(space, Put(b"/f", b"v", prev_exist=True))
    done(space, Put(b"/f", b"w", prev_value=b"v"))
    done(space, Delete(b"/d", recursive=True))
    done(space, Delete(b"/f", prev_value=b"w"))
    space.apply(Sync(START_NS))
    space.read(b"/q")
    with pytest.raises(ApiError):
        space.read(b"/none")
    assert space.stats.json(watchers=7) == (
        b'{"getsSuccess":1,"getsFail":1,"setsSuccess":2,"setsFail":1,'
        b'"deleteSuccess":1,"deleteFail":1,"updateSuccess":1,"updateFail":1,'
        b'"createSuccess":1,"createFail":1,"compareAndSwapSuccess":1,"compareAndSwapFail":1,'
        b'"compareAndDeleteSuccess":1,"compareAndDeleteFail":1,"expireCount":1,"watchers":7}'
    )
    assert keyspace_dump.load(keyspace_dump.dump(space)).stats.writes() == space.stats.writes()


def test_the_digest_differs_between_a_refused_and_an_accepted_write() -> None:
    one, other = KeySpace(), KeySpace()
    for space in (one, other):
        space.apply(Put(b"/f", b"v"))
    before = one.digest
    refused(one, Put(b"/f", b"v", prev_exist=False))
    assert one.digest != before == other.digest


def test_a_missing_node_names_the_path_that_is_missing(space: KeySpace) -> None:
    assert space.find(b"/f").value == b"one"
    with pytest.raises(ApiError) as missing:
        space.find(b"/d/y/z")
    assert (missing.value.code, missing.value.cause) == (100, "/d/y")


def test_questions_that_make_no_sense_fail_an_assertion(space: KeySpace) -> None:
    for command in (Sync(START_NS), Note("m", b"")):
        with pytest.raises(AssertionError, match="never refused"):
            operation_of(command)
    with pytest.raises(AssertionError, match="is there"):
        space.tree.obstacle(b"/d")
