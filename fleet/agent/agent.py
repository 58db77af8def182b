"""The agent: one on each host, as root. It runs the host's plan and reports on it.

Its tasks share their state in one event loop: passes (look at systemd, decide, act), the writer
(everything that goes to the store), and the listener (changes of units). However the agent ends,
units keep running; those that must not are stopped by their timers in systemd.
"""

import asyncio
import time
from collections.abc import Iterator

from coordinator.client import Changes, Mirror, Store, StoreError, Unauthorized, View
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.process.lifecycle import CannotServe, Lifecycle
from fleet.agent import facts
from fleet.agent.done_requests import DoneRequests
from fleet.agent.exclusive import ExclusiveLease
from fleet.agent.host_status import HostStatusWriter
from fleet.agent.probes import Prober
from fleet.agent.remote_exec import Permissions, RemoteRequests
from fleet.agent.state import AgentState, StateDirectory
from fleet.agent.trusted_keys import CHECK_EVERY_S, TrustedKeyFiles
from fleet.agent.unit_cache import UnitCache
from fleet.agent.unit_operator import UnitOperator
from fleet.clock import boot_s
from fleet.core import keys
from fleet.core.endpoints import endpoint_records
from fleet.core.fields import HONEST_MAX, shortened
from fleet.core.instances.instance_reconciler import (
    FetchUnit,
    InstanceReconciler,
    InstanceState,
    Observed,
)
from fleet.core.model import HostStatus, InvalidRecord, Phase, Plan, Report, decode
from fleet.settings import AgentSettings
from fleet.systemd.driver import SystemdDriver

# A pass follows each change that systemd reports. These passes find changes that it did not report.
RECONCILE_EVERY_S = 2.0
# While instances change: back-offs, leaves and readiness depend only on time.
TICK_S = 0.25
# Changes within this time share a write.
WRITE_DEBOUNCE_S = 0.05
RETRY_S = 1.0
# A store that refuses is asked less often: rights come back when somebody changes them.
REFUSED_S = 5.0
_log = logs.get("agent")


