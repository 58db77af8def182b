"""Which host an instance goes to: all hosts at once, as columns of numbers.

A full scan per instance is the best there is, and numpy makes it cheap: for a run of equal
instances the score of every host is computed once, and after each choice only that of the chosen
host changes. Runs are short where a job packs, and those of different jobs take turns: many equal
instances side by side fill one resource of a host and strand the other.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.core.jobs.jobspec import Job, Manner, Resources, Way
from fleet.core.jobs.selector import EVERYTHING, Selector
from fleet.core.model import Order, Want
from fleet.core.scheduling import constraints
from fleet.core.scheduling.actions import Place
from fleet.core.scheduling.cluster_state import Desired, HostView, Standing, World
from fleet.core.scheduling.constraints import Rivalry

Column = NDArray[np.float64]
Mask = NDArray[np.bool_]
RUN_MAX = 4
UNKNOWN = Resources()
# What outweighs what when instances spread: the zone, the host, its use in tenths, its load.
ZONE, HOST, USE = 1e6, 1e3, 10.0


@dataclass(frozen=True, slots=True)
class Seat:
    """An instance got a host."""

    place: Place
    host: str


@dataclass(frozen=True, slots=True)
class Unseated:
    """No host takes an instance, and why."""

    place: Place
    why: str


class Floor:
    """What is free on every host that takes work, at one moment; choices are taken off at once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rivalry = Rivalry(world)
        self.hosts = sorted(
            (host for host in world.hosts.values() if host.takes_work), key=lambda host: host.id
        )
        self._row = {host.id: row for row, host in enumerate(self.hosts)}
        facts = [host.facts for host in self.hosts if host.facts]
        self._cpu_all = _column(max(1, each.cpu) for each in facts)
        self._memory_all = _column(max(1, each.memory) for each in facts)
        self._load = _column(_busy(host) for host in self.hosts)
        self._cpu, self._memory = self._cpu_all.copy(), self._memory_all.copy()
        self._resources = {
            name: each.job.resources for name, each in world.jobs.items() if each.job
        }
        self._allowed: dict[tuple[Selector, str], Mask] = {}
        self._zones: dict[str, NDArray[np.intp]] = {}
        self._ports: dict[int, Mask] = {}
        self._seated: dict[str, Column] = {}
        self._guests: dict[str, set[str]] = defaultdict(set)
        self._where: dict[str, list[str]] | None = None
        self._has_ports = any(each.fixed for each in self._resources.values())
        self._take_off()

    def seat(self, places: Iterable[Place]) -> list[Seat | Unseated]:
        """Choose a host for each; the important first."""
        by_job: dict[str, list[Place]] = defaultdict(list)
        for place in places:
            by_job[place.job].append(place)
        found: list[Seat | Unseated] = []
        for name, run in _turns(self._world, by_job):
            desired = self._world.jobs[name]
            assert desired.job is not None
            found += self._run(desired, desired.job, run)
        return found

    def why_not(self, desired: Desired, host: HostView) -> str:
        """Return why an instance could not go to a host now, "" if it could."""
        if reason := _no_work(host):
            return reason
        job = desired.job
        if job is None:
            return desired.fault
        if reason := constraints.misfit(job, host, self._residents(host), self._rivalry.of(job)):
            return reason
        return self._full(job.resources, self._row[host.id])

    def score(self, job: Job, host: HostView) -> float:
        """Return how a host stands in a job's order of choice; the lowest is taken."""
        return float(self._scores(job, self._counts(job))[self._row[host.id]])

    def _take_off(self) -> None:
        """Count what is ordered, ending instances too: they need their room until they end."""
        for row, host in enumerate(self.hosts):
            cpu = memory = 0
            for each in host.placed:
                needs = self._resources.get(each.order.job, UNKNOWN)
                cpu += needs.cpu
                memory += needs.memory
                if self._has_ports:
                    self._hold_ports(needs, row)
            self._cpu[row] -= cpu
            self._memory[row] -= memory

    def _hold_ports(self, needs: Resources, row: int) -> None:
        for port in needs.fixed:
            self._port(port)[row] = True

    def _port(self, port: int) -> Mask:
        if port not in self._ports:
            self._ports[port] = np.zeros(len(self.hosts), dtype=np.bool_)
        return self._ports[port]

    def _run(self, desired: Desired, job: Job, places: Sequence[Place]) -> list[Seat | Unseated]:
        needs, counts = job.resources, self._counts(job)
        scores = self._scores(job, counts)
        scores[~self._fits(job)] = np.inf
        zone_of = self._zone_of(job.placing.spread) if job.placing.spread else None
        found: list[Seat | Unseated] = []
        for place in places:
            row = self._best(scores, place)
            if row < 0:
                found.append(Unseated(place, self._summary(desired, place)))
                continue
            found.append(Seat(place, self.hosts[row].id))
            self._cpu[row] -= needs.cpu
            self._memory[row] -= needs.memory
            self._hold_ports(needs, row)
            self._guests[self.hosts[row].id].add(job.name)
            counts[row] += 1
            if zone_of is not None:
                scores[zone_of == zone_of[row]] += ZONE
            scores[row] = self._rescored(job, row, float(scores[row]))
        return found

    def _best(self, scores: Column, place: Place) -> int:
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

    def _fits(self, job: Job) -> Mask:
        needs = job.resources
        fits = (self._cpu >= needs.cpu) & (self._memory >= needs.memory)
        if job.placing.constraint is not EVERYTHING or job.placing.machine_id:
            fits &= self._matching(job)
        for port in needs.fixed:
            fits &= ~self._port(port)
        rivals = self._rivalry.of(job)
        if rivals or job.placing.machine_of:
            fits &= np.array(
                [
                    not constraints.misfit(job, host, self._residents(host), rivals)
                    for host in self.hosts
                ],
                dtype=np.bool_,
            )
            if job.name in rivals:
                fits &= self._counts(job) == 0
        return fits

    def _matching(self, job: Job) -> Mask:
        key = (job.placing.constraint, job.placing.machine_id)
        if key not in self._allowed:
            self._allowed[key] = np.array(
                [not constraints.misfit(job, host, job.placing.machine_of, frozenset())
                 for host in self.hosts],
                dtype=np.bool_,
            )  # fmt: skip
        return self._allowed[key]

    def _counts(self, job: Job) -> Column:
        """Count the job's instances on each host; choices of this moment are in it."""
        counts = self._seated.get(job.name)
        if counts is None:
            counts = np.zeros(len(self.hosts))
            for each in self._placed_of(job.name):
                row = self._row.get(each)
                if row is not None:
                    counts[row] += 1
            self._seated[job.name] = counts
        return counts

    def _residents(self, host: HostView) -> set[str]:
        """Return the jobs on a host, those that were given it a moment ago among them."""
        ordered = {each.order.job for each in host.placed if each.order.want is not Want.STOP}
        return ordered | self._guests[host.id]

    def _placed_of(self, name: str) -> Sequence[str]:
        if self._where is None:
            where: dict[str, list[str]] = defaultdict(list)
            for host in self._world.hosts.values():
                for each in host.placed:
                    if each.order.want is not Want.STOP and not self._gives_way(each.order):
                        where[each.order.job].append(host.id)
            self._where = where
        return self._where.get(name, ())

    def _gives_way(self, order: Order) -> bool:
        """Whether an instance ends once its successor, wherever that is, is ready.

        Successors spread among themselves: counted, what they replace would push them together.
        """
        desired = self._world.jobs.get(order.job)
        if desired is None or desired.job is None or desired.job.update.way is not Way.SURGE:
            return False
        return order.unit != desired.record.unit

    def _zone_of(self, label: str) -> NDArray[np.intp]:
        if label not in self._zones:
            names = [constraints.labels_of(host).get(label, "") for host in self.hosts]
            self._zones[label] = np.unique(names, return_inverse=True)[1]
        return self._zones[label]

    def _scores(self, job: Job, counts: Column) -> Column:
        if job.placing.manner is Manner.PACK:
            return self._tightness(job.resources)
        scores: Column = counts * HOST + self._ease(job)
        if job.placing.spread and self.hosts:
            zone_of = self._zone_of(job.placing.spread)
            # Lost and cordoned hosts have no row; what runs there does not weigh on their zone.
            scores += np.bincount(zone_of, weights=counts)[zone_of] * ZONE
        return scores

    def _tightness(self, needs: Resources) -> Column:
        cpu = (self._cpu - needs.cpu) / self._cpu_all
        memory = (self._memory - needs.memory) / self._memory_all
        tightness: Column = cpu * cpu + memory * memory
        return tightness

    def _ease(self, job: Job) -> Column:
        use: Column = 1 - np.minimum(self._cpu / self._cpu_all, self._memory / self._memory_all)
        if job.placing.manner is Manner.LEAST_LOAD:
            # Load follows a start by a minute: what was given since counts as its requests.
            return self._load * USE + use
        return np.floor(use * USE) + self._load

    def _rescored(self, job: Job, row: int, score: float) -> float:
        needs = job.resources
        cpu, memory = float(self._cpu[row]), float(self._memory[row])
        if cpu < needs.cpu or memory < needs.memory or needs.fixed:
            return np.inf
        if job.placing.conflicts and job.name in self._rivalry.of(job):
            return np.inf
        if job.placing.manner is not Manner.PACK:
            return score + HOST
        left = (cpu - needs.cpu) / float(self._cpu_all[row])
        room = (memory - needs.memory) / float(self._memory_all[row])
        return left * left + room * room

    def _full(self, needs: Resources, row: int) -> str:
        if self._cpu[row] < needs.cpu:
            return f"{needs.cpu / 1000:g} processors are asked, {self._cpu[row] / 1000:g} are free"
        if self._memory[row] < needs.memory:
            return f"{needs.memory >> 20} MB are asked, {int(self._memory[row]) >> 20} MB are free"
        taken = [port for port in needs.fixed if self._port(port)[row]]
        return f"port {taken[0]} is taken" if taken else ""

    def _summary(self, desired: Desired, place: Place) -> str:
        """Say what was wrong with how many hosts."""
        if place.host and place.host in self._row:
            return self.why_not(desired, self.hosts[self._row[place.host]]) or "it is full"
        reasons = Counter(
            "it has one already" if host.id in place.avoid else self.why_not(desired, host)
            for host in self._world.hosts.values()
        )
        if not reasons:
            return "there are no hosts"
        return "; ".join(f"{n} of {len(self._world.hosts)} hosts: {why or 'it was full by then'}"
                         for why, n in reasons.most_common(3))  # fmt: skip


