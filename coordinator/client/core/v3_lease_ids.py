"""Lease numbers that tell when their key ends. Pure.

A key's pair names its lease and not its end, and to ask for the end of each lease would make a
listing of 100,000 keys 100,000 questions. So we choose the numbers of our leases, which are for
one key each: 35 bits of end (Unix time in eighths of a second, until 2106), a bit that says that
a refresh wrote the pair, 12 bits that tell our numbers from those of others, 15 of chance.

A keep-alive moves the end and not the number: what a number tells is the end as it was granted.
"""

END_UNIT = 8
_END_BITS = 35
_CHANCE_BITS = 15
_MARK = 0b1010_1100_0101
_MARK_BITS = 12
_REFRESH = 1 << (_MARK_BITS + _CHANCE_BITS)


def number(end_at: float, chance: int, *, refresh: bool = False) -> int:
    """Return a lease number; `chance` is any number below 2**15."""
    end = round(end_at * END_UNIT) << (_CHANCE_BITS + _MARK_BITS + 1)
    return end | (_REFRESH if refresh else 0) | (_MARK << _CHANCE_BITS) | chance


def is_ours(lease: int) -> bool:
    """Say whether the number tells its end. One of 4,096 foreign numbers seems to."""
    return lease >> _CHANCE_BITS & ((1 << _MARK_BITS) - 1) == _MARK


def end_at(lease: int) -> float:
    """Return the end (Unix time) that one of our numbers tells."""
    return (lease >> (_CHANCE_BITS + _MARK_BITS + 1)) / END_UNIT


def is_refresh(lease: int) -> bool:
    """Say whether the pair was written to give an old value a new lease."""
    return is_ours(lease) and bool(lease & _REFRESH)


CHANCE_MAX = 1 << _CHANCE_BITS
