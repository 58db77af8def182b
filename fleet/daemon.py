"""`fleetd`: a scheduler, an agent, or both in one process."""

import asyncio
import os
import socket
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from coordinator.client import DAEMON_PATIENCE_S, Store, StoreError
from daemonkit import options
from daemonkit.core.samples import Sample
from daemonkit.host import machine_id
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.options import IdentityFiles
from daemonkit.process import lifecycle
from daemonkit.process.lifecycle import Lifecycle
from fleet.settings import LEASE_S, AgentSettings, DriverName, FleetdSettings, SchedulerSettings

if TYPE_CHECKING:
    from fleet.agent.agent import Agent
    from fleet.scheduler.scheduler import Scheduler
    from fleet.systemd.driver import SystemdDriver


class Role(Protocol):
    """What a process of fleetd does: scheduler or agent."""

    async def start(self, life: Lifecycle) -> None:
        """Start."""
        ...

    async def drain(self) -> None:
        """Stop."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether the role is ready."""
        ...

    def state(self) -> object:
        """Return the state of the role, for /debug/state."""
        ...

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics of the role."""
        ...


class Fleetd:
    """The daemon, for `daemonkit.process.lifecycle`."""

    def __init__(
        self, roles: dict[str, Role], status_addr: str, status_tls: IdentityFiles | None = None
    ) -> None:
        self._roles = roles
        self.page = StatusPage(
            status_addr,
            health=lambda: Probe(ok=True),
            ready=self._ready,
            state=lambda: {name: role.state() for name, role in roles.items()},
            samples=self._samples,
            tls=status_tls,
        )

    async def start(self, life: Lifecycle) -> None:
        """Start the status page and the roles. None of them waits for the store."""
        await self.page.start()
        for role in self._roles.values():
            await role.start(life)

    async def drain(self) -> None:
        """Stop the roles. Units keep running."""
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


def run(settings: FleetdSettings, drain_s: float) -> int:
    """Run fleetd until it is told to stop, and return its exit code. Raises Failure."""
    roles: dict[str, Role] = {}
    try:
        store = settings.store.connect(patience_s=DAEMON_PATIENCE_S)
        if settings.has_scheduler:
            roles["scheduler"] = build_scheduler(store, settings)
        if settings.has_agent:
            roles["agent"] = build_agent(store, settings)
    except (StoreError, OSError, ValueError) as error:
        raise options.Failure(str(error)) from error
    return lifecycle.run(Fleetd(roles, settings.status_addr, settings.status_tls), drain_s=drain_s)


def build_scheduler(store: Store, settings: FleetdSettings) -> "Scheduler":
    """Return the scheduler of this process."""
    from fleet.scheduler.scheduler import Scheduler

    holder = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return Scheduler(store, SchedulerSettings(holder, LEASE_S, settings.grace_s))


def build_agent(store: Store, settings: FleetdSettings) -> "Agent":
    """Return the agent of this host. Raises OSError."""
    from daemonkit.http.tls import TlsFiles
    from fleet.agent import facts
    from fleet.agent.agent import Agent

    cert, key = settings.store.cert_file, settings.store.key_file
    address = settings.public_ip or facts.address_towards(settings.store.endpoints)
    own = AgentSettings(
        own=facts.read(address, settings.labels, options.installed_version(), settings.state_dir),
        boot_id=machine_id.read_boot_id(),
        state_dir=settings.state_dir,
        ttl_s=settings.agent_ttl_s,
        trusted_keys=settings.trusted_keys,
        may_exec=settings.may_exec,
        certificate=TlsFiles(cert, key) if cert and key else None,
    )
    return Agent(store, _systemd_driver(settings.driver), own)


def _systemd_driver(name: DriverName) -> "SystemdDriver":
    if name is DriverName.DBUS:
        from fleet.systemd.dbus import DBusDriver

        return DBusDriver()
    from fleet.systemd.systemctl import SystemctlDriver

    return SystemctlDriver()
