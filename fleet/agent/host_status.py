"""What an agent keeps in the store: its facts, its status, the records of what is ready here.

All calls block, and one thread makes them, one after the other. A key that is gone although
nobody removed it means that the store was emptied or restored: then everything is written anew.
"""

import contextlib
import time
from collections.abc import Mapping

from coordinator.client.core.errors import KeyNotFound
from coordinator.client.core.store_protocol import Store
from fleet.agent import facts
from fleet.core import keys
from fleet.core.model import Facts, HostLoad, HostStatus, InvalidRecord, Plan, decode, encode


class HostStatusWriter:
    """The keys of one host, as they were written last."""

    def __init__(self, store: Store, own: Facts, ttl_s: int) -> None:
        self._store, self._facts, self._ttl_s = store, own, ttl_s
        self._status: HostStatus | None = None
        self._records: dict[str, str] = {}
        self._renewed_s = 0.0
        # When the last renewal was sent that the store confirmed; monotonic, 0 for never.
        self.sent_s = 0.0
        self.was_renewed_anew = False

    def write(self, status: HostStatus, records: Mapping[str, str]) -> None:
        """Bring the store to this. Raises StoreError, and can be called again."""
        sent_s = time.monotonic()
        # After a silence others may have acted: what they wrote must be read before anything.
        silent = sent_s - self.sent_s >= self._ttl_s / 2
        gone = [key for key in self._records if key not in records]
        for key in gone:
            self._remove(key)
        due = sent_s - self._renewed_s >= self._ttl_s / 6
        renewed = self._write_status(status, due=due)
        for key, value in records.items():
            self._write_record(key, value, due=due)
        if due:
            self._renewed_s = sent_s
        if renewed:
            slow = time.monotonic() - sent_s >= self._ttl_s / 2
            self.was_renewed_anew = self.was_renewed_anew or silent or slow
            self.sent_s = sent_s

    def plan(self) -> tuple[Plan, int]:
        """Read the newest plan that the store has, and the epoch of who schedules now."""
        plan, epoch = Plan(), 0
        with contextlib.suppress(KeyNotFound, ValueError):
            epoch = int(self._store.get(keys.EPOCH).value)
        with contextlib.suppress(KeyNotFound, InvalidRecord):
            plan = decode(self._store.get(keys.plan(self._facts.id)).value, Plan)
        return plan, epoch

    def _write_status(self, status: HostStatus, *, due: bool) -> bool:
        """Write the status if it changed, else renew it; say whether its TTL began anew."""
        key = keys.status(self._facts.id)
        was = self._status
        if was is not None and _same(was, status):
            if not due:
                return False
            try:
                self._store.refresh(key, self._ttl_s)
            except KeyNotFound:
                self._forget()
            else:
                return True
        if self._status is None:
            self._store.put(keys.facts(self._facts.id), encode(self._facts))
        self._store.put(key, encode(status), ttl_s=self._ttl_s)
        self._status = status
        return True

    def _forget(self) -> None:
        self._status = None
        self._records.clear()
        self.was_renewed_anew = True

    def _write_record(self, key: str, value: str, *, due: bool) -> None:
        if self._records.get(key) == value:
            if not due:
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


def _same(was: HostStatus, now: HostStatus) -> bool:
    """Say whether two statuses differ in their load alone, and not by much."""
    plain = HostLoad()
    one = HostStatus(was.boot_id, was.epoch, was.gen, was.reports, plain, was.note)
    other = HostStatus(now.boot_id, now.epoch, now.gen, now.reports, plain, now.note)
    return one == other and not facts.moved(was.load, now.load)
