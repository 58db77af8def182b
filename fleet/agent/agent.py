"""The agent: one a host, as root. It follows its own plan, and tells what became of it.

Its tasks share one memory and one thread of Python: turns (look at systemd, decide, act), the
writer (all that the store is told), and the listener (what systemd says). Whatever ends it, units
run on; what must not is stopped by its timer in systemd.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coordinator.client.core.errors import StoreError
from coordinator.client.core.store_protocol import Store
from coordinator.client.core.view import Changes, View
from coordinator.client.mirror import Mirror
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.process.lifecycle import CannotServe, Lifecycle
from fleet.agent import facts, remote_exec
from fleet.agent.host_status import HostStatusWriter
from fleet.agent.probes import Prober
from fleet.agent.state import AgentState, StateDirectory
from fleet.agent.unit_cache import UnitCache
from fleet.core import endpoints, keys
from fleet.core.instances.instance_reconciler import (
    FetchUnit,
    InstallUnit,
    InstanceReconciler,
    InstanceState,
    Observed,
    RemoveUnit,
    StartUnit,
    StopUnit,
    UnitAction,
)
from fleet.core.instances.instance_unit import (
    ARM_MAX_S,
    LATE_MAX_S,
    SystemdDriver,
    all_files,
    fence_of,
    files,
)
from fleet.core.model import (
    Allocation,
    DesiredState,
    Facts,
    HostStatus,
    InvalidRecord,
    Phase,
    Plan,
    RemoteRequest,
    Report,
    decode,
)

# systemd tells of changes; this heals what it did not tell.
TURN_EVERY_S = 2.0
# Time passes for back-offs, leaves and readiness without a word from anybody.
TICK_S = 0.25
STARTS_MAX = 8
# Changes of so long are one write.
WRITE_REST_S = 0.05
RETRY_S = 1.0
_log = logs.get("agent")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options of an agent say."""

    own: Facts
    boot_id: str
    state_dir: Path
    ttl_s: int
    trusted: tuple[Ed25519PublicKey, ...] = ()
    may_exec: bool = True


@dataclass(slots=True)
class _Now:
    """What the last turn found."""

    reports: tuple[Report, ...] = ()
    confirmed: bool = False


