"""Decides an agent's next actions and reports, from its plan and the state of systemd. Pure.

Each pass looks at the whole plan and at all units. So an agent that was killed between any two
actions continues where it stopped. Only an allocation that says "stop" stops a unit.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from fleet.core.instances.instance_unit import UnitStatus
from fleet.core.model import Allocation, DesiredState, Endpoint, Phase, Plan, Report

# A crash loop: the first restart waits a second, later ones up to five minutes. After a steady
# run the count starts again.
BACKOFF_S, BACKOFF_MAX_S = 1.0, 300.0
STEADY_S = 600.0
# Load states of a unit that systemd can never start.
UNUSABLE = ("bad-setting", "error", "masked")
# Resolvers count the TTL from their query. Proxies see a change at once.
LEAVE_MARGIN_S = 0.5
# The longest TTL that fleetctl gives a service. A longer one keeps no instance from stopping.
LEAVE_LONGEST_S = 3600


@dataclass(frozen=True, slots=True)
class FetchUnit:
    """Fetch the text of a unit from the store."""

    unit: str


@dataclass(frozen=True, slots=True)
class InstallUnit:
    """Write the unit file."""

    allocation: Allocation


@dataclass(frozen=True, slots=True)
class StartUnit:
    """Start the unit; for an exclusive one, start its dead-man timer first."""

    allocation: Allocation


@dataclass(frozen=True, slots=True)
class StopUnit:
    """Stop the unit."""

    allocation: Allocation


@dataclass(frozen=True, slots=True)
class RemoveUnit:
    """Remove the unit's files."""

    allocation: Allocation


UnitAction = FetchUnit | InstallUnit | StartUnit | StopUnit | RemoveUnit
Key = tuple[str, int, int]


@dataclass(slots=True)
class InstanceState:
    """The state of one instance that is kept between passes."""

    failures: int = 0
    restarts: int = 0
    retry_s: float = 0.0
    ready_s: float | None = None
    leaving_s: float | None = None
    leave_for_s: float = 0.0
    started: bool = False
    counted: str = ""  # the invocation whose failure is counted


@dataclass(slots=True)
class Observed:
    """The facts that a pass uses besides the plan."""

    now_s: float
    units: Mapping[str, UnitStatus]
    unit_texts: Mapping[str, str]
    refused: Mapping[Key, str]  # allocations that may not start, and why
    is_ready: Callable[[Allocation], bool]
    may_start_exclusive: bool = True
    serves: Callable[[Allocation, Endpoint], bool] = lambda _allocation, _endpoint: True

    def unit_of(self, allocation: Allocation) -> UnitStatus:
        """Return the status of an allocation's unit."""
        return self.units.get(allocation.name, UnitStatus(allocation.name))


