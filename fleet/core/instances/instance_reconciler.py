"""What an agent does next: from its plan, and what systemd shows, to steps and a report. Pure.

Each turn looks at the whole plan and at all units, so that an agent that was killed between any
two steps goes on where it stands. An order to stop is the only thing that stops a unit.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from fleet.core.instances.instance_unit import Seen
from fleet.core.model import Endpoint, Order, Phase, Plan, Report, Want

# Crash loops: the first restart waits a second, the last five minutes; a good run clears it.
BACKOFF_S, BACKOFF_MAX_S = 1.0, 300.0
STEADY_S = 600.0
# How systemd calls a unit that it can never start.
UNUSABLE = ("bad-setting", "error", "masked")
# Beyond the TTL of a record: resolvers count from when they asked, proxies hear at once.
LEAVE_MARGIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Fetch:
    """The unit's text is not here yet."""

    unit: str


@dataclass(frozen=True, slots=True)
class Install:
    """The unit's file is to be written."""

    order: Order


@dataclass(frozen=True, slots=True)
class Start:
    """The unit is to be started; an exclusive one has its timer armed first."""

    order: Order


@dataclass(frozen=True, slots=True)
class Halt:
    """The unit is to be stopped."""

    order: Order


@dataclass(frozen=True, slots=True)
class Remove:
    """The unit's files are to go."""

    order: Order


Step = Fetch | Install | Start | Halt | Remove
Key = tuple[str, int, int]


@dataclass(slots=True)
class Life:
    """What is remembered of one instance between turns."""

    failures: int = 0
    restarts: int = 0
    retry_s: float = 0.0
    ready_s: float | None = None
    leaving_s: float | None = None
    leave_for_s: float = 0.0
    started: bool = False
    counted: str = ""  # the invocation whose death is counted


@dataclass(slots=True)
class Around:
    """What a turn rests on, beside the plan."""

    now_s: float
    seen: Mapping[str, Seen]
    texts: Mapping[str, str]
    refused: Mapping[str, str]
    is_ready: Callable[[Order], bool]
    may_start_exclusive: bool = True
    serves: Callable[[Order, Endpoint], bool] = lambda _order, _endpoint: True


@dataclass(slots=True)
class Following:
    """One agent's memory of the instances of its plan."""

    lives: dict[Key, Life] = field(default_factory=dict)

    def turn(self, plan: Plan, around: Around) -> tuple[list[Step], tuple[Report, ...]]:
        """Return what to do now, and how all orders stand. Orders are steps of the same turn."""
        keys = {order.key for order in plan.orders}
        for key in self.lives.keys() - keys:
            del self.lives[key]
        steps: list[Step] = []
        reports = [self._one(order, plan, around, steps) for order in plan.orders]
        reports += _orphans(plan.orders, around.seen)
        return steps, tuple(reports)

    def _one(self, order: Order, plan: Plan, around: Around, steps: list[Step]) -> Report:
        life = self.lives.setdefault(order.key, Life(failures=order.failures))
        seen = around.seen.get(order.name, Seen(order.name))
        if order.want is Want.STOP:
            phase, note = self._ending(order, life, around, steps), ""
        elif seen.foreign:
            phase, note = Phase.FAILED, f"the host has a unit of its own: {seen.foreign}"
        elif before := _predecessor(order, plan.orders, around.seen):
            phase, note = Phase.WAITING, f"version {before.version} has not ended"
        elif not _is_installed(order, seen):
            phase, note = _install(order, seen, around, steps)
        elif order.want is Want.LOAD:
            if seen.is_running:
                steps.append(Halt(order))
            phase, note = (Phase.STOPPING if seen.is_running else Phase.LOADED), ""
        else:
            phase, note = _running(order, life, seen, around, steps)
        report = _report(order, life, seen, (phase, note), around.now_s)
        return msgspec.structs.replace(report, unserved=_unserved(report, around))

    def _ending(self, order: Order, life: Life, around: Around, steps: list[Step]) -> Phase:
        seen = around.seen.get(order.name, Seen(order.name))
        if seen.order is None or seen.order.key != order.key:
            return Phase.STOPPED
        if not seen.is_running:
            steps.append(Remove(order))
            return Phase.STOPPING
        if life.leaving_s is None:
            life.leaving_s = around.now_s
        if life.ready_s is not None and around.now_s - life.leaving_s < life.leave_for_s:
            return Phase.LEAVING
        if seen.active != "deactivating":
            steps.append(Halt(order))
        return Phase.STOPPING


def leave_s(order: Order) -> float:
    """Return how long an instance serves on after its records are gone."""
    ttl_s = max((each.ttl_s for each in order.endpoints), default=0)
    return ttl_s + LEAVE_MARGIN_S if ttl_s else 0.0


def backoff_s(failures: int) -> float:
    """Return the wait before a restart."""
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** max(0, min(failures, 20) - 1))


