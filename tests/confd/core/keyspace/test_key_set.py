"""The key set, the record of reads, and what a change touches."""

from hypothesis import given
from hypothesis import strategies as st

from confd.core.keyspace.key_set import (
    INSERTS_MAX,
    KeySet,
    KVPair,
    Reader,
    Reads,
    Scope,
    Touched,
    inside,
    minimal,
    segments,
)
from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes

SEGMENTS = st.sampled_from(["a", "b", "a-b", "a0", "_h", "z"])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


def changes(
    values: dict[str, str], removed: tuple[str, ...] = (), *, reset: bool = False
) -> Changes:
    entries = tuple(Entry(key, value, 1, 1) for key, value in values.items())
    return Changes("c", 1, entries, removed, reset)


def key_set(values: dict[str, str]) -> KeySet:
    keys = KeySet()
    keys.apply("", changes(values, reset=True))
    return keys


def reader(values: dict[str, str], prefix: str = "", tops: tuple[str, ...] = ("",)) -> Reader:
    return Reader(key_set(values), Scope(prefix, tops))


def test_a_rewrite_with_the_same_value_touches_nothing() -> None:
    keys = key_set({"/a": "1"})
    assert keys.apply("", changes({"/a": "1"})) == Touched()


def test_a_new_value_is_written_and_a_new_key_has_moved_too() -> None:
    keys = key_set({"/a": "1"})
    touched = keys.apply("", changes({"/a": "2", "/b": "1"}))
    assert touched == Touched(frozenset({"/a", "/b"}), frozenset({"/b"}))


def test_a_removed_key_is_written_and_moved() -> None:
    keys = key_set({"/a": "1"})
    assert keys.apply("", changes({}, ("/a", "/never"))) == Touched(
        frozenset({"/a"}), frozenset({"/a"})
    )
    assert keys.value("/a") is None


def test_a_reset_of_one_root_leaves_the_others() -> None:
    keys = key_set({"/a/x": "1", "/b/x": "1"})
    touched = keys.apply("/a", changes({"/a/y": "2"}, reset=True))
    assert touched.moved == {"/a/x", "/a/y"}
    assert keys.value("/b/x") == "1"


@given(
    st.dictionaries(NAMES, st.just("v"), max_size=120),
    st.dictionaries(NAMES, st.just("w"), max_size=120),
    st.sets(NAMES, max_size=10),
    NAMES,
)
def test_order_and_children_hold_after_any_change(
    first: dict[str, str], second: dict[str, str], removed: set[str], base: str
) -> None:
    keys = key_set(first)
    keys.apply("", changes(second, tuple(removed)))
    expected = sorted((set(first) - removed) | set(second))
    assert list(keys.starting("")) == expected
    assert keys.below(base) == [key for key in expected if inside(key, base)]
    tails = [key[len(base) + 1 :] for key in expected if key.startswith(base + "/")]
    assert keys.children(base) == {
        tail.split("/")[0]: any(other.startswith(tail.split("/")[0] + "/") for other in tails)
        for tail in tails
    }


def test_many_changes_at_once_keep_the_order() -> None:
    keys = key_set({"/m": "1"})
    many = {f"/{number:04}": "1" for number in range(3 * INSERTS_MAX)}
    keys.apply("", changes(many, ("/m",)))
    assert list(keys.starting("")) == sorted(many)


def test_a_reader_strips_the_prefix_and_sees_only_its_keys() -> None:
    read = reader({"/p/app/a": "1", "/p/app2": "2", "/app/a": "3"}, "/p", ("/p/app",))
    assert read.value("/app/a") == "1"
    assert read.value("/app2") is None
    assert read.matching("/*") == []
    assert read.matching("/app/*") == [KVPair("/app/a", "1")]


def test_a_glob_that_does_not_begin_with_a_slash_stays_inside_the_prefix() -> None:
    read = reader({"/px": "1", "/p/x": "2"}, "/p", ("/p",))
    assert read.matching("*") == []
    assert read.value("x") is None


def test_listings_show_only_the_way_to_what_the_keys_cover() -> None:
    read = reader({"/a/b/c": "1", "/a/x": "1", "/q": "1"}, "", ("/a/b", "/n/o"))
    assert read.children("/") == {"a": True}
    assert read.children("/a") == {"b": True}
    assert read.children("/a/b") == {"c": False}
    assert read.children("/n") == {}


def test_a_covered_leaf_is_listed_as_one() -> None:
    read = reader({"/a/b": "1"}, "", ("/a/b",))
    assert read.children("/a") == {"b": False}


def test_every_question_is_remembered() -> None:
    read = reader({"/a": "1"})
    read.value("/a")
    read.value("/absent")
    read.matching("/g/*")
    read.children("/d//e/")
    assert read.reads == Reads(
        frozenset({"/a", "/absent"}), frozenset({"/g/*"}), frozenset({"/d/e"})
    )


def test_of_several_sources_the_last_that_has_a_key_wins() -> None:
    keys = KeySet(3)
    keys.apply("", changes({"/a": "env", "/b": "env"}, reset=True), 0)
    keys.apply("", changes({"/a": "file"}, reset=True), 1)
    touched = keys.apply("", changes({"/a": "store", "/c": "store"}, reset=True), 2)
    assert touched == Touched(frozenset({"/a", "/c"}), frozenset({"/c"}))
    assert [keys.value(key) for key in ("/a", "/b", "/c")] == ["store", "env", "store"]
    touched = keys.apply("", changes({}, ("/a", "/c")), 2)
    assert touched == Touched(frozenset({"/a", "/c"}), frozenset({"/c"}))
    assert [keys.value(key) for key in ("/a", "/b", "/c")] == ["file", "env", None]
    assert list(keys.starting("/")) == ["/a", "/b"]


def test_a_key_hidden_by_another_source_touches_nothing() -> None:
    keys = KeySet(2)
    keys.apply("", changes({"/a": "over"}, reset=True), 1)
    assert keys.apply("", changes({"/a": "under"}), 0) == Touched()


@given(st.lists(NAMES))
def test_the_minimal_bases_cover_all_and_not_each_other(bases: list[str]) -> None:
    kept = minimal(bases)
    assert all(any(inside(base, above) for above in kept) for base in bases)
    assert not any(inside(one, other) for one in kept for other in kept if one != other)


def test_segments_are_cleaned_as_paths_are() -> None:
    assert segments("//a/./b/../c/") == ["a", "c"]
    assert segments("/../..") == []
