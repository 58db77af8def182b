"""Writes an agent's keys to the store: its facts, its status, and the records of ready endpoints.

All calls block, and one thread makes them, one after the other. If a key is missing although the
agent did not remove it, the store was emptied or restored: then everything is written again.
"""

import contextlib
import time
from collections.abc import Mapping

from coordinator.client import KeyNotFound, Present, Store
from fleet.agent import facts
from fleet.core import keys
from fleet.core.fields import parse_epoch
from fleet.core.model import Facts, HostLoad, HostStatus, InvalidRecord, Plan, decode, encode


class HostStatusWriter:
    """The keys of one host, as they were written last."""

    def __init__(self, store: Store, own: Facts, ttl_s: int) -> None:
        self._store, self._facts, self._ttl_s = store, own, ttl_s
        self._status: HostStatus | None = None
        self._records: dict[str, str] = {}
        self._renewed_s = 0.0
        # The time when the last confirmed renewal was sent; monotonic, 0 for never.
        self.sent_s = 0.0
        # Whether the key had expired before the last write, so that others may have acted
        # meanwhile.
        self.was_silent = False

    def write(self, status: HostStatus, records: Mapping[str, str]) -> None:
        """Bring the store up to date. Raises StoreError, and can be called again."""
        sent_s = time.monotonic()
        was_silent = sent_s - self.sent_s >= self._ttl_s / 2
        gone = [key for key in self._records if key not in records]
        for key in gone:
            self._remove(key)
        is_due = sent_s - self._renewed_s >= self._ttl_s / 6
        is_renewed = self._write_status(status, is_due=is_due)
        for key, value in records.items():
            self._write_record(key, value, is_due=is_due)
        if is_due:
            self._renewed_s = sent_s
        if is_renewed:
            was_slow = time.monotonic() - sent_s >= self._ttl_s / 2
            self.was_silent = self.was_silent or was_silent or was_slow
            self.sent_s = sent_s

    def read_plan(self) -> tuple[Plan, int]:
        """Return the newest plan in the store, and the epoch of the present leader."""
        plan, epoch = Plan(), 0
        with contextlib.suppress(KeyNotFound):
            epoch = parse_epoch(self._store.get(keys.EPOCH).value) or 0
        with contextlib.suppress(KeyNotFound, InvalidRecord):
            plan = decode(self._store.get(keys.plan(self._facts.id)).value, Plan)
        return plan, epoch

    def _write_status(self, status: HostStatus, *, is_due: bool) -> bool:
        """Write the status if it has changed, else renew it. Return whether its TTL was renewed.

        If the key is gone, somebody may have removed more than this key. Then everything is
        written again, the facts of the host included.
        """
        key = keys.status(self._facts.id)
        if self._status is not None:
            try:
                if not _is_same(self._status, status):
                    self._store.put(key, encode(status), ttl_s=self._ttl_s, when=Present())
                    self._status = status
                elif is_due:
                    self._store.refresh(key, self._ttl_s)
                else:
                    return False
            except KeyNotFound:
                self._forget()
            else:
                return True
        self._store.put(keys.facts(self._facts.id), encode(self._facts))
        self._store.put(key, encode(status), ttl_s=self._ttl_s)
        self._status = status
        return True

    def _forget(self) -> None:
        self._status = None
        self._records.clear()
        self.was_silent = True

    def _write_record(self, key: str, value: str, *, is_due: bool) -> None:
        if self._records.get(key) == value:
            if not is_due:
                return
            try:
                self._store.refresh(key, self._ttl_s)
            except KeyNotFound:
                self._records.pop(key)
            else:
                return
        self._store.put(key, value, ttl_s=self._ttl_s)
        self._records[key] = value

    def _remove(self, key: str) -> None:
        with contextlib.suppress(KeyNotFound):
            self._store.delete(key)
        self._records.pop(key, None)


def _is_same(was: HostStatus, now: HostStatus) -> bool:
    """Whether two statuses differ only in their load, and only a little."""
    no_load = HostLoad()
    one = HostStatus(was.boot_id, was.epoch, was.gen, was.reports, no_load, was.note)
    other = HostStatus(now.boot_id, now.epoch, now.gen, now.reports, no_load, now.note)
    return one == other and not facts.differs(was.load, now.load)
