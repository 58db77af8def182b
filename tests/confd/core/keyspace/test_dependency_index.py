"""Which resources a change affects."""

from confd.core.keyspace.dependency_index import DependencyIndex
from confd.core.keyspace.key_set import KeyChanges
from confd.core.keyspace.reader import ReadSet
from confd.core.keyspace.scope import Scope


def test_only_the_resources_that_read_a_key_are_affected() -> None:
    index = DependencyIndex()
    for name, scope, reads in (
        ("exact", Scope("/p", ("/p/a",)), ReadSet(exact=frozenset({"/a/x"}))),
        ("elsewhere", Scope("/p", ("/p/a",)), ReadSet(exact=frozenset({"/a/y"}))),
        ("outside", Scope("/p", ("/p/b",)), ReadSet(exact=frozenset({"/a/x"}))),
        ("glob", Scope("", ("/p",)), ReadSet(globs=frozenset({"/p/a/*"}))),
        ("deeper-glob", Scope("", ("/p",)), ReadSet(globs=frozenset({"/p/a/*/*"}))),
        ("listing", Scope("", ("/p",)), ReadSet(listings=frozenset({"/p"}))),
        ("root-listing", Scope("", ("",)), ReadSet(listings=frozenset({""}))),
        ("neighbour", Scope("", ("",)), ReadSet(listings=frozenset({"/p/a/x2"}))),
        ("other-prefix", Scope("", ("",)), ReadSet(exact=frozenset({"/a/x"}))),
    ):
        index.note(name, scope, reads)
    touched = KeyChanges(frozenset({"/p/a/x"}), frozenset())
    assert index.affected(touched) == {"exact", "glob"}
    touched = KeyChanges(frozenset({"/p/a/x"}), frozenset({"/p/a/x"}))
    assert index.affected(touched) == {"exact", "glob", "listing", "root-listing"}


def test_a_new_record_replaces_the_earlier_one() -> None:
    index = DependencyIndex()
    scope = Scope("", ("",))
    everything = ReadSet(frozenset({"/a"}), frozenset({"/g/*"}), frozenset({"/l"}))
    index.note("x", scope, everything)
    index.note("x", scope, ReadSet(exact=frozenset({"/b"})))
    all_of_them = frozenset({"/a", "/g/x", "/l/x"})
    assert index.affected(KeyChanges(all_of_them, all_of_them)) == frozenset()
    assert index.affected(KeyChanges(frozenset({"/b"}))) == {"x"}
    index.drop("x")
    assert index.affected(KeyChanges(frozenset({"/b"}))) == frozenset()


def test_with_trigger_keys_only_those_affect_a_resource() -> None:
    index = DependencyIndex()
    reads = ReadSet(exact=frozenset({"/a", "/commit"}))
    index.note("x", Scope("/p", ("/p",)), reads, ["/commit"])
    assert index.affected(KeyChanges(frozenset({"/p/a"}))) == frozenset()
    assert index.affected(KeyChanges(frozenset({"/p/commit"}))) == {"x"}
    assert index.affected(KeyChanges(frozenset({"/p/commit/id"}))) == {"x"}
    assert index.affected(KeyChanges(frozenset({"/p/commits"}))) == frozenset()
