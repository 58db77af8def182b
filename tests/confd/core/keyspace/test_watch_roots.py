"""Which directories of the store are watched."""

from hypothesis import given
from hypothesis import strategies as st

from confd.core.keyspace.scope import Scope, inside
from confd.core.keyspace.watch_roots import ROOTS_MAX, watch_roots
from tests.confd.core.keyspace.key_sets import NAMES


def test_overlapping_keys_have_one_root() -> None:
    scopes = [Scope("", ("/app", "/db/main")), Scope("", ("/app/web",)), Scope("/db", ("/db",))]
    assert watch_roots(scopes) == ("/app", "/db")


def test_without_keys_there_are_no_roots() -> None:
    assert watch_roots([Scope("", ())]) == ()


def test_too_many_roots_are_merged_into_parents() -> None:
    scopes = [Scope("", (f"/app/x{number}/k",)) for number in range(ROOTS_MAX + 1)]
    assert watch_roots([*scopes, Scope("", ("/db",))]) == ("/app", "/db")


def test_many_roots_without_a_common_parent_are_the_whole_store() -> None:
    assert watch_roots([Scope("", (f"/r{number}",)) for number in range(ROOTS_MAX + 1)]) == ("",)


@given(st.lists(NAMES, max_size=40))
def test_the_roots_cover_every_key_and_are_few(subtrees: list[str]) -> None:
    found = watch_roots([Scope("", tuple(subtrees))])
    assert len(found) <= ROOTS_MAX
    assert all(any(inside(top, root) for root in found) for top in subtrees)
