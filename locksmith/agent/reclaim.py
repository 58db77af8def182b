"""Reports each lost holder once, and reclaims their slots within a budget.

Every host sees a lost holder; the live host with the lowest machine-id reports and acts for all; it
also deletes the oldest events of a long history. A
reclaimed slot counts as a failure, which is written before the slot is released: if two hosts
reclaim at once, only the slots within the budget are released.

A store with roles may let a host write only what is its own. A host that is refused says so in its
heartbeat, and the next one acts; and each host deletes the events that it has written itself.
"""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime

from coordinator.client.core.errors import KeyExists, StoreError, Unauthorized
from daemonkit.observe import logs
from locksmith.agent.host_view import HostView
from locksmith.core import holder_status, keys, records
from locksmith.core.group_state import Holder
from locksmith.core.holder_status import HolderStatus
from locksmith.core.records import Failure, GroupEvent
from locksmith.store.compare_and_swap import Updated
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import SemaphoreClient

CHECK_EVERY_S = 5.0
PRUNE_EVERY_S = 600.0
# How often a host deletes its own events from a long history, and how long it leaves to others what
# it was refused.
PRUNE_OWN_EVERY_S = REFUSED_S = 3600.0
ALARMS = {HolderStatus.LOST, HolderStatus.REFUSED}

_log = logs.get("locksmith")


class Reclaimer:
    """Watches the holders of one group."""

    def __init__(self, view: HostView, client: SemaphoreClient, recorder: EventRecorder) -> None:
        self._view, self._client, self._recorder = view, client, recorder
        self._group = GroupClient(client.store, client.group)
        self._budget = view.config.reboot.reclaim_max
        self._reported: set[tuple[str, str]] = set()
        self._pruned_s = time.monotonic() - PRUNE_EVERY_S
        self._prunes_everything = True
        self._refused_until_s = 0.0

    async def run(self) -> None:
        """Watch as long as the daemon runs."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            if (group := self._view.group) is None:
                continue
            if time.monotonic() >= self._refused_until_s:
                self._view.update_reclaims(True)
            reports, reclaims = self._acts(group.hosts), self._acts(group.reclaimers)
            for holder in group.holders if reports or reclaims else ():
                try:
                    await self._check(holder, reports=reports, reclaims=reclaims)
                except Unauthorized as error:
                    self._refused(error)
                    break
                except StoreError as error:
                    _log.warning("holder-not-checked", id=holder.id, error=str(error))
            await self._prune(everything=reports and self._prunes_everything)

    def _acts(self, candidates: tuple[str, ...]) -> bool:
        return bool(candidates) and candidates[0] == self._view.host.machine_id

    def _refused(self, error: Unauthorized) -> None:
        _log.warning("reclaims-nothing", error=str(error))
        self._refused_until_s = time.monotonic() + REFUSED_S
        self._view.update_reclaims(False)

    async def _prune(self, *, everything: bool) -> None:
        since_s = time.monotonic() - self._pruned_s
        if since_s < (PRUNE_EVERY_S if everything else PRUNE_OWN_EVERY_S):
            return
        self._pruned_s += since_s
        own = "" if everything else self._view.host.machine_id
        try:
            await asyncio.to_thread(self._group.prune_history, own)
        except Unauthorized as error:
            _log.info("prunes-own-events", error=str(error))
            self._prunes_everything = False
        except StoreError:
            return  # the next pass deletes the events

    async def _check(self, holder: Holder, *, reports: bool, reclaims: bool) -> None:
        record = holder.record
        status = holder_status.classify(record, holder.heartbeat, datetime.now(UTC))
        if status not in ALARMS or record is None or holder.id == self._view.host.machine_id:
            return
        if reports and (holder.id, record.since) not in self._reported:
            self._reported.add((holder.id, record.since))
            detail = f"slot held since {record.since}, deadline {record.deadline}"
            self._recorder.record(self._event(status.value, holder, detail))
        if status is not HolderStatus.LOST or self._budget <= 0 or not reclaims:
            return
        if await asyncio.to_thread(self._reclaim, holder):
            detail = "lost; counts as a failure"
            self._recorder.record(self._event("reclaimed", holder, detail))

    def _reclaim(self, holder: Holder) -> bool:
        """Release the slot within the budget, in a worker thread; return whether it was done."""
        seen = self._client.read_holder(holder.id)
        if not seen.is_holder or seen.record is None or seen.record != holder.record:
            return False
        now = records.format_time(datetime.now(UTC))
        failure = Failure(seen.record.host, seen.record.boot_id, now, "lost")
        with suppress(KeyExists):  # written by an attempt that was interrupted
            self._group.add_failure(holder.id, failure)
        return self._within_budget(holder.id) and isinstance(
            self._client.release_lost(holder.id, seen), Updated
        )

    def _within_budget(self, holder: str) -> bool:
        key = keys.failure(self._client.group, holder)
        return key in {entry.key for entry in self._group.failures()[: self._budget]}

    def _event(self, event: str, holder: Holder, detail: str) -> GroupEvent:
        now = records.format_time(datetime.now(UTC))
        author = f"locksmithd on {self._view.host.hostname}"
        return GroupEvent(now, event, holder.id, holder.hostname, detail, author)
