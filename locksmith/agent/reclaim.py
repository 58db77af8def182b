"""Holders that have vanished: told once, and reclaimed where a budget allows it.

Every host sees a lost holder; the one with the lowest machine-id of those that live speaks and
acts for all. A reclaimed slot counts as a failure, written before the slot goes: of two that
reclaim at once, only those within the budget go on.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from coordinator.client.core.errors import KeyExists, StoreError
from coordinator.client.core.store_protocol import Absent
from daemonkit.observe import logs
from locksmith.core import holder_status, keys, records
from locksmith.core.group_state import Holder, Picture
from locksmith.core.holder_status import Verdict
from locksmith.core.records import Failure, Happening
from locksmith.host.identity import Host
from locksmith.settings import Settings
from locksmith.store.compare_and_swap import Done
from locksmith.store.semaphore_client import Slots

LOOK_EVERY_S = 5.0
ALARMS = {Verdict.LOST, Verdict.REFUSED}

_log = logs.get("locksmith")


class Watcher:
    """Looks at the holders of one group."""

    def __init__(
        self, held: Slots, host: Host, settings: Settings, tell: Callable[[Happening], None]
    ) -> None:
        self._slots, self._host, self._tell = held, host, tell
        self._budget = settings.care.reclaim_max
        self._told: set[tuple[str, str]] = set()

    async def run(self, now: Callable[[], Picture | None]) -> None:
        """Look on for as long as the daemon lives."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            seen = now()
            if seen is None or not self._speaks(seen):
                continue
            for holder in seen.holders:
                try:
                    await self._judge(holder)
                except StoreError as error:
                    _log.warning("holder-not-judged", id=holder.id, error=str(error))

    def _speaks(self, seen: Picture) -> bool:
        return bool(seen.hosts) and seen.hosts[0] == self._host.machine_id

    async def _judge(self, holder: Holder) -> None:
        record = holder.record
        found = holder_status.of(record, holder.heartbeat, datetime.now(UTC))
        if found not in ALARMS or record is None or holder.id == self._host.machine_id:
            return
        if (holder.id, record.since) not in self._told:
            self._told.add((holder.id, record.since))
            detail = f"slot held since {record.since}, deadline {record.deadline}"
            self._tell(self._happening(found.value, holder, detail))
        if found is Verdict.LOST and self._budget > 0:
            await asyncio.to_thread(self._reclaim, holder)

    def _reclaim(self, holder: Holder) -> None:
        standing = self._slots.standing(holder.id)
        if not standing.is_holder or standing.record is None or standing.record != holder.record:
            return
        now = records.stamp(datetime.now(UTC))
        failure = Failure(standing.record.host, standing.record.boot_id, now, "lost")
        key = keys.failure(self._slots.group, holder.id)
        with suppress(KeyExists):  # written by an attempt that was cut off
            self._slots.store.put(key, records.encode(failure), when=Absent())
        if not self._within_budget(key):
            return
        if isinstance(self._slots.reclaim(holder.id, standing), Done):
            self._tell(self._happening("reclaimed", holder, "lost; counts as a failure"))

    def _within_budget(self, key: str) -> bool:
        below = f"{keys.FAILURES}/{keys.segment(self._slots.group)}"
        found = sorted(self._slots.store.list(below).entries, key=lambda entry: entry.created)
        return key in {entry.key for entry in found[: self._budget]}

    def _happening(self, event: str, holder: Holder, detail: str) -> Happening:
        now = records.stamp(datetime.now(UTC))
        author = f"locksmithd on {self._host.hostname}"
        return Happening(now, event, holder.id, holder.hostname, detail, author)
