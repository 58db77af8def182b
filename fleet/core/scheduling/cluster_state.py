"""The fleet at one moment, as the scheduler sees it: desired jobs and running instances."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.core.jobs.jobspec import Job
from fleet.core.jobs.selector import Selector
from fleet.core.model import (
    Allocation,
    Cordon,
    DesiredState,
    Drain,
    Endpoint,
    Facts,
    FleetHealth,
    HostHealth,
    HostStatus,
    JobRecord,
    Phase,
    Plan,
    Report,
    Rollout,
    ServiceRecord,
    TargetState,
)

# An instance that failed this often makes its version count as bad.
FAILURES_MAX = 3


@dataclass(slots=True)
class Instance:
    """An allocation on its host, with the agent's report on it."""

    host: "Host"
    allocation: Allocation
    report: Report | None

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.allocation.desired_state is DesiredState.STOP

    @property
    def is_available(self) -> bool:
        """Whether it has been ready for long enough, on a host that is not silent."""
        return (
            self.report is not None
            and self.report.available
            and self.host.health in (HostHealth.READY, HostHealth.FLAPPING)
        )

    @property
    def is_failed(self) -> bool:
        """Whether it failed so often that its version counts as bad."""
        return self.report is not None and self.report.failures >= FAILURES_MAX


@dataclass(slots=True)
class Host:
    """One host: its plan, and its agent's report."""

    id: str
    facts: Facts | None = None
    plan: Plan = field(default_factory=Plan)
    plan_modified: int = 0  # index of the plan's last write; 0 without a plan
    status: HostStatus | None = None
    cordon: Cordon | None = None
    drain: Drain | None = None
    health: HostHealth = HostHealth.LOST
    drain_overdue: bool = False
    instances: tuple[Instance, ...] = ()
    orphans: tuple[Report, ...] = ()
    has_exclusive: bool = False
    has_endpoints: bool = False  # in DNS and the proxy, which must not outlive its status
    is_believed: bool = True  # False if it claims again and again what the store never held

    def join(self) -> None:
        """Match allocations and reports. The reports may be about an older plan."""
        reports = {each.key: each for each in self.status.reports} if self.status else {}
        self.instances = tuple(
            Instance(self, allocation, reports.pop(allocation.key, None))
            for allocation in self.plan.allocations
        )
        self.has_exclusive = any(allocation.exclusive for allocation in self.plan.allocations)
        gone = (Phase.STOPPED, Phase.LOADED)
        self.orphans = tuple(each for each in reports.values() if each.phase not in gone)

    @property
    def is_schedulable(self) -> bool:
        """Whether it takes new instances."""
        return (
            self.health is HostHealth.READY
            and self.facts is not None
            and self.cordon is None
            and self.drain is None
        )

    @property
    def is_ahead_of_store(self) -> bool:
        """Whether its plan is newer than the store's: the store was restored from a backup."""
        is_newer = self.status is not None and self.status.generation > self.plan.generation
        return is_newer and self.is_believed

    @property
    def caught_up(self) -> bool:
        """Whether it reports on the newest plan."""
        return self.status is not None and self.status.generation >= self.plan.generation

    def name(self) -> str:
        """Return its host name, or the start of its id."""
        return self.facts.hostname if self.facts else self.id[:8]


@dataclass(slots=True)
class DesiredJob:
    """One job: its desired state, and its parsed unit."""

    record: JobRecord
    job: Job | None  # None: the unit is missing or invalid, and `fault` says why
    text: str = ""
    fault: str = ""
    rollout: Rollout | None = None
    endpoints: tuple[Endpoint, ...] = ()
    stalled_s: float = 0.0  # how long its rollout has made no progress

    @property
    def rollout_mark(self) -> tuple[float, ...]:
        """What changes when its rollout begins or makes progress."""
        rollout = self.rollout
        return (rollout.version, rollout.began_s, rollout.progress_s) if rollout else ()

    @property
    def count(self) -> int:
        """The number of instances there should be, for a job that is not global."""
        if self.record.target in (TargetState.INACTIVE, TargetState.DESTROYED) or self.job is None:
            return 0
        if not self.job.counted:
            return 1
        return self.job.count or 0 if self.record.count is None else self.record.count


@dataclass(frozen=True, slots=True)
class Service:
    """A DNS name for the jobs that a selector matches."""

    fqdn: str
    record: ServiceRecord
    selector: Selector


@dataclass(slots=True)
class ClusterState:
    """All of the fleet at one index of the store.

    `now_s` is Unix time, only to be written into records: see `Deadlines`.
    """

    now_s: float = 0.0
    jobs: Mapping[str, DesiredJob] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    epoch: int = 0
    published_health: FleetHealth = field(default_factory=FleetHealth)

    def health(self, *, storm: bool) -> FleetHealth:
        """Return the present health of the hosts, to be published."""
        unready: dict[str, HostHealth] = {
            host.id: host.health
            for host in self.hosts.values()
            if host.facts is not None and host.health is not HostHealth.READY
        }
        return FleetHealth(self.epoch, storm, unready)

    def take_published_health(self) -> None:
        """Set the health of every host as the leader published it."""
        published = self.published_health
        is_current = published.epoch == self.epoch
        for host in self.hosts.values():
            health = published.hosts.get(host.id) if is_current else None
            if host.status is not None:
                is_flapping = health is HostHealth.FLAPPING
                host.health = HostHealth.FLAPPING if is_flapping else HostHealth.READY
            else:
                host.health = HostHealth.LOST if health is HostHealth.LOST else HostHealth.SUSPECT

    def instances_by_job(self) -> dict[str, list[Instance]]:
        """Return all instances, by the name of their job."""
        found: dict[str, list[Instance]] = {}
        for host in self.hosts.values():
            for instance in host.instances:
                name = instance.allocation.job
                if name in found:
                    found[name].append(instance)
                else:
                    found[name] = [instance]
        return found


def endpoints_of(job: Job, services: Mapping[str, Service]) -> tuple[Endpoint, ...]:
    """Return the services that a job's instances serve."""
    found = []
    for service in services.values():
        port = service.record.port or job.resources.port
        if port and service.selector.matches(job.labels):
            record = service.record
            found.append(Endpoint(service.fqdn, max(port, 0), record.ttl_s, record.check))
    return tuple(sorted(found, key=lambda each: each.service))
