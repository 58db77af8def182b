"""Is the history of one register linearizable?

A depth-first search after Wing and Gong. An operation may go next when no other undone one had
ended before it began, and when the value it saw is the value held. Every value is written once,
and almost every answer shows the value it found, so the search hardly ever turns back.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

UNSEEN = "\x00unseen"
KEPT = "\x00kept"
Point = tuple[int, int, str | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """Between `start` and `end` it found the register at `sees` and left it at `leaves`.

    A missing key holds None. An operation whose outcome is unknown has no `end`: it may happen at
    any later time, or never.
    """

    start: float
    end: float
    sees: str | None
    leaves: str | None


def unexplained(history: Sequence[Operation]) -> list[Operation]:
    """Return the operations that no order could reach, the earliest first; none if all is well."""
    operations = _that_matter(history)
    furthest: Point = (0, 0, None)
    tried: set[Point] = set()
    stack: list[Point] = [furthest]
    while stack:
        point = stack.pop()
        if point in tried:
            continue
        tried.add(point)
        furthest = max(furthest, point, key=_progress)
        if not _owed(operations, point):
            return []
        stack += _next(operations, point)
    return _owed(operations, furthest)


def _that_matter(history: Sequence[Operation]) -> list[Operation]:
    """Leave out operations that may never have happened and that nobody saw."""
    seen = {each.sees for each in history}
    return sorted(
        (each for each in history if each.end < math.inf or each.leaves in seen),
        key=lambda each: each.start,
    )


def _progress(point: Point) -> int:
    done_below, beyond, _ = point
    return done_below + beyond.bit_count()


def _owed(operations: Sequence[Operation], point: Point) -> list[Operation]:
    """Return what must still happen: the undone operations that have an end."""
    low, beyond, _ = point
    return [
        each
        for n, each in enumerate(operations[low:])
        if not beyond >> n & 1 and each.end < math.inf
    ]


def _next(operations: Sequence[Operation], point: Point) -> list[Point]:
    """Return where one more operation can lead; the one that ended first is tried first."""
    low, beyond, value = point
    ready: list[int] = []
    first_end = math.inf
    for n in range(low, len(operations)):
        if operations[n].start > first_end:
            break
        if not beyond >> (n - low) & 1:
            first_end = min(first_end, operations[n].end)
            ready.append(n)
    fit = [n for n in ready if operations[n].sees in (UNSEEN, value)]
    for n in fit:
        if operations[n].leaves == KEPT:
            return [_done(point, n, value)]  # it changes nothing, so no order is worse for it
    fit.sort(key=lambda n: operations[n].end, reverse=True)
    return [_done(point, n, operations[n].leaves) for n in fit]


def _done(point: Point, n: int, value: str | None) -> Point:
    low, beyond, _ = point
    beyond |= 1 << (n - low)
    while beyond & 1:
        low, beyond = low + 1, beyond >> 1
    return low, beyond, value
