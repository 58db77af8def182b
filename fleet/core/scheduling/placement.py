"""Chooses the host of an instance: feasibility, then a score, over all hosts at once with numpy.

Every host is considered for every instance. For a run of instances of one job the score of every
host is computed once, and after each placement only that of the chosen host changes. The runs of
jobs that pack are short, and runs of different jobs alternate: many equal instances side by side
fill one resource of a host and strand the other.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.core.jobs.jobspec import Job, PlacementStrategy, UpdateStrategy
from fleet.core.jobs.selector import EVERYTHING, Selector
from fleet.core.model import Allocation, DesiredState, HostHealth
from fleet.core.scheduling import constraints
from fleet.core.scheduling.actions import Place
from fleet.core.scheduling.capacity import Capacity, Column, Mask
from fleet.core.scheduling.cluster_state import ClusterState, DesiredJob, Host
from fleet.core.scheduling.constraints import AntiAffinity

RUN_MAX = 4
# Weights of `Placement=spread`: an instance in the zone, one on the host, a tenth of its use.
ZONE, HOST, USE = 1e6, 1e3, 10.0
# The load of a host that has not reported one.
LOAD_DEFAULT = 0.5


@dataclass(frozen=True, slots=True)
class Placement:
    """A chosen host for an instance."""

    place: Place
    host: str


@dataclass(frozen=True, slots=True)
class Unplaced:
    """No host can take an instance, and why."""

    place: Place
    why: str


class Placer:
    """Places instances on the hosts that take new ones. Each placement counts for the next."""

    def __init__(self, cluster: ClusterState) -> None:
        self._cluster = cluster
        self._anti_affinity = AntiAffinity(cluster)
        schedulable = (host for host in cluster.hosts.values() if host.is_schedulable)
        self.hosts = sorted(schedulable, key=lambda host: host.id)
        self._row = {host.id: row for row, host in enumerate(self.hosts)}
        resources = {name: each.job.resources for name, each in cluster.jobs.items() if each.job}
        self._capacity = Capacity(self.hosts, resources)
        self._load = np.fromiter(map(_load_of, self.hosts), dtype=np.float64)
        self._matching: dict[tuple[Selector, str], Mask] = {}
        self._zones: dict[str, NDArray[np.intp]] = {}
        self._counts: dict[str, Column] = {}
        self._new_jobs: dict[str, set[str]] = defaultdict(set)
        self._hosts_by_job: dict[str, list[str]] | None = None

    def place(self, places: Iterable[Place]) -> list[Placement | Unplaced]:
        """Choose a host for each instance; jobs of higher priority first."""
        by_job: dict[str, list[Place]] = defaultdict(list)
        for place in places:
            by_job[place.job].append(place)
        found: list[Placement | Unplaced] = []
        for name, run in _runs(self._cluster, by_job):
            desired = self._cluster.jobs[name]
            assert desired.job is not None
            found += self._place_run(desired, desired.job, run)
        return found

    def why_not(self, desired: DesiredJob, host: Host) -> str:
        """Return why an instance cannot go to a host now, "" if it can."""
        if reason := _unschedulable_reason(host):
            return reason
        job = desired.job
        if job is None:
            return desired.fault
        excluded = self._anti_affinity.of(job)
        if reason := constraints.infeasible_reason(job, host, self._residents(host), excluded):
            return reason
        return self._capacity.full_reason(job.resources, self._row[host.id])

    def score(self, job: Job, host: Host) -> float:
        """Return a host's score for a job. The host with the lowest score is chosen."""
        return float(self._scores(job, self._counts_of(job))[self._row[host.id]])

    def _place_run(
        self, desired: DesiredJob, job: Job, places: Sequence[Place]
    ) -> list[Placement | Unplaced]:
        counts = self._counts_of(job)
        scores = self._scores(job, counts)
        scores[~self._feasible(job)] = np.inf
        zone_of = self._zone_of(job.placement.spread) if job.placement.spread else None
        found: list[Placement | Unplaced] = []
        for place in places:
            row = self._best(scores, place)
            if row < 0:
                found.append(Unplaced(place, self._summary(desired, place)))
                continue
            found.append(Placement(place, self.hosts[row].id))
            self._capacity.take(job.resources, row)
            self._new_jobs[self.hosts[row].id].add(job.name)
            counts[row] += 1
            if zone_of is not None:
                scores[zone_of == zone_of[row]] += ZONE
            scores[row] = self._score_again(job, row, float(scores[row]))
        return found

    def _best(self, scores: Column, place: Place) -> int:
        """Return the row of the best host; -1 if there is none."""
        if not self.hosts:
            return -1
        if place.host:
            row = self._row.get(place.host, -1)
            return row if row >= 0 and scores[row] < np.inf else -1
        avoided = [self._row[name] for name in place.avoid if name in self._row]
        if avoided:
            kept = scores[avoided]
            scores[avoided] = np.inf
        row = int(scores.argmin())
        found = row if scores[row] < np.inf else -1
        if avoided:
            scores[avoided] = kept
        return found

    def _feasible(self, job: Job) -> Mask:
        feasible = self._capacity.fits(job.resources)
        if job.placement.constraint is not EVERYTHING or job.placement.machine_id:
            feasible &= self._matches(job)
        excluded = self._anti_affinity.of(job)
        if excluded or job.placement.machine_of:
            reasons = (
                constraints.infeasible_reason(job, host, self._residents(host), excluded)
                for host in self.hosts
            )
            feasible &= np.array([not reason for reason in reasons], dtype=np.bool_)
            if job.name in excluded:
                feasible &= self._counts_of(job) == 0
        return feasible

    def _matches(self, job: Job) -> Mask:
        """Return the hosts that match the job's Constraint= and MachineID=."""
        key = (job.placement.constraint, job.placement.machine_id)
        if key not in self._matching:
            reasons = (
                constraints.infeasible_reason(job, host, job.placement.machine_of, frozenset())
                for host in self.hosts
            )
            self._matching[key] = np.array([not reason for reason in reasons], dtype=np.bool_)
        return self._matching[key]

    def _counts_of(self, job: Job) -> Column:
        """Count the job's instances on each host, new placements included."""
        counts = self._counts.get(job.name)
        if counts is None:
            counts = np.zeros(len(self.hosts))
            for host in self._hosts_of(job.name):
                row = self._row.get(host)
                if row is not None:
                    counts[row] += 1
            self._counts[job.name] = counts
        return counts

    def _residents(self, host: Host) -> set[str]:
        """Return the jobs on a host, new placements included."""
        return {
            each.allocation.job for each in host.instances if not each.is_stopping
        } | self._new_jobs[host.id]

    def _hosts_of(self, name: str) -> Sequence[str]:
        if self._hosts_by_job is None:
            hosts_by_job: dict[str, list[str]] = defaultdict(list)
            for host in self._cluster.hosts.values():
                for each in host.instances:
                    allocation = each.allocation
                    stops = allocation.desired_state is DesiredState.STOP
                    if not stops and not self._is_superseded(allocation):
                        hosts_by_job[allocation.job].append(host.id)
            self._hosts_by_job = hosts_by_job
        return self._hosts_by_job.get(name, ())

    def _is_superseded(self, allocation: Allocation) -> bool:
        """Return whether an instance stops once its successor, on any host, is ready.

        Successors spread among themselves. If the old instances counted, they would push the new
        ones together.
        """
        desired = self._cluster.jobs.get(allocation.job)
        if desired is None or desired.job is None:
            return False
        is_surge = desired.job.update.strategy is UpdateStrategy.SURGE
        return is_surge and allocation.unit != desired.record.unit

    def _zone_of(self, label: str) -> NDArray[np.intp]:
        if label not in self._zones:
            names = [constraints.labels_of(host).get(label, "") for host in self.hosts]
            self._zones[label] = np.unique(names, return_inverse=True)[1]
        return self._zones[label]

    def _scores(self, job: Job, counts: Column) -> Column:
        if job.placement.strategy is PlacementStrategy.PACK:
            return self._capacity.leftover(job.resources)
        use = self._capacity.utilization()
        if job.placement.strategy is PlacementStrategy.LEAST_LOAD:
            # The load rises a minute after a start: until then, requests count instead.
            busy = self._load * USE + use
        else:
            busy = np.floor(use * USE) + self._load
        scores: Column = counts * HOST + busy
        if job.placement.spread and self.hosts:
            zone_of = self._zone_of(job.placement.spread)
            # Lost and cordoned hosts have no row: their instances do not count for their zone.
            scores += np.bincount(zone_of, weights=counts)[zone_of] * ZONE
        return scores

    def _score_again(self, job: Job, row: int, score: float) -> float:
        """Return the score of a host that has just been given an instance of the job."""
        needs, capacity = job.resources, self._capacity
        if capacity.cpu[row] < needs.cpu or capacity.memory[row] < needs.memory or needs.fixed:
            return np.inf
        if job.placement.conflicts and job.name in self._anti_affinity.of(job):
            return np.inf
        if job.placement.strategy is not PlacementStrategy.PACK:
            return score + HOST
        return capacity.leftover_at(needs, row)

    def _summary(self, desired: DesiredJob, place: Place) -> str:
        """Return the number of refused hosts for each reason."""
        if place.host and place.host in self._row:
            return self.why_not(desired, self.hosts[self._row[place.host]]) or "it is full"
        hosts = self._cluster.hosts
        reasons = Counter(
            "it has one already" if host.id in place.avoid else self.why_not(desired, host)
            for host in hosts.values()
        )
        if not reasons:
            return "there are no hosts"
        return "; ".join(
            f"{count} of {len(hosts)} hosts: {reason or 'it was full by then'}"
            for reason, count in reasons.most_common(3)
        )


