"""How a target differs from a source, and so what a migration has to do."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.client.core.store_protocol import Entry, Listing

# Two stores count whole seconds on their own clocks, and etcd looks for expired leases twice a
# second. Expiries this close to each other count as equal.
EXPIRY_SLACK_S = 3.0
# For a key that has ended by this machine's clock, and not in its store: long enough to look again.
OVERDUE_TTL_S = 10


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """How a target differs from a source."""

    new: tuple[Entry, ...]
    changed: tuple[Entry, ...]
    extra: tuple[str, ...]
    same: int

    def facts(self) -> dict[str, object]:
        """Return the counts that are printed."""
        written = (*self.new, *self.changed)
        return {
            "copy": len(self.new),
            "overwrite": len(self.changed),
            "remove": len(self.extra),
            "same": self.same,
            "with_ttl": sum(entry.expires_at is not None for entry in written),
        }


def plan(source: Iterable[Entry], target: Iterable[Entry]) -> MigrationPlan:
    """Compare two listings. Indexes are not compared: each store has its own."""
    remaining = {entry.key: entry for entry in target}
    new, changed, same = list[Entry](), list[Entry](), 0
    for entry in source:
        found = remaining.pop(entry.key, None)
        if found is None:
            new.append(entry)
        elif is_same(entry, found):
            same += 1
        else:
            changed.append(entry)
    return MigrationPlan(tuple(new), tuple(changed), tuple(remaining), same)


def is_same(one: Entry, other: Entry) -> bool:
    """Return whether two keys have the same value and expiry."""
    return one.value == other.value and is_same_expiry(one.expires_at, other.expires_at)


def is_same_expiry(one: float | None, other: float | None) -> bool:
    """Return whether two expiries are the same, allowing for the difference of clocks."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= EXPIRY_SLACK_S


def may_be_one_store(before: Listing, other: Listing, after: Listing) -> bool:
    """Return whether `other`, listed between these two lists, may come from the same store.

    The cluster id does not prove it: it is computed from settings, which two stores may share.
    """
    if before.cluster != other.cluster or not before.index <= other.index <= after.index:
        return False
    return before.index < after.index or before.entries == other.entries


def left_s(entry: Entry, now_s: float) -> int | None:
    """Return the TTL that gives a copy the same expiry, for a key that was just read.

    Its store has it, so it has not expired, whatever the clock of this machine says.
    """
    if entry.expires_at is None:
        return None
    left = math.ceil(entry.expires_at - now_s)
    return left if left > 0 else OVERDUE_TTL_S
