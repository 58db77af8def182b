"""What an agent and a scheduler do together, with the store and systemd in memory."""

import asyncio
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.client.core.store_protocol import Entry, PutCondition
from coordinator.client.memory_store import MemoryStore
from fleet.agent.state import UNITS_MAX, StateDirectory
from fleet.agent.trusted_keys import TrustedKeyFiles
from fleet.agent.unit_cache import UnitCache
from fleet.core import keys
from fleet.core.jobs.signing import Signer
from fleet.core.model import Allocation, ServiceRecord, TargetState, digest, unit_name
from fleet.ctl.registry import Registry
from fleet.scheduler.scheduler import Scheduler
from fleet.settings import SchedulerSettings
from tests.fleet.agent.memory_agent import TEXT, AgentOnMemory, play, private_pem, trust


def test_units_keep_running_when_agent_and_scheduler_stop(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        agent, scheduler = await bed.agent(), await bed.scheduler()
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: bed.running() == 2)
        before = bed.units.known()
        await agent.drain()
        await scheduler.drain()
        again = await bed.agent()
        assert bed.units.known() == before
        await again.drain()

    play(tmp_path, story)


class Emptied(MemoryStore):
    """Somebody removes all jobs behind the first rollout, before its writer hears of its write."""

    is_emptied = False

    def put(
        self, key: str, value: str, *, ttl_s: int | None = None, when: PutCondition | None = None
    ) -> Entry:
        entry = super().put(key, value, ttl_s=ttl_s, when=when)
        if key == keys.rollout("web.service") and not self.is_emptied:
            self.is_emptied = True
            self.delete(f"{keys.PREFIX}/jobs", recursive=True)
            time.sleep(0.5)
        return entry


def test_a_job_can_be_started_again_after_its_keys_were_removed_during_a_write(
    tmp_path: Path,
) -> None:
    async def story(bed: AgentOnMemory) -> None:
        store = Emptied()
        bed.store = store
        agent, scheduler = await bed.agent(), await bed.scheduler()
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: store.is_emptied)
        await asyncio.sleep(1)
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)

        def is_stable() -> bool:
            entries = bed.store.list(keys.whole_job("web.service")).entries
            return any('"stable"' in each.value for each in entries)

        await bed.until(is_stable)
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


def test_a_unit_without_a_trusted_signature_does_not_run(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        bed.trust(Ed25519PrivateKey.generate())
        agent, scheduler = await bed.agent(), await bed.scheduler()
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)

        def refused() -> bool:
            hosts = Registry(bed.store).cache.cluster.hosts.values()
            return any(
                each.report is not None and "no trusted key" in each.report.note
                for host in hosts
                for each in host.instances
            )

        await bed.until(refused)
        assert bed.running() == 0
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


def test_a_refused_unit_runs_once_it_is_signed(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        key = Ed25519PrivateKey.generate()
        bed.trust(key)
        agent, scheduler = await bed.agent(), await bed.scheduler()
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: "no trusted key" in str(agent.state()))
        signer = Signer(private_pem(key))
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED, signer=signer)
        await bed.until(lambda: bed.running() == 2)
        await bed.until(lambda: "no trusted key" not in str(agent.state()))
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


def test_a_unit_on_disk_is_checked_against_the_present_keys(tmp_path: Path) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    state, unit = StateDirectory(tmp_path), digest(TEXT)
    state.save_unit(unit, TEXT, [Signer(private_pem(key)).sign_job("web.service", TEXT)], ())
    name = unit_name("web.service", 0, unit, counted=True)
    web = Allocation("web.service", 0, 1, unit, 1, name)
    nobody, own, others = tmp_path / "nobody", tmp_path / "own", tmp_path / "others"
    directories = (None, trust(own, key), trust(others, other), trust(nobody))
    for directory, refused in zip(directories, (0, 0, 1, 1), strict=True):
        cache = UnitCache(MemoryStore(), state, TrustedKeyFiles(directory), time.monotonic)
        cache.load([unit])
        assert len(cache.refused([web])) == refused


def test_the_unit_cache_keeps_only_planned_units(tmp_path: Path) -> None:
    store, state = MemoryStore(), StateDirectory(tmp_path)
    cache = UnitCache(store, state, TrustedKeyFiles(None), time.monotonic)
    units = []
    for number in range(UNITS_MAX + 5):
        text = f"{TEXT}# {number}\n"
        units.append(digest(text))
        store.put(keys.unit(units[-1]), text)
        cache.fetch(units[-1], units[:1])
    cache.keep_only([Allocation("web.service", 0, 1, units[0], 1, "web.service")])
    assert set(cache.known) == set(units[:1])
    assert state.load_unit(units[0])[0]
    assert not state.load_unit(units[1])[0]
    assert len(list((tmp_path / "units").iterdir())) == UNITS_MAX + 1


def test_exclusive_units_wait_for_the_grace_in_a_new_store(
    tmp_path: Path,
) -> None:
    async def story(bed: AgentOnMemory) -> None:
        agent, scheduler = await bed.agent(), await bed.scheduler()
        text = TEXT.replace("Count=2", "Count=1\nExclusive=yes")
        registry = Registry(bed.store)
        registry.put_job("only.service", text, target=TargetState.LAUNCHED)
        registry.put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: bed.running() == 2)
        assert "the store is new" in str(scheduler.state())
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


def test_the_leader_raises_an_epoch_that_was_raised_without_its_lease(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        agent, scheduler = await bed.agent(), await bed.scheduler()
        await bed.until(lambda: "'is_leader': True" in str(scheduler.state()))
        bed.store.put(keys.EPOCH, "41")
        await bed.until(lambda: bed.store.get(keys.EPOCH).value == "42")
        await bed.until(lambda: "'epoch': 42" in str(scheduler.state()))
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: bed.running() == 2)
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


def test_the_endpoints_of_a_host_leave_the_store_when_its_lease_ends(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        agent = await bed.agent()
        registry = Registry(bed.store)
        registry.put_service("app.example.com", ServiceRecord("app=web", port=80))
        text = f"{TEXT}Labels=app=web\n"
        registry.put_job("web.service", text, target=TargetState.LAUNCHED)
        first = await bed.scheduler()

        def endpoints() -> int:
            servers = bed.store.list("/vulcand/backends/app.example.com/servers").entries
            return len(servers) + len(bed.store.list("/skydns/com/example/app").entries)

        await bed.until(lambda: endpoints() == 4)
        await first.drain()
        await bed.end(agent)
        assert endpoints() == 4
        bed.store.delete(keys.status("a" * 32))
        scheduler = await bed.scheduler()
        await bed.until(lambda: endpoints() == 0)
        await scheduler.drain()

    play(tmp_path, story)


def test_a_scheduler_that_does_not_lead_mirrors_nothing(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        agent, first = await bed.agent(), await bed.scheduler()
        await bed.until(lambda: "'is_leader': True" in str(first.state()))
        second = Scheduler(bed.store, SchedulerSettings("two", 15, 60))
        await second.start(bed.life)
        await bed.until(lambda: second.is_ready)
        assert "'mirror': None" in str(second.state())
        await first.drain()
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: bed.running() == 2)
        await agent.drain()
        await second.drain()

    play(tmp_path, story)
