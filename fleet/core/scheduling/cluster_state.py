"""The fleet at one moment, as the scheduler sees it: what should run, and what does where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from fleet.core.jobs.jobspec import Job
from fleet.core.jobs.selector import Selector
from fleet.core.model import (
    Cordon,
    Drain,
    Endpoint,
    Facts,
    JobRecord,
    Order,
    Phase,
    Plan,
    Report,
    Rollout,
    ServiceRecord,
    Status,
    Target,
)


class Standing(Enum):
    """Whether a host can be counted on."""

    READY = "ready"
    SUSPECT = "suspect"  # silent, and not yet given up
    LOST = "lost"  # given up: what ran there is started elsewhere
    HELD = "held"  # came and went too often: gets nothing new


@dataclass(slots=True)
class Placed:
    """One instance on one host, ordered and reported."""

    host: "HostView"
    order: Order
    report: Report | None

    @property
    def settled(self) -> bool:
        """Ready for long enough, on a host that we hear."""
        return (
            self.report is not None
            and self.report.settled
            and self.host.standing in (Standing.READY, Standing.HELD)
        )

    @property
    def failed(self) -> bool:
        """Systemd has given it up, again and again."""
        return self.report is not None and self.report.failures >= FAILURES_MAX


# As often an instance may die before its version counts as bad.
FAILURES_MAX = 3


@dataclass(slots=True)
class HostView:
    """One host."""

    id: str
    facts: Facts | None = None
    plan: Plan = field(default_factory=Plan)
    plan_modified: int = 0  # 0: there is none
    status: Status | None = None
    cordon: Cordon | None = None
    drain: Drain | None = None
    standing: Standing = Standing.LOST
    drain_overdue: bool = False
    placed: tuple[Placed, ...] = ()
    orphans: tuple[Report, ...] = ()
    has_exclusive: bool = False

    def join(self) -> None:
        """Bring orders and reports together. Reports may be of an older plan."""
        reports = {each.key: each for each in self.status.reports} if self.status else {}
        self.placed = tuple(
            Placed(self, order, reports.pop(order.key, None)) for order in self.plan.orders
        )
        self.has_exclusive = any(order.exclusive for order in self.plan.orders)
        gone = (Phase.STOPPED, Phase.LOADED)
        self.orphans = tuple(each for each in reports.values() if each.phase not in gone)

    @property
    def takes_work(self) -> bool:
        """Whether new instances may come."""
        return (
            self.standing is Standing.READY
            and self.facts is not None
            and self.cordon is None
            and self.drain is None
        )

    @property
    def behind(self) -> bool:
        """Whether the host follows a later plan than the store has: the store went back."""
        return self.status is not None and self.status.mark > self.plan.mark

    @property
    def caught_up(self) -> bool:
        """Whether what it reports is about the newest plan."""
        return self.status is not None and self.status.mark >= self.plan.mark

    def name(self) -> str:
        """What people call it."""
        return self.facts.hostname if self.facts else self.id[:8]


@dataclass(slots=True)
class Desired:
    """One job: what is wanted, and what its unit says."""

    record: JobRecord
    job: Job | None  # None: the unit is missing or refused, and `fault` says why
    text: str = ""
    fault: str = ""
    rollout: Rollout | None = None
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def count(self) -> int:
        """How many instances there should be, for what is not global."""
        if self.record.target in (Target.INACTIVE, Target.DESTROYED) or self.job is None:
            return 0
        if not self.job.counted:
            return 1
        return self.job.count or 0 if self.record.count is None else self.record.count


@dataclass(frozen=True, slots=True)
class Service:
    """A name for what a selector finds."""

    fqdn: str
    record: ServiceRecord
    selector: Selector


@dataclass(slots=True)
class World:
    """All of it at one index of the store. `now_s` is the scheduler's clock (Unix time)."""

    now_s: float = 0.0
    jobs: Mapping[str, Desired] = field(default_factory=dict)
    hosts: Mapping[str, HostView] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    epoch: int = 0

    def by_job(self) -> dict[str, list[Placed]]:
        """What is placed, by job."""
        found: dict[str, list[Placed]] = {}
        for host in self.hosts.values():
            for placed in host.placed:
                name = placed.order.job
                if name in found:
                    found[name].append(placed)
                else:
                    found[name] = [placed]
        return found


def endpoints(job: Job, services: Mapping[str, Service]) -> tuple[Endpoint, ...]:
    """Return the services that a job's instances serve."""
    found = []
    for service in services.values():
        port = service.record.port or job.resources.port
        if port and service.selector.matches(job.labels):
            record = service.record
            found.append(Endpoint(service.fqdn, max(port, 0), record.ttl_s, record.check))
    return tuple(sorted(found, key=lambda each: each.service))
