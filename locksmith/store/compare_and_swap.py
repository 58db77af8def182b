"""Updates the semaphore by compare-and-swap, in one attempt that survives lost races.

Hosts of a fleet often ask for a slot in the same second. After a lost race, the attempt reads again
and pauses for a random time; Go's locksmith would have failed. If the store's answer was lost, it
is unknown whether the write took effect. The next read shows that: if it finds the wanted state,
the attempt has succeeded.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from coordinator.client.core.errors import (
    CompareFailed,
    KeyExists,
    KeyNotFound,
    StoreError,
    Unavailable,
)
from coordinator.client.core.store_protocol import Absent, AtIndex, Store
from locksmith.core import semaphore
from locksmith.core.semaphore import CorruptSemaphoreText, NotHeld, Refusal, Semaphore

# The time limit of one attempt: an operator is waiting at the terminal.
ATTEMPT_LIMIT_S = 15.0
# A write takes some milliseconds, so the first pause lets one competitor finish.
PAUSE_FIRST_S = 0.01
# A longer pause only adds idle time: the key is free again within milliseconds.
PAUSE_MAX_S = 0.5


class CorruptSemaphore(StoreError):  # noqa: N818 - as the store's own errors are named
    """The key does not hold a semaphore. It is left as it is."""


class Contended(StoreError):  # noqa: N818
    """Others kept changing the semaphore for the whole attempt."""


@dataclass(frozen=True, slots=True)
class RetryClock:
    """The clock of an attempt. `jitter(limit_s)` returns a pause between 0 and the limit."""

    now_s: Callable[[], float]
    sleep: Callable[[float], None]
    jitter: Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Reading:
    """The semaphore as it was read; `modified` is 0 while the key is absent."""

    semaphore: Semaphore
    text: str
    modified: int


@dataclass(frozen=True, slots=True)
class Updated:
    """The semaphore is as wanted since index `modified`; `before` is what the attempt found."""

    before: Semaphore
    after: Semaphore
    modified: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """The caller decided not to change the semaphore, for this reason."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def system_clock(sleep: Callable[[float], None] = time.sleep) -> RetryClock:
    """Return the clock of this host, with random jitter."""
    return RetryClock(time.monotonic, sleep, lambda limit_s: random.uniform(0.0, limit_s))


Declined = Refusal | Skipped
Decide = Callable[[Reading], Semaphore | Declined]


@dataclass(frozen=True, slots=True)
class Update:
    """The change that an attempt makes.

    `force_write` writes even an unchanged semaphore, so that a competitor's compare fails.
    """

    decide: Decide
    force_write: bool = False


def read(store: Store, key: str) -> Reading:
    """Return the semaphore by a quorum read, without creating it. Raises CorruptSemaphore."""
    try:
        entry = store.get(key)
    except KeyNotFound:
        return Reading(semaphore.ABSENT, "", 0)
    try:
        return Reading(semaphore.decode(entry.value), entry.value, entry.modified)
    except CorruptSemaphoreText as error:
        raise CorruptSemaphore(
            f"{key} does not hold a semaphore ({error}); it was not changed: "
            "repair it by hand, or delete the key to start with one free slot"
        ) from error


def apply(store: Store, key: str, update: Update, clock: RetryClock) -> Updated | Declined:
    """Write what `update` decides, against competitors, for up to ATTEMPT_LIMIT_S.

    Raises CorruptSemaphore, Contended and what the store raises.
    """
    end_s = clock.now_s() + ATTEMPT_LIMIT_S
    pause_s = PAUSE_FIRST_S
    unsure: Reading | None = None
    while True:
        seen = read(store, key)
        wanted = update.decide(seen)
        if isinstance(wanted, NotHeld) and unsure is not None:
            return Updated(unsure.semaphore, seen.semaphore, seen.modified)
        if not isinstance(wanted, Semaphore):
            return wanted
        text = semaphore.encode(wanted)
        if text == seen.text and not update.force_write:
            return Updated((unsure or seen).semaphore, wanted, seen.modified)
        written = _write(store, key, text, seen)
        if isinstance(written, int):
            return Updated(seen.semaphore, wanted, written)
        if isinstance(written, Unavailable):
            unsure = seen
        pause = clock.jitter(pause_s)
        if clock.now_s() + pause > end_s:
            raise written
        clock.sleep(pause)
        pause_s = min(PAUSE_MAX_S, pause_s * 2)


def _write(store: Store, key: str, text: str, seen: Reading) -> Contended | Unavailable | int:
    """Swap the document in; return its index, or why that failed or may have failed.

    A host may change only its own place in the document. So the store must see the value that the
    change was made from.
    """
    try:
        when = AtIndex(seen.modified, seen.text) if seen.modified else Absent()
        return store.put(key, text, when=when).modified
    except (CompareFailed, KeyExists, KeyNotFound):
        return Contended(
            f"{key} kept changing for {ATTEMPT_LIMIT_S:g} s: "
            "another client writes it all the time; try again"
        )
    except Unavailable as error:
        return error
