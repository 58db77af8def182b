"""Go's path.Match, case by case."""

import pytest

from confd.core.keyspace.pathmatch import BadPattern, compiled

# The first group is the table of Go's own documentation of the rules.
CASES = [
    ("abc", "abc", True),
    ("*", "abc", True),
    ("*c", "abc", True),
    ("a*", "a", True),
    ("a*", "abc", True),
    ("a*", "ab/c", False),
    ("a*/b", "abc/b", True),
    ("a*/b", "a/c/b", False),
    ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
    ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True),
    ("ab[e-g]", "abc", False),
    ("ab[^c]", "abc", False),
    ("ab[^b-d]", "abc", False),
    ("ab[^e-g]", "abc", True),
    (r"a\*b", "a*b", True),
    (r"a\*b", "ab", False),
    ("a?b", "a☺b", True),
    ("a[^a]b", "a☺b", True),
    ("a???b", "a☺b", False),
    ("[a-ζ]*", "α", True),
    ("*[a-ζ]", "A", False),
    ("a?b", "a/b", False),
    ("a*b", "a/b", False),
    (r"[\]a]", "]", True),
    (r"[\-]", "-", True),
    (r"[x\-]", "x", True),
    (r"[x\-]", "-", True),
    (r"[x\-]", "z", False),
    ("*x", "xxx", True),
    ("", "", True),
    ("", "a", False),
    ("/app/*/port", "/app/web/port", True),
    ("/app/*", "/app/web/port", False),
    ("/app/?", "/app/a", True),
    ("/a.b", "/axb", False),
    ("/a(b)+", "/a(b)+", True),
    ("[!a]", "!", True),
    ("[!a]", "b", False),
    ("a*", "a\nb", True),
    ("[b-a]", "a", False),
    ("[^b-a]", "a", True),
    ("[]a]", None, None),
    ("[-]", None, None),
    ("[x-]", None, None),
    ("[-x]", None, None),
    ("[", None, None),
    ("[^", None, None),
    ("[^bc", None, None),
    ("a[", None, None),
    ("[a-b-c]", None, None),
    ("a\\", None, None),
]


@pytest.mark.parametrize(("pattern", "name", "matches"), CASES)
def test_a_pattern_matches_as_in_go(pattern: str, name: str | None, matches: bool | None) -> None:
    if name is None:
        with pytest.raises(BadPattern):
            compiled(pattern)
    else:
        assert compiled(pattern).matches(name) is matches


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [("/app/*", "/app/"), ("/app", "/app"), ("[a]", ""), (r"/a\*", "/a"), ("/a?", "/a")],
)
def test_every_match_starts_with_the_literal_part(pattern: str, literal: str) -> None:
    assert compiled(pattern).literal == literal
