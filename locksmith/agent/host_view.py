"""What this host knows: all facts that decide about its reboot.

The daemon and its parts write here what they learn, and read from here what they need. Everything
runs in the event loop.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from daemonkit.observe import logs
from locksmith.agent.configuration import Configuration
from locksmith.core import policy, reboot_brake
from locksmith.core.fence import Grant
from locksmith.core.group_state import GroupState
from locksmith.core.records import Heartbeat, HolderRecord, Phase, RebootRow
from locksmith.host.blockers import join_reasons
from locksmith.host.boot_clock import clock_s
from locksmith.host.identity import Host
from locksmith.store import semaphore_client

_log = logs.get("locksmith")


@dataclass(slots=True)
class DaemonCounts:
    """What this process has done, for metrics."""

    granted: int = 0
    ordered: int = 0
    refused: int = 0
    aborted: int = 0
    wait_s: float = 0.0


class HostView:
    """The facts of one host; `is_connected` says whether the store is followed right now."""

    def __init__(self, host: Host, config: Configuration, is_connected: Callable[[], bool]) -> None:
        self.host, self.config = host, config
        self.changed, self.heartbeat_due = asyncio.Event(), asyncio.Event()
        self.counts = DaemonCounts()
        self.group: GroupState | None = None
        self.reasons: tuple[str, ...] = ()
        self.needed_since: datetime | None = None
        self.phase: Phase | None = None
        self.waits_for: tuple[str, ...] = ()
        self.duplicate = ""  # another host with this machine-id
        self.check_pending = "not checked yet"  # why the check after the start has not ended
        self.reboot_row = RebootRow()  # the reboots that did not end the need
        self.reclaims = True  # False once the store refused to let it release a lost host's slot
        self.resumable: HolderRecord | None = None  # the slot of a daemon killed in this boot
        self._is_connected = is_connected
        self._away_since_s: float | None = time.monotonic()
        self._free_since_s: float | None = None

    @property
    def store_away_s(self) -> float | None:
        """How long the store has been unreachable; None while it is reachable."""
        if self._is_connected():
            self._away_since_s = None
            return None
        if self._away_since_s is None:
            self._away_since_s = time.monotonic()
        return time.monotonic() - self._away_since_s

    def update_group(self, group: GroupState) -> None:
        """Set the state of the group."""
        if group.semaphore.free <= 0 or group.corrupt:
            self._free_since_s = None
        elif self._free_since_s is None:
            self._free_since_s = time.monotonic()
        self.group = group
        self.changed.set()

    def update_reasons(self, reasons: tuple[str, ...], since: datetime | None) -> None:
        """Set why a reboot is needed, and since when."""
        self.reasons, self.needed_since = reasons, since
        self.changed.set()
        self.heartbeat_due.set()

    def update_waits_for(self, waits_for: tuple[str, ...]) -> None:
        """Set what the reboot waits for; log and publish it if it is new."""
        if waits_for == self.waits_for:
            return
        self.waits_for = waits_for
        if waits_for:
            _log.info("waits", waits_for=join_reasons(waits_for))
        self.heartbeat_due.set()

    def update_reclaims(self, reclaims: bool) -> None:  # noqa: FBT001 - a fact
        """Set whether this host releases the slots of lost ones; publish it if it is new."""
        if reclaims is not self.reclaims:
            self.reclaims = reclaims
            self.heartbeat_due.set()

    def update_reboot_row(self, row: RebootRow) -> None:
        """Set the reboots in a row."""
        if row != self.reboot_row:
            self.reboot_row = row
            self.changed.set()

    def reboot_loop(self) -> str:
        """Return why the reboots in a row forbid another one now, or ""."""
        now, uptime = datetime.now(UTC), timedelta(seconds=clock_s())
        return reboot_brake.verdict(self.reboot_row, self.host.boot_id, now, uptime)

    def take_resumable(self) -> HolderRecord | None:
        """Return, once, the slot of a daemon that was killed in this boot."""
        record, self.resumable = self.resumable, None
        return record

    def host_facts(self, blockers: tuple[str, ...]) -> policy.HostFacts:
        """Return the facts of this host for the policy."""
        now = datetime.now(UTC)
        since = self.needed_since or now
        return policy.HostFacts(now, self.reasons, since, blockers, self.store_away_s)

    def group_facts(self) -> policy.GroupFacts:
        """Return the facts of the group for the policy."""
        group = self.group
        if group is None:
            return policy.GroupFacts(free=0)
        own = self.host.machine_id
        ahead = next((n for n, waiter in enumerate(group.waiters) if waiter.id == own), None)
        free_for_s = 0.0
        if self._free_since_s is not None:
            free_for_s = time.monotonic() - self._free_since_s
        failures = tuple(failure.host for _, failure in group.failures)
        return policy.GroupFacts(
            group.semaphore.free, ahead, free_for_s, group.pauses_of(own), failures, group.corrupt
        )

    def is_revoked(self, grant: Grant) -> bool:
        """Whether a semaphore newer than the grant no longer has this host."""
        group = self.group
        return (
            group is not None
            and group.modified > grant.token
            and group.holder(self.host.machine_id) is None
        )

    def holds_slot(self) -> bool:
        """Whether this host's daemon holds a slot that it acquired in this boot."""
        own = self.group.holder(self.host.machine_id) if self.group else None
        return own is not None and self._is_of_daemon(own.record)

    def foreign_slot(self) -> str:
        """Return another program that holds a slot in this host's name, or ""."""
        names = {self.host.machine_id, self.host.fleetlock_id} - {""}
        for holder in self.group.holders if self.group else ():
            if holder.id in names and not self._is_of_daemon(holder.record):
                return holder.record.by if holder.record and holder.record.by else "another program"
        return ""

    def _is_of_daemon(self, record: HolderRecord | None) -> bool:
        return (
            record is not None
            and record.boot_id == self.host.boot_id
            and record.by == semaphore_client.DAEMON
        )

    def heartbeat(self) -> Heartbeat:
        """Return what the host publishes about itself."""
        return Heartbeat(
            hostname=self.host.hostname,
            boot_id=self.host.boot_id,
            group=self.config.group,
            version=self.config.version,
            reasons=self.reasons,
            waits_for=self.waits_for if self.reasons else (),
            reclaims=self.reclaims,
        )