def _predecessor(order: Order, orders: Iterable[Order], seen: Mapping[str, Seen]) -> Order | None:
    for other in orders:
        if other.want is not Want.STOP or other.key == order.key:
            continue
        same = (other.job, other.index) == (order.job, order.index) or other.name == order.name
        here = seen.get(other.name)
        if same and here and here.order is not None and here.order.key == other.key:
            return other
    return None


def _is_installed(order: Order, seen: Seen) -> bool:
    mine = seen.order
    return mine is not None and (mine.key, mine.unit, mine.port) == (
        order.key,
        order.unit,
        order.port,
    )


def _install(order: Order, seen: Seen, around: Around, steps: list[Step]) -> tuple[Phase, str]:
    if order.unit in around.refused:
        return Phase.FAILED, around.refused[order.unit]
    if order.unit not in around.texts:
        steps.append(Fetch(order.unit))
        return Phase.WAITING, "its unit is on the way"
    if seen.is_running and seen.order is not None and seen.order.unit != order.unit:
        return Phase.WAITING, "another unit of this name runs here, and nothing orders its end"
    steps.append(Install(order))
    return Phase.WAITING, "its file is being written"


def _running(
    order: Order, life: Life, seen: Seen, around: Around, steps: list[Step]
) -> tuple[Phase, str]:
    if seen.active in ("active", "reloading", "refreshing"):
        _count_restarts(life, seen, around.now_s)
        life.started = True
        return _readiness(order, life, around)
    if seen.active == "activating" and seen.sub != "auto-restart":
        _count_restarts(life, seen, around.now_s)
        life.started, life.ready_s = True, None
        return Phase.STARTING, ""
    if seen.active in ("activating", "deactivating"):
        _count_restarts(life, seen, around.now_s)
        return Phase.UNREADY, f"systemd restarts it: {seen.result}"
    life.ready_s = None
    _count_death(life, seen, around.now_s)
    if around.now_s < life.retry_s:
        wait_s = life.retry_s - around.now_s
        return Phase.FAILED, f"{seen.result or seen.load}; again in {wait_s:.0f} s"
    if order.exclusive and not around.may_start_exclusive:
        return Phase.WAITING, "the store has not confirmed the plan"
    life.started = True
    steps.append(Start(order))
    return Phase.STARTING, ""


def _readiness(order: Order, life: Life, around: Around) -> tuple[Phase, str]:
    life.leave_for_s = max(life.leave_for_s, leave_s(order))
    if not around.is_ready(order):
        was_ready, life.ready_s = life.ready_s is not None, None
        return (Phase.UNREADY if was_ready else Phase.STARTING), f"its check {order.check} fails"
    if life.ready_s is None:
        life.ready_s = around.now_s
    if life.failures and around.now_s - life.ready_s >= STEADY_S:
        life.failures = 0
    return Phase.READY, ""


def _count_restarts(life: Life, seen: Seen, now_s: float) -> None:
    """Count the restarts that systemd makes by itself, as a unit's Restart= says."""
    if seen.restarts > life.restarts:
        if life.started:
            life.failures += seen.restarts - life.restarts
        life.ready_s = None
        life.retry_s = now_s
    life.restarts = seen.restarts


def _count_death(life: Life, seen: Seen, now_s: float) -> None:
    """Count an end that nobody ordered, once for each run."""
    unusable = seen.load in UNUSABLE and now_s >= life.retry_s
    died = life.started and bool(seen.invocation) and life.counted != seen.invocation
    if died or unusable:
        life.counted, life.started = seen.invocation, False
        life.failures += 1
        life.retry_s = now_s + backoff_s(life.failures)
    elif life.failures and not life.retry_s:
        # What failed on another host, or before the agent's restart, waits here, too.
        life.retry_s = now_s + backoff_s(life.failures)


def _report(order: Order, life: Life, seen: Seen, told: tuple[Phase, str], now_s: float) -> Report:
    phase, note = told
    ready = phase is Phase.READY and life.ready_s is not None
    return Report(
        order=order,
        phase=phase,
        settled=ready and now_s - (life.ready_s or 0.0) >= order.ready_s,
        failures=life.failures,
        load=seen.load,
        active=seen.active,
        sub=seen.sub,
        note=note,
    )


def _unserved(report: Report, around: Around) -> tuple[str, ...]:
    if report.phase is not Phase.READY:
        return ()
    order = report.order
    return tuple(each.service for each in order.endpoints if not around.serves(order, each))


def _orphans(orders: Iterable[Order], seen: Mapping[str, Seen]) -> list[Report]:
    """Report what runs here and is in no plan. It is left alone."""
    known = {order.key for order in orders}
    return [
        Report(each.order, Phase.ORPHAN, load=each.load, active=each.active, sub=each.sub)
        for each in seen.values()
        if each.order is not None and each.order.key not in known and each.is_running
    ]
