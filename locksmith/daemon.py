"""`locksmithd`: follows the semaphore, takes this host through its reboots, tells that it lives."""

import asyncio
import random
import threading
import time
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
from locksmith.agent import reclaim
from locksmith.agent.post_reboot_check import Checkup
from locksmith.agent.rebooter import Around, Rebooter
from locksmith.core import group_state, keys, records
from locksmith.core.group_state import Picture
from locksmith.core.records import Heartbeat, HolderRecord
from locksmith.host.identity import Host
from locksmith.host.reboot_required import Needs
from locksmith.host.state import Remembered
from locksmith.settings import Settings
from locksmith.store import semaphore_client
from locksmith.store.compare_and_swap import Pace
from locksmith.store.events import Notices
from locksmith.store.heartbeat import Heart
from locksmith.store.semaphore_client import Slots

_log = logs.get("locksmith")


class Locksmith:
    """The daemon, for `daemonkit.process.lifecycle`. Everything here runs on the loop's thread."""

    def __init__(self, store: Store, host: Host, settings: Settings) -> None:
        self._store, self._host, self._settings = store, host, settings
        self._ending = threading.Event()
        pace = Pace(time.monotonic, self._pause, lambda limit_s: random.uniform(0.0, limit_s))
        self._slots = Slots(store, settings.group, pace)
        cache = settings.state_dir and settings.state_dir / "rebootlock.snapshot"
        self._mirror = Mirror(store, keys.PREFIX, self._deliver, cache=cache)
        self._view = View()
        self._picture: Picture | None = None
        self._shared_with = ""
        self._tidying = False
        self._away_since: float | None = time.monotonic()
        self._remembered = Remembered(settings.state_dir, host.boot_id)
        self._needs = Needs(settings.sources, self._need_changed)
        self._notices = Notices(store, settings.group, settings.webhooks)
        self._checkup = Checkup(self._slots, host, settings.care, self._notices.tell)
        around = Around(
            reasons=lambda: self._needs.reasons,
            since=lambda: self._remembered.needed_since or datetime.now(UTC),
            store_away_s=self._store_away_s,
            gates=self._own_gates,
            tell=self._notices.tell,
            flush=self._notices.flush,
            news=lambda: self._heart.news(),  # noqa: PLW0108 - it is made below
        )
        self._rebooter = Rebooter(self._slots, host, settings, around)
        self._heart = Heart(store, host.machine_id, self._own_beat)
        self._lost = reclaim.Watcher(self._slots, host, settings, self._notices.tell)
        self.page = StatusPage(
            settings.status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=self._state,
            samples=self._samples,
        )

    async def start(self, life: Lifecycle) -> None:
        """Begin to watch and to beat. Does not wait for the store, which may be down."""
        self._life, self._loop = life, asyncio.get_running_loop()
        await self.page.start()
        self._mirror.start()
        self._needs.start(life.spawn)
        self._notices.start(life.spawn)
        life.spawn(self._heart.beat(), "heartbeat")
        life.spawn(self._check_up(), "checkup")
        life.spawn(self._rebooter.run(self._checkup), "reboots")
        life.spawn(self._lost.run(lambda: self._picture), "lost-holders")
        _log.info(
            "started",
            machine_id=self._host.machine_id,
            group=self._settings.group,
            strategy=self._settings.rules.strategy.value,
        )

    async def drain(self) -> None:
        """Stop watching. The heartbeat stays until its TTL: a restart is no absence."""
        self._ending.set()
        self._needs.stop()
        await asyncio.to_thread(self._mirror.stop)
        await self.page.stop()

    def reload(self) -> None:
        """Look for needs anew; every setting is a flag."""
        self._needs.look()

    async def _check_up(self) -> None:
        await self._checkup.run()
        self._rebooter.wake()

    def _deliver(self, changes: Changes) -> None:
        """Take changes on the mirror's thread."""
        self._loop.call_soon_threadsafe(self._apply, changes)

    def _apply(self, changes: Changes) -> None:
        self._view.apply(changes)
        before = self._picture
        now = self._picture = group_state.build(self._view.entries, self._settings.group)
        if before is None or (before.semaphore, before.corrupt) != (now.semaphore, now.corrupt):
            _tell(now)
            self._life.status(_summary(now))
        self._look_for_twin()
        self._rebooter.seen(now)
        if self._has_stale_record(now) and not self._tidying and not self._life.stopping:
            self._tidying = True
            self._life.spawn(self._tidy(), "tidy")

    def _need_changed(self) -> None:
        self._remembered.note(bool(self._needs.reasons), datetime.now(UTC))
        self._rebooter.wake()
        self._heart.news()

    def _look_for_twin(self) -> None:
        """Notice another host that beats under this machine-id: cloned disks share one slot."""
        twin = self._heart.twin(self._view.entries.get(keys.host(self._host.machine_id)))
        if twin and twin != self._shared_with:
            self._shared_with = twin
            _log.warning("machine-id-shared", machine_id=self._host.machine_id, other=twin)

    def _own_gates(self) -> tuple[str, ...]:
        """Return what of this daemon's own knowledge forbids to ask for a slot."""
        if self._store_away_s() is not None:
            return ()
        found: list[str] = []
        if self._shared_with:
            found.append(f"machine-id: shared with {self._shared_with}")
        if not self._checkup.settled.is_set():
            found.append(f"check: {self._checkup.verdict or self._checkup.why}")
        elif self._rebooter.phase is None:
            found += self._foreign_slot()
        member = self._view.entries.get(keys.STORE_MEMBER)
        if self._rebooter.is_member and member and member.value != self._host.machine_id:
            found.append(f"store: another member of the store reboots ({member.value})")
        return tuple(found)

    def _foreign_slot(self) -> list[str]:
        """Somebody took a slot in this host's name: not for this daemon to reboot on."""
        now = self._picture
        names = {self._host.machine_id, self._host.fleetlock_id} - {""}
        found = [one for one in now.holders if one.id in names] if now else []
        for one in found:
            by = one.record.by if one.record else ""
            if (
                one.record is None
                or one.record.boot_id != self._host.boot_id
                or by != semaphore_client.DAEMON
            ):
                return [f"slot: {by or 'another program'} holds one in this host's name"]
        return []

    def _store_away_s(self) -> float | None:
        """Return for how long the store has not been followed."""
        if self._mirror.status().connected:
            self._away_since = None
            return None
        if self._away_since is None:
            self._away_since = time.monotonic()
        return time.monotonic() - self._away_since

    def _has_stale_record(self, now: Picture) -> bool:
        entry = self._view.entries.get(keys.holder(now.group, self._host.machine_id))
        record = entry and records.decode(entry.value, HolderRecord)
        held = self._host.machine_id in now.semaphore.holders
        taking = self._rebooter.phase is not None or not self._checkup.settled.is_set()
        proven = bool(
            record and record.boot_id == self._host.boot_id and semaphore_client.proves(record)
        )
        return proven and not held and not now.corrupt and not taking

    async def _tidy(self) -> None:
        """Remove the record of a slot that someone took from this host."""
        try:
            if await asyncio.to_thread(self._slots.forget_stale_record, self._host):
                _log.info("record-forgotten", machine_id=self._host.machine_id)
        except StoreError as error:
            _log.warning("record-not-forgotten", error=str(error))
        finally:
            self._tidying = False

    def _own_beat(self) -> Heartbeat:
        waits_for = self._rebooter.waits_for if self._needs.reasons else ()
        return Heartbeat(
            hostname=self._host.hostname,
            boot_id=self._host.boot_id,
            group=self._settings.group,
            version=self._settings.version,
            reasons=self._needs.reasons,
            waits_for=waits_for,
        )

    def _pause(self, pause_s: float) -> None:
        """Wait on a worker thread; the end of the daemon ends the attempt."""
        if self._ending.wait(pause_s):
            raise Unavailable("locksmithd is ending")

    def _ready(self) -> Probe:
        mirrored, beating = self._picture is not None, self._heart.attempts.good
        detail: dict[str, object] = {"mirrored": mirrored, "heartbeat": beating}
        return Probe(ok=mirrored and beating, detail=detail)

    def _state(self) -> object:
        phase = self._rebooter.phase or self._checkup.phase
        return {
            "version": self._settings.version,
            "host": self._host,
            "strategy": self._settings.rules.strategy.value,
            "reasons": self._needs.reasons,
            "needed_since": self._remembered.needed_since,
            "phase": phase.value if phase else "idle",
            "waits_for": self._rebooter.waits_for,
            "start_check": self._checkup.verdict or "not yet",
            "health": self._checkup.why,
            "semaphore": group_state.described(self._picture) if self._picture else None,
            "hosts_alive": self._picture.hosts if self._picture else (),
            "mirror": self._mirror.status(),
            "machine_id_shared_with": self._shared_with,
            "heartbeat_error": self._heart.attempts.error,
            "release_error": self._checkup.attempts.error,
        }

    def _samples(self) -> Iterator[Sample]:
        mirror, counts = self._mirror.status(), self._rebooter.counts
        gauges = (
            ("mirror_connected", "1 while the store's changes are followed.", mirror.connected),
            ("mirror_index", "The store's index that is shown here.", mirror.index),
            ("heartbeat_ok", "1 while this host's heartbeat is kept.", self._heart.attempts.good),
            ("reboot_needed", "1 while this host needs a reboot.", bool(self._needs.reasons)),
            ("wait_seconds", "How long the last grant was waited for.", counts.wait_s),
            ("checkup_seconds", "How long the last check took.", self._checkup.last_seconds),
        )
        for name, text, value in gauges:
            yield Sample(f"locksmith_{name}", "gauge", text, float(value))
        counters = (
            ("slots_given_back", "Slots of earlier boots given back.", self._checkup.given_back),
            ("grants", "Slots that this process was granted.", counts.granted),
            ("reboots_ordered", "Orders to reboot.", counts.ordered),
            ("reboots_refused", "Orders that came to nothing.", counts.refused),
            ("reboots_aborted", "Grants that were given back without a reboot.", counts.aborted),
            ("webhooks_failed", "Notices that no webhook took.", self._notices.webhooks_failed),
        )
        for name, text, value in counters:
            yield Sample(f"locksmith_{name}_total", "counter", text, value)
        if self._picture is not None:
            yield from group_state.samples(self._picture, self._host.machine_id)
            yield from group_state.holder_samples(self._picture, datetime.now(UTC))


def _summary(now: Picture) -> str:
    """Return one line for `systemctl status`."""
    if now.corrupt:
        return f"{keys.semaphore(now.group)} holds no semaphore"
    return f"{now.semaphore.free} of {now.semaphore.max} slots free"


def _tell(now: Picture) -> None:
    if now.corrupt:
        _log.warning("semaphore-corrupt", key=keys.semaphore(now.group), error=now.corrupt)
        return
    found = now.semaphore
    names = ",".join(found.holders)
    _log.info("semaphore", available=found.free, max=found.max, holders=names, drift=found.drift)
