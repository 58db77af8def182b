"""`fleetd`: a scheduler, an agent, or both in one process."""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from daemonkit.core.samples import Sample
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.process.lifecycle import Lifecycle


class Role(Protocol):
    """What a process of fleetd does: agent, scheduler."""

    async def start(self, life: Lifecycle) -> None:
        """Begin."""
        ...

    async def drain(self) -> None:
        """End."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it does its job."""
        ...

    def state(self) -> object:
        """Return what it believes."""
        ...

    def samples(self) -> Iterator[Sample]:
        """Yield its metrics."""
        ...


class Fleetd:
    """The daemon, for `daemonkit.process.lifecycle`."""

    def __init__(self, roles: dict[str, Role], status_addr: str) -> None:
        self._roles = roles
        self.page = StatusPage(
            status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=lambda: {name: role.state() for name, role in roles.items()},
            samples=self._samples,
        )

    async def start(self, life: Lifecycle) -> None:
        """Start the page and the roles. None of them waits for the store."""
        await self.page.start()
        for role in self._roles.values():
            await role.start(life)

    async def drain(self) -> None:
        """End the roles; units run on."""
        await asyncio.gather(*(role.drain() for role in self._roles.values()))
        await self.page.stop()

    def reload(self) -> None:
        """Do nothing: every setting is a flag."""

    def _ready(self) -> Probe:
        detail: dict[str, object] = {name: role.is_ready for name, role in self._roles.items()}
        return Probe(ok=all(detail.values()), detail=detail)

    def _samples(self) -> Iterator[Sample]:
        for role in self._roles.values():
            yield from role.samples()