def _turns(world: World, by_job: dict[str, list[Place]]) -> Iterable[tuple[str, list[Place]]]:
    """Return runs of one job each: by priority, then mixed in an order that is always the same."""
    runs: list[tuple[int, int, str, list[Place]]] = []
    for name, places in by_job.items():
        job = world.jobs[name].job
        if job is None:
            continue
        length = RUN_MAX if job.placing.manner is Manner.PACK else len(places)
        for start in range(0, len(places), length):
            mixed = zlib.crc32(f"{name}/{start}".encode())
            runs.append((-job.priority, mixed, name, places[start : start + length]))
    runs.sort(key=lambda run: run[:3])
    return [(name, places) for _, _, name, places in runs]


def _no_work(host: HostView) -> str:
    if host.facts is None:
        return "its facts are unknown"
    if host.standing is not Standing.READY:
        return f"it is {host.standing.value}"
    if host.drain is not None:
        return f"it is drained: {host.drain.reason or 'no reason was given'}"
    if host.cordon is not None:
        return f"it is cordoned: {host.cordon.reason or 'no reason was given'}"
    return ""


def _busy(host: HostView) -> float:
    if host.status is None:
        return 0.5
    return min(1.0, max(host.status.load.load, host.status.load.pressure))


def _column(values: Iterable[float]) -> Column:
    return np.fromiter(values, dtype=np.float64)
