"""From the need of a reboot to the reboot: waits, takes a slot, drains, looks again, and goes.

Whatever stops a reboot after the grant gives the slot back. Only the fence's own doubt (the
grant is no longer this host's) leaves the semaphore alone.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from coordinator.client.core.errors import KeyExists, KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Absent
from daemonkit.observe import logs
from locksmith.agent import post_reboot_check
from locksmith.core import fence, group_state, keys, policy, records
from locksmith.core.fence import Grant
from locksmith.core.policy import Act
from locksmith.core.records import Happening, HolderRecord, Phase, Ticket
from locksmith.host import hooks, logind
from locksmith.host.blockers import joined
from locksmith.host.identity import Host
from locksmith.settings import Settings
from locksmith.store import semaphore_client
from locksmith.store.compare_and_swap import Done
from locksmith.store.retry import Attempts
from locksmith.store.semaphore_client import Claim, Slots, Standing
from locksmith.store.store_quorum import Members, Unknown

# After the order to reboot a host is gone within a minute or two; then it was refused.
REFUSED_AFTER_S = 300.0
# Between two attempts that came to nothing; a drain that fails will fail again at once.
PAUSE_FIRST_S = 10.0
PAUSE_MAX_S = 900.0
GATES_FRESH_S = 15.0
FLUSH_S = 2.0
# A wait without an event ends after about this: what no watch tells is looked at again.
POLL_S = 15.0

_log = logs.get("locksmith")


class Aborted(Exception):  # noqa: N818 - a decision, not a bug
    """This reboot does not happen; `keep` leaves the slot as it is: it is not ours any more."""

    def __init__(self, why: str, *, keep: bool = False) -> None:
        super().__init__(why)
        self.keep = keep


@dataclass(frozen=True, slots=True)
class Around:
    """What the rest of the daemon knows and does.

    `since` is when the need was first seen; `store_away_s` is None while the store is followed;
    `gates` are reasons of the daemon's own to stay.
    """

    reasons: Callable[[], tuple[str, ...]]
    since: Callable[[], datetime]
    store_away_s: Callable[[], float | None]
    gates: Callable[[], tuple[str, ...]]
    tell: Callable[[Happening], None]
    flush: Callable[[float], Awaitable[None]]
    news: Callable[[], None]


@dataclass(slots=True)
class Counts:
    """What this process has done, for metrics."""

    granted: int = 0
    ordered: int = 0
    refused: int = 0
    aborted: int = 0
    wait_s: float = 0.0


class Rebooter:
    """One host's way to its reboots. Everything here runs on the loop's thread."""

    def __init__(self, held: Slots, host: Host, settings: Settings, around: "Around") -> None:
        self._slots, self._host, self._settings, self._around = held, host, settings, around
        self._care, self._rules = settings.care, settings.rules
        self._wake = asyncio.Event()
        self._picture: group_state.Picture | None = None
        self._free_since: float | None = None
        self._gates: tuple[str, ...] = ()
        self._gates_at = -GATES_FRESH_S
        self._pause_s = PAUSE_FIRST_S
        self._not_before_s = 0.0
        self._members = Members((), None)
        self._ticketed = False
        self._store = Attempts("reboot")
        self.counts = Counts()
        self.phase: Phase | None = None
        self.waits_for: tuple[str, ...] = ()

    @property
    def is_member(self) -> bool:
        """Whether a member of the store runs on this host."""
        return self._members.own is not None

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    def seen(self, now: group_state.Picture) -> None:
        """Take a new picture of the group."""
        free = now.semaphore.free > 0 and not now.corrupt
        if not free:
            self._free_since = None
        elif self._free_since is None:
            self._free_since = time.monotonic()
        self._picture = now
        self._ticketed = any(waiter.id == self._host.machine_id for waiter in now.waiters)
        self.wake()

    async def run(self, after: post_reboot_check.Checkup) -> None:
        """Reboot whenever it is needed and allowed, for as long as the daemon lives."""
        self._after = after
        while True:
            grant = await self._granted()
            try:
                await self._carry_out(grant)
            except Aborted as aborted:
                await self._abort(grant, aborted)

    def _resumed(self) -> HolderRecord | None:
        """Go on with the slot of a daemon that was killed in this boot."""
        record, self._after.resumable = self._after.resumable, None
        return record

    def _grant_of(self, record: HolderRecord) -> Grant:
        deadline = records.moment(record.deadline) or datetime.now(UTC)
        left_s = min((deadline - datetime.now(UTC)), self._care.deadline).total_seconds()
        return Grant(record.token, record.boot_id, clock_s() + left_s)

    async def _granted(self) -> Grant | None:
        """Wait until the host may go; None for going without a slot."""
        waiting_since = time.monotonic()
        while True:
            self._wake.clear()
            if record := self._resumed():
                return self._grant_of(record)
            await self._ask_gates()
            step = policy.next_step(self._rules, self._local(), self._group())
            self._shows(step.waits_for)
            if not self._around.reasons():
                waiting_since = time.monotonic()
            try:
                match step.act:
                    case Act.GO:
                        return None
                    case Act.JOIN:
                        await self._join()
                    case Act.LEAVE:
                        await self._leave()
                    case Act.TAKE:
                        if grant := await self._take():
                            self.counts.wait_s = time.monotonic() - waiting_since
                            return grant
                    case Act.AWAIT:
                        if not await self._rest(step.wait_s):
                            await self._poll()
                    case Act.REST:
                        await self._rest(POLL_S)
            except StoreError as error:
                self._shows((f"store: {error}",))
                await asyncio.sleep(self._store.failed(error))
            else:
                self._store.worked()

    async def _rest(self, wait_s: float) -> bool:
        """Wait for an event, or as long as is worth it; say whether there was one."""
        limits_s = [wait_s, random.uniform(0.5, 1.0) * POLL_S]
        if (paused_s := self._not_before_s - time.monotonic()) > 0:
            limits_s.append(paused_s)
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.05, min(limits_s)))
        except TimeoutError:
            return False
        return True

    async def _poll(self) -> None:
        """Read the semaphore itself: a watch that is silently stuck must not cost the turn."""
        now = self._picture
        if now is None or self._around.store_away_s() is not None:
            return
        reading = await asyncio.to_thread(self._slots.read)
        if reading.modified > now.modified:
            self.seen(replace(now, semaphore=reading.semaphore, modified=reading.modified))

    async def _ask_gates(self) -> None:
        """Ask what takes time only while nothing quicker forbids the reboot."""
        if not self._around.reasons() or not self._after.settled.is_set():
            return
        if policy.blocked(self._rules, self._quick(), self._group()):
            return
        if time.monotonic() - self._gates_at < GATES_FRESH_S:
            return
        self._gates = await self._closed_gates()
        if not self._gates:
            failed = await self._hooks("pre-lock.d")
            self._gates = tuple(f"hook {name}: {ended}" for name, ended in failed.items())
        self._gates_at = time.monotonic()

    async def _closed_gates(self) -> tuple[str, ...]:
        overdue = policy.is_overdue(self._rules, self._quick())
        closed = await self._settings.gates.closed(overdue=overdue)
        if self._rules.strategy.locks and self._around.store_away_s() is None:
            closed += await self._member_gate()
        return closed

    async def _member_gate(self) -> tuple[str, ...]:
        neighbours = self._settings.neighbours
        try:
            self._members = await asyncio.to_thread(neighbours.find)
            why = await asyncio.to_thread(neighbours.objection, self._members)
        except Unknown as error:
            return (str(error),)
        return (why,) if why else ()

    def _quick(self) -> policy.Local:
        gates = self._around.gates()
        if (left_s := self._not_before_s - time.monotonic()) > 0:
            gates += (f"pause after the last attempt: {left_s:.0f} s",)
        now = datetime.now(UTC)
        return policy.Local(
            now, self._around.reasons(), self._around.since(), gates, self._around.store_away_s()
        )

    def _local(self) -> policy.Local:
        quick = self._quick()
        return policy.Local(
            quick.now, quick.reasons, quick.since, quick.gates + self._gates, quick.store_away_s
        )

    def _group(self) -> policy.Group:
        now = self._picture
        if now is None:
            return policy.Group(free=0)
        own = self._host.machine_id
        ahead = next((n for n, waiter in enumerate(now.waiters) if waiter.id == own), None)
        free_for_s = time.monotonic() - self._free_since if self._free_since is not None else 0.0
        failures = tuple(failure.host for _, failure in now.failures)
        return policy.Group(
            now.semaphore.free, ahead, free_for_s, now.pauses_of(own), failures, now.corrupt
        )

    async def _join(self) -> None:
        host = self._host
        ticket = Ticket(
            host.hostname, host.boot_id, records.stamp(datetime.now(UTC)), self._care.priority
        )
        key, text = keys.ticket(self._slots.group, host.machine_id), records.encode(ticket)
        with suppress(KeyExists):
            await asyncio.to_thread(lambda: self._slots.store.put(key, text, when=Absent()))
            self.tell("waiting", joined(self._around.reasons()))
        # The mirror brings the place in the line, in a moment.
        await self._rest(1.0)

    async def _leave(self) -> None:
        key = keys.ticket(self._slots.group, self._host.machine_id)
        with suppress(KeyNotFound):
            await asyncio.to_thread(self._slots.store.delete, key)
        await self._rest(1.0)

    async def _take(self) -> Grant | None:
        own_slots, host = self._slots, self._host
        if self.is_member and not await asyncio.to_thread(own_slots.take_member, host):
            await self._rest(1.0)
            return None
        now = datetime.now(UTC)
        deadline = records.stamp(now + self._care.deadline)
        claim = Claim(semaphore_client.DAEMON, deadline, self._around.reasons())
        deadline_s = clock_s() + self._care.deadline.total_seconds()
        outcome = await asyncio.to_thread(self._slots.take_own, self._host, now, claim)
        if not isinstance(outcome, Done):
            await self._give_member()
            await self._rest(1.0)
            return None
        self.counts.granted += 1
        self.phase = Phase.HELD
        self.tell("granted", f"index {outcome.modified}: {joined(self._around.reasons())}")
        key = keys.ticket(self._slots.group, self._host.machine_id)
        with suppress(StoreError):  # a ticket that stays is taken back later
            await asyncio.to_thread(self._slots.store.delete, key)
        return Grant(outcome.modified, self._host.boot_id, deadline_s)

    async def _carry_out(self, grant: Grant | None) -> None:
        """Drain and reboot; returns never, or by Aborted."""
        self._shows(())
        if not self._around.reasons():
            raise Aborted("no reboot is needed any more")
        await self._mark(grant, Phase.DRAINING)
        self.tell("draining", "")
        failed = await self._revocable(grant, self._hooks("pre-reboot.d"))
        if failed:
            raise Aborted("hook " + ", ".join(f"{name}: {end}" for name, end in failed.items()))
        if gates := await self._closed_gates():
            raise Aborted(joined(gates))
        if moved := await asyncio.to_thread(
            self._settings.neighbours.move_leadership, self._members
        ):
            self.tell("leadership", moved)
        units = await asyncio.to_thread(post_reboot_check.failed_units)
        self.tell("rebooting", joined(self._around.reasons()))
        await self._around.flush(FLUSH_S)
        await self._pass_fence(grant, units)
        await self._order()

    async def _revocable(
        self, grant: Grant | None, work: Coroutine[Any, Any, dict[str, hooks.Ended]]
    ) -> dict[str, hooks.Ended]:
        """Run the drain; a slot that is taken away meanwhile ends it."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                self._wake.clear()
                woken = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait({task, woken}, return_when="FIRST_COMPLETED")
                woken.cancel()
                if grant and self._is_revoked(grant):
                    raise Aborted("the slot was taken away", keep=True)
        finally:
            task.cancel()
        return task.result()

    def _is_revoked(self, grant: Grant) -> bool:
        """Whether a semaphore newer than the grant lacks this host."""
        now = self._picture
        return (
            now is not None
            and now.modified > grant.token
            and now.holder(self._host.machine_id) is None
        )

    async def _pass_fence(self, grant: Grant | None, units: tuple[str, ...]) -> None:
        """Return when this very moment is right; the store's silence is a no for now."""
        while True:
            begun_s = clock_s()
            if blocks := policy.blocked(self._rules, self._quick(), self._group()):
                raise Aborted(joined(blocks))
            if grant is None:
                return
            if begun_s >= grant.deadline_s:
                raise Aborted("the deadline of the grant has passed")
            try:
                await self._look_again(grant, units)
            except StoreError as error:
                self._shows((f"store: {error}; holding the slot, not going",))
                await asyncio.sleep(min(2.0, self._store.failed(error)))
                continue
            self._store.worked()
            if clock_s() - begun_s <= fence.FRESH_S:
                return

    async def _look_again(self, grant: Grant, units: tuple[str, ...]) -> None:
        if stopped := await asyncio.to_thread(self._slots.stops, self._host.machine_id):
            raise Aborted(joined(stopped))
        standing: Standing = await asyncio.to_thread(self._slots.standing, self._host.machine_id)
        if self._is_revoked(grant):
            raise Aborted("the slot was taken away", keep=True)
        found = standing.reading.semaphore
        own = self._host.machine_id
        if why := fence.objection(grant, own, found, standing.record, clock_s()):
            raise Aborted(why, keep=why != "its deadline has passed")
        assert standing.record is not None
        record = msgspec.structs.replace(
            standing.record, phase=Phase.REBOOTING, failed_units=units[:50]
        )
        await asyncio.to_thread(self._slots.mark, self._host, standing, record)
        self.phase = Phase.REBOOTING

    async def _order(self) -> None:
        self.counts.ordered += 1
        try:
            way = await logind.reboot(self._care.command)
        except logind.Refused as error:
            self.counts.refused += 1
            raise Aborted(f"the reboot was refused: {error}") from None
        _log.info("reboot-ordered", way=way)
        await asyncio.sleep(REFUSED_AFTER_S)
        self.counts.refused += 1
        raise Aborted(f"the host still runs {REFUSED_AFTER_S:.0f} s after the order to reboot")

    async def _abort(self, grant: Grant | None, aborted: Aborted) -> None:
        """Undo: hooks of abort.d, then the slot goes back, however long the store is away."""
        self.counts.aborted += 1
        self.phase = None
        self.tell("aborted", str(aborted))
        self._not_before_s = time.monotonic() + self._pause_s
        self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2)
        self._gates_at = -GATES_FRESH_S
        await self._hooks("abort.d")
        while grant is not None and not aborted.keep:
            try:
                await asyncio.to_thread(self._slots.give_back_grant, self._host, grant.token)
                break
            except StoreError as error:
                await asyncio.sleep(self._store.failed(error))
        await self._give_member()
        self._wake.set()

    async def _give_member(self) -> None:
        with suppress(StoreError):  # its key stays, and the next start gives it back
            await asyncio.to_thread(self._slots.give_member, self._host.machine_id)

    async def _mark(self, grant: Grant | None, phase: Phase) -> None:
        """Show the phase to others; the fence alone depends on what stands there."""
        self.phase = phase
        if grant is None:
            return
        try:
            standing: Standing = await asyncio.to_thread(
                self._slots.standing, self._host.machine_id
            )
            if standing.record and standing.record.token == grant.token:
                record = msgspec.structs.replace(standing.record, phase=phase)
                await asyncio.to_thread(self._slots.mark, self._host, standing, record)
        except StoreError as error:
            _log.warning("phase-not-shown", phase=phase.value, error=str(error))

    async def _hooks(self, directory: str) -> dict[str, hooks.Ended]:
        environment = {
            "LOCKSMITH_GROUP": self._slots.group,
            "LOCKSMITH_PHASE": directory.removesuffix(".d"),
            "LOCKSMITH_REASONS": joined(self._around.reasons()),
        }
        return await hooks.run_all(
            self._care.hooks / directory, timeout_s=self._care.hook_s, environment=environment
        )

    def _shows(self, waits_for: tuple[str, ...]) -> None:
        if waits_for != self.waits_for:
            self.waits_for = waits_for
            if waits_for:
                _log.info("waits", waits_for=joined(waits_for))
            self._around.news()

    def tell(self, event: str, detail: str) -> None:
        """Tell of something that this host did."""
        now = records.stamp(datetime.now(UTC))
        host = self._host
        self._around.tell(
            Happening(now, event, host.machine_id, host.hostname, detail, "locksmithd")
        )


def clock_s() -> float:
    """Return a time that nobody sets and that runs on while the host is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
