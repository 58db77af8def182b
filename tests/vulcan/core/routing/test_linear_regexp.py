import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.linear_regexp import STEPS_MAX, compile_regexp

ATOMS = st.sampled_from(["a", "b", "/", ".", "[ab]", "[^a]", r"\d", r"\W", "^", "$", r"\.", "[]-]"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join).map("(?:{})".format),
        st.tuples(inner, st.sampled_from("*+?")).map(lambda p: f"({p[0]}){p[1]}"),
        inner.map("({}){{1,2}}".format),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text(alphabet="ab/.1-]", max_size=10))
def test_matching_agrees_with_a_backtracking_engine(pattern, subject):
    expected = re.search(pattern.replace("$", r"\Z"), subject) is not None
    compiled = compile_regexp(pattern)
    assert compiled.matches(subject.encode()) == expected
    assert compiled.matches(subject.encode()) == expected  # the second time from the cache


@pytest.mark.parametrize(
    ("pattern", "takes", "leaves"),
    [
        (r"(?i)AbC", ["xabc", "ABC"], ["ab"]),
        (r"^(?:v1|v2)/", ["v2/x"], ["xv1/"]),
        ("$^", [""], ["1"]),
        (r"\Aa\z", ["a"], ["aa", ""]),
        (r"[[:digit:]]{2}", ["a12"], ["1a2"]),
        (r"[^[:alpha:]]", ["a1"], ["ab"]),
        (r"\Qa.b\E+", ["a.bb"], ["axb"]),
        (r"a{2,}?b", ["aaab"], ["ab"]),
        (r"a.b", ["a-b"], ["a\nb"]),
        (r"(?s:a.b)", ["a\nb"], ["ab"]),
        (r"é", ["café"], ["cafe"]),
        (r"\x41\t", ["A\t"], ["a"]),
        (r"(?P<name>x)y", ["xy"], ["x"]),
    ],
)
def test_the_syntax_is_that_of_re2(pattern, takes, leaves):
    compiled = compile_regexp(pattern)
    assert [s for s in takes if not compiled.matches(s.encode())] == []
    assert [s for s in leaves if compiled.matches(s.encode())] == []


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("", "empty"),
        ("(", r"a \( without its \)"),
        (")", r"a \) without its \("),
        ("[a", r"a \[ without its \]"),
        ("[\\", r"a \[ without its \]"),
        ("*a", "nothing to repeat"),
        ("a**", "a repetition of a repetition"),
        ("a{2,1}", "a bad repetition"),
        ("a{2000}", "a bad repetition"),
        ("(?=a)", "an unsupported group"),
        (r"(a)\1", r"\\1 is not supported"),
        (r"\bx", r"\\b is not supported"),
        (r"[\p]", r"\\p is not supported"),
        ("[z-a]", "a range in the wrong order"),
        ("[é]", "only ASCII"),
        ("[[:x:]]", "unknown class"),
        ("a\\", "a backslash at the end"),
        ("((a{100}){100})", f"more than {STEPS_MAX} steps"),
        ("(" * 60 + ")" * 60, "more than 50 nested groups"),
    ],
)
def test_unsupported_syntax_is_refused_with_its_position(pattern, complaint):
    with pytest.raises(ExpressionError, match=complaint):
        compile_regexp(pattern)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", ".*.*.*.*x", "(?:a?){30}a{30}b"])
def test_matching_takes_linear_time_for_any_subject(pattern):
    compiled = compile_regexp(pattern)
    # This takes milliseconds. A backtracking engine would take years, and the test would time out.
    compiled.matches(b"a" * 30_000)
    assert len(compiled._sets) < 100


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("^/api/v1", b"/api/v1"),
        ("^/api?", b"/ap"),
        ("^/a|b", b""),
        ("/a", b""),
        ("^/a.b", b"/a"),
        ("^/ab{2}", b"/a"),
    ],
)
def test_the_literal_prefix_of_every_match_is_known(pattern, prefix):
    assert compile_regexp(pattern).prefix == prefix
