"""The lease of exclusive units on a machine that sleeps: its timers in systemd sleep with it."""

import asyncio

from coordinator.client.memory_store import MemoryStore
from fleet.agent.exclusive import ExclusiveLease
from fleet.agent.host_status import HostStatusWriter
from fleet.core.instances.instance_unit import unit_files
from fleet.core.model import Allocation, Facts, HostStatus, Phase, Report, digest
from rig.memory_systemd import MemorySystemd

TEXT = "[Service]\nExecStart=/bin/sleep 9\n[X-Fleet]\nExclusive=yes\n"
TTL_S = 30
ONLY = Allocation("only.service", 0, 1, digest(TEXT), 1, "only.service", exclusive=True)
RUNNING = (Report(ONLY, Phase.READY),)


class Machine:
    """A host with two clocks: one stands still while the machine sleeps."""

    def __init__(self) -> None:
        self.awake_s = self.boot_s = 1000.0
        self.units = MemorySystemd(lambda: self.awake_s)
        own = Facts("a" * 32, "h1", "10.0.0.1", 4000, 8 << 30)
        self.status = HostStatusWriter(MemoryStore(), own, TTL_S, lambda: self.boot_s)
        self.lease = ExclusiveLease(self.units, self.status, TTL_S, lambda: self.boot_s)

    async def start(self) -> None:
        await self.units.install(unit_files(ONLY, TEXT, fence_s=TTL_S))
        self.status.write(HostStatus("boot"), {})
        self.lease.confirmed = True
        assert await self.lease.arm(ONLY)
        await self.units.start(ONLY.name)

    def pass_time(self, seconds: float, *, asleep: bool = False) -> None:
        self.boot_s += seconds
        self.awake_s += 0 if asleep else seconds

    async def is_running(self) -> bool:
        return (await self.units.status([ONLY.name]))[ONLY.name].is_running


def test_after_a_sleep_an_exclusive_unit_stops_and_none_starts() -> None:
    async def story() -> None:
        machine = Machine()
        await machine.start()
        machine.pass_time(300, asleep=True)
        assert await machine.is_running()  # its timer has not elapsed
        assert not machine.lease.may_start()
        assert not await machine.lease.arm(ONLY)
        await machine.lease.stop_expired(RUNNING)
        assert not await machine.is_running()

    asyncio.run(story())


def test_an_exclusive_unit_runs_on_while_its_lease_lasts() -> None:
    async def story() -> None:
        machine = Machine()
        await machine.start()
        machine.pass_time(TTL_S - 1)
        await machine.lease.stop_expired(RUNNING)
        assert await machine.is_running()

    asyncio.run(story())


def test_an_agent_that_has_just_started_leaves_the_stop_to_the_timer() -> None:
    async def story() -> None:
        machine = Machine()
        await machine.start()
        store = HostStatusWriter(MemoryStore(), Facts("a", "h1", "", 1, 1), TTL_S, lambda: 1.0)
        lease = ExclusiveLease(machine.units, store, TTL_S, lambda: machine.boot_s)
        await lease.stop_expired(RUNNING)
        assert await machine.is_running()
        machine.pass_time(TTL_S + 1)
        assert not await machine.is_running()

    asyncio.run(story())
