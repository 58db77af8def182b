"""A fleet without machines: the scheduler that runs in production, hosts that only pretend.

Time is told. Hosts follow their plans as an agent does: a successor waits for its predecessor,
what is exclusive stops by itself on a host that is cut off. Every tick checks what must never
happen, and `moves` counts what was placed more than once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from fleet.core.jobs import jobspec as jobs
from fleet.core.model import (
    Facts,
    JobRecord,
    Order,
    Phase,
    Plan,
    Report,
    Status,
    Target,
    Want,
    digest,
)
from fleet.core.scheduling.cluster_state import Desired, HostView, World
from fleet.core.scheduling.failure_detector import Health
from fleet.core.scheduling.plan_builder import Outcome, schedule
from fleet.core.scheduling.reconcile import diff

# As the agent's: the status key lives so long, and the dead-man timer as long.
LEASE_S = 30.0


@dataclass(slots=True)
class _Unit:
    since_s: float
    failures: int = 0


@dataclass(slots=True)
class Machine:
    """A host that pretends."""

    view: HostView
    running: dict[tuple[str, int, int], _Unit] = field(default_factory=dict)
    is_up: bool = True
    is_heard: bool = True
    heard_s: float = 0.0
    plan: Plan = field(default_factory=Plan)


class Simulator:
    """Scheduler, clock and hosts. `dying` units never become ready."""

    def __init__(self, facts: Iterable[Facts], *, start_s: float = 2.0) -> None:
        self.world = World()
        self.health = Health()
        self.machines = {each.id: Machine(HostView(each.id, facts=each)) for each in facts}
        self.world.hosts = {name: each.view for name, each in self.machines.items()}
        self._jobs: dict[str, Desired] = {}
        self.world.jobs = self._jobs
        self._texts: dict[str, str] = {}
        self.dying: set[str] = set()
        self.start_s = start_s
        self.epoch = 1
        self.writes = 0
        self.outcome = Outcome()
        self.seats: Counter[tuple[str, int]] = Counter()
        self._report_all()

    def submit(self, name: str, text: str, *, target: Target = Target.LAUNCHED) -> None:
        """Want a job, or a new version of it."""
        was = self._jobs.get(name)
        unit = digest(text)
        version, rev = (was.record.version, was.record.rev) if was else (0, 0)
        record = JobRecord(name=name, version=version + 1, rev=rev + 1, unit=unit, target=target)
        rollout = was.rollout if was else None
        self._jobs[name] = Desired(record, jobs.parse(name, text), text, rollout=rollout)
        self._texts[unit] = text

    def change(self, name: str, **fields: object) -> None:
        """Change what is wanted of a job: its count, its target."""
        desired = self._jobs[name]
        rev = desired.record.rev + 1
        desired.record = msgspec.structs.replace(desired.record, rev=rev, **fields)

    def run(self, for_s: float, step_s: float = 1.0) -> None:
        """Let time pass."""
        end_s = self.world.now_s + for_s
        while self.world.now_s < end_s:
            self.tick(step_s)

    def tick(self, step_s: float = 1.0) -> Outcome:
        """One look of the scheduler, one turn of every host."""
        self.world.now_s += step_s
        heard = {
            name: self.world.now_s - each.heard_s < LEASE_S for name, each in self.machines.items()
        }
        for name, standing in self.health.observe(self.world.now_s, heard).items():
            self.world.hosts[name].standing = standing
        self.outcome = schedule(self.world, diff(self.world), self.epoch)
        self._write(self.outcome)
        for machine in self.machines.values():
            self._turn(machine)
        self._check_exclusive()
        return self.outcome

    def running(self, name: str) -> list[str]:
        """Return the hosts where instances of a job really run."""
        return sorted(
            host for host, each in self.machines.items() for key in each.running if key[0] == name
        )

    def ready(self, name: str) -> int:
        """Count a job's instances that are known to be ready."""
        return sum(
            placed.settled and placed.order.want is Want.RUN
            for host in self.world.hosts.values()
            for placed in host.placed
            if placed.order.job == name
        )

    def _write(self, outcome: Outcome) -> None:
        self.writes += len(outcome.plans)
        for name, plan in outcome.plans.items():
            view = self.world.hosts[name]
            before = {each.key for each in view.plan.orders}
            for order in plan.orders:
                if order.key not in before:
                    self.seats[order.job, order.index] += 1
            view.plan = plan
            view.plan_modified += 1
            view.join()
        for name, rollout in outcome.rollouts.items():
            self._jobs[name].rollout = rollout
        for name, record in outcome.records.items():
            text = self._texts[record.unit]
            self._jobs[name] = Desired(
                record, jobs.parse(name, text), text, rollout=self._jobs[name].rollout
            )
        for name in outcome.forgotten:
            del self._jobs[name]

    def _turn(self, machine: Machine) -> None:
        now_s = self.world.now_s
        if not machine.is_up:
            return
        if machine.is_heard:
            machine.heard_s = now_s
            if machine.view.plan.mark > machine.plan.mark:
                machine.plan = machine.view.plan
        cut = now_s - machine.heard_s >= LEASE_S
        reports = tuple(self._follow(machine, order, cut=cut) for order in machine.plan.orders)
        if machine.is_heard:
            status = Status("boot", machine.plan.epoch, machine.plan.gen, reports)
            if status != machine.view.status:
                machine.view.status = status
                machine.view.join()

    def _follow(self, machine: Machine, order: Order, *, cut: bool) -> Report:
        running, now_s = machine.running, self.world.now_s
        if order.want is Want.STOP or (cut and order.exclusive):
            running.pop(order.key, None)
            return Report(order, Phase.STOPPED)
        if order.want is Want.LOAD:
            running.pop(order.key, None)
            return Report(order, Phase.LOADED)
        if order.unit in self.dying:
            failures = int(now_s // self.start_s)
            return Report(order, Phase.FAILED, failures=failures)
        unit = running.setdefault(order.key, _Unit(now_s))
        ready = now_s - unit.since_s >= self.start_s
        return Report(order, Phase.READY if ready else Phase.STARTING, settled=ready)

    def _report_all(self) -> None:
        for machine in self.machines.values():
            machine.view.status = Status("boot")

    def _check_exclusive(self) -> None:
        found: dict[tuple[str, int], list[str]] = defaultdict(list)
        for host, machine in self.machines.items():
            for job, index, _ in machine.running:
                found[job, index].append(host)
        for (job, index), hosts in found.items():
            known = self._jobs.get(job)
            if known and known.job and known.job.exclusive:
                assert len(hosts) == 1, f"{job}[{index}] runs on {hosts} at {self.world.now_s}"
