"""Whose turn it is: first come, first served within a priority.

A waiter that may go at once puts down a ticket; one that may not (its window is closed, its hook
says no) takes it back, so nobody waits for who cannot go. A free slot belongs to the first in
the line. Should that host be dead or slow, the next one may try a moment later, and so on: a
place in the line is an advantage of time, not a right, and no slot idles because of one host.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# The head start of each place. It outlasts a watch's delay and one swap of the semaphore, and
# lets a second host step in within the 2 s that a hand-over may take.
STEP_S = 0.75
# The last of a thousand comes in as late as this when all before it are dead.
STEPS_MAX = 40


@dataclass(frozen=True, slots=True)
class Waiter:
    """A ticket: higher priorities first, then lower `order` (the store's index of its write)."""

    id: str
    priority: int
    order: int


def in_order(waiters: Iterable[Waiter]) -> list[Waiter]:
    """Return who goes first, first."""
    return sorted(waiters, key=lambda waiter: (-waiter.priority, waiter.order, waiter.id))


def place(waiters: Iterable[Waiter], own_id: str) -> int | None:
    """Return how many go before `own_id`; None when it does not wait."""
    for number, waiter in enumerate(in_order(waiters)):
        if waiter.id == own_id:
            return number
    return None


def wait_s(ahead: int, free: int) -> float:
    """Return how long after a slot became free who has `ahead` hosts before it may try."""
    return STEP_S * min(STEPS_MAX, max(0, ahead - free + 1))
