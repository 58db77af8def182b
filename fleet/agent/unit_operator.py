"""Carries out what the reconciler decided: fetch, install, start, stop and remove units."""

import asyncio
from collections.abc import Callable, Collection, Iterable

from daemonkit.observe import logs
from fleet.agent.exclusive import ExclusiveLease
from fleet.agent.unit_cache import UnitCache
from fleet.core.instances.instance_reconciler import (
    FetchUnit,
    InstallUnit,
    RemoveUnit,
    StartUnit,
    StopUnit,
    UnitAction,
)
from fleet.core.instances.instance_unit import fence_of, unit_file_names, unit_files
from fleet.systemd.driver import SystemdDriver

STARTS_MAX = 8
_log = logs.get("agent")


class UnitOperator:
    """Acts on systemd and on the cache of units. `wake` asks the agent for another pass."""

    def __init__(
        self,
        driver: SystemdDriver,
        units: UnitCache,
        lease: ExclusiveLease,
        wake: Callable[[], None],
        *,
        fence_s: float,
    ) -> None:
        self._driver, self._units, self._lease = driver, units, lease
        self._wake, self._fence_s = wake, fence_s

    async def carry_out(
        self, actions: Iterable[UnitAction], planned: Callable[[], Collection[str]]
    ) -> None:
        """Do all actions: files first, then starts and stops in parallel.

        `planned` returns the units of the newest plan.
        """
        changed: dict[str, str | None] = {}
        starts_and_stops: list[StartUnit | StopUnit] = []
        for action in actions:
            match action:
                case FetchUnit(unit):
                    await asyncio.to_thread(self._units.fetch, unit, planned())
                    self._wake()
                case InstallUnit(allocation):
                    text = self._units.known.get(allocation.unit)
                    if text is None:  # a newer plan came meanwhile, without this instance
                        continue
                    changed |= unit_files(allocation, text, fence_s=self._fence_s)
                case RemoveUnit(allocation):
                    if allocation.exclusive:
                        await self._driver.stop(fence_of(allocation.name))
                    changed |= unit_file_names(allocation)
                case StartUnit() | StopUnit():
                    starts_and_stops.append(action)
        if changed:
            await self._driver.install(changed)
            self._wake()
        gate = asyncio.Semaphore(STARTS_MAX)
        await asyncio.gather(*(self._act(action, gate) for action in starts_and_stops))

    async def _act(self, action: StartUnit | StopUnit, gate: asyncio.Semaphore) -> None:
        allocation = action.allocation
        about = {"unit": allocation.name, "job": allocation.job, "why": allocation.why}
        async with gate:
            match action:
                case StartUnit():
                    if allocation.exclusive and not await self._lease.arm(allocation):
                        return
                    _log.info("start", **about)
                    await self._driver.start(allocation.name)
                case StopUnit():
                    _log.info("stop", **about)
                    await self._driver.stop(allocation.name)
