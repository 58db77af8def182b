"""schedule(todo): what the actions make of plans, rollouts and records. Pure, as diff is."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from fleet.core.jobs.jobspec import Job
from fleet.core.model import (
    REVERTS,
    JobRecord,
    Order,
    Phase,
    Plan,
    Rollout,
    Target,
    Want,
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
    described,
)
from fleet.core.scheduling.cluster_state import Desired, HostView, World
from fleet.core.scheduling.placement import Floor, Unseated

# Where Port=auto looks for a free one; below the range that the kernel gives to clients.
PORTS_FROM, PORTS_TO = 20_000, 30_000
BAD_MAX = 10


@dataclass(slots=True)
class Outcome:
    """What is to be written, and what is to be told."""

    plans: dict[str, Plan] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    records: dict[str, JobRecord] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    unseated: list[Unseated] = field(default_factory=list)
    # Hosts that must be silent still when the plans are written, by the plan's host.
    after: dict[str, frozenset[str]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)


def schedule(world: World, actions: Iterable[Action], epoch: int) -> Outcome:
    """Return what the actions come to; hosts that nothing touches are not in it."""
    return _Drafts(world, epoch).all(actions)


class _Drafts:
    """Plans being changed."""

    def __init__(self, world: World, epoch: int) -> None:
        self._world, self._epoch = world, epoch
        self._orders: dict[str, dict[tuple[str, int, int], Order]] = {}
        self._out = Outcome()

    def all(self, actions: Iterable[Action]) -> Outcome:
        places = []
        for action in actions:
            if isinstance(action, Place):
                places.append(action)
            else:
                self._one(action)
        self._seat(places)
        for host in self._world.hosts.values():
            # Agents start exclusive units by the word of the scheduler that leads now.
            if host.has_exclusive and host.plan.epoch < self._epoch:
                self._draft(host.id)
        for name, orders in self._orders.items():
            host = self._world.hosts[name]
            was = host.plan.mark if host.status is None else max(host.plan.mark, host.status.mark)
            gen = was[1] + 1
            plan = Plan(max(self._epoch, was[0]), gen, tuple(orders.values()))
            anew = host.has_exclusive and host.plan.epoch < self._epoch
            if plan.orders != host.plan.orders or host.behind or anew:
                self._out.plans[name] = plan
        return self._out

    def _one(self, action: Action) -> None:
        out = self._out
        match action:
            case Stop():
                self._edit(action, want=Want.STOP, endpoints=())
            case Drop(job, index, version, host):
                self._draft(host).pop((job, index, version), None)
            case Replace():
                self._replace(action)
            case Change():
                self._edit(action, want=action.want, endpoints=action.endpoints)
            case Adopt(host):
                self._adopt(self._world.hosts[host])
            case Hold(job, why):
                out.held[job] = why
                return
            case Forget(job):
                out.forgotten.append(job)
            case Revert():
                self._revert(action)
            case Begin() | Advance() | Stable() | Fail():
                self._roll(action)
            case Place():
                raise AssertionError("places are seated together")
        out.told.append(described(action))

    def _seat(self, places: list[Place]) -> None:
        if not places:
            return
        tell = self._out.told.append
        for seat in Floor(self._world).seat(places):
            place = seat.place
            if isinstance(seat, Unseated):
                self._out.unseated.append(seat)
                continue
            host = self._world.hosts[seat.host]
            order = self._order(self._world.jobs[place.job], place, host)
            self._draft(host.id)[order.key] = order
            if place.after:
                self._out.after[host.id] = self._out.after.get(host.id, frozenset()) | place.after
            tell(f"place {place.job}[{place.index}] on {host.name()}: {place.why}")

    def _order(self, desired: Desired, place: Place, host: HostView) -> Order:
        job, record = desired.job, desired.record
        assert job is not None
        return Order(
            job=record.name,
            index=place.index,
            version=record.version,
            unit=record.unit,
            rev=record.rev,
            name=unit_name(record.name, place.index, record.unit, counted=job.counted),
            want=Want.LOAD if record.target is Target.LOADED else Want.RUN,
            port=self._port(job, place, host),
            exclusive=job.exclusive,
            check=f"http:{job.check.path}" if job.check.kind == "http" else job.check.kind,
            ready_s=job.update.ready_s,
            endpoints=desired.endpoints,
            failures=place.failures,
            why=place.why,
        )

    def _port(self, job: Job, place: Place, host: HostView) -> int:
        if job.resources.port >= 0:
            return job.resources.port
        taken = {order.port for order in self._draft(host.id).values()}
        span = PORTS_TO - PORTS_FROM
        first = zlib.crc32(f"{job.name}/{place.index}".encode())
        for step in range(span):
            port = PORTS_FROM + (first + step) % span
            if port not in taken:
                return port
        raise AssertionError("more instances on a host than ports")

    def _replace(self, action: Replace) -> None:
        desired, host = self._world.jobs[action.job], self._world.hosts[action.host]
        old = self._draft(host.id)[action.job, action.index, action.version]
        order = self._order(desired, Place(action.job, action.index, action.why), host)
        self._edit(action, want=Want.STOP, endpoints=())
        if old.port and desired.job and desired.job.resources.port < 0:
            order = msgspec.structs.replace(order, port=old.port)
        self._draft(host.id)[order.key] = order

    def _edit(self, action: Stop | Replace | Change, **fields: object) -> None:
        draft = self._draft(action.host)
        key = (action.job, action.index, action.version)
        known = self._world.jobs.get(action.job)
        rev = max(draft[key].rev, known.record.rev if known else 0)
        draft[key] = msgspec.structs.replace(draft[key], why=action.why, rev=rev, **fields)

    def _adopt(self, host: HostView) -> None:
        """Order what runs, as the host tells it. What it was told to stop stays told so."""
        assert host.status is not None
        adopted = {}
        for each in host.status.reports:
            if each.phase in (Phase.STOPPED, Phase.ORPHAN):
                continue
            ending = each.phase in (Phase.LEAVING, Phase.STOPPING)
            want = Want.STOP if ending else each.order.want
            adopted[each.key] = msgspec.structs.replace(
                each.order, want=want, failures=each.failures, why="adopted"
            )
        self._orders[host.id] = adopted

    def _draft(self, host: str) -> dict[tuple[str, int, int], Order]:
        if host not in self._orders:
            self._orders[host] = {each.key: each for each in self._world.hosts[host].plan.orders}
        return self._orders[host]

    def _roll(self, action: Begin | Advance | Stable | Fail) -> None:
        desired, now_s = self._world.jobs[action.job], self._world.now_s
        record, was = desired.record, desired.rollout
        match action:
            case Begin():
                now = Rollout(version=record.version, began_s=now_s, progress_s=now_s)
                if was is not None:
                    now = msgspec.structs.replace(
                        now, stable=was.stable, stable_unit=was.stable_unit, bad=was.bad
                    )
            case Advance(_, settled):
                assert was is not None
                moved = now_s if settled > was.settled else was.progress_s
                now = msgspec.structs.replace(was, settled=settled, progress_s=moved)
            case Stable():
                assert was is not None
                now = msgspec.structs.replace(
                    was, state="stable", stable=record.version, stable_unit=record.unit, note=""
                )
            case Fail():
                assert was is not None
                now = msgspec.structs.replace(was, state="failed", note=action.why)
        self._out.rollouts[action.job] = now

    def _revert(self, action: Revert) -> None:
        desired = self._world.jobs[action.job]
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
            by=REVERTS,
            note=note,
        )
