"""After a start: what became of a slot that this host held before, and is the host healthy?

A slot of an earlier boot is given back once the host is healthy. A host that does not get there
in time is FAILED: the slot stays taken, the failure counts against the group's budget, and
`locksmithctl resume` has the host judged anew.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, assert_never

import msgspec

from coordinator.client.core.errors import CompareFailed, KeyNotFound, StoreError
from daemonkit.observe import logs
from locksmith.core import health, keys, records
from locksmith.core.records import Failure, Happening, HolderRecord, Phase
from locksmith.core.semaphore import NotHeld
from locksmith.host import hooks
from locksmith.host.identity import Host
from locksmith.settings import Care
from locksmith.store import semaphore_client
from locksmith.store.compare_and_swap import Done, Kept
from locksmith.store.retry import Attempts
from locksmith.store.semaphore_client import Slots

# systemd says that it runs the host by this directory (sd_booted(3)).
SYSTEMD = Path("/run/systemd/system")
LOOK_EVERY_S = 2.0
# How often a host that failed looks whether somebody said `resume`.
RESUME_EVERY_S = 2.0
SYSTEMCTL_S = 20.0

_log = logs.get("locksmith")
T = TypeVar("T")


class Checkup:
    """Judges once at start what stands in the store for this host."""

    def __init__(
        self, held: Slots, host: Host, care: Care, tell: Callable[[Happening], None]
    ) -> None:
        self._slots, self._host, self._care, self._tell = held, host, care, tell
        self.attempts = Attempts("release")
        self.verdict = ""
        self.why = "not yet looked"  # what is wrong with the host, while it is checked
        self.phase: Phase | None = None
        self.settled = asyncio.Event()
        self.resumable: HolderRecord | None = None
        self.given_back = 0
        self.last_seconds = 0.0

    async def run(self) -> None:
        """Return when no slot of an earlier boot is left to care for."""
        await self._asked(self._slots.name, self._host)
        await self._asked(self._slots.forget_stale_record, self._host)
        standing = await self._asked(self._slots.standing, self._host.machine_id)
        record = standing.record
        mine = standing.is_holder and record is not None and semaphore_client.proves(record)
        if (
            record
            and mine
            and record.boot_id == self._host.boot_id
            and record.by == semaphore_client.DAEMON
        ):
            self.resumable = record
            self._settle("kept: locksmithd took it in this boot and goes on")
        elif record and mine and record.boot_id != self._host.boot_id:
            await self._after_reboot(record)
        else:
            await self._give_back()

    async def _after_reboot(self, record: HolderRecord) -> None:
        if record.host != self._host.hostname:
            await self._give_back()
            return
        begun_s = time.monotonic()
        self._tell(self._happening("booted", f"boot {self._host.boot_id}"))
        while True:
            self.phase = Phase.CHECKING
            await self._mark(Phase.CHECKING, "")
            why = await self._until_healthy(record.failed_units)
            if not why:
                break
            await self._failed(why)
        self.last_seconds = time.monotonic() - begun_s
        since = records.moment(record.since)
        held_s = (datetime.now(UTC) - since).total_seconds() if since else 0.0
        await self._give_back()
        self._tell(self._happening("healthy", "slot given back", held_s))

    async def _until_healthy(self, failed_before: tuple[str, ...]) -> str:
        """Wait for health that lasts the settle time; return why it did not come in time."""
        end_s = time.monotonic() + self._care.healthy_s
        good_since: float | None = None
        while True:
            found = health.faults(await self._look(), failed_before)
            now_s = time.monotonic()
            if found:
                good_since, self.why = None, "; ".join(found)
            elif good_since is None:
                good_since, self.why = now_s, "settling"
            if good_since is not None and now_s - good_since >= self._care.settle_s:
                self.why = ""
                return ""
            if now_s > end_s and good_since is None:
                return self.why
            await asyncio.sleep(min(LOOK_EVERY_S, max(0.1, self._care.settle_s / 2)))

    async def _look(self) -> health.Facts:
        environment = {"LOCKSMITH_GROUP": self._slots.group, "LOCKSMITH_PHASE": "healthy"}
        failed = await hooks.run_all(
            self._care.hooks / "healthy.d", timeout_s=self._care.hook_s, environment=environment
        )
        scripts = {
            name: "not yet" if ended.code == hooks.TRY_LATER else str(ended)
            for name, ended in failed.items()
        }
        if not runs_systemd():
            return health.Facts(failed_units=None, scripts=scripts)
        complete, units = await asyncio.gather(
            asyncio.to_thread(boot_complete), asyncio.to_thread(failed_units)
        )
        return health.Facts(complete, units, scripts)

    async def _failed(self, why: str) -> None:
        """Keep the slot, count the failure, and wait until somebody says `resume`."""
        self.phase = Phase.FAILED
        self.verdict = f"failed: {why}"
        now = records.stamp(datetime.now(UTC))
        failure = Failure(self._host.hostname, self._host.boot_id, now, why)
        key = keys.failure(self._slots.group, self._host.machine_id)
        await self._mark(Phase.FAILED, why)
        await self._asked(self._slots.store.put, key, records.encode(failure))
        self._tell(self._happening("failed", why))
        while True:
            await asyncio.sleep(RESUME_EVERY_S)
            try:
                await asyncio.to_thread(self._slots.store.get, key)
            except KeyNotFound:
                return
            except StoreError as error:
                await asyncio.sleep(self.attempts.failed(error))

    async def _mark(self, phase: Phase, detail: str) -> None:
        """Show the phase; a record that somebody took away meanwhile stays away."""
        standing = await self._asked(self._slots.standing, self._host.machine_id)
        if standing.record is None:
            return
        record = msgspec.structs.replace(standing.record, phase=phase, detail=detail)
        try:
            await self._asked(self._slots.mark, self._host, standing, record)
        except (CompareFailed, KeyNotFound):
            _log.warning("record-changed", machine_id=self._host.machine_id)

    async def _give_back(self) -> None:
        outcome = await self._asked(self._slots.give_back_after_reboot, self._host)
        if not isinstance(outcome, Kept):
            await self._asked(self._slots.give_member, self._host.machine_id)
        match outcome:
            case Done():
                self.given_back += 1
                self._settle("given back: it was taken before this boot")
            case NotHeld():
                self._settle("this host held no slot at start")
            case Kept(reason):
                self._settle(f"kept: {reason}")
            case _:
                assert_never(outcome)

    def _settle(self, verdict: str) -> None:
        self.verdict, self.why, self.phase = verdict, "", None
        _log.info("start-check", verdict=verdict, machine_id=self._host.machine_id)
        self.settled.set()

    async def _asked(self, call: Callable[..., T], *arguments: object) -> T:
        """Ask the store until it answers: a host that is up must not keep its slot for ever."""
        while True:
            try:
                answer = await asyncio.to_thread(call, *arguments)
            except (CompareFailed, KeyNotFound):
                raise
            except StoreError as error:
                await asyncio.sleep(self.attempts.failed(error))
                continue
            self.attempts.worked()
            return answer

    def _happening(self, event: str, detail: str, seconds: float = 0.0) -> Happening:
        now = records.stamp(datetime.now(UTC))
        host = self._host
        return Happening(now, event, host.machine_id, host.hostname, detail, "locksmithd", seconds)


def runs_systemd() -> bool:
    """Say whether systemd runs this host."""
    return SYSTEMD.is_dir()


def boot_complete() -> bool:
    """Say whether boot-complete.target is reached; a host that never asks for it needs none.

    systemd pulls the target in only for units that are ordered after it. Where nothing does,
    the end of the boot's own jobs counts.
    """
    if _systemctl("is-active", "boot-complete.target").strip() == "active":
        return True
    return _systemctl("is-system-running").strip() in {"running", "degraded"}


def failed_units() -> tuple[str, ...]:
    """Return the units that have failed."""
    lines = _systemctl("list-units", "--failed", "--plain", "--no-legend", "--full")
    return tuple(sorted(line.split()[0] for line in lines.splitlines() if line.split()))


def _systemctl(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["systemctl", "--no-pager", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SYSTEMCTL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
