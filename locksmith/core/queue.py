"""The wait queue: first come, first served within a priority.

A host that may reboot now writes a ticket. A host that may not (its window is closed, a hook
refuses) deletes its ticket, so it never delays the hosts behind it. A free slot belongs to the
first host in the queue. If that host is dead or slow, the next one may try a moment later, and so
on: a position in the queue is a head start, not a right, and no slot stays idle because of one
host.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# The head start of each position. It is longer than a watch's delay plus one swap of the
# semaphore, and short enough for a second host to take over within the 2 s that we promise.
HEAD_START_S = 0.75
# When all hosts before it are dead, the last of a thousand hosts waits this many head starts.
HEAD_STARTS_MAX = 40


@dataclass(frozen=True, slots=True)
class Waiter:
    """A ticket: higher priorities first, then lower `order` (the store's index of its write)."""

    id: str
    priority: int
    order: int


def ordered(waiters: Iterable[Waiter]) -> list[Waiter]:
    """Return the waiters in the order of the queue, the first one first."""
    return sorted(waiters, key=lambda waiter: (-waiter.priority, waiter.order, waiter.id))


def position(waiters: Iterable[Waiter], own_id: str) -> int | None:
    """Return the number of hosts before `own_id`; None if it is not in the queue."""
    for number, waiter in enumerate(ordered(waiters)):
        if waiter.id == own_id:
            return number
    return None


def head_start_s(ahead: int, free: int) -> float:
    """Return how long a host with `ahead` hosts before it waits after a slot became free."""
    return HEAD_START_S * min(HEAD_STARTS_MAX, max(0, ahead - free + 1))
