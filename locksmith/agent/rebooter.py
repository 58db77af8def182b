"""Runs the state machine of core/reboot.py: does what each state asks for, and reports it."""

import asyncio
from contextlib import suppress
from typing import Protocol, assert_never

import msgspec

from coordinator.client.core.errors import StoreError
from daemonkit.observe import logs
from locksmith.agent.blocker_check import BlockerCheck
from locksmith.agent.host_view import HostView
from locksmith.core import fence, reboot
from locksmith.core.fence import DEADLINE_PASSED, SLOT_TAKEN, Grant, Objection
from locksmith.core.reboot import (
    Announced,
    BlockersChecked,
    Event,
    FenceChecked,
    FenceUnknown,
    Granted,
    HooksEnded,
    NotNeeded,
    OrderRefused,
    Reboot,
    SlotLost,
    State,
    StillRunning,
    Succeeded,
)
from locksmith.core.records import Phase
from locksmith.host import logind, systemd
from locksmith.host.blockers import join_reasons
from locksmith.host.boot_clock import clock_s
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import GroupClient
from locksmith.store.retry import Retry
from locksmith.store.semaphore_client import SemaphoreClient

# After the order to reboot, a host goes down within a minute or two. Later, the order has failed.
ORDER_LIMIT_S = 300.0
FLUSH_S = 2.0
FENCE_RETRY_MAX_S = 2.0
FAILED_UNITS_MAX = 50

_log = logs.get("locksmith")


class SlotSource(Protocol):
    """Where the slot of a reboot comes from: the queue, or an acquire at once."""

    async def wait(self) -> Granted:
        """Return when the host may reboot."""


