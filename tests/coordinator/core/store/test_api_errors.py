"""Errors as clients see them."""

import pytest

from coordinator.core.store.api_errors import ERRORS, ApiError


def test_an_error_is_a_line_of_json_and_an_empty_cause_is_left_out() -> None:
    error = ApiError(100, "/a<\ufffd", 7)
    assert error.body() == (
        '{"errorCode":100,"message":"Key not found","cause":"/a\\u003c\ufffd","index":7}\n'.encode()
    )
    assert ApiError(102, index=3).body() == (
        b'{"errorCode":102,"message":"Not a file","index":3}\n'
    )
    assert str(error) == "Key not found (/a<\ufffd) [7]"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (100, 404),
        (101, 412),
        (102, 403),
        (105, 412),
        (108, 403),
        (110, 401),
        (300, 500),
        (401, 400),
    ],
)
def test_a_code_has_its_status(code: int, status: int) -> None:
    assert ApiError(code).status == ERRORS[code].status == status


def test_an_unknown_code_fails_an_assertion() -> None:
    with pytest.raises(AssertionError, match="999"):
        ApiError(999)
