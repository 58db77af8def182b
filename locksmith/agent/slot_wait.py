"""Waits until this host may reboot: first for its blockers, then in the queue for a slot."""

import asyncio
import random
import time
from dataclasses import replace
from datetime import UTC, datetime

from coordinator.client.core.errors import StoreError
from locksmith.agent.blocker_check import BlockerCheck
from locksmith.agent.host_view import HostView
from locksmith.core import policy, records
from locksmith.core.fence import Grant
from locksmith.core.policy import Action, Decision
from locksmith.core.reboot import Granted
from locksmith.core.records import HolderRecord, Ticket
from locksmith.host.blockers import join_reasons
from locksmith.host.boot_clock import clock_s
from locksmith.store.compare_and_swap import Updated
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import GroupClient
from locksmith.store.retry import Retry
from locksmith.store.semaphore_client import DAEMON, Claim, SemaphoreClient

# A wait without an event ends after about this time, to check facts that no watch reports.
POLL_S = 15.0
# The mirror shows a ticket or a slot within this time.
MIRROR_S = 1.0


class SlotWait:
    """The wait of one host."""

    def __init__(
        self,
        view: HostView,
        client: SemaphoreClient,
        blockers: BlockerCheck,
        recorder: EventRecorder,
    ) -> None:
        self._view, self._client, self._blockers = view, client, blockers
        self._group = GroupClient(client.store, client.group)
        self._recorder = recorder
        self._retry = Retry("slot-wait")

    async def wait(self) -> Granted:
        """Return when the host may reboot."""
        view = self._view
        since_s, new_need = time.monotonic(), False
        while True:
            view.changed.clear()
            if record := view.take_resumable():
                return Granted(self._resumed(record))
            if not view.holds_slot():
                await self._blockers.ask()
            rules, group = view.config.rules, view.group_facts()
            decision = policy.decide(rules, self._blockers.facts(), group)
            view.update_waits_for(decision.waits_for)
            if not view.reasons:
                since_s, new_need = time.monotonic(), True
            try:
                granted = await self._unfinished_grant() or await self._act(decision)
            except StoreError as error:
                view.update_waits_for((f"store: {error}",))
                await asyncio.sleep(self._retry.failed(error))
                continue
            self._retry.succeeded()
            if granted is not None:
                view.counts.wait_s = time.monotonic() - since_s
                return replace(granted, new_need=new_need)

    async def poll(self) -> None:
        """Read the semaphore itself: a silently stuck watch must not cost the host its turn."""
        group = self._view.group
        if group is None or self._view.store_away_s is not None:
            return
        reading = await asyncio.to_thread(self._client.read)
        if reading.modified > group.modified:
            self._view.update_group(
                replace(group, semaphore=reading.semaphore, modified=reading.modified)
            )

    async def _unfinished_grant(self) -> Granted | None:
        """Return the grant of an acquire that failed after the slot was this host's.

        Otherwise the host would wait for a slot that it holds itself.
        """
        if self._view.holds_slot():
            seen = await asyncio.to_thread(self._client.read_holder, self._view.host.machine_id)
            if seen.is_holder:  # the mirror may be behind a release
                return await self._acquire()
        return None

    async def _act(self, decision: Decision) -> Granted | None:
        match decision.action:
            case Action.REBOOT_UNLOCKED:
                return Granted(None)
            case Action.ACQUIRE:
                return await self._acquire()
            case Action.JOIN_QUEUE:
                await self._join_queue()
            case Action.LEAVE_QUEUE:
                await asyncio.to_thread(self._group.leave_queue, self._view.host.machine_id)
                await self._wait_for_event(MIRROR_S)
            case Action.WAIT_TURN:
                if not await self._wait_for_event(decision.wait_s):
                    await self.poll()
            case Action.IDLE:
                await self._wait_for_event(POLL_S)
        return None

    async def _wait_for_event(self, wait_s: float) -> bool:
        """Wait for an event, or for a bounded time; return whether there was an event."""
        limits_s = [wait_s, random.uniform(0.5, 1.0) * POLL_S]
        if pause_left_s := self._blockers.pause_left_s:
            limits_s.append(pause_left_s)
        try:
            await asyncio.wait_for(self._view.changed.wait(), max(0.05, min(limits_s)))
        except TimeoutError:
            return False
        return True

    async def _join_queue(self) -> None:
        host, priority = self._view.host, self._view.config.reboot.priority
        now = records.format_time(datetime.now(UTC))
        ticket = Ticket(host.hostname, host.boot_id, now, priority)
        if await asyncio.to_thread(self._group.join_queue, host.machine_id, ticket):
            self._recorder.record_own("waiting", join_reasons(self._view.reasons))
        await self._wait_for_event(MIRROR_S)

    async def _acquire(self) -> Granted | None:
        view, host = self._view, self._view.host
        if self._blockers.is_store_member and not await asyncio.to_thread(
            self._group.acquire_store_member, host.machine_id
        ):
            await self._wait_for_event(MIRROR_S)
            return None
        now, limit = datetime.now(UTC), view.config.reboot.deadline
        claim = Claim(DAEMON, records.format_time(now + limit), view.reasons)
        deadline_s = clock_s() + limit.total_seconds()
        outcome = await asyncio.to_thread(self._client.acquire_own, host, now, claim)
        if not isinstance(outcome, Updated):
            await asyncio.to_thread(self._group.release_store_member, host.machine_id)
            await self._wait_for_event(MIRROR_S)
            return None
        view.counts.granted += 1
        self._recorder.record_own(
            "granted", f"index {outcome.modified}: {join_reasons(view.reasons)}"
        )
        return Granted(Grant(outcome.modified, host.boot_id, deadline_s))

    def _resumed(self, record: HolderRecord) -> Grant:
        now = datetime.now(UTC)
        left = (records.parse_time(record.deadline) or now) - now
        left_s = min(left, self._view.config.reboot.deadline).total_seconds()
        return Grant(record.token, record.boot_id, clock_s() + left_s)
