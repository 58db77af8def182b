"""Waiting for a slot."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.client.core.errors import Unavailable
from coordinator.client.core.store_protocol import Entry, PutCondition
from coordinator.client.memory_store import MemoryStore
from locksmith.agent.blocker_check import BlockerCheck
from locksmith.agent.configuration import Configuration, RebootOptions
from locksmith.agent.host_view import HostView
from locksmith.agent.slot_wait import SlotWait
from locksmith.core import fence, group_state, keys, records
from locksmith.core.group_state import GroupState
from locksmith.core.policy import Rules, Strategy
from locksmith.core.records import Heartbeat
from locksmith.host.blockers import Blockers
from locksmith.host.boot_clock import clock_s
from locksmith.host.identity import Host
from locksmith.host.reboot_required import RebootSources
from locksmith.store.compare_and_swap import system_clock
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import SemaphoreClient
from locksmith.store.store_quorum import StoreQuorum

HOST = Host("a" * 32, "boot-1", "alpha")
BEAT = Heartbeat("alpha", "boot-1", "", "1")
REBOOT = RebootOptions(Path("/nowhere"), 1.0, 1.0, 0.0, timedelta(minutes=30))


def view_of_host(host: Host = HOST, **reboot: object) -> HostView:
    options = replace(REBOOT, **reboot)  # type: ignore[arg-type]
    sources, rules = RebootSources((), frozenset()), Rules(Strategy.ETCD_LOCK)
    config = Configuration(
        group="",
        status_addr="",
        state_dir=None,
        version="1",
        rules=rules,
        sources=sources,
        blockers=Blockers(),
        reboot=options,
        quorum=StoreQuorum((), "no"),
    )
    return HostView(host, config, lambda: True)


def state_of(store: MemoryStore) -> GroupState:
    return group_state.build({entry.key: entry for entry in store.list(keys.PREFIX).entries}, "")


class FailingStore(MemoryStore):
    """A store that fails one of its puts, before or after the put takes effect."""

    def __init__(self, failing: int, *, takes_effect: bool) -> None:
        super().__init__()
        self.failing, self.takes_effect, self.puts = failing, takes_effect, 0

    def put(
        self, key: str, value: str, *, ttl_s: int | None = None, when: PutCondition | None = None
    ) -> Entry:
        self.puts += 1
        if self.puts != self.failing:
            return super().put(key, value, ttl_s=ttl_s, when=when)
        if self.takes_effect:
            super().put(key, value, ttl_s=ttl_s, when=when)
        raise Unavailable("the connection broke")


@pytest.mark.parametrize("takes_effect", [False, True])
@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_no_failed_write_makes_a_host_wait_for_its_own_slot(
    failing: int, *, takes_effect: bool
) -> None:
    """The writes of a grant are the ticket, the record, the semaphore and the record again."""

    async def acquire() -> None:
        store, view = FailingStore(failing, takes_effect=takes_effect), view_of_host()
        client = SemaphoreClient(store, "", system_clock())
        recorder = EventRecorder(GroupClient(store, ""), HOST, ())
        view.check_pending = ""
        view.update_reasons(("kernel",), None)
        MemoryStore.put(store, keys.host(HOST.machine_id), records.encode(BEAT))

        async def follow() -> None:
            while True:
                view.update_group(state_of(store))
                await asyncio.sleep(0.05)

        following = asyncio.ensure_future(follow())
        wait = SlotWait(view, client, BlockerCheck(view), recorder)
        granted = await asyncio.wait_for(wait.wait(), 30.0)
        following.cancel()
        seen = client.read_holder(HOST.machine_id)
        assert granted.grant is not None
        found = seen.reading.semaphore
        assert (
            fence.objection(granted.grant, HOST.machine_id, found, seen.record, clock_s()) is None
        )

    asyncio.run(acquire())


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
