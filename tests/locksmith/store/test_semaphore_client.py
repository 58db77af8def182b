"""Slots and their records, in every order of the steps of two programs on one host."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from coordinator.client.core.errors import KeyNotFound
from coordinator.client.core.store_protocol import Entry
from coordinator.client.memory_store import MemoryStore
from locksmith.core import keys, records
from locksmith.core.records import HolderRecord, Phase
from locksmith.core.semaphore import Full, NotHeld
from locksmith.host.identity import Host
from locksmith.store.compare_and_swap import RetryClock, Skipped, Updated
from locksmith.store.semaphore_client import SemaphoreClient

NOW = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
OLD = Host("a" * 32, "boot-1", "alpha")
NEW = Host("a" * 32, "boot-2", "alpha")
OTHER = Host("b" * 32, "boot-9", "beta")
CLOCK = RetryClock(lambda: 0.0, lambda _: None, lambda limit_s: limit_s)


class Interrupted(MemoryStore):
    """A store that lets something else happen just before one of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self._countdown = -1
        self._intrude: Callable[[], object] = lambda: None

    def before_call(self, number: int, intrude: Callable[[], object]) -> None:
        self._countdown, self._intrude = number, intrude

    @property
    def was_reached(self) -> bool:
        return self._countdown < 0

    def _call(self) -> None:
        self._countdown -= 1
        if self._countdown == -1:
            self._intrude()

    def get(self, *arguments: Any, **options: Any) -> Entry:
        self._call()
        return super().get(*arguments, **options)

    def put(self, *arguments: Any, **options: Any) -> Entry:
        self._call()
        return super().put(*arguments, **options)

    def delete(self, *arguments: Any, **options: Any) -> None:
        self._call()
        super().delete(*arguments, **options)


def client_of(store: MemoryStore, group: str = "") -> SemaphoreClient:
    return SemaphoreClient(store, group, CLOCK)


def record_of(store: MemoryStore, host: Host, group: str = "") -> HolderRecord | None:
    try:
        return records.decode(store.get(keys.holder(group, host.machine_id)).value, HolderRecord)
    except KeyNotFound:
        return None


def holders_of(store: MemoryStore) -> tuple[str, ...]:
    return client_of(store).read().semaphore.holders


def test_host_that_acquires_a_slot_writes_a_record() -> None:
    store = MemoryStore()
    assert isinstance(client_of(store, "web").acquire_own(OLD, NOW), Updated)
    assert record_of(store, OLD, "web") == HolderRecord(
        "boot-1", "alpha", "2026-03-01T12:30:05Z", Phase.HELD, token=2, by="locksmithctl"
    )


def test_slot_acquired_for_another_host_has_no_record() -> None:
    store = MemoryStore()
    client_of(store).acquire(OTHER.machine_id)
    assert record_of(store, OTHER) is None


def test_host_that_gets_no_slot_leaves_no_record() -> None:
    store = MemoryStore()
    client_of(store).acquire("someone")
    assert client_of(store).acquire_own(OLD, NOW) == Full(0)
    assert record_of(store, OLD) is None


def test_acquiring_again_in_one_boot_writes_nothing() -> None:
    store = MemoryStore()
    client_of(store).acquire_own(OLD, NOW)
    index = store.list("/").index
    assert isinstance(client_of(store).acquire_own(OLD, NOW), Updated)
    assert store.list("/").index == index


def test_release_deletes_the_record() -> None:
    store = MemoryStore()
    client_of(store).acquire_own(OLD, NOW)
    assert isinstance(client_of(store).release(OLD.machine_id), Updated)
    assert record_of(store, OLD) is None


def test_empty_id_that_a_peer_locked_can_be_released() -> None:
    store = MemoryStore()
    store.put(keys.semaphore(""), '{"semaphore":0,"max":1,"holders":[""]}')
    assert isinstance(client_of(store).release(""), Updated)
    assert holders_of(store) == ()


def test_slot_of_an_earlier_boot_is_released() -> None:
    store = MemoryStore()
    client_of(store).acquire_own(OLD, NOW)
    assert isinstance(client_of(store).release_after_reboot(NEW), Updated)
    assert holders_of(store) == ()
    assert record_of(store, OLD) is None


def test_slot_of_this_boot_is_kept() -> None:
    store = MemoryStore()
    client_of(store).acquire_own(OLD, NOW)
    assert client_of(store).release_after_reboot(OLD) == Skipped("it was locked in this boot")
    assert holders_of(store) == (OLD.machine_id,)


