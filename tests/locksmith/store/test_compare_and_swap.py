"""The compare-and-swap loop, with competitors and a store that loses answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from coordinator.client.core.errors import Unavailable
from coordinator.client.core.store_protocol import Entry
from coordinator.client.memory_store import MemoryStore
from locksmith.core import semaphore
from locksmith.core.semaphore import Full, NotHeld, Semaphore
from locksmith.store import compare_and_swap
from locksmith.store.compare_and_swap import (
    Contended,
    CorruptSemaphore,
    RetryClock,
    Update,
    Updated,
)

KEY = "/coreos.com/updateengine/rebootlock/semaphore"


@dataclass
class Time:
    """A clock that advances only by sleeping, and the pauses so far."""

    now_s: float = 0.0
    pauses_s: list[float] = field(default_factory=list)

    def clock(self) -> RetryClock:
        return RetryClock(lambda: self.now_s, self._sleep, lambda limit_s: limit_s)

    def _sleep(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)
        self.now_s += pause_s


class Raced(MemoryStore):
    """A store where `rival` writes just before each of our writes, while it wants to."""

    def __init__(self, rival: Callable[[MemoryStore], None]) -> None:
        super().__init__()
        self._rival = rival
        self.times = 0
        self.limit = 1

    def put(self, key: str, value: str, **options: Any) -> Entry:
        if self.times < self.limit:
            self.times += 1
            self._rival(self)
        return super().put(key, value, **options)

    def put_directly(self, value: str) -> None:
        super().put(KEY, value)


class Deaf(MemoryStore):
    """A store that loses the answer of its first write: after it took effect, or before."""

    def __init__(self, *, takes_effect: bool) -> None:
        super().__init__()
        self._takes_effect = takes_effect
        self.lost = 0

    def put(self, key: str, value: str, **options: Any) -> Entry:
        if self.lost:
            return super().put(key, value, **options)
        self.lost = 1
        if self._takes_effect:
            super().put(key, value, **options)
        raise Unavailable("the answer was lost; whether it took effect is unknown")


def locking(holder: str, *, force_write: bool = False) -> Update:
    return Update(lambda at: semaphore.acquire(at.semaphore, holder), force_write=force_write)


def unlocking(holder: str) -> Update:
    return Update(lambda at: semaphore.release(at.semaphore, holder))


def resizing(slots: int) -> Update:
    return Update(lambda at: semaphore.set_max(at.semaphore, slots))


def stored(store: MemoryStore) -> str:
    return store.get(KEY).value


def test_reading_an_absent_semaphore_writes_nothing() -> None:
    store = MemoryStore()
    assert compare_and_swap.read(store, KEY).semaphore == semaphore.ABSENT
    assert store.list("/").index == 0


def test_first_acquire_creates_the_semaphore_with_one_slot() -> None:
    store = MemoryStore()
    outcome = compare_and_swap.apply(store, KEY, locking("a"), Time().clock())
    assert isinstance(outcome, Updated)
    assert stored(store) == '{"semaphore":0,"max":1,"holders":["a"]}'


def test_refused_update_writes_nothing() -> None:
    store = MemoryStore()
    assert isinstance(compare_and_swap.apply(store, KEY, unlocking("a"), Time().clock()), NotHeld)
    assert store.list("/").index == 0


def test_unchanged_value_is_not_written_again() -> None:
    store = MemoryStore()
    compare_and_swap.apply(store, KEY, locking("a"), Time().clock())
    compare_and_swap.apply(store, KEY, locking("a"), Time().clock())
    assert store.get(KEY).modified == 1


def test_forced_write_writes_an_unchanged_value() -> None:
    store = MemoryStore()
    compare_and_swap.apply(store, KEY, locking("a"), Time().clock())
    compare_and_swap.apply(store, KEY, locking("a", force_write=True), Time().clock())
    assert store.get(KEY).modified == 2


def test_lost_race_is_retried_on_the_new_value() -> None:
    store = Raced(lambda at: at.put_directly('{"semaphore":1,"max":2,"holders":["r"]}'))
    time = Time()
    assert isinstance(compare_and_swap.apply(store, KEY, locking("a"), time.clock()), Updated)
    assert stored(store) == '{"semaphore":0,"max":2,"holders":["a","r"]}'
    assert time.pauses_s == [compare_and_swap.PAUSE_FIRST_S]


def test_competitor_that_took_the_last_slot_keeps_it() -> None:
    store = Raced(lambda at: at.put_directly('{"semaphore":0,"max":1,"holders":["r"]}'))
    assert compare_and_swap.apply(store, KEY, locking("a"), Time().clock()) == Full(0)
    assert semaphore.decode(stored(store)).holders == ("r",)


def test_semaphore_deleted_during_an_update_is_created_again() -> None:
    store = Raced(lambda at: at.delete(KEY))
    store.put_directly('{"semaphore":4,"max":5,"holders":["r"]}')
    compare_and_swap.apply(store, KEY, locking("a"), Time().clock())
    assert stored(store) == '{"semaphore":0,"max":1,"holders":["a"]}'


def test_attempt_ends_if_others_never_stop_writing() -> None:
    store = Raced(lambda at: at.put_directly('{"semaphore":9,"max":9,"holders":[]}'))
    store.limit = 10**6
    time = Time()
    with pytest.raises(Contended, match="kept changing"):
        compare_and_swap.apply(store, KEY, locking("a"), time.clock())
    assert time.now_s <= compare_and_swap.ATTEMPT_LIMIT_S
    assert max(time.pauses_s) == compare_and_swap.PAUSE_MAX_S
    assert store.times < 100


@pytest.mark.parametrize("takes_effect", [True, False])
def test_lost_answer_does_not_lose_or_double_an_acquire(*, takes_effect: bool) -> None:
    store = Deaf(takes_effect=takes_effect)
    outcome = compare_and_swap.apply(store, KEY, locking("a"), Time().clock())
    assert isinstance(outcome, Updated)
    assert stored(store) == '{"semaphore":0,"max":1,"holders":["a"]}'
    assert store.lost == 1


@pytest.mark.parametrize("takes_effect", [True, False])
def test_lost_answer_to_a_release_is_not_a_failure(*, takes_effect: bool) -> None:
    store = Deaf(takes_effect=takes_effect)
    MemoryStore.put(store, KEY, '{"semaphore":0,"max":1,"holders":["a"]}')
    assert isinstance(compare_and_swap.apply(store, KEY, unlocking("a"), Time().clock()), Updated)
    assert stored(store) == '{"semaphore":1,"max":1,"holders":[]}'


def test_old_max_survives_a_lost_answer() -> None:
    store = Deaf(takes_effect=True)
    outcome = compare_and_swap.apply(store, KEY, resizing(7), Time().clock())
    assert isinstance(outcome, Updated)
    assert (outcome.before.max, outcome.after.max) == (1, 7)


@pytest.mark.parametrize("update", [locking("a"), unlocking("a"), resizing(3)])
def test_invalid_semaphore_is_never_overwritten(update: Update) -> None:
    store = MemoryStore()
    store.put(KEY, "somebody's notes")
    with pytest.raises(CorruptSemaphore, match=KEY):
        compare_and_swap.apply(store, KEY, update, Time().clock())
    assert stored(store) == "somebody's notes"


def test_write_corrects_an_edited_number_of_free_slots() -> None:
    store = MemoryStore()
    store.put(KEY, '{"semaphore":7,"max":2,"holders":["b","b"]}')
    compare_and_swap.apply(store, KEY, locking("a"), Time().clock())
    assert stored(store) == '{"semaphore":0,"max":2,"holders":["a","b"]}'
    assert semaphore.decode(stored(store)) == Semaphore(2, ("a", "b"), listed=True)
