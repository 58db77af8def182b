"""Writes the decisions of a pass of the scheduler: within the lease, by compare-and-swap."""

import asyncio
import functools
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from coordinator.client import (
    Absent,
    AtIndex,
    CompareFailed,
    Entry,
    KeyExists,
    KeyNotFound,
    Store,
)
from daemonkit.observe import logs
from fleet.clock import timestamp
from fleet.core import keys
from fleet.core.model import FleetHealth, JobRecord, JobVersion, encode
from fleet.core.scheduling.cluster_cache import ClusterCache
from fleet.core.scheduling.plan_builder import Outcome
from fleet.scheduler import job_gc
from fleet.scheduler.election import LeaderElection
from fleet.scheduler.endpoint_removal import remove_endpoints

# Writes are sent in parallel: the store commits concurrent writes together.
WRITERS = 16
# A store that was restored to an older state never shows the last write; give up after this time.
SEEN_WITHIN_S = 2.0
_log = logs.get("scheduler")


class PlanWriter:
    """Writes plans, rollouts and records, and removes destroyed jobs."""

    def __init__(self, store: Store, election: LeaderElection, cache: ClusterCache) -> None:
        self._store, self._election, self._cache = store, election, cache
        self._threads = ThreadPoolExecutor(WRITERS, "plan")
        self._written_index, self._seen_by_s = 0, 0.0
        self.plans_written = 0

    def close(self) -> None:
        """Write no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def is_seen(self, index: int) -> bool:
        """Whether the cache has the last write; before that, a pass would decide it again.

        Our writes reach the cache only through the mirror. If we put them there ourselves, one
        could stay in the cache although it has been removed from the store meanwhile.
        """
        return index >= self._written_index or time.monotonic() >= self._seen_by_s

    async def write(self, outcome: Outcome, health: FleetHealth) -> bool:
        """Write an outcome and what has changed in the health of the hosts.

        Return False if one of the keys has changed meanwhile.
        """
        writes: list[Callable[[], Entry | None]] = []
        for name, plan in outcome.plans.items():
            modified = self._cache.cluster.hosts[name].plan_modified
            after = outcome.after.get(name, frozenset())
            key = keys.plan(name)
            writes.append(functools.partial(self._swap, key, encode(plan), modified, after))
        for name, rollout in outcome.rollouts.items():
            key = keys.rollout(name)
            modified = self._cache.modified(key)
            writes.append(functools.partial(self._swap, key, encode(rollout), modified))
        writes += [functools.partial(self._revert, record) for record in outcome.records.values()]
        if health != self._cache.cluster.published_health:
            modified = self._cache.modified(keys.HEALTH)
            writes.append(functools.partial(self._swap, keys.HEALTH, encode(health), modified))
        loop = asyncio.get_running_loop()
        results = [loop.run_in_executor(self._threads, write) for write in writes]
        written = [entry for entry in await asyncio.gather(*results) if entry is not None]
        self.plans_written += len(outcome.plans)
        if written:
            self._written_index = max(entry.modified for entry in written)
            self._seen_by_s = time.monotonic() + SEEN_WITHIN_S
        for name, rollout in outcome.rollouts.items():
            if rollout.state == "stable" and self._election.is_leader:
                await asyncio.to_thread(job_gc.prune_versions, self._store, name)
        for name in outcome.forgotten:
            if self._election.is_leader:
                modified = self._cache.modified(keys.job(name))
                await asyncio.to_thread(job_gc.delete_job, self._store, name, modified)
        return len(written) == len(writes)

    async def remove_endpoints(self, hosts: Iterable[str]) -> None:
        """Remove the endpoints of hosts that are silent."""
        loop = asyncio.get_running_loop()
        remove = functools.partial(remove_endpoints, self._store)
        await asyncio.gather(*(loop.run_in_executor(self._threads, remove, h) for h in hosts))

    def _swap(
        self, key: str, value: str, modified: int, after: frozenset[str] = frozenset()
    ) -> Entry | None:
        """Write a key that has not changed, within the lease, while these hosts are silent."""
        for host in after:
            try:
                self._store.get(keys.status(host))
            except KeyNotFound:
                continue
            return None
        if not self._election.is_leader:
            return None
        try:
            return self._store.put(key, value, when=AtIndex(modified) if modified else Absent())
        except (CompareFailed, KeyNotFound, KeyExists) as error:
            _log.info("overtaken", key=key, error=str(error))
            return None

    def _revert(self, record: JobRecord) -> Entry | None:
        version = JobVersion(
            number=record.version, unit=record.unit, by=record.by, at=timestamp(), note=record.note
        )
        key = keys.job(record.name)
        record = msgspec.structs.replace(record, at=version.at)
        entry = self._swap(key, encode(record), self._cache.modified(key))
        if entry is not None:
            self._store.put(keys.version(record.name, record.version), encode(version))
        return entry