@dataclass(slots=True)
class InstanceReconciler:
    """Follows one host's plan, and remembers its instances between passes."""

    instances: dict[Key, InstanceState] = field(default_factory=dict)

    def reconcile(
        self, plan: Plan, observed: Observed
    ) -> tuple[list[UnitAction], tuple[Report, ...]]:
        """Return the actions to do now, and the report on every allocation."""
        keys = {allocation.key for allocation in plan.allocations}
        for key in self.instances.keys() - keys:
            del self.instances[key]
        actions: list[UnitAction] = []
        reports = [
            self._reconcile_one(allocation, plan, observed, actions)
            for allocation in plan.allocations
        ]
        reports += _orphans(plan.allocations, observed.units)
        return actions, tuple(reports)

    def _reconcile_one(
        self, allocation: Allocation, plan: Plan, observed: Observed, actions: list[UnitAction]
    ) -> Report:
        state = self.instances.setdefault(
            allocation.key, InstanceState(failures=allocation.failures)
        )
        unit = observed.unit_of(allocation)
        if allocation.desired_state is DesiredState.STOP:
            phase, note = self._stop(allocation, state, observed, actions), ""
        elif unit.foreign:
            phase, note = Phase.FAILED, f"the host has its own unit of this name: {unit.foreign}"
        elif before := _predecessor(allocation, plan.allocations, observed.units):
            phase, note = Phase.WAITING, f"version {before.version} has not stopped yet"
        elif not _is_installed(allocation, unit):
            phase, note = _install(allocation, unit, observed, actions)
        elif allocation.desired_state is DesiredState.LOAD:
            if unit.is_running:
                actions.append(StopUnit(allocation))
            phase, note = (Phase.STOPPING if unit.is_running else Phase.LOADED), ""
        else:
            phase, note = _run(allocation, state, observed, actions)
        report = _report(allocation, state, unit, (phase, note), observed.now_s)
        return msgspec.structs.replace(report, unserved=_unserved(report, observed))

    def _stop(
        self,
        allocation: Allocation,
        state: InstanceState,
        observed: Observed,
        actions: list[UnitAction],
    ) -> Phase:
        unit = observed.unit_of(allocation)
        if unit.allocation is None or unit.allocation.key != allocation.key:
            return Phase.STOPPED
        if not unit.is_running:
            actions.append(RemoveUnit(allocation))
            return Phase.STOPPING
        if state.leaving_s is None:
            state.leaving_s = observed.now_s
        is_leaving = observed.now_s - state.leaving_s < state.leave_for_s
        if state.ready_s is not None and is_leaving:
            return Phase.LEAVING
        if unit.active != "deactivating":
            actions.append(StopUnit(allocation))
        return Phase.STOPPING


def leave_s(allocation: Allocation) -> float:
    """Return how long an instance keeps serving after its DNS records are removed."""
    ttl_s = max((each.ttl_s for each in allocation.endpoints), default=0)
    return min(ttl_s, LEAVE_LONGEST_S) + LEAVE_MARGIN_S if ttl_s else 0.0


def backoff_s(failures: int) -> float:
    """Return how long a restart waits."""
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** max(0, min(failures, 20) - 1))


def _predecessor(
    allocation: Allocation, allocations: Iterable[Allocation], units: Mapping[str, UnitStatus]
) -> Allocation | None:
    """Return an instance that must stop first: of the same slot, or with the same unit name."""
    for other in allocations:
        if other.desired_state is not DesiredState.STOP or other.key == allocation.key:
            continue
        same_slot = (other.job, other.index) == (allocation.job, allocation.index)
        unit = units.get(other.name)
        is_here = unit and unit.allocation is not None and unit.allocation.key == other.key
        if (same_slot or other.name == allocation.name) and is_here:
            return other
    return None


def _is_installed(allocation: Allocation, unit: UnitStatus) -> bool:
    installed = unit.allocation
    return installed is not None and (installed.key, installed.unit, installed.port) == (
        allocation.key,
        allocation.unit,
        allocation.port,
    )


def _install(
    allocation: Allocation, unit: UnitStatus, observed: Observed, actions: list[UnitAction]
) -> tuple[Phase, str]:
    if stopped := _not_allowed(allocation, observed, actions):
        return stopped
    running = unit.allocation if unit.is_running else None
    if running is not None and running.unit != allocation.unit:
        return Phase.WAITING, "another unit of this name runs here, and no plan says to stop it"
    actions.append(InstallUnit(allocation))
    return Phase.WAITING, "its unit file is being written"


def _not_allowed(
    allocation: Allocation, observed: Observed, actions: list[UnitAction]
) -> tuple[Phase, str] | None:
    """Return what an allocation waits for that may not start, or not yet; None if it may."""
    if why := observed.refused.get(allocation.key):
        return Phase.FAILED, why
    if allocation.unit not in observed.unit_texts:
        actions.append(FetchUnit(allocation.unit))
        return Phase.WAITING, "its unit is being fetched"
    return None


