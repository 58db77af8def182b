"""Checks of a call's arguments that hold for every kind of store.

BadRequest names what is wrong, and where.
"""

from coordinator.client.core.errors import BadRequest
from coordinator.client.core.store_protocol import AtIndex, PutCondition, WithValue

# Go servers count TTLs in nanoseconds of 63 bits and wrap around above 292 years.
TTL_S_MAX = 2**31 - 1


def checked_text(text: str, what: str) -> str:
    """Return `text` if UTF-8 can encode it: JSON carries nothing else."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"{what} is not UTF-8 text: {text[:80]!r}: {error.reason}") from error
    return text


def checked_ttl(ttl_s: int, key: str) -> int:
    """Return `ttl_s` if every kind of server counts it in the same way."""
    if not 1 <= ttl_s <= TTL_S_MAX:
        raise BadRequest(f"TTL {ttl_s} of {key}: give 1 to {TTL_S_MAX} seconds")
    return ttl_s


def checked_condition(when: PutCondition | None, key: str) -> None:
    """Refuse a condition that some server would misread."""
    match when:
        case AtIndex(modified) if modified < 1:
            # A server takes index 0 for no condition.
            raise BadRequest(f"index {modified} as a condition for {key}: indexes begin with 1")
        case WithValue(value):
            checked_text(value, f"expected value of {key}")
        case _:
            pass
