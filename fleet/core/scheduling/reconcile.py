"""diff(desired, current): what is to be done, each with its reason. A pure function of a World.

Rules, in the order of their weight:

1. Nothing is stopped because something is absent. A job whose record is missing, refused or older
   than what runs is left alone.
2. An exclusive instance starts only when every other of its kind has ended, or is ordered to end
   on a host that is given up; its dead-man timer has stopped it there by then.
3. Any other instance that must go is replaced first, and stops when its successor is ready.
4. A suspect host keeps its work. A lost one is replaced, and if it comes back whoever is ready
   wins.
5. A new version goes on as far as readiness and the job's budget allow.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet.core.jobs.jobspec import Job, Way
from fleet.core.jobs.selector import EVERYTHING
from fleet.core.model import Phase, Target, Want
from fleet.core.scheduling import constraints, rollout_progress
from fleet.core.scheduling.actions import (
    Action,
    Adopt,
    Change,
    Drop,
    Forget,
    Hold,
    Place,
    Replace,
    Stop,
)
from fleet.core.scheduling.cluster_state import Desired, HostView, Placed, Standing, World
from fleet.core.scheduling.constraints import Rivalry


def diff(world: World) -> list[Action]:
    """Return what brings the fleet nearer to what is wanted."""
    # Orders of a store that went back say nothing; first they are made true again.
    if behind := [host for host in world.hosts.values() if host.behind]:
        return [Adopt(host.id, "it follows a later plan than the store has") for host in behind]
    placed = world.by_job()
    troubled = any(
        host.drain is not None or host.standing is Standing.LOST for host in world.hosts.values()
    )
    rivalry = Rivalry(world)
    actions: list[Action] = []
    for name, desired in world.jobs.items():
        mine = placed.pop(name, [])
        if troubled or not _calm(desired, mine) or rivalry.is_replaced(name):
            actions += _of_job(world, rivalry, desired, mine)
    for name, mine in placed.items():
        actions += _unrecorded(name, mine)
    return actions


def _calm(desired: Desired, placed: list[Placed]) -> bool:
    """Say quickly that a job is as it should be; with 100,000 instances nearly all are."""
    job, rollout, record = desired.job, desired.rollout, desired.record
    if job is None or job.everywhere or rollout is None or rollout.state != "stable":
        return False
    if record.target is Target.DESTROYED:
        return False
    placing = job.placing
    if placing.machine_of or placing.constraint is not EVERYTHING or placing.conflicts:
        return False
    if rollout.version != record.version or len(placed) != desired.count:
        return False
    unit, want, endpoints = record.unit, _want(record.target), desired.endpoints
    seen = set()
    for each in placed:
        order = each.order
        if order.unit != unit or order.want is not want or order.endpoints != endpoints:
            return False
        seen.add(order.index)
    return len(seen) == len(placed)


def _unrecorded(name: str, placed: list[Placed]) -> Iterator[Action]:
    running = False
    for each in placed:
        if _ended(each):
            yield _drop(each, "it has ended")
        running = running or each.order.want is not Want.STOP
    if running:
        yield Hold(name, "no record of it is in the store: what runs is left alone")


def _of_job(
    world: World, rivalry: Rivalry, desired: Desired, placed: list[Placed]
) -> Iterator[Action]:
    record = desired.record
    yield from (_drop(each, "it has ended") for each in placed if _ended(each))
    placed = [each for each in placed if not _ended(each)]
    latest = max((each.order.rev for each in placed), default=0)
    wanted = record.target in (Target.LAUNCHED, Target.LOADED)
    if latest > record.rev:
        yield Hold(record.name, f"what runs is of a later record ({latest}) than the store has")
    elif desired.job is not None and wanted:
        yield from _Slots(world, desired, desired.job, placed, rivalry.of(desired.job)).actions()
    elif wanted:
        yield Hold(record.name, desired.fault)
    elif record.target is Target.DESTROYED and not placed:
        yield Forget(record.name, "it is destroyed, and has ended everywhere")
    else:
        for each in placed:
            if each.order.want is not Want.STOP:
                yield _stop(each, f"it shall be {record.target.value}")


@dataclass(slots=True)
class _Slots:
    """One job's instances: slot by slot, within its budget."""

    world: World
    desired: Desired
    job: Job
    placed: list[Placed]
    rivals: frozenset[str]
    slots: dict[int | str, list[Placed]] = field(default_factory=lambda: defaultdict(list))
    wanted: int = 0
    is_plain: bool = False  # any host would do
    want: Want = Want.RUN
    is_budgeted: bool = False
    room: int = 0  # so many more may be under way to the newest version
    spare: int = 0  # so many ready ones may go without a successor
    residents: dict[str, set[str]] = field(default_factory=dict)

    def actions(self) -> Iterator[Action]:
        self._learn()
        slots = self.slots
        for each in self.placed:
            slots[each.host.id if self.job.everywhere else each.order.index].append(each)
        names = self._hosts() if self.job.everywhere else range(self.desired.count)
        yield from rollout_progress.judge(self.world.now_s, self.desired, self.placed, len(names))
        self.wanted = len(names)
        for name in names:
            mine = slots.get(name, [])
            if not self._rests(mine):
                yield from self._slot(name, mine)
        surplus = f"{len(names)} are wanted" if not self.job.everywhere else "it may not run there"
        for name in slots.keys() - set(names):
            for each in slots[name]:
                if each.order.want is not Want.STOP and not self._stays_on_silence(each):
                    yield _stop(each, surplus)

    def _rests(self, mine: list[Placed]) -> bool:
        """Say quickly that a slot is as it should be; most are, when a few hosts are lost."""
        if len(mine) != 1 or not self.is_plain:
            return False
        order, host, desired = mine[0].order, mine[0].host, self.desired
        return (
            order.unit == desired.record.unit
            and order.want is self.want
            and host.drain is None
            and host.standing is not Standing.LOST
            and order.endpoints == desired.endpoints
        )

    def _learn(self) -> None:
        placing = self.job.placing
        self.want = _want(self.desired.record.target)
        self.is_plain = placing.constraint is EVERYTHING and not (
            placing.machine_of or self.rivals or placing.machine_id or self.job.everywhere
        )
        if placing.machine_of or self.rivals:
            for host in self.world.hosts.values():
                self.residents[host.id] = {
                    each.order.job for each in host.placed if each.order.want is not Want.STOP
                }

    def _stays_on_silence(self, placed: Placed) -> bool:
        """Say whether an everywhere-job's instance stands on a host that is only silent."""
        return self.job.everywhere and placed.host.standing in (Standing.SUSPECT, Standing.LOST)

    def _hosts(self) -> list[str]:
        here = {each.host.id for each in self.placed}
        return [
            host.id
            for host in self.world.hosts.values()
            if (host.takes_work or (host.id in here and not self._leaves_empty(host)))
            and host.standing is not Standing.LOST
            and not self._misfit(host)
        ]

    def _leaves_empty(self, host: HostView) -> bool:
        """Say whether a draining host has nothing left but what runs everywhere."""
        if host.drain is None:
            return False
        if host.drain_overdue:
            return True
        for each in host.placed:
            other = self.world.jobs.get(each.order.job)
            if other and other.job and not other.job.everywhere and not _ended(each):
                return False
        return True

    def _misfit(self, host: HostView) -> str:
        return constraints.misfit(self.job, host, self.residents.get(host.id, ()), self.rivals)

    def _budget(self) -> None:
        """Count once what may be under way, and what may be missing."""
        if self.is_budgeted:
            return
        self.is_budgeted = True
        unit, record = self.desired.record.unit, self.desired.record
        ready = under_way = 0
        for mine in self.slots.values():
            live = [each for each in mine if self._lives(each)]
            ready += any(rollout_progress.is_up(each) for each in live)
            newest = [each for each in live if each.order.unit == unit]
            settled = any(rollout_progress.is_up(each) for each in newest)
            under_way += bool(newest) and (not settled or len(newest) < len(live))
        parallel = self.job.update.parallel
        failed = self.desired.rollout is not None and self.desired.rollout.state == "failed"
        self.room = 0 if record.paused or failed else parallel - under_way
        least = self.job.available_min
        at_least = max(0, self.wanted - parallel) if least is None else min(least, self.wanted)
        self.spare = ready - at_least

    def _lives(self, placed: Placed) -> bool:
        """Say whether an instance counts as being where it was ordered."""
        return placed.order.want is not Want.STOP and placed.host.standing is not Standing.LOST

    def _slot(self, name: int | str, mine: list[Placed]) -> Iterator[Action]:
        if self.job.exclusive and (waits := self._released(mine)):
            yield from waits
            return
        live = [each for each in mine if self._lives(each)]
        staying = [each for each in live if not self._must_leave(each)]
        newest = [each for each in staying if each.order.unit == self.desired.record.unit]
        if newest:
            yield from self._kept(newest, live)
        elif staying:
            yield from self._updated(staying, live)
        elif live:
            yield from self._moved(name, live)
        else:
            yield self._place(name, mine, "it runs nowhere")

    def _released(self, mine: list[Placed]) -> list[Action]:
        """Return what must happen first: of an exclusive instance there is never a second."""
        lost = [each for each in mine if each.host.standing is Standing.LOST]
        if held := [each for each in lost if each.order.want is not Want.STOP]:
            return [_stop(each, "its host is lost: it must not start there again") for each in held]
        ending = [each for each in mine if each.order.want is Want.STOP and each not in lost]
        waits = "it is exclusive, and another of it has not ended"
        return [Hold(self.job.name, waits)] if ending else []

    def _must_leave(self, placed: Placed) -> str:
        host = placed.host
        if host.drain is not None and not self.job.everywhere:
            return f"{host.name()} is drained"
        return self._misfit(host) if host.facts is not None else ""

    def _kept(self, newest: list[Placed], live: list[Placed]) -> Iterator[Action]:
        winner = max(newest, key=_standing_of)
        others = [each for each in live if each is not winner]
        up = rollout_progress.is_up(winner)
        for each in others:
            if up or not rollout_progress.is_up(each) or each.host.drain_overdue:
                yield _stop(each, f"{winner.host.name()} has it")
        yield from self._corrected(winner)

    def _corrected(self, placed: Placed) -> Iterator[Action]:
        want, order = self.want, placed.order
        if order.want is not want or order.endpoints != self.desired.endpoints:
            why = f"it shall {want.value}" if order.want is not want else "its services changed"
            where = (order.job, order.index, order.version, placed.host.id)
            yield Change(*where, want, self.desired.endpoints, why)

    def _updated(self, staying: list[Placed], live: list[Placed]) -> Iterator[Action]:
        """Bring an instance of an older version to the newest."""
        old = max(staying, key=_standing_of)
        for each in live:
            if each is not old:
                yield _stop(each, f"{old.host.name()} has it")
        self._budget()
        costs = rollout_progress.is_up(old) and self._way() is Way.ROLLING
        if self.room < 1 or (costs and self.spare < 1):
            return
        self.room -= 1
        why = f"version {self.desired.record.version} follows {old.order.version}"
        if self._way() is Way.SURGE:
            yield Place(self.job.name, old.order.index, why)
            return
        self.spare -= costs
        order = old.order
        yield Replace(order.job, order.index, order.version, old.host.id, why)

    def _way(self) -> Way:
        """Only what has names of its own can stand beside its successor."""
        beside = self.job.counted and not self.job.everywhere and not self.job.exclusive
        return self.job.update.way if beside else Way.ROLLING

    def _moved(self, name: int | str, live: list[Placed]) -> Iterator[Action]:
        """All of a slot's instances must leave where they are."""
        overdue = any(each.host.drain_overdue for each in live)
        why = self._must_leave(live[0])
        if self.job.exclusive:
            self._budget()
            if overdue or self.spare >= 1 or not any(map(rollout_progress.is_up, live)):
                self.spare -= 1
                yield from (_stop(each, why) for each in live)
            else:
                yield Hold(self.job.name, f"{why}, and the job's budget does not allow it")
            return
        yield self._place(name, live, why)
        if overdue or live[0].host.drain is None:
            yield from (_stop(each, why) for each in live)

    def _place(self, name: int | str, mine: list[Placed], why: str) -> Place:
        reports = [each.report for each in mine if each.report is not None]
        failures = max((each.failures for each in reports), default=0)
        lost = frozenset(each.host.id for each in mine if each.host.standing is Standing.LOST)
        avoid = frozenset(each.host.id for each in mine)
        if lost and lost == avoid:
            why = f"{mine[0].host.name()} is lost"
        if self.job.everywhere:
            return Place(self.job.name, 0, why, failures=failures, host=str(name))
        after = lost if self.job.exclusive else frozenset()
        return Place(self.job.name, int(name), why, avoid, failures, after=after)


def _standing_of(placed: Placed) -> tuple[bool, bool, int, int]:
    """Order rivals for one slot: ready, heard, of the newer version, then who was first."""
    heard = placed.host.standing is Standing.READY
    return rollout_progress.is_up(placed), heard, placed.order.version, -placed.host.plan.gen


def _ended(placed: Placed) -> bool:
    """Say whether a stop is done, by the word of a host that knows the order."""
    if placed.order.want is not Want.STOP or placed.host.standing is Standing.LOST:
        return False
    if placed.report is None:
        return placed.host.caught_up
    return placed.report.phase is Phase.STOPPED and placed.host.caught_up


def _want(target: Target) -> Want:
    return Want.LOAD if target is Target.LOADED else Want.RUN


def _stop(placed: Placed, why: str) -> Stop:
    order = placed.order
    return Stop(order.job, order.index, order.version, placed.host.id, why)


def _drop(placed: Placed, why: str) -> Drop:
    order = placed.order
    return Drop(order.job, order.index, order.version, placed.host.id, why)
