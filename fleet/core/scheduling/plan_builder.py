"""Turns actions into plans, rollouts and job records to write. Pure, like `reconcile`.

Placement, which needs numpy, is imported for the first placed instance: a scheduler that is not the
leader never needs it.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from fleet.core.fields import shortened
from fleet.core.jobs.jobspec import Job
from fleet.core.model import (
    AUTO_REVERT_AUTHOR,
    Allocation,
    DesiredState,
    JobRecord,
    Phase,
    Plan,
    Rollout,
    unit_name,
)
from fleet.core.scheduling.actions import (
    Action,
    Adopt,
    Advance,
    Begin,
    Change,
    Drop,
    Fail,
    Forget,
    Hold,
    Place,
    Replace,
    Revert,
    Stable,
    Stop,
    describe,
)
from fleet.core.scheduling.cluster_state import ClusterState, DesiredJob, Host
from fleet.core.scheduling.job_reconciler import desired_state_for

if TYPE_CHECKING:
    from fleet.core.scheduling.placement import Unplaced

# The range of Port=auto, below the one that the kernel gives to clients.
PORTS_FROM, PORTS_TO = 20_000, 30_000
BAD_MAX = 10


@dataclass(slots=True)
class Outcome:
    """The records to write, and the decisions behind them."""

    plans: dict[str, Plan] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    records: dict[str, JobRecord] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    unplaced: list["Unplaced"] = field(default_factory=list)
    # By host: the hosts that must still be silent when its plan is written.
    after: dict[str, frozenset[str]] = field(default_factory=dict)
    decisions: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)


def build_plans(cluster: ClusterState, actions: Iterable[Action], epoch: int) -> Outcome:
    """Return the changes of the actions. Hosts without an action get no new plan."""
    return _PlanBuilder(cluster, epoch).build(actions)


class _PlanBuilder:
    """Applies actions to copies of the hosts' plans."""

    def __init__(self, cluster: ClusterState, epoch: int) -> None:
        self._cluster, self._epoch = cluster, epoch
        self._changed: dict[str, dict[tuple[str, int, int], Allocation]] = {}
        self._out = Outcome()

    def build(self, actions: Iterable[Action]) -> Outcome:
        places = []
        for action in actions:
            if isinstance(action, Place):
                places.append(action)
            else:
                self._apply(action)
        self._place(places)
        for host in self._cluster.hosts.values():
            # Agents start exclusive units only on a plan of the present leader.
            if host.has_exclusive and host.plan.epoch < self._epoch:
                self._allocations(host.id)
        for name, allocations in self._changed.items():
            host = self._cluster.hosts[name]
            before = host.plan.generation
            if host.status is not None:
                before = max(before, host.status.generation)
            epoch, gen = max(self._epoch, before[0]), before[1] + 1
            plan = Plan(epoch, gen, tuple(allocations.values()))
            renews = host.has_exclusive and host.plan.epoch < self._epoch
            if plan.allocations != host.plan.allocations or host.is_ahead_of_store or renews:
                self._out.plans[name] = plan
        return self._out

    def _apply(self, action: Action) -> None:
        out = self._out
        match action:
            case Stop():
                self._edit(action, desired_state=DesiredState.STOP, endpoints=())
            case Drop(job, index, version, host):
                self._allocations(host).pop((job, index, version), None)
            case Replace():
                self._replace(action)
            case Change():
                self._edit(action, desired_state=action.desired_state, endpoints=action.endpoints)
            case Adopt(host):
                self._adopt(self._cluster.hosts[host])
            case Hold(job, why):
                out.held[job] = why
                return
            case Forget(job):
                out.forgotten.append(job)
            case Revert():
                self._revert(action)
            case Begin() | Advance() | Stable() | Fail():
                self._update_rollout(action)
            case Place():
                raise AssertionError("all instances are placed together")
        out.decisions.append(describe(action))

    def _place(self, places: list[Place]) -> None:
        if not places:
            return
        from fleet.core.scheduling.placement import Placer, Unplaced

        decide = self._out.decisions.append
        for placement in Placer(self._cluster).place(places):
            place = placement.place
            if isinstance(placement, Unplaced):
                self._out.unplaced.append(placement)
                continue
            host = self._cluster.hosts[placement.host]
            allocation = self._allocate(self._cluster.jobs[place.job], place, host)
            self._allocations(host.id)[allocation.key] = allocation
            if place.after:
                self._out.after[host.id] = self._out.after.get(host.id, frozenset()) | place.after
            decide(f"place {place.job}[{place.index}] on {host.name()}: {place.why}")

    def _allocate(self, desired: DesiredJob, place: Place, host: Host) -> Allocation:
        job, record = desired.job, desired.record
        assert job is not None
        return Allocation(
            job=record.name,
            index=place.index,
            version=record.version,
            unit=record.unit,
            rev=record.rev,
            name=unit_name(record.name, place.index, record.unit, counted=job.counted),
            desired_state=desired_state_for(record.target),
            port=self._port(job, place, host),
            exclusive=job.exclusive,
            check=f"{job.check.kind}:{job.check.path}" if job.check.path else job.check.kind,
            ready_s=job.update.ready_s,
            endpoints=desired.endpoints,
            failures=place.failures,
            why=shortened(place.why),
        )

    def _port(self, job: Job, place: Place, host: Host) -> int:
        if job.resources.port >= 0:
            return job.resources.port
        span = PORTS_TO - PORTS_FROM
        first = zlib.crc32(f"{job.name}/{place.index}".encode())
        taken = self._taken_ports(host.id) | set(job.resources.ports)
        # A job with a fixed port may come to any host, so the fixed ports of all jobs are the last
        # choice.
        for avoided in (taken | self._fixed_ports, taken):
            for step in range(span):
                port = PORTS_FROM + (first + step) % span
                if port not in avoided:
                    return port
        raise AssertionError("the host has more instances than ports")

    def _taken_ports(self, host: str) -> set[int]:
        taken = set()
        for allocation in self._allocations(host).values():
            taken.add(allocation.port)
            desired = self._cluster.jobs.get(allocation.job)
            if desired is not None and desired.job is not None:
                taken.update(desired.job.resources.ports)
        return taken

    @cached_property
    def _fixed_ports(self) -> frozenset[int]:
        """The ports that jobs ask for by number."""
        jobs = (each.job for each in self._cluster.jobs.values() if each.job is not None)
        return frozenset(port for job in jobs for port in job.resources.fixed)

    def _replace(self, action: Replace) -> None:
        desired, host = self._cluster.jobs[action.job], self._cluster.hosts[action.host]
        old = self._allocations(host.id)[action.job, action.index, action.version]
        new = self._allocate(desired, Place(action.job, action.index, action.why), host)
        self._edit(action, desired_state=DesiredState.STOP, endpoints=())
        if old.port and desired.job and desired.job.resources.port < 0:
            new = msgspec.structs.replace(new, port=old.port)
        self._allocations(host.id)[new.key] = new

    def _edit(self, action: Stop | Replace | Change, **fields: object) -> None:
        allocations = self._allocations(action.host)
        key = (action.job, action.index, action.version)
        known = self._cluster.jobs.get(action.job)
        old = allocations[key]
        rev = max(old.rev, known.record.rev if known else 0)
        allocations[key] = msgspec.structs.replace(
            old, why=shortened(action.why), rev=rev, **fields
        )

    def _adopt(self, host: Host) -> None:
        """Allocate the instances that the host reports. Stopping ones continue to stop.

        One that a host of the present store runs by its plan is not another's: whoever claims it
        keeps an orphan.
        """
        assert host.status is not None
        adopted = {}
        for each in host.status.reports:
            if each.phase in (Phase.STOPPED, Phase.ORPHAN) or each.key in self._run_elsewhere:
                continue
            is_stopping = each.phase in (Phase.LEAVING, Phase.STOPPING)
            state = DesiredState.STOP if is_stopping else each.allocation.desired_state
            adopted[each.key] = msgspec.structs.replace(
                each.allocation, desired_state=state, failures=each.failures, why="adopted"
            )
        self._changed[host.id] = adopted

    @cached_property
    def _run_elsewhere(self) -> frozenset[tuple[str, int, int]]:
        """The ready instances of hosts whose plan is that of the store."""
        current = (host for host in self._cluster.hosts.values() if not host.is_ahead_of_store)
        return frozenset(
            each.allocation.key
            for host in current
            for each in host.instances
            if each.is_available and not each.is_stopping and not self._is_global(each.allocation)
        )

    def _is_global(self, allocation: Allocation) -> bool:
        desired = self._cluster.jobs.get(allocation.job)
        return desired is None or desired.job is None or desired.job.is_global

    def _allocations(self, host: str) -> dict[tuple[str, int, int], Allocation]:
        """Return a host's allocations, to be changed."""
        if host not in self._changed:
            allocations = self._cluster.hosts[host].plan.allocations
            self._changed[host] = {each.key: each for each in allocations}
        return self._changed[host]

    def _update_rollout(self, action: Begin | Advance | Stable | Fail) -> None:
        desired, now_s = self._cluster.jobs[action.job], self._cluster.now_s
        record, was = desired.record, desired.rollout
        match action:
            case Begin():
                now = Rollout(version=record.version, began_s=now_s, progress_s=now_s)
                if was is not None:
                    now = msgspec.structs.replace(
                        now, stable=was.stable, stable_unit=was.stable_unit, bad=was.bad
                    )
            case Advance(_, available):
                assert was is not None
                progress_s = now_s if available > was.available else was.progress_s
                now = msgspec.structs.replace(was, available=available, progress_s=progress_s)
            case Stable():
                assert was is not None
                now = msgspec.structs.replace(
                    was, state="stable", stable=record.version, stable_unit=record.unit, note=""
                )
            case Fail():
                assert was is not None
                now = msgspec.structs.replace(was, state="failed", note=shortened(action.why))
        self._out.rollouts[action.job] = now

    def _revert(self, action: Revert) -> None:
        desired = self._cluster.jobs[action.job]
        record, was = desired.record, desired.rollout
        assert was is not None
        note = f"reverted to version {action.to}: {action.why}"
        bad = (*was.bad, record.unit)[-BAD_MAX:]
        self._out.rollouts[action.job] = msgspec.structs.replace(
            was, state="failed", note=action.why, bad=bad
        )
        self._out.records[action.job] = msgspec.structs.replace(
            record,
            version=record.version + 1,
            rev=record.rev + 1,
            unit=was.stable_unit,
            by=AUTO_REVERT_AUTHOR,
            note=note,
        )
