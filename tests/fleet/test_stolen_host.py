"""What a host can claim about itself, if somebody has stolen it."""

from pathlib import Path

import msgspec

from coordinator.client.core.store_protocol import Entry, PutCondition
from coordinator.client.core.view import Changes
from coordinator.client.memory_store import MemoryStore
from fleet.core import keys
from fleet.core.fields import HONEST_MAX, NUMBER_MAX
from fleet.core.model import (
    Allocation,
    Facts,
    HostHealth,
    HostStatus,
    JobRecord,
    Phase,
    Plan,
    Report,
    TargetState,
    decode,
    digest,
    encode,
    unit_name,
)
from fleet.core.scheduling.cluster_cache import ClusterCache
from fleet.core.scheduling.plan_builder import build_plans
from fleet.core.scheduling.reconcile import reconcile
from fleet.ctl.registry import Registry
from tests.fleet.agent.memory_agent import TEXT, AgentOnMemory, play

HONEST, STOLEN = "a" * 32, "b" * 32
UNIT = digest(TEXT)


def allocation(index: int, **fields: object) -> Allocation:
    name = unit_name("web.service", index, UNIT, counted=True)
    return msgspec.structs.replace(Allocation("web.service", index, 1, UNIT, 1, name), **fields)


def facts(host: str) -> Facts:
    return Facts(host, f"h-{host[0]}", "10.0.0.1", 4000, 8 << 30)


def fleet(claim: HostStatus) -> ClusterCache:
    """Return a fleet whose one job runs on the honest host, with the claim of the stolen one."""
    own = tuple(allocation(index) for index in range(2))
    ready = tuple(Report(each, Phase.READY, available=True) for each in own)
    record = JobRecord(name="web.service", version=1, rev=1, unit=UNIT, target=TargetState.LAUNCHED)
    found = {
        keys.unit(UNIT): TEXT,
        keys.job("web.service"): encode(record),
        keys.facts(HONEST): encode(facts(HONEST)),
        keys.facts(STOLEN): encode(facts(STOLEN)),
        keys.plan(HONEST): encode(Plan(1, 1, own)),
        keys.status(HONEST): encode(HostStatus("boot", 1, 1, ready)),
        keys.status(STOLEN): encode(claim),
    }
    cache = ClusterCache()
    cache.apply(
        Changes("", 1, tuple(Entry(key, text, 1, 1) for key, text in found.items()), reset=True)
    )
    for host in cache.cluster.hosts.values():
        host.health = HostHealth.READY
    return cache


def test_a_host_does_not_take_over_what_another_runs_by_its_plan() -> None:
    claimed = [allocation(0), allocation(1), allocation(2)]
    reports = tuple(Report(each, Phase.READY, available=True) for each in claimed)
    cluster = fleet(HostStatus("boot", 9, 9, reports)).cluster
    plans = build_plans(cluster, reconcile(cluster), 2).plans
    assert [each.index for each in plans[STOLEN].allocations] == [2]
    assert HONEST not in plans


def test_a_number_that_nobody_counts_on_from_is_no_status() -> None:
    report = Report(allocation(0, rev=HONEST_MAX + 1), Phase.READY)
    for claim in (
        HostStatus("boot", 1, NUMBER_MAX),
        HostStatus("boot", 1, 1, (report,)),
        HostStatus("boot", 1, 1, (Report(allocation(0, version=NUMBER_MAX), Phase.READY),)),
    ):
        cluster = fleet(claim).cluster
        assert cluster.hosts[STOLEN].status is None
        assert "nobody has counted to" in cluster.faults[keys.status(STOLEN)]
    largest = Report(allocation(5, rev=HONEST_MAX), Phase.READY)
    cluster = fleet(HostStatus("boot", 1, HONEST_MAX, (largest,))).cluster
    (plan,) = build_plans(cluster, reconcile(cluster), 2).plans.values()
    assert decode(encode(plan), Plan).gen == HONEST_MAX + 1


class Claimed(MemoryStore):
    """A store with a stolen host, which claims a newer plan as soon as it gets one."""

    def put(
        self, key: str, value: str, *, ttl_s: int | None = None, when: PutCondition | None = None
    ) -> Entry:
        entry = super().put(key, value, ttl_s=ttl_s, when=when)
        if key == keys.plan(STOLEN):
            plan = decode(value, Plan)
            self.claim(plan.epoch, plan.gen + 1)
        return entry

    def claim(self, epoch: int, gen: int) -> None:
        super().put(keys.status(STOLEN), encode(HostStatus("boot", epoch, gen)))


def test_a_host_that_claims_newer_plans_for_ever_stops_no_scheduler(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        bed.store = store = Claimed()
        store.put(keys.facts(STOLEN), encode(facts(STOLEN)))
        store.claim(1, 1)
        agent, scheduler = await bed.agent(), await bed.scheduler()
        text = f"{TEXT}Constraint=hostname=h1\n"
        Registry(store).put_job("web.service", text, target=TargetState.LAUNCHED)
        await bed.until(lambda: bed.running() == 2)
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


def test_an_agent_follows_no_plan_after_which_no_other_can_come(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        agent = await bed.agent()
        bed.store.put(keys.plan(HONEST), encode(Plan(1, HONEST_MAX + 1, (allocation(0),))))
        await bed.until(
            lambda: "nobody has counted to" in str(bed.store.list(keys.status(HONEST)).entries)
        )
        assert not bed.running()
        await agent.drain()

    play(tmp_path, story)
