"""Who schedules: a key with a TTL, and an epoch that outlives it.

A scheduler acts only within its lease, counted on its own monotonic clock from when the renewal
was sent. One that was stopped and wakes up late finds its lease over; what it had on the way
carries an old epoch, and a swap of a plan that its successor has written does not succeed. An
epoch that somebody raised without the lease is overtaken by who leads at its next step.
"""

import contextlib
from collections.abc import Callable

from coordinator.client.core.errors import CompareFailed, KeyExists, KeyNotFound
from coordinator.client.core.store_protocol import Absent, AtIndex, Entry, Store
from fleet.core import keys
from fleet.core.model import InvalidRecord, LeaderLease, decode, encode

# Who follows asks so seldom whether the lease is free.
ASK_EVERY_S = 1.0
# A lease counts for less here than in the store: clocks drift, and a write takes its time.
MARGIN = 0.8


class LeaderElection:
    """One scheduler's claim. Blocking; one thread calls it. StoreError is the caller's."""

    def __init__(self, store: Store, holder: str, ttl_s: int, clock: Callable[[], float]) -> None:
        self._store, self._holder, self._ttl_s, self._clock = store, holder, ttl_s, clock
        self._entry: Entry | None = None
        self._until_s = 0.0
        self._renewed_s = 0.0
        self._asked_s = -ASK_EVERY_S
        self.epoch = 0
        # Nobody had led in this store: it is new, or it was emptied.
        self.is_first = False

    @property
    def is_leader(self) -> bool:
        """Whether this scheduler may act at this moment."""
        return self._entry is not None and self._clock() < self._until_s

    def step(self, seen_epoch: int) -> bool:
        """Acquire or renew; say whether this scheduler leads. `seen_epoch` is the latest known."""
        if self.is_leader and self.epoch >= seen_epoch:
            if self._clock() - self._renewed_s >= self._ttl_s / 3:
                self._renew()
        elif self._entry is not None or self._clock() - self._asked_s >= ASK_EVERY_S:
            self._acquire(seen_epoch)
        return self.is_leader

    def resign(self) -> None:
        """Let another one lead at once."""
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
        """Take a free lease, or one of our own that a lost answer hid from us.

        The epoch is read before the lease is taken, and raised from what was read: whoever is
        stopped in between, and has had a successor by then, raises nothing.
        """
        self._entry = None
        before = self._epoch()
        sent_s = self._asked_s = self._clock()
        value = encode(LeaderLease(self._holder))
        try:
            entry = self._store.put(keys.LEADER, value, ttl_s=self._ttl_s, when=Absent())
        except KeyExists:
            mine = self._own()
            if mine is None:
                return
            entry = mine
        until_s = sent_s + self._ttl_s * MARGIN
        if self._clock() < until_s and self._raise_epoch(before, max(seen_epoch, self.epoch)):
            self._entry = entry
            self._extend(sent_s)

    def _epoch(self) -> Entry | None:
        try:
            return self._store.get(keys.EPOCH)
        except KeyNotFound:
            return None

    def _raise_epoch(self, before: Entry | None, seen: int) -> bool:
        """Raise the epoch above every one before it, unless somebody else has; then try anew."""
        stored = int(before.value) if before and before.value.isdigit() else 0
        number = max(stored, seen) + 1
        when = AtIndex(before.modified) if before else Absent()
        try:
            self._store.put(keys.EPOCH, str(number), when=when)
        except (CompareFailed, KeyExists, KeyNotFound):
            return False
        self.epoch, self.is_first = number, before is None
        return True

    def _own(self) -> Entry | None:
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
        self._until_s = sent_s + self._ttl_s * MARGIN
