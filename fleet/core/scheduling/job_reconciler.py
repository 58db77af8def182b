"""One job's instances: one by one, within the job's budget.

An index of a counted job is one slot; a global job has one slot on each host. A slot may have
several instances: an old and a new version, or one on a lost host and its replacement.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet.core.jobs.jobspec import Job, UpdateStrategy
from fleet.core.jobs.selector import EVERYTHING
from fleet.core.model import DesiredState, HostHealth, Phase, TargetState
from fleet.core.scheduling import constraints, rollout_progress
from fleet.core.scheduling.actions import Action, Change, Drop, Hold, Place, Replace, Stop
from fleet.core.scheduling.cluster_state import ClusterState, DesiredJob, Host, Instance
from fleet.core.scheduling.rollout_progress import is_up


@dataclass(slots=True)
class JobReconciler:
    """Compares the instances of a job with those that it should have."""

    cluster: ClusterState
    desired: DesiredJob
    job: Job
    instances: list[Instance]
    excluded: frozenset[str]
    slots: dict[int | str, list[Instance]] = field(default_factory=lambda: defaultdict(list))
    wanted: int = 0
    any_host_will_do: bool = False
    desired_state: DesiredState = DesiredState.RUN
    is_budget_counted: bool = False
    updates_left: int = 0  # how many more instances may be updated now
    stops_left: int = 0  # how many ready instances may stop before their successor is ready
    residents: dict[str, set[str]] = field(default_factory=dict)

    def actions(self) -> Iterator[Action]:
        """Yield the actions that this job needs."""
        self._prepare()
        slots, is_global = self.slots, self.job.is_global
        for each in self.instances:
            slots[each.host.id if is_global else each.allocation.index].append(each)
        names = self._global_hosts() if is_global else range(self.desired.count)
        self.wanted = len(names)
        yield from rollout_progress.actions(self.desired, self.instances, self.wanted)
        for name in names:
            own = slots.get(name, [])
            if not self._is_at_rest(own):
                yield from self._reconcile_slot(name, own)
        surplus = "the job may not run there" if is_global else f"only {self.wanted} are wanted"
        for name in slots.keys() - set(names):
            for each in slots[name]:
                if not each.is_stopping and not self._waits_for_host(each):
                    yield stop(each, surplus)

    def _prepare(self) -> None:
        placement = self.job.placement
        self.desired_state = desired_state_for(self.desired.record.target)
        self.any_host_will_do = placement.constraint is EVERYTHING and not (
            placement.machine_of or self.excluded or placement.machine_id or self.job.is_global
        )
        if placement.machine_of or self.excluded:
            for host in self.cluster.hosts.values():
                running = (each for each in host.instances if not each.is_stopping)
                self.residents[host.id] = {each.allocation.job for each in running}

    def _is_at_rest(self, own: list[Instance]) -> bool:
        """Return quickly whether a slot needs nothing, as most do when a few hosts are lost."""
        if len(own) != 1 or not self.any_host_will_do:
            return False
        allocation, host, desired = own[0].allocation, own[0].host, self.desired
        return (
            allocation.unit == desired.record.unit
            and allocation.desired_state is self.desired_state
            and host.drain is None
            and host.health is not HostHealth.LOST
            and allocation.endpoints == desired.endpoints
        )

    def _waits_for_host(self, instance: Instance) -> bool:
        """Whether a global job's instance is on a host that is silent, and may come back."""
        is_silent = instance.host.health in (HostHealth.SUSPECT, HostHealth.LOST)
        return self.job.is_global and is_silent

    def _global_hosts(self) -> list[str]:
        """Return the hosts that a global job should run on."""
        own = {each.host.id for each in self.instances}
        return [
            host.id
            for host in self.cluster.hosts.values()
            if (host.is_schedulable or (host.id in own and not self._is_drained(host)))
            and host.health is not HostHealth.LOST
            and not self._infeasible_reason(host)
        ]

    def _is_drained(self, host: Host) -> bool:
        """Whether nothing but global jobs is left on a host that is being drained."""
        if host.drain is None:
            return False
        if host.drain_overdue:
            return True
        for each in host.instances:
            other = self.cluster.jobs.get(each.allocation.job)
            if other and other.job and not other.job.is_global and not has_ended(each):
                return False
        return True

    def _infeasible_reason(self, host: Host) -> str:
        residents = self.residents.get(host.id, ())
        return constraints.infeasible_reason(self.job, host, residents, self.excluded)

    def _count_budget(self) -> None:
        """Count once how many instances may be updated or stopped now."""
        if self.is_budget_counted:
            return
        self.is_budget_counted = True
        record, rollout = self.desired.record, self.desired.rollout
        ready = in_progress = 0
        for own in self.slots.values():
            live = [each for each in own if _is_live(each)]
            newest = [each for each in live if each.allocation.unit == record.unit]
            ready += any(map(is_up, live))
            is_done = any(map(is_up, newest)) and len(newest) == len(live)
            in_progress += bool(newest) and not is_done
        parallel = self.job.update.parallel
        has_failed = rollout is not None and rollout.state == "failed"
        self.updates_left = 0 if record.paused or has_failed else parallel - in_progress
        least = self.job.available_min
        at_least = max(0, self.wanted - parallel) if least is None else min(least, self.wanted)
        self.stops_left = ready - at_least

    def _reconcile_slot(self, name: int | str, own: list[Instance]) -> Iterator[Action]:
        if self.job.exclusive and (first := self._exclusive_first(own)):
            yield from first
            return
        live = [each for each in own if _is_live(each)]
        staying = [each for each in live if not self._leave_reason(each)]
        newest = [each for each in staying if each.allocation.unit == self.desired.record.unit]
        if newest:
            yield from self._keep(newest, live)
        elif staying:
            yield from self._update(staying, live)
        elif live:
            yield from self._move(name, live)
        else:
            yield self._place(name, own, "it runs nowhere")

    def _exclusive_first(self, own: list[Instance]) -> list[Action]:
        """Return the actions before an exclusive instance may start."""
        lost = [each for each in own if each.host.health is HostHealth.LOST]
        if running := [each for each in lost if not each.is_stopping]:
            reason = "its host is lost: it must not start there again"
            return [stop(each, reason) for each in running]
        if any(each.is_stopping and each not in lost for each in own):
            reason = "it is exclusive, and another instance of it has not stopped yet"
            return [Hold(self.job.name, reason)]
        return []

    def _leave_reason(self, instance: Instance) -> str:
        """Return why an instance has to leave its host, "" if it may stay."""
        host = instance.host
        if host.drain is not None and not self.job.is_global:
            return f"{host.name()} is being drained"
        return self._infeasible_reason(host) if host.facts is not None else ""

    def _keep(self, newest: list[Instance], live: list[Instance]) -> Iterator[Action]:
        """Keep the best instance of the newest version, and stop the others when it is ready."""
        winner = max(newest, key=_preference)
        for each in live:
            if each is winner:
                continue
            if is_up(winner) or not is_up(each) or each.host.drain_overdue:
                yield stop(each, f"{winner.host.name()} runs it")
        yield from self._correct(winner)

    def _correct(self, instance: Instance) -> Iterator[Action]:
        state, allocation = self.desired_state, instance.allocation
        where = (allocation.job, allocation.index, allocation.version, instance.host.id)
        if allocation.desired_state is not state:
            reason = f"its desired state is {state.value}"
            yield Change(*where, state, self.desired.endpoints, reason)
        elif allocation.endpoints != self.desired.endpoints:
            yield Change(*where, state, self.desired.endpoints, "its services changed")

    def _update(self, staying: list[Instance], live: list[Instance]) -> Iterator[Action]:
        """Update an instance of an older version to the newest one."""
        old = max(staying, key=_preference)
        for each in live:
            if each is not old:
                yield stop(each, f"{old.host.name()} runs it")
        self._count_budget()
        strategy = self._update_strategy()
        costs = is_up(old) and strategy is UpdateStrategy.ROLLING
        if self.updates_left < 1 or (costs and self.stops_left < 1):
            return
        self.updates_left -= 1
        allocation = old.allocation
        reason = f"version {self.desired.record.version} follows {allocation.version}"
        if strategy is UpdateStrategy.SURGE:
            yield Place(self.job.name, allocation.index, reason)
            return
        self.stops_left -= costs
        where = (allocation.job, allocation.index, allocation.version, old.host.id)
        yield Replace(*where, reason)

    def _update_strategy(self) -> UpdateStrategy:
        """Return the strategy: only instances with their own names can run next to a successor."""
        can_surge = self.job.counted and not self.job.is_global and not self.job.exclusive
        return self.job.update.strategy if can_surge else UpdateStrategy.ROLLING

    def _move(self, name: int | str, live: list[Instance]) -> Iterator[Action]:
        """Move a slot whose instances must all leave their hosts."""
        is_overdue = any(each.host.drain_overdue for each in live)
        reason = self._leave_reason(live[0])
        if self.job.exclusive:
            self._count_budget()
            if is_overdue or self.stops_left >= 1 or not any(map(is_up, live)):
                self.stops_left -= 1
                yield from (stop(each, reason) for each in live)
            else:
                yield Hold(self.job.name, f"{reason}, but the job's budget does not allow it")
            return
        yield self._place(name, live, reason)
        if is_overdue:
            reason += "; no other host could take it, so it starts again when the drain ends"
        if is_overdue or live[0].host.drain is None:
            yield from (stop(each, reason) for each in live)

    def _place(self, name: int | str, own: list[Instance], reason: str) -> Place:
        reports = [each.report for each in own if each.report is not None]
        failures = max((each.failures for each in reports), default=0)
        lost = frozenset(each.host.id for each in own if each.host.health is HostHealth.LOST)
        avoid = frozenset(each.host.id for each in own)
        if lost and lost == avoid:
            reason = f"{own[0].host.name()} is lost"
        if self.job.is_global:
            return Place(self.job.name, 0, reason, failures=failures, host=str(name))
        after = lost if self.job.exclusive else frozenset()
        return Place(self.job.name, int(name), reason, avoid, failures, after=after)


