import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.placeholders import Exact, Placeholders, compile_pattern, rank_of


@pytest.mark.parametrize(
    ("pattern", "takes", "leaves"),
    [
        ("/a", ["/a"], ["/a/", "/", "/b"]),
        ("/a/<x>", ["/a/", "/a/b", "/a/b.c"], ["/a", "/a/b/c"]),
        ("/<string:x>/b", ["//b", "/a/b"], ["/a/c", "/a/b/", "/a/a/b"]),
        ("/<int:id>", ["/", "/12"], ["/a", "/1a", "/-1", "/1/", "/\u0661"]),
        ("/<int:id>/x", ["/1/x", "//x"], ["/a/x", "/1x/x"]),
        ("/<path:rest>", ["/", "/a", "/a/b\n/c"], ["", "a"]),
        ("/a<x>/b", ["/a/b", "/axy/b"], ["/b/b"]),
        ("/<a><b>", ["/", "/xy"], ["/x/y"]),
        ("/<x", ["/<x"], ["/a"]),
        ("/a>b", ["/a>b"], ["/a"]),
    ],
)
def test_a_path_pattern_matches_the_whole_path(pattern, takes, leaves):
    compiled = compile_pattern(pattern, "/")
    assert [s for s in takes if not compiled.matches(s.encode())] == []
    assert [s for s in leaves if compiled.matches(s.encode())] == []


def test_a_placeholder_in_a_host_stops_at_a_dot():
    compiled = compile_pattern("<app>.example.com", ".")
    assert compiled.matches(b"www.example.com")
    assert not compiled.matches(b"a.b.example.com")


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("", "empty pattern"),
        ("/<float:x>", "<float:x>: unknown type 'float', use string, int or path"),
        ("/<int:a:b>", "<int:a:b>: expected <type:name>"),
        ("/img-<x>.png", r'"\.png" after <x> can never match.*up to the next "/"'),
        ("/<path:x>/b", '"/b" after <path:x> can never match'),
        ("/<path:x><y>", "nothing can follow a <path:...> placeholder"),
    ],
)
def test_a_pattern_that_cannot_match_is_refused_with_the_reason(pattern, complaint):
    with pytest.raises(ExpressionError, match=complaint):
        compile_pattern(pattern, "/")


def test_patterns_are_ranked_from_the_most_specific():
    patterns = ["/a/b", "/a/b/<x>", "/a/<int:x>", "/a/<x>", "/a/<path:x>", "/<x>/b", "/<x>/<y>"]
    ranks = [rank_of(compile_pattern(pattern, "/")) for pattern in patterns] + [rank_of(None)]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


def test_patterns_that_differ_only_in_names_are_equal():
    one, other = compile_pattern("/<a>/<int:b>", "/"), compile_pattern("/<x>/<int:y>", "/")
    assert one.key == other.key
    assert one.key != compile_pattern("/<x>/<y>", "/").key
    assert Exact(b"x").key != Exact(b"y").key


PIECES = st.lists(
    st.one_of(
        st.sampled_from(["/", "/a", "/b/", "/.*", "/ä"]),
        st.sampled_from(["<x>", "<string:y>", "<int:n>", "<path:r>"]),
    ),
    min_size=1,
    max_size=5,
).map("".join)
SUBJECTS = st.text(alphabet="/ab1.*ä\n", max_size=12)
MODEL = {"string": "[^/]*", "int": r"[0-9]*(?=/|\Z)", "path": "(?s:.*)"}


def model(pattern: str) -> re.Pattern[str]:
    """Translate placeholders to a backtracking expression, the meaning that a reader expects."""
    parts = re.split(r"<([^>]+)>", pattern)
    kinds = [kind.partition(":")[0] if ":" in kind else "string" for kind in parts[1::2]]
    expression = re.escape(parts[0])
    for kind, literal in zip(kinds, parts[2::2], strict=True):
        expression += MODEL[kind] + re.escape(literal)
    return re.compile(expression)


def never_matches(pattern: str) -> bool:
    """Whether a placeholder matches everything that the text after it would need."""
    after_string = re.search(r"<(?!path:)[^>]+>[^/<]", pattern)
    return after_string is not None or re.search(r"<path:[^>]+>.", pattern) is not None


@given(PIECES, SUBJECTS)
def test_placeholders_agree_with_a_naive_expression(pattern, subject):
    if never_matches(pattern):
        with pytest.raises(ExpressionError, match=r"can never match|nothing can follow"):
            compile_pattern(pattern, "/")
        return
    compiled = compile_pattern(pattern, "/")
    expected = model(pattern).fullmatch(subject) is not None
    assert compiled.matches(subject.encode()) == expected
    if isinstance(compiled, Placeholders) and expected:
        assert subject.encode().startswith(compiled.prefix)
        assert subject.encode().endswith(compiled.suffix)
