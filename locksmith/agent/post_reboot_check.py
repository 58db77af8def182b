"""After a reboot: releases the slot that this host acquired before it, once the host is healthy.

A host that is not healthy in time is FAILED: the slot stays taken, the failure counts against the
group's budget, and after `locksmithctl resume` the host is checked again.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar, assert_never

import msgspec

from coordinator.client.core.errors import CompareFailed, KeyNotFound, StoreError
from daemonkit.observe import logs
from locksmith.agent.host_view import HostView
from locksmith.core import health, records
from locksmith.core.health import HealthFacts
from locksmith.core.records import Failure, HolderRecord, Phase
from locksmith.core.semaphore import NotHeld
from locksmith.host import hooks, systemd
from locksmith.store import semaphore_client
from locksmith.store.compare_and_swap import Skipped, Updated
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import GroupClient
from locksmith.store.retry import Retry
from locksmith.store.semaphore_client import SemaphoreClient

CHECK_EVERY_S = 2.0
# How often a failed host checks whether an operator has run `resume`.
RESUME_EVERY_S = 2.0

_log = logs.get("locksmith")
T = TypeVar("T")


class PostRebootCheck:
    """Decides once, after a start, about the slot of this host in the store."""

    def __init__(self, view: HostView, client: SemaphoreClient, recorder: EventRecorder) -> None:
        self._view, self._client, self._recorder = view, client, recorder
        self._host, self._options = view.host, view.config.reboot
        self._group = GroupClient(client.store, client.group)
        self.retry = Retry("release")
        self.result = ""
        self.problem = "not checked yet"  # what is wrong with the host, while it is checked
        self.phase: Phase | None = None
        self.released = 0
        self.last_seconds = 0.0

    async def run(self) -> None:
        """Return when no slot of an earlier boot is left to decide about."""
        await self._until_answered(self._group.write_alias, self._host)
        await self._until_answered(self._client.delete_stale_record, self._host)
        seen = await self._until_answered(self._client.read_holder, self._host.machine_id)
        record = seen.record
        if record is None or not seen.is_holder or not semaphore_client.proves_slot(record):
            await self._release()
        elif record.boot_id != self._host.boot_id:
            await self._after_reboot(record)
        elif record.by == semaphore_client.DAEMON:
            self._view.resumable = record
            self._end("kept: locksmithd acquired it in this boot and continues")
        else:
            await self._release()

    async def _after_reboot(self, record: HolderRecord) -> None:
        if record.host != self._host.hostname:
            await self._release()
            return
        begun_s = time.monotonic()
        self._recorder.record_own("booted", f"boot {self._host.boot_id}")
        while True:
            self.phase = Phase.CHECKING
            await self._write_phase(Phase.CHECKING, "")
            problem = await self._until_healthy(record.failed_units)
            if not problem:
                break
            await self._fail(problem)
        self.last_seconds = time.monotonic() - begun_s
        since = records.parse_time(record.since)
        held_s = (datetime.now(UTC) - since).total_seconds() if since else 0.0
        await self._release()
        self._recorder.record_own("healthy", "slot released", held_s)

    async def _until_healthy(self, failed_before: tuple[str, ...]) -> str:
        """Wait until the host was healthy for the settle time; if too late, return its problem."""
        end_s = time.monotonic() + self._options.healthy_timeout_s
        healthy_since_s: float | None = None
        while True:
            found = health.problems(await self._check(), failed_before)
            now_s = time.monotonic()
            if found:
                healthy_since_s = None
                self._show_problem("; ".join(found))
            elif healthy_since_s is None:
                healthy_since_s = now_s
                self._show_problem("settling")
            if healthy_since_s is not None and now_s - healthy_since_s >= self._options.settle_s:
                self._show_problem("")
                return ""
            if now_s > end_s and healthy_since_s is None:
                return self.problem
            await asyncio.sleep(min(CHECK_EVERY_S, max(0.1, self._options.settle_s / 2)))

    async def _check(self) -> HealthFacts:
        failed = await hooks.run_hooks(
            self._options.hooks_dir / "healthy.d",
            timeout_s=self._options.hook_timeout_s,
            environment={
                "LOCKSMITH_GROUP": self._client.group,
                "LOCKSMITH_PHASE": "healthy",
                "LOCKSMITH_HOOK_TIMEOUT_S": f"{self._options.hook_timeout_s:.0f}",
            },
        )
        scripts = {
            name: "not yet" if result.code == hooks.TRY_LATER else str(result)
            for name, result in failed.items()
        }
        if not systemd.runs_systemd():
            return HealthFacts(failed_units=None, scripts=scripts)
        complete, units = await asyncio.gather(systemd.boot_complete(), systemd.failed_units())
        return HealthFacts(complete, units, scripts)

    async def _fail(self, problem: str) -> None:
        """Keep the slot, count the failure, and wait until an operator runs `resume`."""
        self.phase = Phase.FAILED
        self.result = f"failed: {problem}"
        self._view.check_pending = self.result
        now = records.format_time(datetime.now(UTC))
        failure = Failure(self._host.hostname, self._host.boot_id, now, problem)
        await self._write_phase(Phase.FAILED, problem)
        await self._until_answered(self._group.write_failure, self._host.machine_id, failure)
        self._recorder.record_own("failed", problem)
        while True:
            await asyncio.sleep(RESUME_EVERY_S)
            try:
                if not await asyncio.to_thread(self._group.has_failure, self._host.machine_id):
                    return
            except StoreError as error:
                await asyncio.sleep(self.retry.failed(error))

    async def _write_phase(self, phase: Phase, detail: str) -> None:
        """Publish the phase. A record that was deleted meanwhile stays deleted."""
        seen = await self._until_answered(self._client.read_holder, self._host.machine_id)
        if seen.record is None:
            return
        record = msgspec.structs.replace(seen.record, phase=phase, detail=detail)
        try:
            await self._until_answered(self._client.update_record, self._host, seen, record)
        except (CompareFailed, KeyNotFound):
            _log.warning("record-changed", machine_id=self._host.machine_id)

    async def _release(self) -> None:
        outcome = await self._until_answered(self._client.release_after_reboot, self._host)
        if not isinstance(outcome, Skipped):
            await self._until_answered(self._group.release_store_member, self._host.machine_id)
        match outcome:
            case Updated():
                self.released += 1
                self._end("released: it was acquired before this boot")
            case NotHeld():
                self._end("this host held no slot at the start")
            case Skipped(reason):
                self._end(f"kept: {reason}")
            case _:
                assert_never(outcome)

    def _show_problem(self, problem: str) -> None:
        self.problem = problem
        self._view.check_pending = self.result or problem or "settling"

    def _end(self, result: str) -> None:
        self.result, self.problem, self.phase = result, "", None
        _log.info("start-check", result=result, machine_id=self._host.machine_id)
        self._view.check_pending = ""
        self._view.changed.set()

    async def _until_answered(self, call: Callable[..., T], *arguments: object) -> T:
        """Call the store until it answers: a host that is up must not keep its slot forever."""
        while True:
            try:
                answer = await asyncio.to_thread(call, *arguments)
            except (CompareFailed, KeyNotFound):
                raise
            except StoreError as error:
                await asyncio.sleep(self.retry.failed(error))
                continue
            self.retry.succeeded()
            return answer