def has_ended(instance: Instance) -> bool:
    """Return whether a stop is done, reported by a host that follows the plan with the stop."""
    if not instance.is_stopping or instance.host.health is HostHealth.LOST:
        return False
    if instance.report is None:
        return instance.host.caught_up
    return instance.report.phase is Phase.STOPPED and instance.host.caught_up


def desired_state_for(target: TargetState) -> DesiredState:
    """Return the desired state of an instance of a job with this target state."""
    return DesiredState.LOAD if target is TargetState.LOADED else DesiredState.RUN


def stop(instance: Instance, why: str) -> Stop:
    """Return the action that stops an instance."""
    allocation = instance.allocation
    return Stop(allocation.job, allocation.index, allocation.version, instance.host.id, why)


def drop(instance: Instance, why: str) -> Drop:
    """Return the action that removes the allocation of a stopped instance."""
    allocation = instance.allocation
    return Drop(allocation.job, allocation.index, allocation.version, instance.host.id, why)


def _is_live(instance: Instance) -> bool:
    """Whether an instance counts as running where it was placed."""
    return not instance.is_stopping and instance.host.health is not HostHealth.LOST


def _preference(instance: Instance) -> tuple[bool, bool, int, int]:
    """Order instances of one slot: ready, on a healthy host, newer version, earlier plan."""
    is_healthy = instance.host.health is HostHealth.READY
    return is_up(instance), is_healthy, instance.allocation.version, -instance.host.plan.gen
