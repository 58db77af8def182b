"""Which keys a pattern is for."""

import time

import pytest

from coordinator.core.auth import patterns
from coordinator.core.auth.patterns import KeyPatterns

WEB3 = {"host": "web3", "machine": "0" * 32, "user": "host:web3"}


def pattern(text: str) -> KeyPatterns:
    return KeyPatterns([text], WEB3)


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("/a/b", "/a/b", "/a /a/b/ /a/bc /a/b/c"),
        ("*", "/ /a /a/b", ""),
        ("/*", "/ /a /a/b", ""),
        ("/a/*", "/a/b /a/b/c /a/", "/a /b/a/b"),
        ("/a*", "/a /ab /ab/c", "/b /b/a"),
        ("/a/*/c", "/a/b/c /a/x/c", "/a/c /a/b/b/c /a/b/c/d"),
        ("/a/x-*/c", "/a/x-/c /a/x-1/c", "/a/y/c /a/x-1/2/c"),
        ("/a/*-x-*", "/a/1-x-2 /a/1-x-2/3 /a/-x-", "/a/1/-x-2 /a/1-x"),
        ("/a/*b*c/d", "/a/bc/d /a/xbxcxc/d", "/a/cb/d /a/b/c/d"),
        ("/h/{host}/*", "/h/web3/a", "/h/web30/a /h/web3 /h/{host}/a"),
        ("/h/*-{host}", "/h/a-web3", "/h/a-web30 /h/a-web3/b"),
        ("/h/[a-z].b", "/h/[a-z].b", "/h/x.b /h/[a-z]xb"),
    ],
)
def test_a_pattern_is_for_these_keys(text: str, matching: str, others: str) -> None:
    for key in matching.split():
        assert pattern(text).matches(key.encode()), key
    for key in others.split():
        assert not pattern(text).matches(key.encode()), key


@pytest.mark.parametrize(
    ("text", "covered", "reached", "neither"),
    [
        ("*", "/ /a /a/b", "", ""),
        ("/a/*", "/a /a/b", "/", "/b /ab"),
        ("/a*", "/a /ab /ab/c", "/", "/b"),
        ("/a/b", "", "/ /a", "/a/b /b"),
        ("/a/*/c/d", "", "/ /a /a/x /a/x/c", "/a/x/y /a/x/c/d"),
        ("/a/*/c*", "/a/x/c /a/x/cc/d", "/ /a /a/x", "/a/x/b"),
        ("/h/{host}/s", "", "/ /h /h/web3", "/h/web4 /h/web3/s"),
    ],
)
def test_a_pattern_covers_or_reaches_a_directory(
    text: str, covered: str, reached: str, neither: str
) -> None:
    one = pattern(text)
    for key in map(str.encode, covered.split()):
        assert (one.covers(key), one.reaches(key)) == (True, True), key
    for key in map(str.encode, reached.split()):
        assert (one.covers(key), one.reaches(key)) == (False, True), key
    for key in map(str.encode, neither.split()):
        assert (one.covers(key), one.reaches(key)) == (False, False), key


@pytest.mark.parametrize("text", ["", "a", "a/*", "/h/{machine8}/x", "/h/{nobody}*", "/{"])
def test_a_pattern_without_its_attribute_or_slash_matches_nothing(text: str) -> None:
    one = pattern(text)
    for key in (b"/", b"/a", b"/h/x", b"a"):
        assert not one.matches(key)
        assert not one.covers(key)
        assert not one.reaches(key)


def test_an_attribute_is_never_a_wildcard() -> None:
    hostile = KeyPatterns(["/h/{host}/s", "/x/*/{host}"], {"host": "*"})
    assert not hostile.matches(b"/x/a/web3")
    assert hostile.matches(b"/x/a/*")
    assert not hostile.matches(b"/h/web3/s")
    assert hostile.matches(b"/h/*/s")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("/" + "a" * 2000, "1024"),
        ("/a" * 100, "64"),
        ("/{host", "brace"),
        ("/{Host}", "brace"),
        ("/a}", "brace"),
        ("/h/{host}*", "other names"),
        ("/u/{user}*", "other names"),
    ],
)
def test_a_bad_pattern_is_refused_with_the_remedy(text: str, word: str) -> None:
    assert word in patterns.problem(text)


@pytest.mark.parametrize("text", ["/a", "*", "/a/{host}/*", "/a/{machine}*", ""])
def test_a_good_pattern_has_no_problem(text: str) -> None:
    assert patterns.problem(text) == ""


def test_a_pattern_with_many_stars_takes_linear_time() -> None:
    one = pattern("/" + "*a" * 200 + "*b/c")
    began = time.perf_counter()
    assert not one.matches(b"/" + b"a" * 2000 + b"/c")
    assert time.perf_counter() - began < 0.5


def test_several_patterns_permit_what_one_of_them_permits() -> None:
    several = KeyPatterns(["/a", "/b/*", "/c/{nobody}"], WEB3)
    assert several.pattern_of(b"/b/x") == "/b/*"
    assert several.pattern_of(b"/c/x") == ""
    assert [several.covers(each) for each in (b"/b", b"/")] == [True, False]
    assert [several.reaches(each) for each in (b"/", b"/c")] == [True, False]
