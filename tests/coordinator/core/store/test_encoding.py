"""JSON strings and times as etcd writes them."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.store.encoding import (
    NONCHARACTERS,
    UNDECODABLE,
    json_string,
    remaining_s,
    rfc3339,
    text,
)


@given(st.text())
def test_decoded_text_equals_the_encoded_one(value: str) -> None:
    raw = value.encode(errors="replace")
    assert json.loads(json_string(raw)) == raw.decode()


@given(st.binary())
def test_any_bytes_become_a_json_string_that_is_safe_in_html(raw: bytes) -> None:
    quoted = json_string(raw)
    assert json.loads(quoted) == text(raw)
    assert not set(quoted) & set(b"<>&")
    assert "\u2028" not in quoted.decode()
    assert "\u2029" not in quoted.decode()


@pytest.mark.parametrize("part", [b"\x01", b"<", b"\xff", b"\xff?", b"\xe2\x80\xa8", b'\x01<\xff"'])
def test_a_mebibyte_is_quoted_in_a_moment_whatever_it_holds(part: bytes) -> None:
    raw = part * ((1 << 20) // len(part))

    def work_s() -> float:
        began_s = time.thread_time()
        assert len(json_string(raw)) > len(raw)
        return time.thread_time() - began_s

    assert min(work_s() for _ in range(5)) < 0.04


ESCAPES = {**{char: f"\\u{ord(char):04x}" for char in [*map(chr, range(32)), *"<>&\u2028\u2029"]}}
ESCAPES |= dict(
    zip('\n\r\t\b\f"\\', ["\\n", "\\r", "\\t", "\\b", "\\f", '\\"', "\\\\"], strict=True)
)


@given(st.lists(st.sampled_from([*map(bytes, zip(range(256))), b"\xe2\x80\xa8", b"\xe2\x80"])))
def test_every_character_has_its_escape(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    mended = UNDECODABLE.sub("\ufffd", raw.decode(errors="surrogateescape"))
    assert text(raw) == mended
    escaped = "".join(ESCAPES.get(char, char) for char in mended)
    assert json_string(raw) == b'"%b"' % escaped.encode()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\xff", "\ufffd"),
        (b"\xe2\x82A", "\ufffd\ufffdA"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"),
        (b"\xc3\xa9", "é"),
        (b"?\xff?", "?\ufffd?"),
        (b"\xff\xef\xb7\x90?", "\ufffd\ufdd0?"),
        (b"?\xff" + "".join(NONCHARACTERS).encode(), "?\ufffd" + "".join(NONCHARACTERS)),
    ],
)
def test_each_byte_that_is_not_utf8_becomes_one_replacement_character(
    raw: bytes, shown: str
) -> None:
    assert text(raw) == shown


@pytest.mark.parametrize(
    ("moment_ns", "shown"),
    [
        (0, b"1970-01-01T00:00:00Z"),
        (1, b"1970-01-01T00:00:00.000000001Z"),
        (1_700_000_000_120_000_000, b"2023-11-14T22:13:20.12Z"),
        ((1 << 63) - 1, b"2262-04-11T23:47:16.854775807Z"),
    ],
)
def test_a_time_drops_its_trailing_zeros(moment_ns: int, shown: bytes) -> None:
    assert rfc3339(moment_ns) == shown


@pytest.mark.parametrize(
    ("left_ns", "seconds"),
    [(1, 1), (10**9, 1), (10**9 + 1, 2), (0, 0), (-1, 0), (-(10**9), -1), (-1_500_000_000, -1)],
)
def test_the_time_left_is_rounded_up(left_ns: int, seconds: int) -> None:
    assert remaining_s(10**18 + left_ns, 10**18) == seconds
