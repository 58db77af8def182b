"""The scheduler. While it is the leader: plans = build_plans(reconcile(desired, current)).

A mirror of /fleet/v1 feeds a cache of the state of the fleet, as long as this scheduler leads: the
others only look at the lease. The decisions of a pass are written with compare-and-swap: if a plan
has changed meanwhile, it stays and the next pass sees it. While the store is down nothing is
decided, and afterwards every host gets a new grace.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator

from coordinator.client import Changes, Mirror, Store, StoreError, Unauthorized
from daemonkit.core.samples import Sample
from daemonkit.observe import logs
from daemonkit.process.lifecycle import Lifecycle
from fleet.clock import boot_s
from fleet.core import keys
from fleet.core.model import HostHealth
from fleet.core.scheduling.actions import Action, Adopt, Hold, Place
from fleet.core.scheduling.cluster_cache import ClusterCache
from fleet.core.scheduling.cluster_state import Host
from fleet.core.scheduling.deadlines import Deadlines
from fleet.core.scheduling.failure_detector import FailureDetector
from fleet.core.scheduling.plan_builder import Outcome, build_plans
from fleet.core.scheduling.reconcile import reconcile
from fleet.scheduler.election import LeaderElection
from fleet.scheduler.event_log import EventLog
from fleet.scheduler.plan_writer import PlanWriter
from fleet.settings import SchedulerSettings

# A change starts a pass. Without a change, a pass starts this often, for graces and deadlines.
RECONCILE_EVERY_S = 1.0
# Changes within this time share a pass.
DEBOUNCE_S = 0.02
RETRY_S = 1.0
# A host that claims a newer plan than the store's so often within this time is not believed: a
# store is not restored as often.
ADOPTIONS_MAX = 5
ADOPTED_S = 600.0
# A store that refuses is asked less often: rights come back when somebody changes them.
REFUSED_S = 5.0
_log = logs.get("scheduler")


class Scheduler:
    """Runs in the daemon's event loop; only the thread of the loop changes it."""

    def __init__(self, store: Store, settings: SchedulerSettings) -> None:
        self._settings = settings
        self._election = LeaderElection(store, settings.holder, settings.ttl_s, boot_s)
        self._store = store
        self._mirror: Mirror | None = None
        self._store_error = "nothing was read yet"
        self._cache = ClusterCache()
        self._writer = PlanWriter(store, self._election, self._cache)
        self._events = EventLog(store)
        self._failures = FailureDetector(settings.grace_s)
        self._deadlines = Deadlines()
        self._wake = asyncio.Event()
        self._was_disconnected = True
        self._was_leader = self._is_draining = False
        self._leader_since_s = 0.0
        self._adopted_s: dict[str, deque[float]] = {}
        self._last = Outcome()
        self._passes, self._pass_s = 0, 0.0
        self._held: dict[str, str] = {}
        self._faults: dict[str, str] = {}

    async def start(self, life: Lifecycle) -> None:
        """Start to watch the fleet, and take part in the leader election."""
        self._loop = asyncio.get_running_loop()
        self._life = life
        life.spawn(self._run(), "reconcile")

    async def drain(self) -> None:
        """Stop, and let another scheduler become the leader at once."""
        self._is_draining = True
        await self._stop_mirror()
        try:
            await asyncio.to_thread(self._election.resign)
        except StoreError as error:
            _log.warning("not-resigned", error=str(error))
        self._writer.close()

    @property
    def is_ready(self) -> bool:
        """Whether it sees the store. A follower is as ready as the leader."""
        is_blind = self._mirror is not None and not self._mirror.status().connected
        return not self._store_error and not is_blind

    def state(self) -> object:
        """Return its state, for /debug/state."""
        return {
            "is_leader": self._election.is_leader,
            "epoch": self._election.epoch,
            "hosts": {each.name(): each.health.value for each in self._hosts()},
            "storm": self._failures.storm,
            "unplaced": [
                f"{each.place.job}[{each.place.index}]: {each.why}" for each in self._last.unplaced
            ],
            "held": self._held,
            "faults": dict(self._cache.cluster.faults),
            "mirror": self._mirror.status() if self._mirror else None,
            "store_error": self._store_error,
        }

    def samples(self) -> Iterator[Sample]:
        """Yield the scheduler's metrics."""
        is_leader = float(self._election.is_leader)
        text = "1 while this scheduler is the leader."
        yield Sample("fleet_scheduler_is_leader", "gauge", text, is_leader)
        text = "Epoch of the scheduler's leadership."
        yield Sample("fleet_scheduler_epoch", "gauge", text, self._election.epoch)
        text = "Passes in which the scheduler compared the fleet with what is wanted."
        yield Sample("fleet_scheduler_reconciles_total", "counter", text, self._passes)
        text = "Plans written."
        yield Sample("fleet_plans_written_total", "counter", text, self._writer.plans_written)
        text = "Duration of the last pass."
        yield Sample("fleet_scheduler_reconcile_seconds", "gauge", text, self._pass_s)
        unplaced = len(self._last.unplaced)
        yield Sample("fleet_unplaced", "gauge", "Instances that no host can take.", unplaced)
        text = "1 while many hosts fell silent at once, so that none of them is replaced yet."
        yield Sample("fleet_storm", "gauge", text, float(self._failures.storm))
        text = "Records in the store that are not valid, so that the scheduler ignores them."
        yield Sample("fleet_faults", "gauge", text, len(self._cache.cluster.faults))
        for health in HostHealth:
            count = sum(each.health is health for each in self._hosts())
            labels = {"health": health.value}
            yield Sample("fleet_hosts", "gauge", "Hosts, by health.", count, labels)

    def _hosts(self) -> Iterable[Host]:
        return self._cache.cluster.hosts.values()

    def _start_mirror(self) -> Mirror:
        def deliver(changes: Changes) -> None:
            self._loop.call_soon_threadsafe(self._apply, mirror, changes)

        mirror = Mirror(self._store, keys.PREFIX, deliver)
        mirror.start()
        return mirror

    async def _stop_mirror(self) -> None:
        mirror, self._mirror = self._mirror, None
        if mirror is not None:
            await asyncio.to_thread(mirror.stop)

    def _apply(self, mirror: Mirror, changes: Changes) -> None:
        if mirror is self._mirror:
            self._cache.apply(changes)
            self._wake.set()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RECONCILE_EVERY_S):
                    await self._wake.wait()
                await asyncio.sleep(DEBOUNCE_S)
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._step()
                self._store_error = ""
            except StoreError as error:
                if str(error) != self._store_error:
                    self._store_error = str(error)
                    _log.warning("store-away", error=str(error))
                is_refused = isinstance(error, Unauthorized)
                await asyncio.sleep(REFUSED_S if is_refused else RETRY_S)

    async def _step(self) -> None:
        if self._is_draining:
            return  # it would acquire the lease again
        mirror = self._mirror
        is_blind = mirror is not None and not mirror.status().connected
        self._was_disconnected = self._was_disconnected or is_blind
        if is_blind and self._election.is_leader:
            return  # the lease ends if this lasts, and another scheduler leads
        epochs = [host.status.epoch for host in self._hosts() if host.status]
        latest = max([*epochs, self._cache.cluster.epoch])
        is_leader = await asyncio.to_thread(self._election.step, latest)
        if is_leader != self._was_leader:
            await self._become(is_leader=is_leader)
        if self._mirror is None or not self._mirror.status().connected:
            return
        # Once we have seen our own epoch, we have seen the last writes of the previous leader, too.
        sees_epoch = self._cache.cluster.epoch >= self._election.epoch
        if is_leader and sees_epoch and self._writer.is_seen(self._mirror.status().index):
            await self._reconcile()

    async def _become(self, *, is_leader: bool) -> None:
        self._was_leader = is_leader
        event = "became-leader" if is_leader else "became-follower"
        _log.info(event, epoch=self._election.epoch)
        self._life.status("leader" if is_leader else "follower")
        if is_leader:
            # This leader does not know since when hosts are silent: every host gets a new grace.
            self._failures = FailureDetector(self._settings.grace_s)
            self._deadlines = Deadlines()
            self._leader_since_s = time.monotonic()
            self._was_disconnected = True
            self._mirror = self._mirror or self._start_mirror()
        else:
            await self._stop_mirror()
            self._cache.apply(Changes("", 0, reset=True))

    async def _reconcile(self) -> None:
        begun_s = time.perf_counter()
        self._observe_hosts()
        cluster = self._cache.cluster
        cluster.now_s = time.time()
        actions = self._hold_exclusive_in_new_store(reconcile(cluster))
        self._count_adoptions(actions)
        outcome = build_plans(cluster, actions, self._election.epoch)
        self._pass_s = time.perf_counter() - begun_s
        self._passes += 1
        self._last = outcome
        self._log_news(outcome.held)
        silent = [each.id for each in self._hosts() if each.has_endpoints and each.status is None]
        if self._election.is_leader:
            await self._writer.remove_endpoints(silent)
        is_complete = await self._writer.write(outcome, cluster.health(storm=self._failures.storm))
        if outcome.decisions:
            await self._events.append(outcome.decisions, self._election.epoch)
        if not is_complete:
            self._wake.set()

    def _count_adoptions(self, actions: Iterable[Action]) -> None:
        """Remember which hosts claim newer plans than the store's.

        Nothing is scheduled in a pass with an adoption. So a host that claims one again and again
        is not believed any more.
        """
        now_s = time.monotonic()
        for host in [each.host for each in actions if isinstance(each, Adopt)]:
            adopted = self._adopted_s.setdefault(host, deque(maxlen=ADOPTIONS_MAX))
            adopted.append(now_s)
            if not self._is_believed(host, now_s):
                _log.warning("not-believed", host=host, adoptions=len(adopted))

    def _is_believed(self, host: str, now_s: float) -> bool:
        adopted = self._adopted_s.get(host)
        if adopted is None or len(adopted) < ADOPTIONS_MAX:
            return True
        return now_s - adopted[0] >= ADOPTED_S

    def _log_news(self, held: dict[str, str]) -> None:
        """Log once which jobs are held and which records are ignored."""
        for job, why in held.items():
            if self._held.get(job) != why:
                _log.warning("held", job=job, why=why)
        faults = dict(self._cache.cluster.faults)
        for key, why in faults.items():
            if self._faults.get(key) != why:
                _log.warning("ignored", key=key, why=why)
        self._held, self._faults = held, faults

    def _hold_exclusive_in_new_store(self, actions: list[Action]) -> list[Action]:
        """Start nothing exclusive in an empty store until every host had time to report."""
        is_young = time.monotonic() - self._leader_since_s < self._settings.grace_s
        if not self._election.is_first or not is_young:
            return actions
        why = "the store is new: a host that has not reported yet might run it"
        return [
            Hold(each.job, why) if isinstance(each, Place) and self._is_exclusive(each) else each
            for each in actions
        ]

    def _is_exclusive(self, place: Place) -> bool:
        job = self._cache.cluster.jobs[place.job].job
        return job is not None and job.exclusive

    def _observe_hosts(self) -> None:
        now_s = time.monotonic()
        if self._was_disconnected:
            self._was_disconnected = False
            self._failures.restart_grace(now_s)
        heard = {each.id: each.status is not None for each in self._hosts() if each.facts}
        was_storm = self._failures.storm
        health_by_host = self._failures.observe(now_s, heard)
        if self._failures.storm is not was_storm:
            silent = sum(not each for each in heard.values())
            _log.warning("storm" if self._failures.storm else "storm-over", silent=silent)
        for host in self._hosts():
            host.is_believed = self._is_believed(host.id, now_s)
            before, host.health = host.health, health_by_host.get(host.id, HostHealth.LOST)
            if before is not host.health:
                _log.info("host", host=host.name(), id=host.id, health=host.health.value)
        self._deadlines.observe(self._cache.cluster, now_s)
