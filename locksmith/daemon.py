"""`locksmithd`: follows the semaphore, reboots this host when needed, and reports on it."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from coordinator.client.core.errors import StoreError, Unavailable
from coordinator.client.core.store_protocol import Store
from coordinator.client.core.view import Changes, View
from coordinator.client.mirror import Mirror
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process.lifecycle import Lifecycle
from locksmith.agent.blocker_check import BlockerCheck
from locksmith.agent.configuration import Configuration
from locksmith.agent.host_view import HostView
from locksmith.agent.post_reboot_check import PostRebootCheck
from locksmith.agent.reboot_row import RebootRowKeeper
from locksmith.agent.rebooter import Rebooter
from locksmith.agent.reclaim import Reclaimer
from locksmith.agent.slot_wait import SlotWait
from locksmith.core import group_state, keys, metrics, records
from locksmith.core.group_state import GroupState
from locksmith.core.records import HolderRecord
from locksmith.host.identity import Host
from locksmith.host.reboot_required import RebootRequired
from locksmith.host.state import NeedState
from locksmith.store import semaphore_client
from locksmith.store.compare_and_swap import system_clock
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import GroupClient
from locksmith.store.heartbeat import HeartbeatWriter
from locksmith.store.semaphore_client import SemaphoreClient

_log = logs.get("locksmith")


class LocksmithDaemon:
    """The daemon, for `daemonkit.process.lifecycle`. Everything here runs in the event loop."""

    def __init__(self, store: Store, host: Host, config: Configuration) -> None:
        self._host, self._config = host, config
        self._stopping = threading.Event()
        self._client = SemaphoreClient(store, config.group, system_clock(self._sleep))
        cache = config.state_dir and config.state_dir / "rebootlock.snapshot"
        self._mirror = Mirror(
            store,
            keys.PREFIX,
            self._deliver,
            cache=cache,
            concerns=lambda key: keys.concerns(key, config.group, host.machine_id),
        )
        self._mirrored = View()
        self._cleaning = False
        self._need_state = NeedState(config.state_dir, host.boot_id)
        self._required = RebootRequired(config.sources, self._need_changed)
        self._view = view = HostView(host, config, lambda: self._mirror.status().connected)
        self._recorder = EventRecorder(GroupClient(store, config.group), host, config.webhooks)
        self._check = PostRebootCheck(view, self._client, self._recorder)
        self._row = RebootRowKeeper(view, store, config.state_dir)
        blockers = BlockerCheck(view, self._row)
        slots = SlotWait(view, self._client, blockers, self._recorder)
        self._rebooter = Rebooter(view, self._client, self._recorder, blockers, slots)
        self._reclaimer = Reclaimer(view, self._client, self._recorder)
        self._heartbeat = HeartbeatWriter(
            store, host.machine_id, view.heartbeat, view.heartbeat_due
        )
        self.page = StatusPage(
            config.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._state,
            samples=self._samples,
            tls=config.status_tls,
        )

    async def start(self, life: Lifecycle) -> None:
        """Start all parts. Does not wait for the store, which may be down."""
        self._life, self._loop = life, asyncio.get_running_loop()
        await self.page.start()
        self._mirror.start()
        self._required.start(life.spawn)
        self._recorder.start(life.spawn)
        life.spawn(self._heartbeat.run(), "heartbeat")
        life.spawn(self._check.run(), "post-reboot-check")
        life.spawn(self._rebooter.run(), "reboots")
        life.spawn(self._reclaimer.run(), "lost-holders")
        life.spawn(self._row.run(), "reboot-row")
        _log.info(
            "started",
            machine_id=self._host.machine_id,
            group=self._config.group,
            strategy=self._config.rules.strategy.value,
        )

    async def drain(self) -> None:
        """Stop. The heartbeat stays until it expires: a restarting host is not a lost one."""
        self._stopping.set()
        self._required.stop()
        await asyncio.to_thread(self._mirror.stop)
        await self.page.stop()

    def reload(self) -> None:
        """Check for reasons to reboot again; every setting is an option."""
        self._required.check_sentinels()

    def _deliver(self, changes: Changes) -> None:
        """Receive changes in the mirror's thread."""
        self._loop.call_soon_threadsafe(self._apply, changes)

    def _apply(self, changes: Changes) -> None:
        self._mirrored.apply(changes)
        before = self._view.group
        now = group_state.build(self._mirrored.entries, self._config.group)
        if before is None or (before.semaphore, before.corrupt) != (now.semaphore, now.corrupt):
            _log_semaphore(now)
            self._life.status(_summary(now))
        for key, why in set(now.unreadable) - set(before.unreadable if before else ()):
            _log.warning("record-unreadable", key=key, reason=why)
        self._row.learn(self._mirrored.entries.get(keys.reboots(self._host.machine_id)))
        self._find_duplicate()
        self._view.update_group(now)
        if self._has_stale_record(now) and not self._cleaning and not self._life.stopping:
            self._cleaning = True
            self._life.spawn(self._delete_stale_record(), "stale-record")

    def _need_changed(self) -> None:
        reasons = self._required.reasons
        self._need_state.update(bool(reasons), datetime.now(UTC))
        self._view.update_reasons(reasons, self._need_state.needed_since)

    def _find_duplicate(self) -> None:
        """Notice another host with this machine-id; hosts with cloned disks share one slot."""
        own = self._mirrored.entries.get(keys.host(self._host.machine_id))
        other = self._heartbeat.duplicate(own)
        if other and other != self._view.duplicate:
            self._view.duplicate = other
            _log.warning("machine-id-shared", machine_id=self._host.machine_id, other=other)

    def _has_stale_record(self, now: GroupState) -> bool:
        entry = self._mirrored.entries.get(keys.holder(now.group, self._host.machine_id))
        record = entry and records.decode(entry.value, HolderRecord)
        held = self._host.machine_id in now.semaphore.holders
        busy = self._view.phase is not None or bool(self._view.check_pending)
        proven = bool(
            record and record.boot_id == self._host.boot_id and semaphore_client.proves_slot(record)
        )
        return proven and not held and not now.corrupt and not busy

    async def _delete_stale_record(self) -> None:
        """Delete the record of a slot that was taken away from this host."""
        try:
            if await asyncio.to_thread(self._client.delete_stale_record, self._host):
                _log.info("record-deleted", machine_id=self._host.machine_id)
        except StoreError as error:
            _log.warning("record-not-deleted", error=str(error))
        finally:
            self._cleaning = False

    def _sleep(self, pause_s: float) -> None:
        """Wait in a worker thread; the end of the daemon ends the attempt."""
        if self._stopping.wait(pause_s):
            raise Unavailable("locksmithd is stopping")

    def _ready(self) -> Probe:
        mirrored, beating = self._view.group is not None, self._heartbeat.retry.ok
        detail: dict[str, object] = {"mirrored": mirrored, "heartbeat": beating}
        return Probe(ok=mirrored and beating, detail=detail)

    def _state(self) -> object:
        view = self._view
        phase = view.phase or self._check.phase
        return {
            "version": self._config.version,
            "host": self._host,
            "strategy": self._config.rules.strategy.value,
            "reasons": view.reasons,
            "needed_since": view.needed_since,
            "phase": phase.value if phase else "idle",
            "waits_for": view.waits_for,
            "reboots_in_a_row": view.reboot_row.reboots,
            "start_check": self._check.result or "not yet",
            "health": self._check.problem,
            "semaphore": group_state.as_json(view.group) if view.group else None,
            "hosts_alive": view.group.hosts if view.group else (),
            "mirror": self._mirror.status(),
            "machine_id_shared_with": view.duplicate,
            "heartbeat_error": self._heartbeat.retry.error,
            "release_error": self._check.retry.error,
        }

    def _samples(self) -> Iterator[Sample]:
        view, mirror = self._view, self._mirror.status()
        counts = view.counts
        yield from metrics.of_daemon(
            metrics.DaemonNumbers(
                mirror_connected=mirror.connected,
                mirror_index=mirror.index,
                heartbeat_ok=self._heartbeat.retry.ok,
                reboot_needed=bool(view.reasons),
                reboots_in_a_row=len(view.reboot_row.reboots),
                wait_seconds=counts.wait_s,
                check_seconds=self._check.last_seconds,
                slots_released=self._check.released,
                grants=counts.granted,
                reboots_ordered=counts.ordered,
                reboots_refused=counts.refused,
                reboots_aborted=counts.aborted,
                webhooks_failed=self._recorder.webhooks_failed,
            )
        )
        if view.group is not None:
            yield from metrics.of_group(view.group, self._host.machine_id)
            yield from metrics.of_holders(view.group, datetime.now(UTC))


def _summary(now: GroupState) -> str:
    """Return one line for `systemctl status`."""
    if now.corrupt:
        return f"{keys.semaphore(now.group)} does not hold a semaphore"
    return f"{now.semaphore.free} of {now.semaphore.max} slots free"


def _log_semaphore(now: GroupState) -> None:
    if now.corrupt:
        _log.warning("semaphore-corrupt", key=keys.semaphore(now.group), error=now.corrupt)
        return
    found = now.semaphore
    names = ",".join(found.holders)
    _log.info("semaphore", available=found.free, max=found.max, holders=names, drift=found.drift)