class Agent:
    """For the daemon: `start`, `drain`, and what it believes."""

    def __init__(self, store: Store, units: SystemdDriver, settings: Settings) -> None:
        self._store, self._units, self._settings = store, units, settings
        self._state = StateDirectory(settings.state_dir)
        self._texts = UnitCache(store, self._state, settings.trusted, time.monotonic)
        self._lodge = HostStatusWriter(store, settings.own, settings.ttl_s)
        self._following = InstanceReconciler()
        self._mirror = Mirror(store, keys.inbox(settings.own.id), self._deliver)
        self._view = View()
        self._plan = Plan()
        self._saved = AgentState()
        self._now = _Now()
        self._answered: set[str] = set()
        self._wake, self._tell = asyncio.Event(), asyncio.Event()
        self._readiness = Prober(settings.own.address, self._wake.set)
        self._error = "nothing was written yet"

    async def start(self, life: Lifecycle) -> None:
        """Take up what runs. Does not wait for the store."""
        self._life, self._loop = life, asyncio.get_running_loop()
        try:
            await self._units.open()
        except OSError as error:
            raise CannotServe(str(error)) from error
        self._recall()
        await self._turn()
        self._mirror.start()
        life.spawn(self._turns(), "turns")
        life.spawn(self._listen(), "listen")
        life.spawn(self._write(), "write")
        running = sum(each.phase is not Phase.STOPPED for each in self._now.reports)
        _log.info("started", host=self._settings.own.id, plan=self._plan.gen, instances=running)

    async def drain(self) -> None:
        """Leave everything as it is."""
        await asyncio.to_thread(self._mirror.stop)
        self._readiness.close()
        await self._units.close()

    @property
    def is_ready(self) -> bool:
        """Whether the store knows this host, and its plan is followed."""
        return not self._error and self._mirror.status().connected

    def state(self) -> object:
        """Return what it believes."""
        return {
            "host": self._settings.own,
            "plan": self._plan,
            "reports": self._now.reports,
            "confirmed": self._now.confirmed,
            "mirror": self._mirror.status(),
            "store_error": self._error,
        }

    def samples(self) -> Iterator[Sample]:
        """Yield the agent's metrics."""
        for phase in Phase:
            count = sum(each.phase is phase for each in self._now.reports)
            text = "Instances on this host, by how far they are."
            yield Sample("fleet_instances", "gauge", text, count, {"phase": phase.value})
        yield Sample("fleet_plan_gen", "gauge", "The plan that is followed.", self._plan.gen)
        connected = float(self._mirror.status().connected)
        yield Sample("fleet_agent_connected", "gauge", "1 while the plan is watched.", connected)

    def _recall(self) -> None:
        """Go on where the agent before this one stood; after a boot, from the plan alone."""
        self._saved = self._state.load()
        self._plan = self._saved.plan
        self._texts.recall(self._ordered())
        same_boot = self._saved.boot_id == self._settings.boot_id
        for allocation in self._plan.allocations:
            failures = self._saved.failures.get(allocation.name, 0)
            life = InstanceState(failures=max(failures, allocation.failures))
            if same_boot:
                life.counted = self._saved.deaths.get(allocation.name, "")
                life.started = True
            self._following.lives[allocation.key] = life

    def _deliver(self, changes: Changes) -> None:
        self._loop.call_soon_threadsafe(self._apply, changes)

    def _apply(self, changes: Changes) -> None:
        self._view.apply(changes)
        entry = self._view.entries.get(keys.plan(self._settings.own.id))
        if entry is not None:
            try:
                self._take(decode(entry.value, Plan))
            except InvalidRecord as error:
                _log.warning("plan-damaged", error=str(error))
        place = keys.ask(self._settings.own.id, "")
        asked = {
            key.removeprefix(place): each.value
            for key, each in self._view.entries.items()
            if key.startswith(place)
        }
        self._answered &= asked.keys()
        for number, text in asked.items():
            self._hear(number, text)

    def _take(self, plan: Plan) -> None:
        """Follow a newer plan; an older one, or none at all, orders nothing."""
        if plan.generation <= self._plan.generation:
            if Plan().generation < plan.generation < self._plan.generation:
                _log.warning("plan-older", epoch=plan.epoch, gen=plan.gen, has=self._plan.gen)
            return
        _log.info("plan", epoch=plan.epoch, gen=plan.gen, allocations=len(plan.allocations))
        self._plan = plan
        self._now.confirmed = False
        self._texts.only(self._ordered())
        self._save()
        self._wake.set()
        self._tell.set()

    def _hear(self, number: str, text: str) -> None:
        if number in self._answered or self._life.stopping:
            return
        self._answered.add(number)
        try:
            ask = decode(text, RemoteRequest)
        except InvalidRecord:
            return
        may_exec = self._settings.may_exec and not self._settings.trusted and ask.command
        command = self._units.outside(ask.command, remote_exec.COMMAND_S) if may_exec else []
        _log.info("asked", by=ask.by, logs=ask.logs, command=" ".join(ask.command))
        answer = remote_exec.answer(self._store, number, ask, command)
        self._life.spawn(answer, f"ask {number}")

    async def _listen(self) -> None:
        while True:
            await self._units.changed(TURN_EVERY_S)
            self._wake.set()

    async def _turns(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._rest_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._turn()
            except OSError as error:
                _log.warning("systemd-away", error=str(error))
                await asyncio.sleep(RETRY_S)

    def _rest_s(self) -> float:
        moving = any(
            not each.available and each.phase is not Phase.LOADED for each in self._now.reports
        )
        return TICK_S if moving else TURN_EVERY_S

    async def _turn(self) -> None:
        plan = self._plan
        names = [allocation.name for allocation in plan.allocations]
        seen = await self._units.seen(names)
        self._readiness.follow(plan.allocations)
        around = Observed(
            now_s=time.monotonic(),
            seen=seen,
            texts=self._texts.known,
            refused=self._texts.refused,
            is_ready=self._readiness.is_ready,
            serves=self._readiness.serves,
            may_start_exclusive=self._may_start_exclusive(),
        )
        todo, reports = self._following.turn(plan, around)
        todo += [FetchUnit(unit) for unit in self._texts.due(self._ordered())]
        if reports != self._now.reports:
            self._now.reports = reports
            self._tell.set()
        self._save()
        await self._do(todo)

    def _may_start_exclusive(self) -> bool:
        """Only now that the store has just heard of us, and told us its newest plan."""
        return self._now.confirmed and self._age_s() < self._late_s()

    def _age_s(self) -> float:
        """Return how long ago the renewal was sent that the store confirmed last."""
        return time.monotonic() - self._lodge.sent_s if self._lodge.sent_s else math.inf

    def _late_s(self) -> float:
        return min(LATE_MAX_S, self._settings.ttl_s / 6)

    async def _arm(self, allocation: Allocation) -> bool:
        """Start an exclusive unit's timer anew; say whether it counts from soon enough."""
        if not self._may_start_exclusive():
            return False
        await self._units.rearm(fence_of(allocation.name))
        return self._age_s() < self._late_s() + ARM_MAX_S

    async def _do(self, todo: Iterable[UnitAction]) -> None:
        changed: dict[str, str | None] = {}
        acts = []
        for step in todo:
            match step:
                case FetchUnit(unit):
                    await asyncio.to_thread(self._fetch, unit)
                case InstallUnit(allocation):
                    text = self._texts.known.get(allocation.unit)
                    if text is None:  # a newer plan came meanwhile, and does not name it
                        continue
                    changed |= files(allocation, text, fence_s=float(self._settings.ttl_s))
                case RemoveUnit(allocation):
                    if allocation.exclusive:
                        await self._units.stop(fence_of(allocation.name))
                    changed |= all_files(allocation)
                case StartUnit(allocation) | StopUnit(allocation):
                    acts.append((step, allocation))
        if changed:
            await self._units.install(changed)
            self._wake.set()
        gate = asyncio.Semaphore(STARTS_MAX)
        await asyncio.gather(*(self._act(step, gate) for step, _ in acts))

    async def _act(self, step: UnitAction, gate: asyncio.Semaphore) -> None:
        async with gate:
            if isinstance(step, StartUnit):
                if step.allocation.exclusive and not await self._arm(step.allocation):
                    return
                _log.info(
                    "start",
                    unit=step.allocation.name,
                    job=step.allocation.job,
                    why=step.allocation.why,
                )
                await self._units.start(step.allocation.name)
            elif isinstance(step, StopUnit):
                _log.info(
                    "stop",
                    unit=step.allocation.name,
                    job=step.allocation.job,
                    why=step.allocation.why,
                )
                await self._units.stop(step.allocation.name)

    def _fetch(self, unit: str) -> None:
        self._texts.fetch(unit, self._ordered())
        self._loop.call_soon_threadsafe(self._wake.set)

    def _ordered(self) -> set[str]:
        return {allocation.unit for allocation in self._plan.allocations}

    async def _write(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.ttl_s / 12):
                    await self._tell.wait()
            except TimeoutError:
                pass
            self._tell.clear()
            try:
                await self._renew()
            except StoreError as error:
                self._away(str(error))
                await asyncio.sleep(min(RETRY_S, self._settings.ttl_s / 12))
                self._tell.set()
            await asyncio.sleep(WRITE_REST_S)

    def _away(self, error: str) -> None:
        if error != self._error:
            self._error = error
            _log.warning("store-away", error=error)

    async def _renew(self) -> None:
        own, lodge = self._settings.own, self._lodge
        status = HostStatus(
            self._settings.boot_id,
            self._plan.epoch,
            self._plan.gen,
            self._now.reports,
            await asyncio.to_thread(facts.load),
        )
        before_s = lodge.sent_s
        records = endpoints.records(self._now.reports, own.address, own.id)
        await asyncio.to_thread(lodge.write, status, records)
        if self._error:
            _log.info("store-told", host=own.id)
            self._error = ""
        exclusive = any(allocation.exclusive for allocation in self._plan.allocations)
        if lodge.was_renewed_anew or (exclusive and not self._now.confirmed):
            self._now.confirmed = False
            await self._confirm()
        if lodge.sent_s != before_s:
            await self._keep_alive()

    async def _confirm(self) -> None:
        """Read the plan behind the renewal: who acted on our silence wrote it before."""
        plan, epoch = await asyncio.to_thread(self._lodge.plan)
        self._take(plan)
        self._lodge.was_renewed_anew = False
        # A scheduler that was deposed may have written last; its successor confirms or corrects.
        self._now.confirmed = plan.generation >= self._plan.generation and plan.epoch >= epoch
        self._wake.set()

    async def _keep_alive(self) -> None:
        """Give exclusive units another lease, unless the word of it took too long."""
        for allocation in self._running_exclusive():
            if not self._may_start_exclusive():
                break
            try:
                if not await self._arm(allocation):
                    # Its timer was started too late and would stop it too late.
                    _log.warning(
                        "rearmed-late", unit=allocation.name, age_s=round(self._age_s(), 1)
                    )
                    await self._units.stop(allocation.name)
            except OSError as error:
                _log.warning("not-rearmed", unit=allocation.name, error=str(error))
        if any(
            each.phase is Phase.WAITING and each.allocation.exclusive for each in self._now.reports
        ):
            self._wake.set()

    def _running_exclusive(self) -> list[Allocation]:
        running = (Phase.STARTING, Phase.READY, Phase.UNREADY)
        return [
            each.allocation
            for each in self._now.reports
            if each.allocation.exclusive
            and each.allocation.desired_state is DesiredState.RUN
            and each.phase in running
        ]

    def _save(self) -> None:
        lives = self._following.lives
        names = {allocation.key: allocation.name for allocation in self._plan.allocations}
        memory = AgentState(
            self._settings.boot_id,
            self._plan,
            {names[key]: life.failures for key, life in lives.items() if key in names},
            {names[key]: life.counted for key, life in lives.items() if key in names},
        )
        if memory != self._saved:
            self._state.save(memory)
            self._saved = memory