class Agent:
    """Runs in the daemon's event loop; only the thread of the loop changes it."""

    def __init__(self, store: Store, driver: SystemdDriver, settings: AgentSettings) -> None:
        self._driver, self._settings = driver, settings
        own, ttl_s = settings.own, settings.ttl_s
        self._wake, self._changed = asyncio.Event(), asyncio.Event()
        self._state = StateDirectory(settings.state_dir)
        self._trusted = TrustedKeyFiles(settings.trusted_keys)
        self._units = UnitCache(store, self._state, self._trusted, time.monotonic)
        self._host_status = HostStatusWriter(store, own, ttl_s, boot_s)
        self._lease = ExclusiveLease(driver, self._host_status, ttl_s, boot_s)
        self._operator = UnitOperator(
            driver, self._units, self._lease, self._wake.set, fence_s=float(ttl_s)
        )
        done = DoneRequests(settings.state_dir)
        permissions = Permissions(self._trusted, done, may_exec=settings.may_exec)
        self._requests = RemoteRequests(store, own.id, driver, permissions)
        self._prober = Prober(own.address, self._wake.set, settings.certificate)
        self._reconciler = InstanceReconciler()
        self._mirror = Mirror(store, keys.inbox(own.id), self._deliver)
        self._view = View()
        self._plan, self._plan_fault = Plan(), ""
        self._saved = AgentState()
        self._reports: tuple[Report, ...] = ()
        self._store_error = "nothing was written yet"

    async def start(self, life: Lifecycle) -> None:
        """Take over the units that run. Does not wait for the store."""
        self._life, self._loop = life, asyncio.get_running_loop()
        try:
            await self._driver.open()
        except OSError as error:
            raise CannotServe(str(error)) from error
        self._load_state()
        await self._reconcile()
        self._mirror.start()
        life.spawn(self._run(), "reconcile")
        life.spawn(self._listen(), "listen")
        life.spawn(self._write(), "write")
        if self._trusted.are_required:
            life.spawn(self._follow_keys(), "trusted-keys")
        running = sum(each.phase is not Phase.STOPPED for each in self._reports)
        _log.info("started", host=self._settings.own.id, plan=self._plan.gen, instances=running)

    async def drain(self) -> None:
        """Stop. Units keep running."""
        await asyncio.to_thread(self._mirror.stop)
        self._prober.close()
        await self._driver.close()

    @property
    def is_ready(self) -> bool:
        """Whether the store knows this host, and the agent sees its plan."""
        return not self._store_error and self._mirror.status().connected

    def state(self) -> object:
        """Return the agent's state, for /debug/state."""
        return {
            "host": self._settings.own,
            "plan": self._plan,
            "reports": self._reports,
            "confirmed": self._lease.confirmed,
            "mirror": self._mirror.status(),
            "store_error": self._store_error,
            "trusted_keys": sorted(self._trusted.keys) if self._trusted.are_required else None,
            "ignored_keys": self._trusted.ignored,
        }

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics of the agent."""
        for phase in Phase:
            count = sum(each.phase is phase for each in self._reports)
            text = "Instances on this host, by phase."
            yield Sample("fleet_instances", "gauge", text, count, {"phase": phase.value})
        text = "Generation of the plan that the agent follows."
        yield Sample("fleet_plan_gen", "gauge", text, self._plan.gen)
        connected = float(self._mirror.status().connected)
        text = "1 while the agent watches its plan."
        yield Sample("fleet_agent_connected", "gauge", text, connected)
        if self._trusted.are_required:
            text = "Keys whose orders this host executes."
            yield Sample("fleet_trusted_keys", "gauge", text, len(self._trusted.keys))

    def _load_state(self) -> None:
        """Continue from the state of the last agent; after a boot, start from its plan only."""
        self._saved = self._state.load()
        self._plan = self._saved.plan
        self._units.load(self._planned_units())
        is_same_boot = self._saved.boot_id == self._settings.boot_id
        for allocation in self._plan.allocations:
            failures = self._saved.failures.get(allocation.name, 0)
            state = InstanceState(failures=max(failures, allocation.failures))
            if is_same_boot:
                state.counted = self._saved.deaths.get(allocation.name, "")
                state.started = True
            self._reconciler.instances[allocation.key] = state

    def _deliver(self, changes: Changes) -> None:
        self._loop.call_soon_threadsafe(self._apply, changes)

    def _apply(self, changes: Changes) -> None:
        self._view.apply(changes)
        entry = self._view.entries.get(keys.plan(self._settings.own.id))
        if entry is not None:
            try:
                self._follow(_honest_plan(entry.value))
                self._plan_fault = ""
            except InvalidRecord as error:
                self._plan_fault = f"the plan in the store is not valid: {shortened(str(error))}"
                _log.warning("plan-invalid", error=str(error))
                self._changed.set()
        self._requests.apply(self._view.entries, self._life)

    def _follow(self, plan: Plan) -> None:
        """Follow a newer plan. An older plan, or none, changes nothing."""
        if plan.generation <= self._plan.generation:
            if Plan().generation < plan.generation < self._plan.generation:
                _log.warning("plan-older", epoch=plan.epoch, gen=plan.gen, has=self._plan.gen)
            return
        _log.info("plan", epoch=plan.epoch, gen=plan.gen, allocations=len(plan.allocations))
        self._plan = plan
        self._lease.confirmed = False
        self._units.keep_only(plan.allocations)
        self._save_state()
        self._wake.set()
        self._changed.set()

    async def _listen(self) -> None:
        while True:
            await self._driver.wait_for_change(RECONCILE_EVERY_S)
            self._wake.set()

    async def _follow_keys(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            if await asyncio.to_thread(self._trusted.refresh):
                self._units.check_again()
                self._wake.set()

    async def _run(self) -> None:
        while True:
            is_moving = any(
                not each.available and each.phase is not Phase.LOADED for each in self._reports
            )
            try:
                async with asyncio.timeout(TICK_S if is_moving else RECONCILE_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._lease.stop_expired(self._reports)
                await self._reconcile()
            except OSError as error:
                _log.warning("systemd-away", error=str(error))
                await asyncio.sleep(RETRY_S)

    async def _reconcile(self) -> None:
        plan = self._plan
        units = await self._driver.status([each.name for each in plan.allocations])
        self._prober.follow(plan.allocations)
        observed = Observed(
            now_s=time.monotonic(),
            units=units,
            unit_texts=self._units.known,
            refused=self._units.refused(plan.allocations),
            is_ready=self._prober.is_ready,
            serves=self._prober.serves,
            may_start_exclusive=self._lease.may_start(),
        )
        actions, reports = self._reconciler.reconcile(plan, observed)
        actions += [FetchUnit(unit) for unit in self._units.due(plan.allocations)]
        if reports != self._reports:
            self._reports = reports
            self._changed.set()
        self._save_state()
        await self._operator.carry_out(actions, self._planned_units)

    def _planned_units(self) -> set[str]:
        return {allocation.unit for allocation in self._plan.allocations}

    async def _write(self) -> None:
        every_s = self._settings.ttl_s / 12
        while True:
            try:
                async with asyncio.timeout(every_s):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self._write_status()
            except StoreError as error:
                if str(error) != self._store_error:
                    self._store_error = str(error)
                    _log.warning("store-away", error=str(error))
                is_refused = isinstance(error, Unauthorized)
                await asyncio.sleep(min(REFUSED_S if is_refused else RETRY_S, every_s))
                self._changed.set()
            await asyncio.sleep(WRITE_DEBOUNCE_S)

    async def _write_status(self) -> None:
        own, host_status = self._settings.own, self._host_status
        status = HostStatus(
            self._settings.boot_id,
            self._plan.epoch,
            self._plan.gen,
            self._reports,
            await asyncio.to_thread(facts.load),
            self._plan_fault,
        )
        before_s = host_status.sent_s
        records = endpoint_records(self._reports, own.address, own.id)
        await asyncio.to_thread(host_status.write, status, records)
        if self._store_error:
            _log.info("status-written", host=own.id)
            self._store_error = ""
        has_exclusive = any(each.exclusive for each in self._plan.allocations)
        if host_status.was_silent or (has_exclusive and not self._lease.confirmed):
            self._lease.confirmed = False
            await self._confirm()
        if host_status.sent_s != before_s:
            await self._lease.extend(self._reports)
            waiting = (each for each in self._reports if each.phase is Phase.WAITING)
            if any(each.allocation.exclusive for each in waiting):
                self._wake.set()

    async def _confirm(self) -> None:
        """Read the plan after a renewal: a scheduler that acted on our silence wrote before it."""
        plan, epoch = await asyncio.to_thread(self._host_status.read_plan)
        self._follow(plan)
        self._host_status.was_silent = False
        # A scheduler that lost its lease may have written last; the present leader confirms or
        # corrects the plan.
        is_newest = plan.generation >= self._plan.generation and plan.epoch >= epoch
        self._lease.confirmed = is_newest
        self._wake.set()

    def _save_state(self) -> None:
        instances = self._reconciler.instances
        names = {each.key: each.name for each in self._plan.allocations}
        state = AgentState(
            self._settings.boot_id,
            self._plan,
            {names[key]: each.failures for key, each in instances.items() if key in names},
            {names[key]: each.counted for key, each in instances.items() if key in names},
        )
        if state != self._saved:
            self._state.save(state)
            self._saved = state


def _honest_plan(text: str) -> Plan:
    """Read a plan. Raises InvalidRecord, also for one after which no other can come."""
    plan = decode(text, Plan)
    if plan.gen > HONEST_MAX:
        raise InvalidRecord(f"its generation is above {HONEST_MAX}, which nobody has counted to")
    return plan
