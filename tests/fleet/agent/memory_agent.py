"""An agent and a scheduler in one process, with the store and systemd in memory."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from coordinator.client.core.store_protocol import Store
from coordinator.client.memory_store import MemoryStore
from daemonkit.process.lifecycle import Lifecycle
from fleet.agent.agent import Agent
from fleet.core.model import Facts
from fleet.scheduler.scheduler import Scheduler
from fleet.settings import AgentSettings, SchedulerSettings
from rig.memory_systemd import MemorySystemd

TEXT = "[Service]\nExecStart=/bin/sleep 600\n[X-Fleet]\nCount=2\n"
DEADLINE_S = 20.0
Story = Callable[["AgentOnMemory"], Awaitable[None]]


class AgentOnMemory:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = MemoryStore()
        self.units = MemorySystemd(time.monotonic)
        self.trusted_keys: Path | None = None
        self.life = Lifecycle(asyncio.get_running_loop())

    async def agent(self, store: Store | None = None) -> Agent:
        """Start an agent, with this store as it sees it."""
        own = Facts("a" * 32, "h1", "10.0.0.1", 4000, 8 << 30)
        settings = AgentSettings(own, "boot", self.directory, 30, self.trusted_keys)
        found = Agent(store or self.store, self.units, settings)
        await found.start(self.life)
        return found

    def trust(self, *trusted: Ed25519PrivateKey) -> None:
        """Let the host trust these keys and no others; a running agent sees it."""
        self.trusted_keys = trust(self.directory / "trusted-keys", *trusted)

    async def scheduler(self, store: Store | None = None) -> Scheduler:
        """Start a scheduler, with this store as it sees it."""
        found = Scheduler(store or self.store, SchedulerSettings("one", 15, 60))
        await found.start(self.life)
        return found

    async def until(self, holds: Callable[[], bool]) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < end_s
            await asyncio.sleep(0.05)

    async def end(self, agent: Agent) -> None:
        """End an agent with all its tasks, as the end of its process does."""
        await agent.drain()
        await self.life.cancel_tasks()
        self.life = Lifecycle(asyncio.get_running_loop())

    def running(self) -> int:
        return sum(each.is_running for each in self.units.known().values())


def private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def trust(directory: Path, *trusted: Ed25519PrivateKey) -> Path:
    """Make a directory with these public keys, or change it to them."""
    directory.mkdir(exist_ok=True)
    for each in directory.iterdir():
        each.unlink()
    for number, key in enumerate(trusted):
        form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (directory / f"key{number}.pem").write_bytes(key.public_key().public_bytes(*form))
    return directory


def play(directory: Path, story: Story) -> None:
    async def played() -> None:
        bed = AgentOnMemory(directory)
        try:
            await story(bed)
        finally:
            await bed.life.cancel_tasks()

    asyncio.run(played())
