"""A simulated fleet: the scheduler's production code, with simulated hosts.

Time is simulated, too. Hosts follow their plans as an agent does, and an exclusive instance stops
by itself on a host that is cut off. Every tick checks that no exclusive instance runs twice, and
`placements` counts how often each instance was placed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from fleet.core.jobs import jobspec
from fleet.core.model import (
    Allocation,
    DesiredState,
    Facts,
    HostStatus,
    JobRecord,
    Phase,
    Plan,
    Report,
    TargetState,
    digest,
)
from fleet.core.scheduling.cluster_state import ClusterState, DesiredJob, Host
from fleet.core.scheduling.deadlines import Deadlines
from fleet.core.scheduling.failure_detector import FailureDetector
from fleet.core.scheduling.plan_builder import Outcome, build_plans
from fleet.core.scheduling.reconcile import reconcile

# The TTL of the status key, and the time of the dead-man timer, as with a real agent.
LEASE_S = 30.0


@dataclass(slots=True)
class SimulatedUnit:
    since_s: float
    failures: int = 0


@dataclass(slots=True)
class SimulatedHost:
    """A simulated host."""

    view: Host
    running: dict[tuple[str, int, int], SimulatedUnit] = field(default_factory=dict)
    is_up: bool = True
    is_heard: bool = True
    heard_s: float = 0.0
    plan: Plan = field(default_factory=Plan)


class Simulator:
    """Scheduler, clock and hosts. The units in `dying` never become ready."""

    def __init__(self, facts: Iterable[Facts], *, start_s: float = 2.0) -> None:
        self.cluster = ClusterState()
        # The true time, and how far the clock of the scheduler's host is ahead of it.
        self.now_s, self.clock_ahead_s = 0.0, 0.0
        self.failures, self.deadlines = FailureDetector(), Deadlines()
        self.machines = {each.id: SimulatedHost(Host(each.id, facts=each)) for each in facts}
        self.cluster.hosts = {name: each.view for name, each in self.machines.items()}
        self._jobs: dict[str, DesiredJob] = {}
        self.cluster.jobs = self._jobs
        self._texts: dict[str, str] = {}
        self.dying: set[str] = set()
        self.start_s = start_s
        self.epoch = 1
        self.writes = 0
        self.outcome = Outcome()
        self.placements: Counter[tuple[str, int]] = Counter()
        self._report_all()

    def submit(self, name: str, text: str, *, target: TargetState = TargetState.LAUNCHED) -> None:
        """Write a job, or a new version of it."""
        was = self._jobs.get(name)
        unit = digest(text)
        version, rev = (was.record.version, was.record.rev) if was else (0, 0)
        record = JobRecord(name=name, version=version + 1, rev=rev + 1, unit=unit, target=target)
        rollout = was.rollout if was else None
        self._jobs[name] = DesiredJob(record, jobspec.parse(name, text), text, rollout=rollout)
        self._texts[unit] = text

    def change(self, name: str, **fields: object) -> None:
        """Change fields of a job's record: its count, its target state."""
        desired = self._jobs[name]
        rev = desired.record.rev + 1
        desired.record = msgspec.structs.replace(desired.record, rev=rev, **fields)

    def run(self, for_s: float, step_s: float = 1.0) -> None:
        """Let time pass."""
        end_s = self.now_s + for_s
        while self.now_s < end_s:
            self.tick(step_s)

    def tick(self, step_s: float = 1.0) -> Outcome:
        """Run one pass of the scheduler and one pass of every host."""
        self.now_s += step_s
        self.cluster.now_s = self.now_s + self.clock_ahead_s
        heard = {name: self.now_s - each.heard_s < LEASE_S for name, each in self.machines.items()}
        for name, health in self.failures.observe(self.now_s, heard).items():
            self.cluster.hosts[name].health = health
        self.deadlines.observe(self.cluster, self.now_s)
        self.outcome = build_plans(self.cluster, reconcile(self.cluster), self.epoch)
        self._write(self.outcome)
        for machine in self.machines.values():
            self._reconcile_host(machine)
        self._check_exclusive()
        return self.outcome

    def fail_over(self, clock_ahead_s: float) -> None:
        """Let a scheduler on another host lead, whose clock is ahead of the true time."""
        self.epoch += 1
        self.failures, self.deadlines = FailureDetector(), Deadlines()
        self.clock_ahead_s = clock_ahead_s

    def running(self, name: str) -> list[str]:
        """Return the hosts on which instances of a job really run."""
        return sorted(
            host for host, each in self.machines.items() for key in each.running if key[0] == name
        )

    def ready(self, name: str) -> int:
        """Count a job's instances that are available, as the scheduler sees it."""
        return sum(
            instance.is_available and instance.allocation.desired_state is DesiredState.RUN
            for host in self.cluster.hosts.values()
            for instance in host.instances
            if instance.allocation.job == name
        )

    def _write(self, outcome: Outcome) -> None:
        self.writes += len(outcome.plans)
        for name, plan in outcome.plans.items():
            view = self.cluster.hosts[name]
            before = {each.key for each in view.plan.allocations}
            for allocation in plan.allocations:
                if allocation.key not in before:
                    self.placements[allocation.job, allocation.index] += 1
            view.plan = plan
            view.plan_modified += 1
            view.join()
        for name, rollout in outcome.rollouts.items():
            self._jobs[name].rollout = rollout
        for name, record in outcome.records.items():
            text = self._texts[record.unit]
            self._jobs[name] = DesiredJob(
                record, jobspec.parse(name, text), text, rollout=self._jobs[name].rollout
            )
        for name in outcome.forgotten:
            del self._jobs[name]

    def _reconcile_host(self, machine: SimulatedHost) -> None:
        now_s = self.now_s
        if not machine.is_up:
            return
        if machine.is_heard:
            machine.heard_s = now_s
            if machine.view.plan.generation > machine.plan.generation:
                machine.plan = machine.view.plan
        cut = now_s - machine.heard_s >= LEASE_S
        reports = tuple(
            self._follow(machine, allocation, cut=cut) for allocation in machine.plan.allocations
        )
        if machine.is_heard:
            status = HostStatus("boot", machine.plan.epoch, machine.plan.gen, reports)
            if status != machine.view.status:
                machine.view.status = status
                machine.view.join()

    def _follow(self, machine: SimulatedHost, allocation: Allocation, *, cut: bool) -> Report:
        running, now_s = machine.running, self.now_s
        if allocation.desired_state is DesiredState.STOP or (cut and allocation.exclusive):
            running.pop(allocation.key, None)
            return Report(allocation, Phase.STOPPED)
        if allocation.desired_state is DesiredState.LOAD:
            running.pop(allocation.key, None)
            return Report(allocation, Phase.LOADED)
        if allocation.unit in self.dying:
            failures = int(now_s // self.start_s)
            return Report(allocation, Phase.FAILED, failures=failures)
        unit = running.setdefault(allocation.key, SimulatedUnit(now_s))
        ready = now_s - unit.since_s >= self.start_s
        return Report(allocation, Phase.READY if ready else Phase.STARTING, available=ready)

    def _report_all(self) -> None:
        for machine in self.machines.values():
            machine.view.status = HostStatus("boot")

    def _check_exclusive(self) -> None:
        found: dict[tuple[str, int], list[str]] = defaultdict(list)
        for host, machine in self.machines.items():
            for job, index, _ in machine.running:
                found[job, index].append(host)
        for (job, index), hosts in found.items():
            known = self._jobs.get(job)
            if known and known.job and known.job.exclusive:
                assert len(hosts) == 1, f"{job}[{index}] runs on {hosts} at {self.now_s}"
