"""The scheduler: while it leads, todo = diff(desired, current); schedule(todo).

A mirror of /fleet/v1 feeds a picture of the fleet. What a look comes to is written by swaps: a
plan that somebody else wrote meanwhile stays, and the next look sees it. While the store is away
nothing is judged, and when it is back every silence begins anew.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from coordinator.client.core.errors import CompareFailed, KeyExists, KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Absent, AtIndex, Entry, Store
from coordinator.client.core.view import Changes
from coordinator.client.mirror import Mirror
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.process.lifecycle import Lifecycle
from fleet.core import keys
from fleet.core.model import EventRecord, JobRecord, JobVersion, encode
from fleet.core.scheduling import cluster_cache
from fleet.core.scheduling.actions import Action, Hold, Place
from fleet.core.scheduling.cluster_cache import ClusterCache
from fleet.core.scheduling.cluster_state import Host, HostHealth
from fleet.core.scheduling.failure_detector import FailureDetector
from fleet.core.scheduling.plan_builder import Outcome, build_plans
from fleet.core.scheduling.reconcile import reconcile
from fleet.scheduler import job_gc
from fleet.scheduler.election import LeaderElection

# Changes wake it; time passes for graces and deadlines.
LOOK_EVERY_S = 1.0
# Changes that come together are one look.
REST_S = 0.02
RETRY_S = 1.0
# A store that was put back to an older state never shows what we wrote before.
SEEN_WITHIN_S = 2.0
# Plans are written side by side: the store commits what waits together at once.
WRITERS = 16
# A ring of decisions; a look writes one entry.
EVENTS, EVENT_LINES_MAX = 500, 50
_log = logs.get("scheduler")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options of a scheduler say."""

    holder: str
    ttl_s: int
    grace_s: float


