"""Lease ids that contain the expiry of their key.

A key's pair has the id of its lease and not its expiry. To ask for the expiry of each lease would
make a listing of 100,000 keys 100,000 requests. So we choose the ids of our leases, each of which
is for one key: 35 bits of expiry (Unix time in eighths of a second, until 2106), a bit that says
that a refresh wrote the pair, 12 bits that mark our ids, and 15 random bits.

A keep-alive moves the expiry but not the id: the id contains the expiry of the grant.

A foreign id can have our mark by chance, one in 4,096 does. So an id is ours only if its expiry is
also near: within a year from now, or not longer than 30 days ago. etcd makes ids from a random
member id, and one in 500,000 is left. An older one of ours counts as foreign: its expiry is asked
for.
"""

from datetime import timedelta

UNITS_A_SECOND = 8
_RANDOM_BITS = 15
_MARK = 0b1010_1100_0101
_MARK_BITS = 12
_REFRESH = 1 << (_MARK_BITS + _RANDOM_BITS)
_EXPIRY_SHIFT = _RANDOM_BITS + _MARK_BITS + 1
RANDOM_MAX = 1 << _RANDOM_BITS
_PAST_S = timedelta(days=30).total_seconds()
_AHEAD_S = timedelta(days=366).total_seconds()


def lease_id(expires_at: float, random_bits: int, *, refresh: bool = False) -> int:
    """Return a lease id; `random_bits` is any number below RANDOM_MAX."""
    expiry = round(expires_at * UNITS_A_SECOND) << _EXPIRY_SHIFT
    return expiry | (_REFRESH if refresh else 0) | (_MARK << _RANDOM_BITS) | random_bits


def is_ours(lease: int, now_s: float) -> bool:
    """Return whether the id contains its expiry; `now_s` is Unix time."""
    is_marked = lease >> _RANDOM_BITS & ((1 << _MARK_BITS) - 1) == _MARK
    return is_marked and -_PAST_S < expires_at(lease) - now_s < _AHEAD_S


def expires_at(lease: int) -> float:
    """Return the expiry (Unix time) in one of our ids."""
    return (lease >> _EXPIRY_SHIFT) / UNITS_A_SECOND


def is_refresh(lease: int) -> bool:
    """Return whether a lease of ours was granted to give an unchanged value a new one."""
    return bool(lease & _REFRESH)
