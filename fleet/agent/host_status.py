"""Writes an agent's keys to the store: its facts, its status, and the records of ready endpoints.

The status is the host's lease: one refresh of it says that the host is alive. All calls block, and
one thread makes them, one after the other. If the status is missing although nobody but the agent
writes it, the store was emptied or restored, or the host was silent for long: then everything is
written again.
"""

import contextlib
from collections.abc import Callable, Mapping

import msgspec

from coordinator.client import KeyNotFound, Present, Store
from fleet.agent import facts
from fleet.agent.endpoint_writer import EndpointWriter
from fleet.core import keys
from fleet.core.fields import parse_number
from fleet.core.model import Facts, HostLoad, HostStatus, InvalidRecord, Plan, decode, encode

# A status of which only the load has changed is written this often at the most.
LOAD_EVERY_S = 60.0


class HostStatusWriter:
    """The keys of one host, as they were written last."""

    def __init__(self, store: Store, own: Facts, ttl_s: int, clock: Callable[[], float]) -> None:
        self._store, self._facts, self._ttl_s, self._clock = store, own, ttl_s, clock
        self._endpoints = EndpointWriter(store, own.id, ttl_s, clock)
        self._status: HostStatus | None = None
        self._written_s = 0.0
        # The time when the last confirmed renewal was sent; 0 for never.
        self.sent_s = 0.0
        # Whether the key had expired before the last write, so that others may have acted
        # meanwhile.
        self.was_silent = False

    def write(self, status: HostStatus, records: Mapping[str, str]) -> None:
        """Bring the store up to date. Raises StoreError, and can be called again."""
        sent_s = self._clock()
        was_silent = sent_s - self.sent_s >= self._ttl_s / 2
        self._endpoints.remove_others(records)
        is_renewed = self._write_status(status, sent_s)
        self._endpoints.write(records)
        if is_renewed:
            was_slow = self._clock() - sent_s >= self._ttl_s / 2
            self.was_silent = self.was_silent or was_silent or was_slow
            self.sent_s = sent_s

    def read_plan(self) -> tuple[Plan, int]:
        """Return the newest plan in the store, and the epoch of the present leader."""
        plan, epoch = Plan(), 0
        with contextlib.suppress(KeyNotFound):
            epoch = parse_number(self._store.get(keys.EPOCH).value) or 0
        with contextlib.suppress(KeyNotFound, InvalidRecord):
            plan = decode(self._store.get(keys.plan(self._facts.id)).value, Plan)
        return plan, epoch

    def _write_status(self, status: HostStatus, now_s: float) -> bool:
        """Write the status if it has changed, else renew it. Return whether its TTL was renewed.

        If the key is gone, somebody may have removed more than this key. Then everything is
        written again, the facts of the host included.
        """
        key = keys.status(self._facts.id)
        if self._status is not None:
            try:
                if self._is_worth_a_write(status, now_s):
                    self._store.put(key, encode(status), ttl_s=self._ttl_s, when=Present())
                    self._status, self._written_s = status, now_s
                elif now_s - self.sent_s >= self._renew_after_s(status):
                    self._store.refresh(key, self._ttl_s)
                else:
                    return False
            except KeyNotFound:
                self._status, self.was_silent = None, True
                self._endpoints.forget()
            else:
                return True
        self._store.put(keys.facts(self._facts.id), encode(self._facts))
        self._store.put(key, encode(status), ttl_s=self._ttl_s)
        self._status, self._written_s = status, now_s
        return True

    def _is_worth_a_write(self, status: HostStatus, now_s: float) -> bool:
        assert self._status is not None
        if _without_load(self._status) != _without_load(status):
            return True
        is_due = now_s - self._written_s >= LOAD_EVERY_S
        return is_due and facts.differs(self._status.load, status.load)

    def _renew_after_s(self, status: HostStatus) -> float:
        """Return when to renew: sooner with exclusive units, whose timers run out without it."""
        has_exclusive = any(each.allocation.exclusive for each in status.reports)
        return self._ttl_s / (6 if has_exclusive else 3)


def _without_load(status: HostStatus) -> HostStatus:
    return msgspec.structs.replace(status, load=HostLoad())
