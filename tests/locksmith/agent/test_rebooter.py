"""The waiting host, where a whole daemon would hide what is meant."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.client.memory_store import MemoryStore
from locksmith.agent.rebooter import Around, Rebooter
from locksmith.core import group_state, keys
from locksmith.core.policy import Rules
from locksmith.core.strategy import Strategy
from locksmith.host.blockers import Gates
from locksmith.host.identity import Host
from locksmith.host.reboot_required import Sources
from locksmith.settings import Care, Settings
from locksmith.store.compare_and_swap import Pace
from locksmith.store.semaphore_client import Slots
from locksmith.store.store_quorum import Neighbours

HOST = Host("a" * 32, "boot-1", "alpha")
PACE = Pace(lambda: 0.0, lambda _: None, lambda limit_s: limit_s)
CARE = Care(Path("/nowhere"), 1.0, 1.0, 0.0, timedelta(minutes=30))


async def _nothing(_: float) -> None:
    """History is written by nobody here."""


def rebooter(store: MemoryStore) -> Rebooter:
    around = Around(
        reasons=lambda: ("kernel",),
        since=lambda: datetime.now(UTC),
        store_away_s=lambda: None,
        gates=tuple,
        tell=lambda _: None,
        flush=_nothing,
        news=lambda: None,
    )
    sources, rules = Sources((), frozenset()), Rules(Strategy.ETCD_LOCK)
    settings = Settings("", "", None, "1", rules, sources, Gates(), CARE, Neighbours((), "no"))
    return Rebooter(Slots(store, "", PACE), HOST, settings, around)


def seen(store: MemoryStore) -> group_state.Picture:
    return group_state.build({entry.key: entry for entry in store.list(keys.PREFIX).entries}, "")


def test_a_slot_that_no_watch_told_of_is_found_by_the_poll() -> None:
    async def poll() -> None:
        store = MemoryStore()
        store.put(keys.semaphore(""), '{"semaphore":0,"max":1,"holders":["b"]}')
        waiting = rebooter(store)
        waiting.seen(seen(store))
        assert waiting._group().free == 0
        store.put(keys.semaphore(""), '{"semaphore":1,"max":1,"holders":[]}')
        await waiting._poll()
        assert waiting._group().free == 1

    asyncio.run(poll())
