"""Leader election among schedulers: a lease, which is a key with a TTL, and an epoch.

A scheduler acts only within its lease, which it counts on its own clock since the boot from when
it sent the renewal. A scheduler that was suspended finds its lease expired. Its writes that were on
the way carry an old epoch, and fail where its successor has written the plan. The epoch outlives
the lease. If it is raised without the lease, the leader raises it further at its next step.
"""

import contextlib
from collections.abc import Callable

from coordinator.client.core.errors import CompareFailed, KeyExists, KeyNotFound
from coordinator.client.core.store_protocol import Absent, AtIndex, Entry, Store
from fleet.core import keys
from fleet.core.fields import HONEST_MAX, parse_number
from fleet.core.model import InvalidRecord, LeaderLease, decode, encode

# A follower asks this often whether the lease is free.
ASK_EVERY_S = 1.0
# The share of the TTL that the leader counts on: clocks drift, and a write takes time.
LEASE_SHARE = 0.8


class LeaderElection:
    """One scheduler's part in the election. Its methods block, and raise StoreError."""

    def __init__(self, store: Store, holder: str, ttl_s: int, clock: Callable[[], float]) -> None:
        self._store, self._holder, self._ttl_s, self._clock = store, holder, ttl_s, clock
        self._entry: Entry | None = None
        self._until_s = 0.0
        self._renewed_s = 0.0
        self._asked_s = -ASK_EVERY_S
        self.epoch = 0
        # Whether the store had no leader before: it is new, or it was emptied.
        self.is_first = False

    @property
    def is_leader(self) -> bool:
        """Whether this scheduler is the leader at this moment."""
        return self._entry is not None and self._clock() < self._until_s

    def step(self, seen_epoch: int) -> bool:
        """Acquire or renew the lease; return whether this scheduler is the leader.

        `seen_epoch` is the latest epoch that any record mentions.
        """
        seen_epoch = _honest(seen_epoch)
        if self.is_leader and self.epoch >= seen_epoch:
            if self._clock() - self._renewed_s >= self._ttl_s / 3:
                self._renew()
        elif self._entry is not None or self._clock() - self._asked_s >= ASK_EVERY_S:
            self._acquire(seen_epoch)
        return self.is_leader

    def resign(self) -> None:
        """Release the lease, so that another scheduler becomes the leader at once."""
        if self._entry is not None:
            with contextlib.suppress(CompareFailed, KeyNotFound):
                self._store.delete(keys.LEADER, when=AtIndex(self._entry.modified))
        self._entry = None

    def _renew(self) -> None:
        assert self._entry is not None
        sent_s = self._clock()
        try:
            self._entry = self._store.put(
                keys.LEADER,
                self._entry.value,
                ttl_s=self._ttl_s,
                when=AtIndex(self._entry.modified),
            )
        except (CompareFailed, KeyNotFound):
            self._entry = None
            return
        self._extend(sent_s)

    def _acquire(self, seen_epoch: int) -> None:
        """Take the lease if it is free, or if it is our own and the response was lost.

        The epoch is read before the lease is taken, and raised from what was read. A scheduler that
        was suspended in between, and has a successor, cannot raise it.
        """
        self._entry = None
        self._asked_s = self._clock()
        if self._is_taken():
            return
        before = self._epoch()
        sent_s = self._clock()
        value = encode(LeaderLease(self._holder, removes_endpoints=True))
        try:
            entry = self._store.put(keys.LEADER, value, ttl_s=self._ttl_s, when=Absent())
        except KeyExists:
            own = self._own_lease()
            if own is None:
                return
            entry = own
        until_s = sent_s + self._ttl_s * LEASE_SHARE
        if self._clock() < until_s and self._raise_epoch(before, max(seen_epoch, self.epoch)):
            self._entry = entry
            self._extend(sent_s)

    def _is_taken(self) -> bool:
        """Return whether another has the lease. A look is no write; an attempt would be one."""
        try:
            lease = decode(self._store.get(keys.LEADER, quorum=False).value, LeaderLease)
        except (KeyNotFound, InvalidRecord):
            return False
        return lease.holder != self._holder

    def _epoch(self) -> Entry | None:
        try:
            return self._store.get(keys.EPOCH)
        except KeyNotFound:
            return None

    def _raise_epoch(self, before: Entry | None, seen: int) -> bool:
        """Raise the epoch above all earlier ones; return False if it was changed meanwhile."""
        stored = parse_number(before.value) if before else None
        number = max(_honest(stored or 0), _honest(seen)) + 1
        when = AtIndex(before.modified) if before else Absent()
        try:
            self._store.put(keys.EPOCH, str(number), when=when)
        except (CompareFailed, KeyExists, KeyNotFound):
            return False
        self.epoch, self.is_first = number, before is None
        return True

    def _own_lease(self) -> Entry | None:
        try:
            entry = self._store.get(keys.LEADER)
            if decode(entry.value, LeaderLease).holder != self._holder:
                return None
            return self._store.put(
                keys.LEADER, entry.value, ttl_s=self._ttl_s, when=AtIndex(entry.modified)
            )
        except (KeyNotFound, CompareFailed, InvalidRecord):
            return None

    def _extend(self, sent_s: float) -> None:
        self._renewed_s = sent_s
        self._until_s = sent_s + self._ttl_s * LEASE_SHARE


def _honest(epoch: int) -> int:
    """Return an epoch to count on from; 0 for a forged one."""
    return epoch if epoch <= HONEST_MAX else 0
