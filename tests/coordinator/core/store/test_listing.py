"""Directories as JSON."""

import json

from coordinator.core.store import keyspace_dump
from coordinator.core.store.commands import Delete, Put
from coordinator.core.store.keyspace import KeySpace


def space_of(*keys: bytes) -> KeySpace:
    space = KeySpace()
    for key in keys:
        space.apply(Put(key, b""))
    return space


def keys_of(node: dict[str, object]) -> list[object]:
    nodes = node.get("nodes", [])
    assert isinstance(nodes, list)
    return [[child["key"], *keys_of(child)] for child in nodes]


def listed(space: KeySpace, key: bytes = b"/", **how: bool) -> list[object]:
    return keys_of(json.loads(space.get(key, **how)))


def test_the_root_has_no_key_and_no_indexes_and_an_empty_directory_no_nodes() -> None:
    space = space_of()
    assert space.get(b"/") == b'{"dir":true}'
    space.apply(Put(b"/d", directory=True))
    assert space.get(b"/") == (
        b'{"dir":true,"nodes":[{"key":"/d","dir":true,"modifiedIndex":1,"createdIndex":1}]}'
    )
    assert space.get(b"/d", recursive=True) == (
        b'{"key":"/d","dir":true,"modifiedIndex":1,"createdIndex":1}'
    )


def test_a_listing_shows_one_level_and_a_recursive_one_all_in_byte_order() -> None:
    space = space_of(b"/b/2", b"/a", b"/b/10/x", b"/b-", b"/\xc3\xa9")
    assert listed(space) == [["/a"], ["/b"], ["/b-"], ["/é"]]
    assert listed(space, recursive=True) == [
        ["/a"],
        ["/b", ["/b/10", ["/b/10/x"]], ["/b/2"]],
        ["/b-"],
        ["/é"],
    ]


def test_hidden_names_are_shown_by_themselves_or_when_asked_for() -> None:
    space = space_of(b"/_top", b"/d/_h/x", b"/d/y")
    assert listed(space, recursive=True) == [["/d", ["/d/y"]]]
    assert listed(space, b"/d/_h") == [["/d/_h/x"]]
    assert listed(space, hidden=True) == [["/_top"], ["/d"]]
    assert listed(space, b"/d", recursive=True, hidden=True) == [["/d/_h", ["/d/_h/x"]], ["/d/y"]]


def test_a_listing_follows_writes_and_removals() -> None:
    space = space_of(b"/d/a", b"/d/c")
    assert listed(space, b"/d") == [["/d/a"], ["/d/c"]]
    space.apply(Put(b"/d/b", b""))
    space.apply(Delete(b"/d/a"))
    assert listed(space, b"/d") == [["/d/b"], ["/d/c"]]
    space.apply(Put(b"/d/b", b"new"))
    assert b'"value":"new"' in space.get(b"/d")


def test_a_key_of_thousands_of_segments_is_listed_dumped_and_removed() -> None:
    space = space_of(b"/a" * 3000)
    assert space.get(b"/", recursive=True).count(b'"dir":true') == 3000
    assert len(keyspace_dump.load(keyspace_dump.dump(space)).tree.nodes) == 3001
    event = space.apply(Delete(b"/a", recursive=True))
    assert event is not None
    assert event.removed is not None
    assert len(event.removed) == 2999
    assert space.get(b"/") == b'{"dir":true}'
