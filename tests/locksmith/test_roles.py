"""locksmith on a store whose roles let a host take and free only its own slot."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from coordinator.client.core.errors import Unauthorized
from coordinator.client.memory_store import MemoryStore
from locksmith.agent import reclaim
from locksmith.agent.reclaim import Reclaimer
from locksmith.core import group_state, keys, records
from locksmith.core.records import Failure, GroupEvent, Heartbeat, HolderRecord, Phase, Ticket
from locksmith.core.semaphore import Full, NotHeld
from locksmith.host.identity import Host
from locksmith.store import events, semaphore_client
from locksmith.store.compare_and_swap import Updated, system_clock
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import HISTORY_MAX, GroupClient
from locksmith.store.semaphore_client import Claim, SemaphoreClient
from rig.stores.guarded_store import GuardedStore, host
from slashetc.core import roles
from tests.locksmith.agent.test_slot_wait import view_of_host

OWN, OTHER = Host("a" * 32, "boot", "h1"), Host("b" * 32, "boot", "h2")
MEMBER = Host("c" * 32, "boot", "h3")
NOW = datetime(2026, 11, 30, tzinfo=UTC)
FAILURE = Failure("h2", "boot", "2026-11-30T00:00:00Z", "lost")
EVENT = GroupEvent("2026-11-30T00:00:00Z", "granted", OWN.machine_id)


class Site:
    """A store, and what two hosts and the host of a member make of it."""

    def __init__(self, group: str) -> None:
        self.everything = MemoryStore()
        self.group = group
        self.store = self._as(OWN)
        self.own, self.other = self._client(self.store), self._client(self._as(OTHER, "h2"))
        member = roles.MEMBER.document()
        self.member = self._client(self._as(MEMBER, "h3", member))
        self.root = SemaphoreClient(self.everything, group, system_clock())

    def _as(self, who: Host, name: str = "h1", *more: dict[str, Any]) -> GuardedStore:
        attributes = host(who.machine_id, name)
        return GuardedStore(self.everything, roles.HOST.document(), *more, attributes=attributes)

    def _client(self, store: GuardedStore) -> SemaphoreClient:
        return SemaphoreClient(store, self.group, system_clock())


@pytest.fixture(params=["", "web"])
def site(request: pytest.FixtureRequest) -> Site:
    return Site(request.param)


def test_a_host_takes_and_frees_its_own_slot(site: Site) -> None:
    taken = site.own.acquire_own(OWN, NOW, Claim(by=semaphore_client.DAEMON))
    assert isinstance(taken, Updated)
    assert isinstance(site.other.acquire_own(OTHER, NOW), Full)
    assert isinstance(site.own.release_grant(OWN, taken.modified), Updated)
    assert isinstance(site.other.acquire_own(OTHER, NOW), Updated)
    after_boot = Host(OTHER.machine_id, "the next boot", "h2")
    assert isinstance(site.other.release_after_reboot(after_boot), Updated)
    assert isinstance(site.own.release_after_reboot(OWN), NotHeld)
    assert site.store.refused == []


def test_a_host_rewrites_an_unchanged_semaphore_so_that_a_competitor_fails(site: Site) -> None:
    site.own.acquire_own(OWN, NOW)
    before = site.root.read().modified
    again = Host(OWN.machine_id, "the next boot", "h1")
    assert isinstance(site.own.acquire_own(again, NOW), Updated)
    assert site.root.read().modified > before
    assert site.store.refused == []


def test_a_host_changes_no_slot_of_another_and_not_their_number(site: Site) -> None:
    site.other.acquire_own(OTHER, NOW)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: site.own.release(OTHER.machine_id),
        lambda: site.own.release_lost(OTHER.machine_id, site.own.read_holder(OTHER.machine_id)),
        lambda: site.own.acquire("somebody"),
        lambda: site.own.set_max(9),
    )
    site.root.set_max(2)
    for attempt in attempts:
        before = site.root.read()
        with pytest.raises(Unauthorized):
            attempt()
        assert site.root.read() == before


def test_a_number_of_free_slots_that_was_off_is_corrected_by_a_host(site: Site) -> None:
    key = keys.semaphore(site.group)
    site.everything.put(key, '{"semaphore":7,"max":2,"holders":["x"]}')
    assert isinstance(site.own.acquire_own(OWN, NOW), Updated)
    assert '"semaphore":0,"max":2' in site.everything.get(key).value


def test_the_host_of_a_member_releases_the_slot_of_a_lost_host(site: Site) -> None:
    site.other.acquire_own(OTHER, NOW)
    seen = site.member.read_holder(OTHER.machine_id)
    GroupClient(site.member.store, site.group).add_failure(OTHER.machine_id, FAILURE)
    assert isinstance(site.member.release_lost(OTHER.machine_id, seen), Updated)


def test_a_host_writes_what_is_its_own_beside_the_semaphore(site: Site) -> None:
    group = GroupClient(site.store, site.group)
    assert group.join_queue(OWN.machine_id, Ticket("h1", "boot", "now"))
    group.leave_queue(OWN.machine_id)
    group.write_failure(OWN.machine_id, FAILURE)
    group.append_history(EVENT, OWN.machine_id)
    group.release_store_member(OWN.machine_id)
    beat = records.encode(Heartbeat("h1", "boot", site.group, "0"))
    site.store.put(keys.host(OWN.machine_id), beat, ttl_s=180)
    site.store.refresh(keys.host(OWN.machine_id), 180)
    site.store.put(keys.reboots(OWN.machine_id), "{}")
    assert site.store.refused == []


@pytest.mark.parametrize(
    "key",
    [
        keys.holder("", OTHER.machine_id),
        keys.ticket("", OTHER.machine_id),
        keys.failure("", OTHER.machine_id),
        keys.host(OTHER.machine_id),
        keys.reboots(OTHER.machine_id),
        keys.alias(OTHER.fleetlock_id),
        keys.paused_host(OWN.machine_id),
        keys.PAUSED_FLEET,
        keys.STORE_MEMBER,
        f"{keys.HISTORY}/@default/20261130T000000-{OTHER.machine_id[:8]}-00000000",
        f"{keys.HISTORY}/@default/20261130T000000-00000000",
        keys.semaphore(""),
    ],
)
def test_a_host_writes_nothing_of_others(key: str) -> None:
    site = Site("")
    with pytest.raises(Unauthorized):
        site.store.put(key, '{"semaphore":1,"max":1,"holders":[]}')
    with pytest.raises(Unauthorized):
        site.store.delete(key)


def test_a_host_that_may_not_write_its_alias_does_without(site: Site) -> None:
    GroupClient(site.store, site.group).write_alias(OWN)
    assert not site.everything.list(keys.ALIASES).entries


def test_a_host_deletes_only_its_own_events_of_a_long_history(site: Site) -> None:
    group, all_of_it = GroupClient(site.store, site.group), GroupClient(site.everything, site.group)
    for writer in (OTHER.machine_id, OWN.machine_id, ""):
        for _ in range(5):
            all_of_it.append_history(EVENT, writer)
    for _ in range(HISTORY_MAX - 1):
        all_of_it.append_history(EVENT)
    with pytest.raises(Unauthorized):
        group.prune_history()
    assert group.prune_history(OWN.machine_id) == 5
    left = [each.key for each in site.everything.list(keys.HISTORY).entries]
    assert len(left) == HISTORY_MAX + 9
    assert not any(f"-{OWN.machine_id[:8]}-" in key for key in left)


async def until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.01)


def test_events_wait_while_a_host_may_not_write_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "REFUSED_S", 0.01)
    site = Site("")

    async def story() -> None:
        recorder = EventRecorder(GroupClient(site.store, ""), OWN, ())
        tasks: list[asyncio.Task[None]] = []
        site.store.allow()
        recorder.start(lambda work, _: tasks.append(asyncio.create_task(work)))
        recorder.record_own("granted")
        await until(lambda: len(site.store.refused) >= 3)
        site.store.allow(roles.HOST.document())
        await recorder.flush(20)
        for each in tasks:
            each.cancel()

    asyncio.run(story())
    assert len(site.everything.list(keys.HISTORY).entries) == 1
    said = [each.getMessage() for each in caplog.records]
    assert said.count("history-refused") == 1


def test_a_host_that_may_not_reclaim_leaves_a_lost_holder_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reclaim, "CHECK_EVERY_S", 0.01)
    site = Site("")
    site.everything.put(keys.semaphore(""), '{"semaphore":0,"max":1,"holders":["lost"]}')
    held = HolderRecord("boot", "lost", "", Phase.HELD, deadline="2026-01-01T00:00:00Z")
    site.everything.put(keys.holder("", "lost"), records.encode(held))

    async def story() -> None:
        views = {OWN: view_of_host(OWN, reclaim_max=1), MEMBER: view_of_host(MEMBER, reclaim_max=1)}
        clients = {OWN: site.own, MEMBER: site.member}
        tasks = []
        for who, view in views.items():
            recorder = EventRecorder(GroupClient(clients[who].store, ""), who, ())
            tasks.append(asyncio.create_task(Reclaimer(view, clients[who], recorder).run()))

        def is_released() -> bool:
            for who, view in views.items():
                beat = records.encode(view.heartbeat())
                site.everything.put(keys.host(who.machine_id), beat)
            entries = {each.key: each for each in site.everything.list(keys.PREFIX).entries}
            for view in views.values():
                view.update_group(group_state.build(entries, ""))
            return not site.root.read().semaphore.holders

        await until(is_released)
        assert not views[OWN].reclaims
        assert views[MEMBER].reclaims
        for each in tasks:
            each.cancel()

    asyncio.run(story())
    assert len(site.store.refused) == 1
