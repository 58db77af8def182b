"""`locksmithd`: watches the semaphore, tells that this host lives, gives back after a reboot."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from coordinator.client.errors import KeyNotFound, StoreError, Unavailable
from coordinator.client.mirror import Mirror
from coordinator.client.store import Store
from coordinator.client.view import Changes, View
from daemonkit import logs
from daemonkit.lifecycle import Lifecycle
from daemonkit.metrics import Sample
from daemonkit.status import Probe, StatusPage
from locksmith import keys, picture, records
from locksmith.attempts import Attempts
from locksmith.host import Host
from locksmith.lock import Done, Kept, Pace
from locksmith.picture import Picture
from locksmith.records import Heartbeat, HolderRecord, Phase
from locksmith.semaphore import NotHeld
from locksmith.slots import Slots
from locksmith.strategy import Strategy

# A host counts as silent after three missed beats. Each beat takes a place in the store's event
# history, which etcd keeps for 1000 events: more of them would only make watchers list anew.
HEARTBEAT_TTL_S = 180
HEARTBEAT_EVERY_S = 60.0
_log = logs.get("locksmith")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options of `locksmithd` say."""

    group: str
    strategy: Strategy
    status_addr: str
    state_dir: Path | None
    version: str


class Locksmith:
    """The daemon, for `daemonkit.lifecycle`. Everything here runs on the loop's thread."""

    def __init__(self, store: Store, host: Host, settings: Settings) -> None:
        self._store, self._host, self._settings = store, host, settings
        self._ending = threading.Event()
        pace = Pace(time.monotonic, self._pause, lambda limit_s: random.uniform(0.0, limit_s))
        self._slots = Slots(store, settings.group, pace)
        cache = settings.state_dir and settings.state_dir / "rebootlock.snapshot"
        self._mirror = Mirror(store, keys.PREFIX, self._deliver, cache=cache)
        self._view = View()
        self._picture: Picture | None = None
        self._heartbeat = Attempts("heartbeat")
        self._release = Attempts("release")
        self._written_at = 0
        self._shared_with = ""
        self._verdict = ""
        self._given_back = 0
        self._tidying = False
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
        life.spawn(self._beat(), "heartbeat")
        life.spawn(self._give_back(), "release")
        _log.info(
            "started",
            machine_id=self._host.machine_id,
            group=self._settings.group,
            strategy=self._settings.strategy.value,
            reboots="never",
        )

    async def drain(self) -> None:
        """Stop watching. The heartbeat stays until its TTL: a restart is no absence."""
        self._ending.set()
        await asyncio.to_thread(self._mirror.stop)
        await self.page.stop()

    def reload(self) -> None:
        """Do nothing: every setting is a flag."""

    def _deliver(self, changes: Changes) -> None:
        """Take changes on the mirror's thread."""
        self._loop.call_soon_threadsafe(self._apply, changes)

    def _apply(self, changes: Changes) -> None:
        self._view.apply(changes)
        before = self._picture
        now = self._picture = picture.build(self._view.entries, self._settings.group)
        if before is None or (before.semaphore, before.corrupt) != (now.semaphore, now.corrupt):
            _tell(now)
            self._life.status(_summary(now))
        self._look_for_twin()
        if self._has_stale_record(now) and not self._tidying and not self._life.stopping:
            self._tidying = True
            self._life.spawn(self._tidy(), "tidy")

    def _look_for_twin(self) -> None:
        """Notice another host that beats under this machine-id: cloned disks share one slot."""
        entry = self._view.entries.get(keys.host(self._host.machine_id))
        if entry is None or not 0 < self._written_at < entry.modified:
            return
        beat = records.decode(entry.value, Heartbeat)
        twin = f"{beat.hostname} boot {beat.boot_id}" if beat else "a host of another version"
        if entry.value != self._own_beat() and twin != self._shared_with:
            self._shared_with = twin
            _log.warning("machine-id-shared", machine_id=self._host.machine_id, other=twin)

    def _has_stale_record(self, now: Picture) -> bool:
        entry = self._view.entries.get(keys.holder(now.group, self._host.machine_id))
        record = entry and records.decode(entry.value, HolderRecord)
        held = self._host.machine_id in now.semaphore.holders
        return bool(record and record.phase is Phase.HELD and not held and not now.corrupt)

    async def _tidy(self) -> None:
        """Remove the record of a slot that someone took from this host."""
        try:
            if await asyncio.to_thread(self._slots.forget_stale_record, self._host):
                _log.info("record-forgotten", machine_id=self._host.machine_id)
        except StoreError as error:
            _log.warning("record-not-forgotten", error=str(error))
        finally:
            self._tidying = False

    async def _beat(self) -> None:
        """Keep this host's heartbeat alive for as long as the daemon lives."""
        written = False
        while True:
            try:
                await asyncio.to_thread(self._beat_once, fresh=not written)
            except StoreError as error:
                written = written and not isinstance(error, KeyNotFound)
                await asyncio.sleep(self._heartbeat.failed(error))
            else:
                written = True
                self._heartbeat.worked()
                await asyncio.sleep(HEARTBEAT_EVERY_S * random.uniform(0.9, 1.0))

    def _beat_once(self, *, fresh: bool) -> None:
        key = keys.host(self._host.machine_id)
        if not fresh:
            self._store.refresh(key, HEARTBEAT_TTL_S)
            return
        entry = self._store.put(key, self._own_beat(), ttl_s=HEARTBEAT_TTL_S)
        self._written_at = entry.modified

    def _own_beat(self) -> str:
        return records.encode(
            Heartbeat(
                hostname=self._host.hostname,
                boot_id=self._host.boot_id,
                group=self._settings.group,
                version=self._settings.version,
            )
        )

    async def _give_back(self) -> None:
        """Decide once, when the store answers, on a slot from before this boot."""
        while True:
            try:
                await asyncio.to_thread(self._slots.forget_stale_record, self._host)
                outcome = await asyncio.to_thread(self._slots.give_back_after_reboot, self._host)
            except StoreError as error:
                await asyncio.sleep(self._release.failed(error))
                continue
            self._release.worked()
            self._judge(outcome)
            return

    def _judge(self, outcome: Done | NotHeld | Kept) -> None:
        match outcome:
            case Done():
                self._verdict = "given back: it was taken before this boot"
                self._given_back += 1
            case NotHeld():
                self._verdict = "this host held no slot at start"
            case Kept(reason):
                self._verdict = f"kept: {reason}"
            case _:
                assert_never(outcome)
        _log.info("start-check", verdict=self._verdict, machine_id=self._host.machine_id)

    def _pause(self, pause_s: float) -> None:
        """Wait on a worker thread; the end of the daemon ends the attempt."""
        if self._ending.wait(pause_s):
            raise Unavailable("locksmithd is ending")

    def _ready(self) -> Probe:
        mirrored, beating = self._picture is not None, self._heartbeat.good
        detail: dict[str, object] = {"mirrored": mirrored, "heartbeat": beating}
        return Probe(ok=mirrored and beating, detail=detail)

    def _state(self) -> object:
        return {
            "version": self._settings.version,
            "host": self._host,
            "strategy": self._settings.strategy.value,
            "reboots": "never: this version triggers none",
            "start_check": self._verdict or "not yet",
            "semaphore": picture.described(self._picture) if self._picture else None,
            "hosts_alive": self._picture.hosts if self._picture else (),
            "mirror": self._mirror.status(),
            "machine_id_shared_with": self._shared_with,
            "heartbeat_error": self._heartbeat.error,
            "release_error": self._release.error,
        }

    def _samples(self) -> Iterator[Sample]:
        mirror = self._mirror.status()
        gauges = (
            ("mirror_connected", "1 while the store's changes are followed.", mirror.connected),
            ("mirror_index", "The store's index that is shown here.", mirror.index),
            ("heartbeat_ok", "1 while this host's heartbeat is kept.", self._heartbeat.good),
        )
        for name, text, value in gauges:
            yield Sample(f"locksmith_{name}", "gauge", text, float(value))
        text = "Slots of earlier boots that this process gave back."
        yield Sample("locksmith_slots_given_back_total", "counter", text, self._given_back)
        if self._picture is not None:
            yield from picture.samples(self._picture, self._host.machine_id)


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
