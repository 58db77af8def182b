"""The key set, and the keys that a change affects."""

from hypothesis import given
from hypothesis import strategies as st

from confd.core.keyspace.key_set import INSERTS_MAX, KeyChanges, KeySet
from confd.core.keyspace.scope import inside
from tests.confd.core.keyspace.key_sets import NAMES, changes, key_set


def test_writing_the_same_value_changes_nothing() -> None:
    keys = key_set({"/a": "1"})
    assert keys.apply("", changes({"/a": "1"})) == KeyChanges()


def test_a_new_key_counts_as_written_and_as_added() -> None:
    keys = key_set({"/a": "1"})
    touched = keys.apply("", changes({"/a": "2", "/b": "1"}))
    assert touched == KeyChanges(frozenset({"/a", "/b"}), frozenset({"/b"}))


def test_a_removed_key_counts_as_written_and_as_removed() -> None:
    keys = key_set({"/a": "1"})
    assert keys.apply("", changes({}, ("/a", "/never"))) == KeyChanges(
        frozenset({"/a"}), frozenset({"/a"})
    )
    assert keys.value("/a") is None


def test_a_reset_of_one_root_leaves_the_others() -> None:
    keys = key_set({"/a/x": "1", "/b/x": "1"})
    touched = keys.apply("/a", changes({"/a/y": "2"}, reset=True))
    assert touched.added_or_removed == {"/a/x", "/a/y"}
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


def test_a_later_source_overrides_an_earlier_one() -> None:
    keys = KeySet(3)
    keys.apply("", changes({"/a": "env", "/b": "env"}, reset=True), 0)
    keys.apply("", changes({"/a": "file"}, reset=True), 1)
    touched = keys.apply("", changes({"/a": "store", "/c": "store"}, reset=True), 2)
    assert touched == KeyChanges(frozenset({"/a", "/c"}), frozenset({"/c"}))
    assert [keys.value(key) for key in ("/a", "/b", "/c")] == ["store", "env", "store"]
    touched = keys.apply("", changes({}, ("/a", "/c")), 2)
    assert touched == KeyChanges(frozenset({"/a", "/c"}), frozenset({"/c"}))
    assert [keys.value(key) for key in ("/a", "/b", "/c")] == ["file", "env", None]
    assert list(keys.starting("/")) == ["/a", "/b"]


def test_a_key_overridden_by_another_source_changes_nothing() -> None:
    keys = KeySet(2)
    keys.apply("", changes({"/a": "over"}, reset=True), 1)
    assert keys.apply("", changes({"/a": "under"}), 0) == KeyChanges()
