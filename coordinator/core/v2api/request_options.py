"""The parameters of `/v2/keys`, from text to typed values, checked in the order of etcd."""

import re
from collections.abc import Mapping

import msgspec

from coordinator.core.store.api_errors import (
    INDEX_NOT_A_NUMBER,
    INVALID_FIELD,
    PREV_VALUE_REQUIRED,
    REFRESH_WITHOUT_TTL,
    TTL_NOT_A_NUMBER,
    VALUE_ON_REFRESH,
    ApiError,
)
from coordinator.core.store.commands import EXPIRES_NS_MAX, NO_TTL

UINT64_MAX = (1 << 64) - 1
UINT64_DIGITS_MAX = 20
NANOSECONDS_PER_SECOND = 1_000_000_000
# More often is noise on every idle stream; proxies do not wait longer than an hour.
PROGRESS_S_MIN, PROGRESS_S_MAX = 1.0, 3600.0
DECIMAL = re.compile(rb"[0-9]{1,10}(\.[0-9]{1,10})?")
# Most writes have no other parameters.
COMMON = frozenset((b"value", b"ttl"))
BOOLEANS = {
    **dict.fromkeys((b"1", b"t", b"T", b"TRUE", b"true", b"True"), True),
    **dict.fromkeys((b"0", b"f", b"F", b"FALSE", b"false", b"False"), False),
}


class RequestOptions(msgspec.Struct, frozen=True):
    """Every parameter of a request. `value` None: not given.

    `progress_s` 0 asks for no progress lines.
    """

    value: bytes | None = None
    ttl_ns: int = NO_TTL
    directory: bool = False
    prev_value: bytes | None = None
    prev_index: int = 0
    prev_exist: bool | None = None
    refresh: bool = False
    recursive: bool = False
    sorted: bool = False
    quorum: bool = False
    wait: bool = False
    stream: bool = False
    wait_index: int = 0
    no_value_on_success: bool = False
    hidden: bool = False
    progress_s: float = 0.0


def read(form: Mapping[bytes, bytes], method: bytes, now_ns: int) -> RequestOptions:
    """Convert the fields of a request. Raises ApiError 201-203, 209, 211, 212, with index 0."""
    if form.keys() <= COMMON:
        return RequestOptions(form.get(b"value"), _ttl_ns(form, now_ns))
    prev_index = _index(form, b"prevIndex")
    wait_index = _index(form, b"waitIndex")
    recursive = _flag(form, b"recursive")
    in_order = _flag(form, b"sorted")
    wait = _flag(form, b"wait")
    directory = _flag(form, b"dir")
    quorum = _flag(form, b"quorum")
    stream = _flag(form, b"stream")
    if wait and method != b"GET":
        raise ApiError(INVALID_FIELD, '"wait" can only be used with GET requests')
    if form.get(b"prevValue") == b"":
        raise ApiError(PREV_VALUE_REQUIRED, '"prevValue" cannot be empty')
    no_value = _flag(form, b"noValueOnSuccess")
    ttl_ns = _ttl_ns(form, now_ns)
    return RequestOptions(
        value=form.get(b"value"),
        ttl_ns=ttl_ns,
        directory=directory,
        prev_value=form.get(b"prevValue"),
        prev_index=prev_index,
        prev_exist=_optional_flag(form, b"prevExist"),
        refresh=_refresh(form, has_ttl=ttl_ns != NO_TTL),
        recursive=recursive,
        sorted=in_order,
        quorum=quorum,
        wait=wait,
        stream=stream,
        wait_index=wait_index,
        no_value_on_success=no_value,
        hidden=_flag(form, b"hidden"),
        progress_s=_progress_s(form),
    )


def _index(form: Mapping[bytes, bytes], name: bytes) -> int:
    raw = form.get(name)
    if raw is None:
        return 0
    number = _uint64(raw)
    if number is None:
        raise ApiError(INDEX_NOT_A_NUMBER, f'invalid value for "{name.decode()}"')
    return number


def _flag(form: Mapping[bytes, bytes], name: bytes) -> bool:
    raw = form.get(name)
    if raw is None:
        return False
    value = BOOLEANS.get(raw)
    if value is None:
        raise ApiError(INVALID_FIELD, f'invalid value for "{name.decode()}"')
    return value


def _optional_flag(form: Mapping[bytes, bytes], name: bytes) -> bool | None:
    raw = form.get(name)
    if raw is None:
        return None
    value = BOOLEANS.get(raw)
    if value is None:
        raise ApiError(INVALID_FIELD, f"invalid value for {name.decode()}")
    return value


def _ttl_ns(form: Mapping[bytes, bytes], now_ns: int) -> int:
    raw = form.get(b"ttl")
    if not raw:
        return NO_TTL
    ttl_s = _uint64(raw)
    # etcd lets an expiry that 64 bits cannot hold overflow: the key then has none or a past one.
    if ttl_s is None or now_ns + ttl_s * NANOSECONDS_PER_SECOND > EXPIRES_NS_MAX:
        raise ApiError(TTL_NOT_A_NUMBER, 'invalid value for "ttl"')
    return ttl_s * NANOSECONDS_PER_SECOND


def _uint64(raw: bytes) -> int | None:
    digits = raw.lstrip(b"0")
    # int() raises another error for thousands of digits; 20 digits are enough.
    if not raw.isdigit() or len(digits) > UINT64_DIGITS_MAX:
        return None
    number = int(digits or b"0")
    return number if number <= UINT64_MAX else None


def _refresh(form: Mapping[bytes, bytes], *, has_ttl: bool) -> bool:
    if not _optional_flag(form, b"refresh"):
        return False
    if form.get(b"value"):
        raise ApiError(VALUE_ON_REFRESH, "A value was provided on a refresh")
    if not has_ttl:
        raise ApiError(REFRESH_WITHOUT_TTL, "No TTL value set")
    return True


def _progress_s(form: Mapping[bytes, bytes]) -> float:
    raw = form.get(b"progress")
    if raw is None:
        return 0.0
    if DECIMAL.fullmatch(raw) and PROGRESS_S_MIN <= float(raw) <= PROGRESS_S_MAX:
        return float(raw)
    raise ApiError(
        INVALID_FIELD,
        f'invalid value for "progress": seconds from {PROGRESS_S_MIN:g} to {PROGRESS_S_MAX:g}',
    )
