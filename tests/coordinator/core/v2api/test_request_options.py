"""The parameters of /v2/keys and the order in which bad ones are refused."""

import pytest

from coordinator.core.store.api_errors import ApiError
from coordinator.core.store.commands import NO_TTL
from coordinator.core.v2api.request_options import EXPIRES_NS_MAX, RequestOptions, read

NOW_NS = 1_700_000_000_000_000_000

# In the order of their checks: each request breaks its own rule and all that come later.
BROKEN = [
    ("prevIndex", b"x", 203, 'invalid value for "prevIndex"'),
    ("waitIndex", b"-1", 203, 'invalid value for "waitIndex"'),
    ("recursive", b"yes", 209, 'invalid value for "recursive"'),
    ("sorted", b"", 209, 'invalid value for "sorted"'),
    ("wait", b"no", 209, 'invalid value for "wait"'),
    ("dir", b"", 209, 'invalid value for "dir"'),
    ("quorum", b"", 209, 'invalid value for "quorum"'),
    ("stream", b"2", 209, 'invalid value for "stream"'),
    ("prevValue", b"", 201, '"prevValue" cannot be empty'),
    ("noValueOnSuccess", b"", 209, 'invalid value for "noValueOnSuccess"'),
    ("ttl", b"1.5", 202, 'invalid value for "ttl"'),
    ("prevExist", b"", 209, "invalid value for prevExist"),
    ("refresh", b"maybe", 209, "invalid value for refresh"),
    ("hidden", b"", 209, 'invalid value for "hidden"'),
    ("progress", b"0", 209, 'invalid value for "progress": seconds from 1 to 3600'),
]


def refusal(form: dict[bytes, bytes], method: bytes = b"PUT") -> tuple[int, str, int]:
    with pytest.raises(ApiError) as refused:
        read(form, method, NOW_NS)
    return refused.value.code, refused.value.cause, refused.value.index


@pytest.mark.parametrize("place", range(len(BROKEN)))
def test_the_first_bad_parameter_in_etcds_order_is_refused(place: int) -> None:
    form = {name.encode(): value for name, value, _, _ in BROKEN[place:]}
    _, _, code, cause = BROKEN[place]
    assert refusal(form) == (code, cause, 0)


def test_a_request_without_parameters_has_the_defaults() -> None:
    assert read({}, b"GET", NOW_NS) == RequestOptions()
    assert read({b"unknown": b"x"}, b"GET", NOW_NS) == RequestOptions()


@pytest.mark.parametrize("value", [b"1", b"t", b"T", b"true", b"True", b"TRUE"])
def test_true_has_six_spellings(value: bytes) -> None:
    assert read({b"prevExist": value, b"dir": value}, b"PUT", NOW_NS) == RequestOptions(
        prev_exist=True, directory=True
    )


@pytest.mark.parametrize("value", [b"0", b"f", b"F", b"false", b"False", b"FALSE"])
def test_false_has_six_spellings(value: bytes) -> None:
    assert read({b"prevExist": value, b"dir": value}, b"PUT", NOW_NS) == RequestOptions(
        prev_exist=False
    )


def test_an_index_has_64_bits() -> None:
    largest = (1 << 64) - 1
    assert read({b"prevIndex": b"%d" % largest}, b"PUT", NOW_NS).prev_index == largest
    assert read({b"prevIndex": b"0" * 5000 + b"7"}, b"PUT", NOW_NS).prev_index == 7
    for value in (b"9" * 5000, b"%d" % (largest + 1), b"+1", b"", "²".encode(), b"0x1", b"1_0"):
        assert refusal({b"waitIndex": value})[0] == 203


def test_a_ttl_counts_from_now_and_an_empty_one_is_none() -> None:
    assert read({b"ttl": b"5"}, b"PUT", NOW_NS).ttl_ns == 5_000_000_000
    assert read({b"ttl": b"0"}, b"PUT", NOW_NS).ttl_ns == 0
    assert read({b"ttl": b""}, b"PUT", NOW_NS).ttl_ns == NO_TTL


def test_a_ttl_that_would_overflow_is_refused() -> None:
    longest_s = (EXPIRES_NS_MAX - NOW_NS) // 1_000_000_000
    ttl_ns = read({b"ttl": b"%d" % longest_s}, b"PUT", NOW_NS).ttl_ns
    assert NOW_NS + ttl_ns <= EXPIRES_NS_MAX
    wanted = (202, 'invalid value for "ttl"', 0)
    assert refusal({b"ttl": b"%d" % (longest_s + 1)}) == wanted
    assert refusal({b"ttl": b"9" * 5000}) == wanted


def test_wait_is_only_for_get() -> None:
    assert read({b"wait": b"true"}, b"GET", NOW_NS).wait
    cause = '"wait" can only be used with GET requests'
    assert refusal({b"wait": b"true"}, b"HEAD") == (209, cause, 0)


def test_a_refresh_needs_a_ttl_and_no_value() -> None:
    assert refusal({b"refresh": b"1", b"value": b"x"})[:2] == (
        211,
        "A value was provided on a refresh",
    )
    assert refusal({b"refresh": b"1", b"ttl": b""})[:2] == (212, "No TTL value set")
    assert read({b"refresh": b"1", b"ttl": b"0", b"value": b""}, b"PUT", NOW_NS).refresh
    assert not read({b"refresh": b"0", b"value": b"x"}, b"PUT", NOW_NS).refresh


@pytest.mark.parametrize("value", [b"1", b"3600", b"2.5"])
def test_progress_is_a_number_of_seconds(value: bytes) -> None:
    assert read({b"progress": value}, b"GET", NOW_NS).progress_s == float(value)


@pytest.mark.parametrize("value", [b"0.9", b"3600.1", b"nan", b"inf", b"1e3", b"-5", b"", b" 5"])
def test_a_progress_interval_out_of_range_is_refused(value: bytes) -> None:
    assert refusal({b"progress": value})[0] == 209