class Rebooter:
    """The reboots of one host. Everything here runs in the event loop."""

    def __init__(
        self,
        view: HostView,
        client: SemaphoreClient,
        recorder: EventRecorder,
        blockers: BlockerCheck,
        slots: SlotSource,
    ) -> None:
        self._view, self._client, self._recorder = view, client, recorder
        self._group = GroupClient(client.store, client.group)
        self._blockers, self._slots = blockers, slots
        self._fence_retry, self._release_retry = Retry("fence"), Retry("release")
        self._reboot = Reboot()

    async def run(self) -> None:
        """Reboot when needed and allowed, as long as the daemon runs."""
        while True:
            self._advance(await self._act())

    async def run_once(self) -> str:
        """Make one reboot; return why it does not happen, "" once it is ordered."""
        self._advance(await self._act())
        why = ""
        while self._reboot.state not in {State.WAITING, State.ORDERED}:
            self._advance(await self._act())
            why = self._reboot.abort.why if self._reboot.abort else why
        return why

    def _advance(self, event: Event) -> None:
        before, self._reboot = self._reboot.state, reboot.advance(self._reboot, event)
        self._view.phase = self._reboot.phase
        if self._reboot.state is State.ABORTING and before is not State.ABORTING:
            assert self._reboot.abort is not None
            self._view.counts.aborted += 1
            self._recorder.record_own("aborted", self._reboot.abort.why)
            self._blockers.pause(self._reboot.pause_s)

    async def _act(self) -> Event:
        """Do what the state asks for; return what happened."""
        match self._reboot.state:
            case State.WAITING:
                return await self._slots.wait()
            case State.HELD:
                return await self._leave_queue()
            case State.DRAINING:
                return await self._drain()
            case State.RECHECKING:
                return BlockersChecked(await self._blockers.ask_again())
            case State.ANNOUNCING:
                return await self._announce()
            case State.FENCING:
                return await self._check_fence()
            case State.ORDERING:
                return await self._order()
            case State.ORDERED:
                return await self._await_shutdown()
            case State.ABORTING:
                await self._blockers.run_hooks("abort.d")
                return Succeeded()
            case State.RELEASING:
                return await self._release()
            case _:
                assert_never(self._reboot.state)

    async def _leave_queue(self) -> Event:
        with suppress(StoreError):  # the policy deletes a ticket that stays behind
            await asyncio.to_thread(self._group.leave_queue, self._view.host.machine_id)
        return Succeeded()

    async def _drain(self) -> Event:
        self._view.update_waits_for(())
        if not self._view.reasons:
            return NotNeeded()
        await self._publish_draining()
        self._recorder.record_own("draining")
        drain = asyncio.ensure_future(self._blockers.run_hooks("pre-reboot.d"))
        try:
            while not drain.done():
                self._view.changed.clear()
                changed = asyncio.ensure_future(self._view.changed.wait())
                await asyncio.wait({drain, changed}, return_when="FIRST_COMPLETED")
                changed.cancel()
                if not self._view.reasons:
                    return NotNeeded()
                if self._reboot.grant and self._view.is_revoked(self._reboot.grant):
                    return SlotLost()
        finally:
            if not drain.done():
                drain.cancel()
                await asyncio.wait({drain})  # abort.d must not run while a hook is still ending
        return HooksEnded(drain.result())

    async def _publish_draining(self) -> None:
        """Publish the phase. Only the fence depends on the record."""
        grant, host = self._reboot.grant, self._view.host
        if grant is None:
            return
        try:
            seen = await asyncio.to_thread(self._client.read_holder, host.machine_id)
            if seen.record and seen.record.token == grant.token:
                record = msgspec.structs.replace(seen.record, phase=Phase.DRAINING)
                await asyncio.to_thread(self._client.update_record, host, seen, record)
        except StoreError as error:
            _log.warning("phase-not-written", phase=Phase.DRAINING.value, error=str(error))

    async def _announce(self) -> Event:
        quorum, members = self._view.config.quorum, self._blockers.members
        if moved := await asyncio.to_thread(quorum.move_leadership, members):
            self._recorder.record_own("leadership", moved)
        units = await systemd.failed_units()
        self._recorder.record_own("rebooting", join_reasons(self._view.reasons))
        await self._recorder.flush(FLUSH_S)
        return Announced(units[:FAILED_UNITS_MAX])

    async def _check_fence(self) -> Event:
        """Return whether the host may reboot at this moment."""
        begun_s, grant = clock_s(), self._reboot.grant
        if blockers := self._blockers.forbidden():
            return FenceChecked(Objection(join_reasons(blockers), is_ours=True))
        if grant is None:
            return FenceChecked()
        if begun_s >= grant.deadline_s:
            return FenceChecked(DEADLINE_PASSED)
        try:
            objection = await self._read_fence(grant)
        except StoreError as error:
            self._view.update_waits_for((f"store: {error}; keeping the slot, not rebooting",))
            await asyncio.sleep(min(FENCE_RETRY_MAX_S, self._fence_retry.failed(error)))
            return FenceUnknown()
        self._fence_retry.succeeded()
        if objection is None and clock_s() - begun_s > fence.FRESH_S:
            return FenceUnknown()
        return FenceChecked(objection)

    async def _read_fence(self, grant: Grant) -> Objection | None:
        """Read with a quorum whether the grant is valid; if so, write that the host reboots."""
        host = self._view.host
        if pauses := await asyncio.to_thread(self._group.pauses_of, host.machine_id):
            return Objection(join_reasons(pauses), is_ours=True)
        seen = await asyncio.to_thread(self._client.read_holder, host.machine_id)
        if self._view.is_revoked(grant):
            return SLOT_TAKEN
        found = seen.reading.semaphore
        objection = fence.objection(grant, host.machine_id, found, seen.record, clock_s())
        if objection is None:
            assert seen.record is not None
            record = msgspec.structs.replace(
                seen.record, phase=Phase.REBOOTING, failed_units=self._reboot.failed_units
            )
            await asyncio.to_thread(self._client.update_record, host, seen, record)
        return objection

    async def _order(self) -> Event:
        await self._blockers.count_reboot()
        self._view.counts.ordered += 1
        try:
            way = await logind.reboot(self._view.config.reboot.command)
        except logind.RebootRefused as error:
            self._view.counts.refused += 1
            return OrderRefused(str(error))
        _log.info("reboot-ordered", way=way)
        return Succeeded()

    async def _await_shutdown(self) -> Event:
        await asyncio.sleep(ORDER_LIMIT_S)
        self._view.counts.refused += 1
        return StillRunning(ORDER_LIMIT_S)

    async def _release(self) -> Event:
        """Release the slot, however long the store is unreachable."""
        host = self._view.host
        while (grant := self._reboot.releases) is not None:
            try:
                await asyncio.to_thread(self._client.release_grant, host, grant.token)
                break
            except StoreError as error:
                await asyncio.sleep(self._release_retry.failed(error))
        with suppress(StoreError):  # its key stays, and the next start deletes it
            await asyncio.to_thread(self._group.release_store_member, host.machine_id)
        self._view.changed.set()
        return Succeeded()
