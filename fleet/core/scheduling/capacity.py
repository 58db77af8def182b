"""The processors, memory and ports that are free on every host, as columns of numbers."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fleet.core.jobs.jobspec import Resources
from fleet.core.scheduling.cluster_state import Host

Column = NDArray[np.float64]
Mask = NDArray[np.bool_]
# The requests of instances whose job has no record any more.
UNKNOWN = Resources()


class Capacity:
    """The free resources at one moment. A row is a host; each placement is subtracted at once."""

    def __init__(self, hosts: Sequence[Host], resources: Mapping[str, Resources]) -> None:
        facts = [host.facts for host in hosts if host.facts]
        self.cpu_all = _column(max(1, each.cpu) for each in facts)
        self.memory_all = _column(max(1, each.memory) for each in facts)
        self.cpu, self.memory = self.cpu_all.copy(), self.memory_all.copy()
        self._ports: dict[int, Mask] = {}
        self._has_ports = any(each.fixed for each in resources.values())
        for row, host in enumerate(hosts):
            self._subtract_allocations(host, row, resources)

    def take(self, needs: Resources, row: int) -> None:
        """Subtract what an instance requests."""
        self.cpu[row] -= needs.cpu
        self.memory[row] -= needs.memory
        self._take_ports(needs, row)

    def fits(self, needs: Resources) -> Mask:
        """Return the hosts with room for an instance."""
        fits: Mask = (self.cpu >= needs.cpu) & (self.memory >= needs.memory)
        for port in needs.fixed:
            fits &= ~self._port(port)
        return fits

    def full_reason(self, needs: Resources, row: int) -> str:
        """Return why an instance has no room on a host, "" if it has."""
        cpu, memory = float(self.cpu[row]), int(self.memory[row])
        if cpu < needs.cpu:
            return f"it needs {needs.cpu / 1000:g} processors, and {cpu / 1000:g} are free"
        if memory < needs.memory:
            return f"it needs {needs.memory >> 20} MB of memory, and {memory >> 20} MB are free"
        taken = [port for port in needs.fixed if self._port(port)[row]]
        return f"port {taken[0]} is taken" if taken else ""

    def leftover(self, needs: Resources) -> Column:
        """Return how much an instance would leave unused on each host; the tightest fit is low."""
        cpu = (self.cpu - needs.cpu) / self.cpu_all
        memory = (self.memory - needs.memory) / self.memory_all
        left: Column = cpu * cpu + memory * memory
        return left

    def leftover_at(self, needs: Resources, row: int) -> float:
        """Return how much an instance would leave unused on one host."""
        cpu = (float(self.cpu[row]) - needs.cpu) / float(self.cpu_all[row])
        memory = (float(self.memory[row]) - needs.memory) / float(self.memory_all[row])
        return cpu * cpu + memory * memory

    def utilization(self) -> Column:
        """Return the used share of each host's scarcer resource."""
        use: Column = 1 - np.minimum(self.cpu / self.cpu_all, self.memory / self.memory_all)
        return use

    def _subtract_allocations(
        self, host: Host, row: int, resources: Mapping[str, Resources]
    ) -> None:
        """Subtract the instances on a host; stopping ones count until they end."""
        cpu = memory = 0
        for each in host.instances:
            needs = resources.get(each.allocation.job, UNKNOWN)
            cpu += needs.cpu
            memory += needs.memory
            if self._has_ports:
                self._take_ports(needs, row)
                if each.allocation.port:
                    self._port(each.allocation.port)[row] = True
        self.cpu[row] -= cpu
        self.memory[row] -= memory

    def _take_ports(self, needs: Resources, row: int) -> None:
        for port in needs.fixed:
            self._port(port)[row] = True

    def _port(self, port: int) -> Mask:
        if port not in self._ports:
            self._ports[port] = np.zeros(len(self.cpu), dtype=np.bool_)
        return self._ports[port]


def _column(values: Iterable[float]) -> Column:
    return np.fromiter(values, dtype=np.float64)