class Scheduler:
    """For the daemon: `start`, `drain`, and what it believes. On the loop's thread."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._lease = LeaderElection(store, settings.holder, settings.ttl_s, time.monotonic)
        self._mirror = Mirror(store, keys.PREFIX, self._deliver)
        self._cache = ClusterCache()
        self._health = FailureDetector(settings.grace_s)
        self._drains: dict[tuple[str, str], float] = {}
        self._wake = asyncio.Event()
        self._writers = ThreadPoolExecutor(WRITERS, "plan")
        self._was_away = True
        self._led = False
        self._led_s = 0.0
        self._place = 0
        self._last = Outcome()
        self._looks = self._writes = 0
        self._written, self._seen_by_s = 0, 0.0
        self._look_s = 0.0
        self._held: dict[str, str] = {}

    async def start(self, life: Lifecycle) -> None:
        """Begin to watch, and to stand for leader."""
        self._loop = asyncio.get_running_loop()
        self._life = life
        self._mirror.start()
        life.spawn(self._schedule(), "schedule")

    async def drain(self) -> None:
        """Give the lease to another one."""
        await asyncio.to_thread(self._mirror.stop)
        try:
            await asyncio.to_thread(self._lease.resign)
        except StoreError as error:
            _log.warning("not-resigned", error=str(error))
        self._writers.shutdown(wait=False, cancel_futures=True)

    @property
    def is_ready(self) -> bool:
        """Whether it sees the fleet; who follows is as ready as who leads."""
        return self._mirror.status().connected

    def state(self) -> object:
        """Return what it believes."""
        return {
            "leads": self._lease.is_leader,
            "epoch": self._lease.epoch,
            "hosts": {each.name(): each.health.value for each in self._hosts()},
            "storm": self._health.storm,
            "unplaced": [
                f"{each.place.job}[{each.place.index}]: {each.why}" for each in self._last.unplaced
            ],
            "held": self._held,
            "faults": dict(self._cache.cluster.faults),
            "mirror": self._mirror.status(),
        }

    def samples(self) -> Iterator[Sample]:
        """Yield the scheduler's metrics."""
        is_leader = float(self._lease.is_leader)
        yield Sample("fleet_scheduler_leads", "gauge", "1 while this one schedules.", is_leader)
        yield Sample("fleet_scheduler_epoch", "gauge", "Its epoch.", self._lease.epoch)
        yield Sample("fleet_scheduler_looks_total", "counter", "Looks at the fleet.", self._looks)
        yield Sample("fleet_plans_written_total", "counter", "Plans written.", self._writes)
        text = "How long the last look took."
        yield Sample("fleet_scheduler_look_seconds", "gauge", text, self._look_s)
        unplaced = len(self._last.unplaced)
        yield Sample("fleet_unplaced", "gauge", "Instances that no host takes.", unplaced)
        for health in HostHealth:
            count = sum(each.health is health for each in self._hosts())
            labels = {"standing": health.value}
            yield Sample("fleet_hosts", "gauge", "Hosts, by how they stand.", count, labels)

    def _hosts(self) -> Iterable[Host]:
        return self._cache.cluster.hosts.values()

    def _deliver(self, changes: Changes) -> None:
        self._loop.call_soon_threadsafe(self._apply, changes)

    def _apply(self, changes: Changes) -> None:
        self._cache.apply(changes)
        self._wake.set()

    async def _schedule(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
                await asyncio.sleep(REST_S)
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._turn()
            except StoreError as error:
                _log.warning("store-away", error=str(error))
                await asyncio.sleep(RETRY_S)

    async def _turn(self) -> None:
        if not self._mirror.status().connected:
            self._was_away = True
            return
        epochs = [host.status.epoch for host in self._hosts() if host.status]
        seen = max([*epochs, self._cache.cluster.epoch])
        is_leader = await asyncio.to_thread(self._lease.step, seen)
        if is_leader != self._led:
            self._led = is_leader
            _log.info("leads" if is_leader else "follows", epoch=self._lease.epoch)
            self._life.status("schedules" if is_leader else "stands by")
            if is_leader:
                # Whoever led before knows other silences: all of them begin anew.
                self._health = FailureDetector(self._settings.grace_s)
                self._led_s = time.monotonic()
        # What the leader before wrote last is seen once our own epoch comes back to us.
        if is_leader and self._cache.cluster.epoch >= self._lease.epoch and self._sees_its_own():
            await self._look()

    def _sees_its_own(self) -> bool:
        """Whether the picture has what was written last; before that, a look decides it again.

        What we wrote comes from the mirror alone: put into the picture by us, it might stay there
        though somebody has removed it meanwhile.
        """
        is_seen = self._mirror.status().index >= self._written
        return is_seen or time.monotonic() >= self._seen_by_s

    async def _look(self) -> None:
        begun_s = time.perf_counter()
        self._observe()
        cluster = self._cache.cluster
        cluster.now_s = time.time()
        outcome = build_plans(cluster, self._prudent(reconcile(cluster)), self._lease.epoch)
        self._look_s = time.perf_counter() - begun_s
        self._looks += 1
        self._last = outcome
        for job, why in outcome.held.items():
            if self._held.get(job) != why:
                _log.warning("held", job=job, why=why)
        self._held = outcome.held
        await self._write(outcome)

    def _prudent(self, actions: list[Action]) -> list[Action]:
        """Start nothing exclusive in an empty store until every host had time to tell of itself."""
        young = time.monotonic() - self._led_s < self._settings.grace_s
        if not self._lease.is_first or not young:
            return actions
        why = "the store is new: a host that was not heard yet might run it"
        return [
            Hold(each.job, why) if isinstance(each, Place) and self._is_exclusive(each) else each
            for each in actions
        ]

    def _is_exclusive(self, place: Place) -> bool:
        job = self._cache.cluster.jobs[place.job].job
        return job is not None and job.exclusive

    def _observe(self) -> None:
        now_s = time.monotonic()
        if self._was_away:
            self._was_away = False
            self._health.forgive(now_s)
        heard = {each.id: each.status is not None for each in self._hosts() if each.facts}
        health_by_host = self._health.observe(now_s, heard)
        before = {each.id: each.health for each in self._hosts()}
        drained = {(each.id, each.drain.at) for each in self._hosts() if each.drain}
        self._drains = {key: since for key, since in self._drains.items() if key in drained}
        cluster_cache.observe(
            self._cache.cluster, health_by_host, functools.partial(self._overdue, now_s)
        )
        for host in self._hosts():
            if before[host.id] is not host.health:
                _log.info("host", host=host.name(), id=host.id, health=host.health.value)

    def _overdue(self, now_s: float, name: str) -> bool:
        """Say whether a drain took longer than it may, by the clock of who watches it."""
        drain = self._cache.cluster.hosts[name].drain
        assert drain is not None
        began_s = self._drains.setdefault((name, drain.at), now_s)
        return now_s - began_s >= drain.deadline_s

    async def _write(self, outcome: Outcome) -> None:
        jobs: list[Callable[[], Entry | None]] = []
        for name, plan in outcome.plans.items():
            modified = self._cache.cluster.hosts[name].plan_modified
            after = outcome.after.get(name, frozenset())
            jobs.append(
                functools.partial(self._put, keys.plan(name), encode(plan), modified, after)
            )
        for name, rollout in outcome.rollouts.items():
            key = keys.rollout(name)
            jobs.append(functools.partial(self._put, key, encode(rollout), self._known(key)))
        jobs += [functools.partial(self._revert, record) for record in outcome.records.values()]
        results = [self._loop.run_in_executor(self._writers, job) for job in jobs]
        written = [entry for entry in await asyncio.gather(*results) if entry is not None]
        self._writes += len(outcome.plans)
        if written:
            self._written = max(entry.modified for entry in written)
            self._seen_by_s = time.monotonic() + SEEN_WITHIN_S
        for name in outcome.forgotten:
            if self._lease.is_leader:
                seen = self._known(keys.job(name))
                await asyncio.to_thread(job_gc.forget, self._store, name, seen)
        if outcome.told:
            await self._tell(outcome.told)
        if len(written) < len(jobs):
            self._wake.set()

    def _known(self, key: str) -> int:
        return self._cache.modified(key)

    def _put(
        self, key: str, value: str, modified: int, after: frozenset[str] = frozenset()
    ) -> Entry | None:
        """Swap a key, within the lease, while certain hosts are silent."""
        for host in after:
            try:
                self._store.get(keys.status(host))
            except KeyNotFound:
                continue
            return None
        if not self._lease.is_leader:
            return None
        try:
            return self._store.put(key, value, when=AtIndex(modified) if modified else Absent())
        except (CompareFailed, KeyNotFound, KeyExists) as error:
            _log.info("overtaken", key=key, error=str(error))
            return None

    def _revert(self, record: JobRecord) -> Entry | None:
        version = JobVersion(
            number=record.version, unit=record.unit, by=record.by, at=_now(), note=record.note
        )
        key = keys.job(record.name)
        record = msgspec.structs.replace(record, at=version.at)
        entry = self._put(key, encode(record), self._known(key))
        if entry is not None:
            self._store.put(keys.version(record.name, record.version), encode(version))
        return entry

    async def _tell(self, lines: list[str]) -> None:
        """Log decisions, and write them into the ring."""
        for line in lines[:EVENT_LINES_MAX]:
            _log.info("decided", what=line, epoch=self._lease.epoch)
        more = [f"and {len(lines) - EVENT_LINES_MAX} more"] * (len(lines) > EVENT_LINES_MAX)
        text = "\n".join([*lines[:EVENT_LINES_MAX], *more])
        event = EventRecord(at=_now(), epoch=self._lease.epoch, text=text)
        if not self._place:
            self._place = await asyncio.to_thread(self._newest_place)
        self._place += 1
        key = keys.event(self._place % EVENTS)
        await asyncio.to_thread(self._store.put, key, encode(event))

    def _newest_place(self) -> int:
        entries = self._store.list(f"{keys.PREFIX}/events").entries
        newest = max(entries, key=lambda entry: entry.modified, default=None)
        return int(newest.key.rpartition("/")[2]) if newest else EVENTS


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
