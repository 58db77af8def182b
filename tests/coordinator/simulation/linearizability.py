"""Checks that the history of operations on one key is linearizable.

The search of Wing and Gong with the cache of Lowe. The candidates for the next operation are those
that began before any remaining one ended and whose reads match the state. Each set of done
operations in a state is tried once. An operation with an unknown outcome never ends, and may never
have happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MISSING = b"\x00missing"
ANY = b"\x00any"
NOWHERE = b"\x00nowhere"  # no state: what saw it did not happen
NEVER = 1 << 62


@dataclass(slots=True)
class Operation:
    """An operation between `start` and `end`: it read the value `sees` and wrote the value
    `leaves`.

    `sees` ANY: it read nothing; `leaves` None: it wrote nothing.
    """

    start: int
    end: int
    sees: bytes
    leaves: bytes | None


def explained(history: Sequence[Operation]) -> bool:
    """Return whether there is an order; the key is MISSING at first."""
    operations = sorted(_relevant(history), key=lambda each: each.start)
    must = sum(1 << n for n, each in enumerate(operations) if each.end < NEVER)
    tried: set[tuple[int, bytes]] = set()
    stack = [(0, MISSING)]
    while stack:
        done, state = stack.pop()
        if done & must == must:
            return True
        if (done, state) not in tried:
            tried.add((done, state))
            stack += _next(operations, done, state)
    return False


def _next(operations: Sequence[Operation], done: int, state: bytes) -> list[tuple[int, bytes]]:
    """Return the states after one more operation."""
    ready, first_end = [], NEVER
    for n, each in enumerate(operations):
        if each.start > first_end:
            break
        if not done >> n & 1:
            first_end = min(first_end, each.end)
            ready.append((n, each))
    ready = [(n, each) for n, each in ready if each.start <= first_end]
    fit = [(n, each) for n, each in ready if each.sees in {ANY, state}]
    for n, each in fit:
        if each.leaves is None:
            return [(done | 1 << n, state)]  # it changes nothing: no order is worse for it
    wanted = {each.sees for _, each in ready}
    # An operation with an unknown outcome counts as done only if the next one read its value.
    return [
        (done | 1 << n, each.leaves or b"")
        for n, each in fit
        if each.end < NEVER or each.leaves in wanted
    ]


def _relevant(history: Sequence[Operation]) -> list[Operation]:
    """Leave out operations with an unknown outcome whose value no operation read.

    Every known operation reads the state before it, so none can depend on such a one.
    """
    seen = {each.sees for each in history}
    return [each for each in history if each.end < NEVER or each.leaves in seen]
