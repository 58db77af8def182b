"""Directories as JSON."""

import json

from coordinator.core.store import keyspace_dump
from coordinator.core.store.commands import Delete, Put
from coordinator.core.store.encoding import Moment
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.listing import (
    SORTED_AT_ONCE_MAX,
    DirectoryListing,
    ListingBounds,
    ListingScope,
)
from coordinator.core.store.node import RENDERED_BYTES_MAX
from tests.coordinator.core.store.rendering import json_of


def shown(space: KeySpace, key: bytes, *, recursive: bool = False, hidden: bool = False) -> bytes:
    return json_of(space, key, ListingScope(recursive, hidden, 0))


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
    return keys_of(json.loads(shown(space, key, **how)))


def test_the_root_has_no_key_and_no_indexes_and_an_empty_directory_no_nodes() -> None:
    space = space_of()
    assert shown(space, b"/") == b'{"dir":true}'
    space.apply(Put(b"/d", directory=True))
    assert shown(space, b"/") == (
        b'{"dir":true,"nodes":[{"key":"/d","dir":true,"modifiedIndex":1,"createdIndex":1}]}'
    )
    assert shown(space, b"/d", recursive=True) == (
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
    assert b'"value":"new"' in shown(space, b"/d")


def test_a_key_of_thousands_of_segments_is_listed_dumped_and_removed() -> None:
    space = space_of(b"/a" * 3000)
    assert shown(space, b"/", recursive=True).count(b'"dir":true') == 3000
    assert len(keyspace_dump.load(keyspace_dump.dump(space)).tree.nodes) == 3001
    event = space.apply(Delete(b"/a", recursive=True))
    assert event is not None
    assert event.removed is not None
    assert len(event.removed) == 2999
    assert shown(space, b"/") == b'{"dir":true}'


def everything(space: KeySpace, key: bytes = b"/") -> DirectoryListing:
    scope = ListingScope(recursive=True, hidden=False, at=Moment(0))
    return DirectoryListing(space.find(key), scope)


def pieces(space: KeySpace) -> list[bytes]:
    listing = everything(space)
    assert listing.take(space.tree)
    return list(listing.pieces())


def test_a_listing_shows_the_moment_at_which_it_was_begun() -> None:
    space = space_of(*(b"/d/%04d" % number for number in range(SORTED_AT_ONCE_MAX + 10)), b"/e/x")
    before = shown(space, b"/", recursive=True)
    listing = everything(space)
    listing.take(space.tree)
    space.apply(Put(b"/d/0001", b"new"))
    space.apply(Put(b"/d/!", b"new"))
    space.apply(Delete(b"/e", recursive=True))
    assert b"".join(listing.pieces()) == before
    assert shown(space, b"/", recursive=True) != before


def test_a_wide_directory_is_sorted_in_parts_and_listed_in_byte_order() -> None:
    space, count = KeySpace(), 3 * SORTED_AT_ONCE_MAX
    for number in range(count):
        space.apply(Put(b"/d/%05d" % (number * 7919 % count), b""))
    space.apply(Put(b"/d/_hidden", b""))
    assert listed(space, b"/d") == [[f"/d/{number:05}"] for number in range(count)]
    assert pieces(space).count(b"") == 4


def test_a_listing_has_one_piece_for_each_node_however_deep() -> None:
    shown = pieces(space_of(b"/a" * 3000))
    assert len(shown) == 2 * 3000 + 1
    assert max(map(len, shown)) < 7000


def test_a_listing_beyond_its_bounds_is_not_taken() -> None:
    space = space_of(b"/d/1", b"/d/2/x")
    assert everything(space).take(space.tree, ListingBounds(4, 0))
    assert not everything(space).take(space.tree, ListingBounds(3, 0))
    space.apply(Put(b"/d/1", b"12345"))
    assert everything(space).take(space.tree, ListingBounds(4, 5))
    assert not everything(space).take(space.tree, ListingBounds(4, 4))


def test_a_long_json_is_not_kept() -> None:
    space = space_of()
    short = space.apply(Put(b"/short", b"x" * 1000))
    long = space.apply(Put(b"/long", b"x" * RENDERED_BYTES_MAX, expires_ns=1 << 62))
    again = space.apply(Put(b"/long", b"\x01" * (RENDERED_BYTES_MAX // 6)))
    for event in (short, long, again):
        assert event is not None
        assert event.line(Moment(0)) == event.line(Moment(0))
        assert event.node is not None
        assert bool(event.rendered) == bool(event.node.rendered) == (event is short)