def _runs(
    cluster: ClusterState, by_job: dict[str, list[Place]]
) -> Iterable[tuple[str, list[Place]]]:
    """Return runs of instances of one job each: by priority, then mixed in a fixed order."""
    runs: list[tuple[int, int, str, list[Place]]] = []
    for name, places in by_job.items():
        job = cluster.jobs[name].job
        if job is None:
            continue
        length = RUN_MAX if job.placement.strategy is PlacementStrategy.PACK else len(places)
        for start in range(0, len(places), length):
            mixed = zlib.crc32(f"{name}/{start}".encode())
            runs.append((-job.priority, mixed, name, places[start : start + length]))
    runs.sort(key=lambda run: run[:3])
    return [(name, places) for _, _, name, places in runs]


def _unschedulable_reason(host: Host) -> str:
    if host.facts is None:
        return "its facts are unknown"
    if host.health is not HostHealth.READY:
        return f"it is {host.health.value}"
    if host.drain is not None:
        return f"it is being drained: {host.drain.reason or 'no reason given'}"
    if host.cordon is not None:
        return f"it is cordoned: {host.cordon.reason or 'no reason given'}"
    return ""


def _load_of(host: Host) -> float:
    if host.status is None:
        return LOAD_DEFAULT
    return min(1.0, max(host.status.load.load, host.status.load.pressure))