def _run(
    allocation: Allocation, state: InstanceState, observed: Observed, actions: list[UnitAction]
) -> tuple[Phase, str]:
    unit, now_s = observed.unit_of(allocation), observed.now_s
    if unit.active in ("active", "reloading", "refreshing"):
        _count_restarts(state, unit, now_s)
        state.started = True
        return _check_readiness(allocation, state, observed)
    if unit.active == "activating" and unit.sub != "auto-restart":
        _count_restarts(state, unit, now_s)
        state.started, state.ready_s = True, None
        return Phase.STARTING, ""
    if unit.active in ("activating", "deactivating"):
        _count_restarts(state, unit, now_s)
        return Phase.UNREADY, f"systemd restarts it: {unit.result}"
    state.ready_s = None
    _count_failure(state, unit, now_s)
    if now_s < state.retry_s:
        wait_s = state.retry_s - now_s
        return Phase.FAILED, f"{unit.result or unit.load}; next start in {wait_s:.0f} s"
    if allocation.exclusive and not observed.may_start_exclusive:
        return Phase.WAITING, "the store has not confirmed the plan"
    if stopped := _not_allowed(allocation, observed, actions):
        return stopped
    state.started = True
    actions.append(StartUnit(allocation))
    return Phase.STARTING, ""


def _check_readiness(
    allocation: Allocation, state: InstanceState, observed: Observed
) -> tuple[Phase, str]:
    state.leave_for_s = max(state.leave_for_s, leave_s(allocation))
    if not observed.is_ready(allocation):
        was_ready, state.ready_s = state.ready_s is not None, None
        note = f"its check {allocation.check} fails"
        return (Phase.UNREADY if was_ready else Phase.STARTING), note
    if state.ready_s is None:
        state.ready_s = observed.now_s
    if state.failures and observed.now_s - state.ready_s >= STEADY_S:
        state.failures = 0
    return Phase.READY, ""


def _count_restarts(state: InstanceState, unit: UnitStatus, now_s: float) -> None:
    """Count the restarts that systemd makes by itself because of the unit's Restart=."""
    if unit.restarts > state.restarts:
        if state.started:
            state.failures += unit.restarts - state.restarts
        state.ready_s = None
        state.retry_s = now_s
    state.restarts = unit.restarts


def _count_failure(state: InstanceState, unit: UnitStatus, now_s: float) -> None:
    """Count an end that no plan asked for, once for each run."""
    is_unusable = unit.load in UNUSABLE and now_s >= state.retry_s
    is_new = bool(unit.invocation) and state.counted != unit.invocation
    if (state.started and is_new) or is_unusable:
        state.counted, state.started = unit.invocation, False
        state.failures += 1
        state.retry_s = now_s + backoff_s(state.failures)
    elif state.failures and not state.retry_s:
        # It failed on another host, or before the agent restarted: it waits here, too.
        state.retry_s = now_s + backoff_s(state.failures)


def _report(
    allocation: Allocation,
    state: InstanceState,
    unit: UnitStatus,
    phase_and_note: tuple[Phase, str],
    now_s: float,
) -> Report:
    phase, note = phase_and_note
    is_ready = phase is Phase.READY and state.ready_s is not None
    return Report(
        allocation=allocation,
        phase=phase,
        available=is_ready and now_s - (state.ready_s or 0.0) >= allocation.ready_s,
        failures=state.failures,
        load=unit.load,
        active=unit.active,
        sub=unit.sub,
        note=note,
    )


def _unserved(report: Report, observed: Observed) -> tuple[str, ...]:
    if report.phase is not Phase.READY:
        return ()
    allocation = report.allocation
    return tuple(
        each.service for each in allocation.endpoints if not observed.serves(allocation, each)
    )


def _orphans(allocations: Iterable[Allocation], units: Mapping[str, UnitStatus]) -> list[Report]:
    """Report the instances that run here and are in no plan. They are not touched."""
    known = {allocation.key for allocation in allocations}
    return [
        Report(each.allocation, Phase.ORPHAN, load=each.load, active=each.active, sub=each.sub)
        for each in units.values()
        if each.allocation is not None and each.allocation.key not in known and each.is_running
    ]
