"""Matches and their groups, compared with a backtracking engine."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan.core.routing.linear_regexp import compile_regexp
from vulcan.core.routing.submatches import find_all

# No atom matches the empty text: engines differ in the groups of empty repetitions.
ATOMS = st.sampled_from(["a", "b", "/", ".", "[ab]", "[^a]", r"\d", "ab"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join).map("({})".format),
        st.tuples(inner, st.sampled_from(["+", "+?", "{1,2}", "{2}"])).map("(%s)%s".__mod__),
    ),
    max_leaves=8,
)
OPTIONAL = st.sampled_from(["", "*", "?", "*?", "??"])


@given(
    st.lists(st.tuples(PATTERNS, OPTIONAL), max_size=2),
    PATTERNS,
    st.text(alphabet="ab/1", max_size=12),
)
def test_matches_and_groups_agree_with_a_backtracking_engine(parts, last, subject):
    pattern = "".join([*(f"({part}){times}" for part, times in parts), last])
    reference = re.compile(pattern.encode())
    found = [
        (match.start, match.end, *(match.group(n + 1) for n in range(reference.groups)))
        for match in find_all(compile_regexp(pattern), subject.encode())
    ]
    expected = [
        (match.start(), match.end(), *(group or b"" for group in match.groups()))
        for match in reference.finditer(subject.encode())
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("pattern", "subject", "found"),
    [
        ("a*", b"baac", [(0, 0), (1, 3), (4, 4)]),
        ("^a", b"aa", [(0, 1)]),
        ("a$", b"aa", [(1, 2)]),
        ("a??", b"a", [(0, 0), (1, 1)]),
        ("(a*)*", b"aa", [(0, 2)]),
        ("(|a)+", b"aa", [(0, 0), (1, 1), (2, 2)]),
        ("x", b"aa", []),
    ],
)
def test_matches_are_those_of_go(pattern, subject, found):
    matches = find_all(compile_regexp(pattern), subject)
    assert [(match.start, match.end) for match in matches] == found


def test_groups_are_known_by_number_and_name():
    regexp = compile_regexp("(a)(?:b)(?P<last>c(?<inner>d))")
    assert regexp.groups == {"0": 0, "1": 1, "2": 2, "last": 2, "3": 3, "inner": 3}
    (match,) = find_all(regexp, b"xabcdx")
    assert [match.group(number) for number in range(4)] == [b"abcd", b"a", b"cd", b"d"]
