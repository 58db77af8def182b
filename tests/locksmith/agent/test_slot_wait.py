"""Waiting for a slot."""

import asyncio
from datetime import timedelta
from pathlib import Path

from coordinator.client.memory_store import MemoryStore
from locksmith.agent.blocker_check import BlockerCheck
from locksmith.agent.configuration import Configuration, RebootOptions
from locksmith.agent.host_view import HostView
from locksmith.agent.slot_wait import SlotWait
from locksmith.core import group_state, keys
from locksmith.core.group_state import GroupState
from locksmith.core.policy import Rules, Strategy
from locksmith.host.blockers import Blockers
from locksmith.host.identity import Host
from locksmith.host.reboot_required import RebootSources
from locksmith.store.compare_and_swap import system_clock
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import SemaphoreClient
from locksmith.store.store_quorum import StoreQuorum

HOST = Host("a" * 32, "boot-1", "alpha")
REBOOT = RebootOptions(Path("/nowhere"), 1.0, 1.0, 0.0, timedelta(minutes=30))


def view_of_host() -> HostView:
    sources, rules = RebootSources((), frozenset()), Rules(Strategy.ETCD_LOCK)
    config = Configuration(
        "", "", None, "1", rules, sources, Blockers(), REBOOT, StoreQuorum((), "no")
    )
    return HostView(HOST, config, lambda: True)


def state_of(store: MemoryStore) -> GroupState:
    return group_state.build({entry.key: entry for entry in store.list(keys.PREFIX).entries}, "")


def test_polling_finds_a_slot_that_no_watch_reported() -> None:
    async def poll() -> None:
        store = MemoryStore()
        store.put(keys.semaphore(""), '{"semaphore":0,"max":1,"holders":["b"]}')
        view = view_of_host()
        client = SemaphoreClient(store, "", system_clock())
        recorder = EventRecorder(GroupClient(store, ""), HOST, ())
        wait = SlotWait(view, client, BlockerCheck(view), recorder)
        view.update_group(state_of(store))
        assert view.group_facts().free == 0
        store.put(keys.semaphore(""), '{"semaphore":1,"max":1,"holders":[]}')
        await wait.poll()
        assert view.group_facts().free == 1

    asyncio.run(poll())
