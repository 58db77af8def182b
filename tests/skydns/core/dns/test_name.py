import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns.core.dns import name as names


def test_a_name_is_parsed_into_lower_case_labels() -> None:
    assert names.parse("App.SkyDNS.local.") == (b"app", b"skydns", b"local")
    assert names.parse("app") == (b"app",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty label"),
        (".", "empty label"),
        ("a..b", "empty label"),
        ("a b", "printable ASCII"),
        ("b\\046c", "printable ASCII"),
        ("grün.local", "xn--"),
        (f"{'a' * 64}.local", "longer than 63 bytes"),
        (".".join(["a" * 63] * 4), "longer than 255 bytes"),
    ],
)
def test_a_text_that_is_not_a_name_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        names.parse(text)
    assert repr(text) in str(refusal.value)


def test_the_longest_name_fits() -> None:
    name = names.parse(".".join(["a" * 63] * 3 + ["a" * 61]))
    assert sum(len(label) + 1 for label in name) + 1 == names.NAME_BYTES_MAX


def test_odd_octets_are_escaped() -> None:
    assert names.text((b"a.b", b"c\\", b"\x00\xff ")) == "a\\.b.c\\\\.\\000\\255\\032."
    assert names.text(()) == "."


@given(st.from_regex(r"[a-z0-9_*/-]{1,20}(\.[a-z0-9_-]{1,20}){0,5}", fullmatch=True))
def test_a_name_is_parsed_as_it_was_written(text: str) -> None:
    assert names.text(names.parse(text)) == text + "."


def test_a_name_is_within_itself_and_its_parents() -> None:
    domain = (b"b", b"c")
    assert names.is_within((b"a", b"b", b"c"), domain)
    assert names.is_within(domain, domain)
    assert names.is_within(domain, ())
    assert not names.is_within((b"c",), domain)
    assert not names.is_within((b"ab", b"c"), domain)
