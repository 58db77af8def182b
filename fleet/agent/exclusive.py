"""The lease of exclusive units: they run only as long as the store confirms this host.

Each exclusive unit has a timer in systemd that stops it. The agent restarts the timer after every
renewal of its status that the store confirmed. If the agent, its host or the network fails, the
timer elapses before another host may start the instance.

The timer stands still while the machine sleeps, and the lease does not. So an agent that wakes up
after the end of the lease stops the units itself, at once, and starts none.
"""

import math
from collections.abc import Callable, Iterable

from daemonkit.observe import logs
from fleet.agent.host_status import HostStatusWriter
from fleet.core.instances.instance_unit import ARM_MAX_S, LATE_MAX_S, fence_of
from fleet.core.model import Allocation, DesiredState, Phase, Report
from fleet.systemd.driver import SystemdDriver

RUNNING = (Phase.STARTING, Phase.READY, Phase.UNREADY)
_log = logs.get("agent")


class ExclusiveLease:
    """Decides whether exclusive units may start, and restarts their timers."""

    def __init__(
        self,
        driver: SystemdDriver,
        host_status: HostStatusWriter,
        ttl_s: int,
        clock: Callable[[], float],
    ) -> None:
        self._driver, self._host_status = driver, host_status
        self._ttl_s, self._clock = ttl_s, clock
        self._late_s = min(LATE_MAX_S, ttl_s / 6)
        # Whether the store confirmed that the agent follows its newest plan.
        self.confirmed = False

    def may_start(self) -> bool:
        """Whether the store has just confirmed this host and its plan."""
        return self.confirmed and self._age_s() < self._late_s

    async def arm(self, allocation: Allocation) -> bool:
        """Restart a unit's timer; return False if it may elapse too late."""
        if not self.may_start():
            return False
        await self._driver.restart_timer(fence_of(allocation.name))
        return self._age_s() < self._late_s + ARM_MAX_S

    async def extend(self, reports: Iterable[Report]) -> None:
        """Restart the timers of running exclusive units, unless the confirmation came too late."""
        for allocation in _running_exclusive(reports):
            if not self.may_start():
                return
            try:
                if not await self.arm(allocation):
                    # Its timer was restarted too late, and would stop it too late.
                    age_s = round(self._age_s(), 1)
                    _log.warning("rearmed-late", unit=allocation.name, age_s=age_s)
                    await self._driver.stop(allocation.name)
            except OSError as error:
                _log.warning("not-rearmed", unit=allocation.name, error=str(error))

    async def stop_expired(self, reports: Iterable[Report]) -> None:
        """Stop what runs if the lease is over by now. Only a machine that slept has such units.

        An agent that has renewed nothing yet does not know; then the timers decide.
        """
        if not self._host_status.sent_s or self._age_s() < self._ttl_s:
            return
        self.confirmed = False
        for allocation in _running_exclusive(reports):
            _log.warning("lease-over", unit=allocation.name, age_s=round(self._age_s(), 1))
            await self._driver.stop(allocation.name)

    def _age_s(self) -> float:
        """Return how long ago the renewal was sent that the store confirmed last."""
        sent_s = self._host_status.sent_s
        return self._clock() - sent_s if sent_s else math.inf


def _running_exclusive(reports: Iterable[Report]) -> list[Allocation]:
    return [
        each.allocation
        for each in reports
        if each.allocation.exclusive
        and each.allocation.desired_state is DesiredState.RUN
        and each.phase in RUNNING
    ]
