"""Scopes and paths of keys."""

from hypothesis import given
from hypothesis import strategies as st

from confd.core.keyspace.scope import inside, minimal, segments
from tests.confd.core.keyspace.key_sets import NAMES


@given(st.lists(NAMES))
def test_the_minimal_bases_cover_all_and_not_each_other(bases: list[str]) -> None:
    kept = minimal(bases)
    assert all(any(inside(base, above) for above in kept) for base in bases)
    assert not any(inside(one, other) for one in kept for other in kept if one != other)


def test_paths_are_split_as_go_cleans_them() -> None:
    assert segments("//a/./b/../c/") == ["a", "c"]
    assert segments("/../..") == []
