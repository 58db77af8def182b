"""Checks of instances, beside the agent's turns: a connection, or a GET that answers 2xx or 3xx."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fleet.core.model import Allocation, DesiredState, Endpoint

EVERY_S, UNREADY_EVERY_S = 1.0, 0.2
TIMEOUT_S = 2.0
# One answer makes it ready; one that is lost proves nothing yet.
FALL = 3


@dataclass(frozen=True, slots=True)
class _Probe:
    """One question to one instance."""

    instance: tuple[str, int, int]
    how: str
    port: int


class Prober:
    """Asks every instance with a check, its own or a service's, and remembers the verdict."""

    def __init__(self, address: str, wake: Callable[[], None]) -> None:
        self._address, self._wake = address, wake
        self._ready: dict[_Probe, bool] = {}
        self._tasks: dict[_Probe, asyncio.Task[None]] = {}

    def is_ready(self, allocation: Allocation) -> bool:
        """Say what the last checks found; systemd's word stands for a job without any."""
        if allocation.check == "active" or not allocation.port:
            return True
        return self._ready.get(_Probe(allocation.key, allocation.check, allocation.port), False)

    def serves(self, allocation: Allocation, endpoint: Endpoint) -> bool:
        """Say whether an instance passes what a service asks beside the job's own check."""
        port = endpoint.port or allocation.port
        if not endpoint.check:
            return True
        return self._ready.get(_Probe(allocation.key, endpoint.check, port), False)

    def follow(self, allocations: Iterable[Allocation]) -> None:
        """Ask these, and no others."""
        wanted = {
            each
            for allocation in allocations
            if allocation.desired_state is DesiredState.RUN
            for each in _checks(allocation)
        }
        for check in self._tasks.keys() - wanted:
            self._tasks.pop(check).cancel()
            self._ready.pop(check, None)
        for check in wanted - self._tasks.keys():
            name = f"check {check.instance[0]} {check.how}"
            self._tasks[check] = asyncio.create_task(self._ask(check), name=name)

    def close(self) -> None:
        """Ask nobody."""
        self.follow(())

    async def _ask(self, check: _Probe) -> None:
        misses = 0
        while True:
            good = await self._answers(check)
            misses = 0 if good else misses + 1
            was = self._ready.get(check, False)
            now = good or (was and misses < FALL)
            if now != was:
                self._ready[check] = now
                self._wake()
            await asyncio.sleep(EVERY_S if now else UNREADY_EVERY_S)

    async def _answers(self, check: _Probe) -> bool:
        kind, _, path = check.how.partition(":")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_connection(self._address, check.port)
                with contextlib.closing(writer):
                    if kind == "tcp":
                        return True
                    host = f"{self._address}:{check.port}"
                    writer.write(
                        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                        "User-Agent: fleetd\r\n\r\n".encode()
                    )
                    status = (await reader.readline()).split()
        except (OSError, TimeoutError, ValueError):
            return False
        return len(status) > 1 and status[1][:1] in (b"2", b"3")


def _checks(allocation: Allocation) -> Iterator[_Probe]:
    if allocation.check != "active" and allocation.port:
        yield _Probe(allocation.key, allocation.check, allocation.port)
    for each in allocation.endpoints:
        if each.check and (port := each.port or allocation.port):
            yield _Probe(allocation.key, each.check, port)
