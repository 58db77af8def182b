"""What a migration has to do, and whether it is done. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.client import Entry, Listing

# Two stores count whole seconds by clocks of their own, and etcd looks for ended leases twice a
# second; ends this near to each other are the same.
END_SLACK_S = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a target differs from a source."""

    new: tuple[Entry, ...]
    changed: tuple[Entry, ...]
    extra: tuple[str, ...]
    same: int

    def facts(self) -> dict[str, object]:
        """Count it."""
        written = (*self.new, *self.changed)
        return {
            "copy": len(self.new),
            "overwrite": len(self.changed),
            "remove": len(self.extra),
            "same": self.same,
            "with_ttl": sum(entry.expires_at is not None for entry in written),
        }


def plan(source: Iterable[Entry], target: Iterable[Entry]) -> Plan:
    """Compare two listings; indexes are each store's own."""
    there = {entry.key: entry for entry in target}
    new, changed, same = list[Entry](), list[Entry](), 0
    for entry in source:
        found = there.pop(entry.key, None)
        if found is None:
            new.append(entry)
        elif is_same(entry, found):
            same += 1
        else:
            changed.append(entry)
    return Plan(tuple(new), tuple(changed), tuple(there), same)


def is_same(one: Entry, other: Entry) -> bool:
    """Say whether two files have one value and one end."""
    return one.value == other.value and ends_alike(one.expires_at, other.expires_at)


def ends_alike(one: float | None, other: float | None) -> bool:
    """Say whether two ends are the same but for the clocks."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= END_SLACK_S


def may_be_one(before: Listing, other: Listing, after: Listing) -> bool:
    """Say whether the listing in the middle may be of the store that the outer two are of.

    The cluster id alone does not tell: it is computed from settings, which two stores may share.
    """
    if before.cluster != other.cluster or not before.index <= other.index <= after.index:
        return False
    return before.index < after.index or before.entries == other.entries


def left_s(entry: Entry, now_s: float) -> int | None:
    """Return the TTL that gives a copy the same end; 0 if that is past."""
    if entry.expires_at is None:
        return None
    return max(0, math.ceil(entry.expires_at - now_s))
