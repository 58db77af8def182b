"""What templates read, and the record of it."""

from confd.core.keyspace.reader import KVPair, ReadSet
from tests.confd.core.keyspace.key_sets import reader


def test_a_reader_removes_the_prefix_and_sees_only_its_keys() -> None:
    read = reader({"/p/app/a": "1", "/p/app2": "2", "/app/a": "3"}, "/p", ("/p/app",))
    assert read.value("/app/a") == "1"
    assert read.value("/app2") is None
    assert read.matching("/*") == []
    assert read.matching("/app/*") == [KVPair("/app/a", "1")]


def test_a_glob_that_does_not_begin_with_a_slash_stays_inside_the_prefix() -> None:
    read = reader({"/px": "1", "/p/x": "2"}, "/p", ("/p",))
    assert read.matching("*") == []
    assert read.value("x") is None


def test_listings_show_only_directories_above_covered_keys() -> None:
    read = reader({"/a/b/c": "1", "/a/x": "1", "/q": "1"}, "", ("/a/b", "/n/o"))
    assert read.children("/") == {"a": True}
    assert read.children("/a") == {"b": True}
    assert read.children("/a/b") == {"c": False}
    assert read.children("/n") == {}


def test_a_covered_key_without_children_is_listed() -> None:
    read = reader({"/a/b": "1"}, "", ("/a/b",))
    assert read.children("/a") == {"b": False}


def test_every_read_is_recorded() -> None:
    read = reader({"/a": "1"})
    read.value("/a")
    read.value("/absent")
    read.matching("/g/*")
    read.children("/d//e/")
    assert read.reads == ReadSet(
        frozenset({"/a", "/absent"}), frozenset({"/g/*"}), frozenset({"/d/e"})
    )