def test_slot_without_a_record_is_kept() -> None:
    store = MemoryStore()
    client_of(store).acquire(OLD.machine_id)
    outcome = client_of(store).release_after_reboot(NEW)
    assert isinstance(outcome, Skipped)
    assert "no record" in outcome.reason
    assert holders_of(store) == (OLD.machine_id,)


@pytest.mark.parametrize(
    "record",
    [
        '{"boot_id":"boot-1","host":"alpha","since":"x","phase":"acquiring"}',
        '{"boot_id":"boot-1","host":"alpha","since":"x","phase":"from-a-later-version"}',
        "not json",
    ],
)
def test_slot_whose_record_proves_nothing_is_kept(record: str) -> None:
    store = MemoryStore()
    client_of(store).acquire(OLD.machine_id)
    store.put(keys.holder("", OLD.machine_id), record)
    assert isinstance(client_of(store).release_after_reboot(NEW), Skipped)
    assert holders_of(store) == (OLD.machine_id,)


def test_host_without_a_slot_releases_nothing() -> None:
    store = MemoryStore()
    assert isinstance(client_of(store).release_after_reboot(NEW), NotHeld)
    assert store.list("/").index == 0


def test_record_of_an_older_slot_does_not_release_a_later_one() -> None:
    store = MemoryStore()
    client_of(store).acquire_own(OLD, NOW)
    store.delete(keys.semaphore(""))  # a Go peer's unlock leaves the record behind just so
    client_of(store).acquire(OLD.machine_id)
    assert isinstance(client_of(store).release_after_reboot(NEW), Skipped)


def test_only_a_record_without_a_slot_is_deleted() -> None:
    store = MemoryStore()
    client_of(store).acquire_own(OLD, NOW)
    assert not client_of(store).delete_stale_record(OLD)
    store.delete(keys.semaphore(""))
    assert client_of(store).delete_stale_record(OLD)
    assert record_of(store, OLD) is None


def test_release_of_the_old_boot_never_takes_a_slot_acquired_in_the_new_boot() -> None:
    reached = 0
    for number in range(12):
        store = Interrupted()
        slots = client_of(store)
        slots.acquire_own(OLD, NOW)
        outcomes: list[object] = []
        store.before_call(number, lambda: outcomes.append(slots.acquire_own(NEW, NOW)))  # noqa: B023
        slots.release_after_reboot(NEW)
        if not store.was_reached:
            break
        reached += 1
        assert isinstance(outcomes[0], Updated)
        assert_held_in_the_new_boot(store)
    assert reached >= 4, "the release was not interrupted at each of its calls"


def test_release_during_an_acquire_of_the_new_boot_keeps_the_slot() -> None:
    reached = 0
    for number in range(12):
        store = Interrupted()
        slots = client_of(store)
        slots.acquire_own(OLD, NOW)
        store.before_call(number, lambda: slots.release_after_reboot(NEW))  # noqa: B023
        outcome = slots.acquire_own(NEW, NOW)
        if not store.was_reached:
            break
        reached += 1
        assert isinstance(outcome, Updated)
        assert_held_in_the_new_boot(store)
    assert reached >= 4, "the lock was not interrupted at each of its calls"


def assert_held_in_the_new_boot(store: MemoryStore) -> None:
    assert holders_of(store) == (NEW.machine_id,)
    record = record_of(store, NEW)
    assert record is not None
    assert (record.boot_id, record.phase) == ("boot-2", Phase.HELD)


def test_cleaning_up_during_an_acquire_does_not_delete_its_record() -> None:
    for number in range(12):
        store = Interrupted()
        slots = client_of(store)
        slots.acquire_own(OLD, NOW)
        store.delete(keys.semaphore(""))
        store.before_call(number, lambda: slots.delete_stale_record(NEW))  # noqa: B023
        slots.acquire_own(NEW, NOW)
        assert_held_in_the_new_boot(store)


def test_release_during_a_new_acquire_does_not_delete_its_record() -> None:
    store = Interrupted()
    slots = client_of(store)
    slots.acquire_own(OLD, NOW)

    def lock_again() -> None:
        slots.release(OLD.machine_id)
        slots.acquire_own(NEW, NOW)

    store.before_call(3, lock_again)  # after the record was read and the semaphore swapped
    slots.release(OLD.machine_id)
    assert_held_in_the_new_boot(store)
