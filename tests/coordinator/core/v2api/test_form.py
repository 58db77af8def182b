"""Forms and media types, with etcd's errors for bad ones."""

from urllib.parse import unquote_to_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.store.api_errors import ApiError
from coordinator.core.v2api.form import FORM_TYPE, fields, is_form, quoted, unescape


def parsed(form: bytes) -> dict[bytes, bytes]:
    into: dict[bytes, bytes] = {}
    fields(form, into)
    return into


def complaint(form: bytes) -> str:
    with pytest.raises(ApiError) as refused:
        parsed(form)
    assert (refused.value.code, refused.value.index) == (210, 0)
    return refused.value.cause


@given(st.dictionaries(st.binary(), st.binary()))
def test_a_decoded_form_equals_the_encoded_one(form: dict[bytes, bytes]) -> None:
    assert parsed(urlencode(form).encode()) == form


@given(st.lists(st.sampled_from([b"%41", b"%3d", b"%0A", b"%fF", b"=", b"\n", b"\r", b" ", b"a"])))
def test_escapes_are_decoded_everywhere(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    assert unescape(raw) == unquote_to_bytes(raw)


@given(st.lists(st.sampled_from([b"%", b"%4", b"%41", b"=", b"\n", b"\r", b"g"])).map(b"".join))
def test_a_bad_escape_is_always_refused(raw: bytes) -> None:
    bad = any(not is_escape(raw[at : at + 3]) for at, byte in enumerate(raw) if byte == 0x25)
    if bad:
        assert complaint(raw.replace(b"=", b"")).startswith("invalid URL escape")
        with pytest.raises(ApiError):
            unescape(raw)
    else:
        assert unescape(raw) == unquote_to_bytes(raw)


def test_a_form_has_few_fields() -> None:
    assert parsed(b"&".join([b"a=1"] * 200)) == {b"a": b"1"}
    assert "at most 200 fields" in complaint(b"&".join([b"a=1"] * 201))
    assert "at most 200 fields" in complaint(b"&" * 1_000_000)


def is_escape(piece: bytes) -> bool:
    return len(piece) == 3 and all(byte in b"0123456789abcdefABCDEF" for byte in piece[1:])


def test_the_first_field_of_a_name_counts_and_empty_ones_are_ignored() -> None:
    assert parsed(b"&a=1&&a=2&b&=c") == {b"a": b"1", b"b": b"", b"": b"c"}
    assert parsed(b"v=a+b%2Bc=d") == {b"v": b"a b+c=d"}


@pytest.mark.parametrize(
    ("form", "cause"),
    [
        (b"a=%", 'invalid URL escape "%"'),
        (b"%zzz=1", 'invalid URL escape "%zz"'),
        (b"a=%2&b=%x", 'invalid URL escape "%2"'),
        (b'a=%"\\', r'invalid URL escape "%\"\\"'),
        (b"a=%\xc3\xa9", 'invalid URL escape "%é"'),
        (b"a=%\xff\x01", r'invalid URL escape "%\xff\x01"'),
        (b"a=1;b=2", "invalid semicolon separator in query"),
    ],
)
def test_a_bad_form_is_refused_with_the_position(form: bytes, cause: str) -> None:
    assert complaint(form) == cause


def test_go_quotes_characters_that_are_not_printable() -> None:
    assert quoted("\n\u00ad\U000e0001".encode()) == r'"\n\u00ad\U000e0001"'


@pytest.mark.parametrize(
    "content_type",
    [
        FORM_TYPE,
        b"APPLICATION/X-www-form-urlencoded; charset=utf-8",
        b" application/x-www-form-urlencoded ;",
        b'application/x-www-form-urlencoded ; a="x;\\"y" ; b=c ; b=c',
    ],
)
def test_a_form_is_known_by_its_media_type(content_type: bytes) -> None:
    assert is_form(content_type)


@pytest.mark.parametrize("content_type", [b"", b"text/plain", b"form", b"application/json; a=b"])
def test_other_media_types_are_not_a_form(content_type: bytes) -> None:
    assert not is_form(content_type)


@pytest.mark.parametrize(
    ("content_type", "cause"),
    [
        (b";", "mime: no media type"),
        (b"/x", "mime: no media type"),
        (b"a b", "mime: expected slash after first token"),
        (b"a/", "mime: expected token after slash"),
        (b"a/b c", "mime: unexpected content after media subtype"),
        (b"a/b; c", "mime: invalid media parameter"),
        (b'a/b; c="', "mime: invalid media parameter"),
        (b"a/b; c=d; C=e", "mime: duplicate parameter name"),
    ],
)
def test_an_invalid_media_type_is_refused(content_type: bytes, cause: str) -> None:
    with pytest.raises(ApiError) as refused:
        is_form(content_type)
    assert (refused.value.code, refused.value.cause) == (210, cause)
