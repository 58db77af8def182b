import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vulcan.core.routing.expression import (
    EXPRESSION_CHARS_MAX,
    NESTING_MAX,
    AllOf,
    AnyOf,
    Call,
    Compare,
    ExpressionError,
    Not,
    parse,
)


def test_a_call_has_a_name_arguments_and_a_position():
    assert parse(' Header("X-Api", `v<n>`)') == Call("Header", ("X-Api", "v<n>"), 2)


def test_and_joins_calls_in_order_across_parentheses():
    assert names(parse('(Host("a") && (Path("/")))&&Method("GET")')) == ["Host", "Path", "Method"]


def names(node) -> list[str]:
    match node:
        case Call(name):
            return [name]
        case AllOf(terms) | AnyOf(terms):
            return [name for term in terms for name in names(term)]


def test_not_binds_closer_than_and_and_and_closer_than_or():
    a, b, c = (Call(name, (), at) for name, at in (("A", 1), ("B", 9), ("C", 16)))
    assert parse("A() || !B() && C()") == AnyOf((a, AllOf((Not(b, 8), c))))


def test_a_comparison_has_a_call_on_the_left_and_a_literal_on_the_right():
    assert parse("F(50.0, 2) <= 1.5") == Compare(Call("F", (50.0, 2), 1), "<=", 1.5, 12)
    assert parse('F() == "GET"') == Compare(Call("F", (), 1), "==", "GET", 5)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r'"a\"b\\c"', 'a"b\\c'),
        (r'"\a\b\f\n\r\t\v"', "\a\b\f\n\r\t\v"),
        (r'"\x41\102é\U0001F600"', "ABé😀"),
        (r'"\xc3\xa9"', "é"),
        (r"`\n<x>`", r"\n<x>"),
        ("`a\r\nb`", "a\nb"),
        ('"é"', "é"),
    ],
)
def test_a_string_is_unquoted_as_go_does(literal, value):
    assert parse(f"F({literal})") == Call("F", (value,), 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("Host", r"expected \( after Host at character 5, found the end"),
        ("Host(", r"expected a quoted string or a number at character 6, found the end"),
        ('Host("a"', r"expected , or \) at character 9, found the end"),
        ('Host("a" "b")', r"expected , or \) at character 10, found 'b'"),
        ('Host("a",)', r"expected a quoted string or a number at character 10, found '\)'"),
        ('Host("a") &&', r'expected a call such as Path\("/a"\) at character 13'),
        ('Host("a") Path("/")', r"expected &&, \|\| or the end at character 11, found 'Path'"),
        ('(Host("a")', r"expected \) at character 11, found the end"),
        ('"a"', "expected a call"),
        ("Host('a')", "single quote at character 6: quote strings with"),
        ('Host("a', "the string that begins at character 6 has no end"),
        ("Host(`a", "the string that begins at character 6 has no end"),
        ('Host("a") == Host("b")', "expected a number or a string after == at character 14"),
        ('Host("a") + Path("/")', r"the operator \+ at character 11 is not supported"),
        ('Host("a") !', "expected &&, .* found '!'"),
        ('Host("a") & Path("/")', "the operator & at character 11"),
        ('Host("a")\x00', "is not allowed in an expression"),
        (r'Host("\q")', r"\\q at character 7 is not a valid escape"),
        (r'Host("\'")', "is not a valid escape"),
        (r'Host("\400")', "is not a valid escape"),
        (r'Host("\ud800")', "is not a valid escape"),
        (r'Host("\UFFFFFFFF")', "is not a valid escape"),
        (r'Host("\xff")', "the string at character 6 is not UTF-8"),
    ],
)
def test_an_invalid_expression_is_refused_with_reason_and_position(text, complaint):
    with pytest.raises(ExpressionError, match=complaint):
        parse(text)


def test_length_and_nesting_are_bounded():
    with pytest.raises(ExpressionError, match="longer than"):
        parse("F(`" + "a" * EXPRESSION_CHARS_MAX + "`)")
    with pytest.raises(ExpressionError, match="nested parentheses"):
        parse("(" * (NESTING_MAX + 2) + "F()" + ")" * (NESTING_MAX + 2))
    deep = "(" * NESTING_MAX + "F()" + ")" * NESTING_MAX
    assert parse(deep) == Call("F", (), NESTING_MAX + 1)
    with pytest.raises(ExpressionError, match="nested parentheses"):
        parse("!" * (NESTING_MAX + 2) + "F()")


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def quoted(text: str) -> str:
    """Quote a string as in Go; JSON's escapes are the same where they matter here."""
    return "".join(
        f"\\U{ord(c):08x}" if ord(c) > 0xFFFF or ord(c) < 0x20 else json.dumps(c)[1:-1]
        for c in text
    ).join('""')


CALLS = st.tuples(NAMES, st.lists(TEXTS, max_size=3))
SPACE = st.sampled_from(["", " ", "\n\t "])


@given(st.lists(CALLS, min_size=1, max_size=4), SPACE, st.booleans())
def test_an_expression_that_is_written_out_is_parsed_to_the_same_tree(calls, space, parenthesised):
    terms = []
    for name, arguments in calls:
        inner = f"{space},{space}".join(quoted(argument) for argument in arguments)
        term = f"{name}{space}({space}{inner}{space})"
        terms.append(f"({space}{term})" if parenthesised else term)
    found = parse(f"{space}&&{space}".join(terms))
    found = found.terms if isinstance(found, AllOf) else (found,)
    assert [(call.name, list(call.arguments)) for call in found] == calls


@given(st.text(alphabet=st.sampled_from('Host("a`<>\\x&|!,)1é \n'), max_size=40))
def test_any_text_is_either_parsed_or_refused(text):
    with contextlib.suppress(ExpressionError):
        assert parse(text)
