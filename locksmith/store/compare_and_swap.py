"""Changing the semaphore by compare and swap, as one attempt that survives races.

Hosts of a fleet often come for a slot in the same second. A lost race costs a re-read and a
jittered pause within one attempt; a peer that Go's locksmith would have turned away gets its
turn. Whether a write took effect can be unknown (the store's answer was lost): the next read
tells, and what this attempt wanted and now finds done counts as done by it.
"""

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
from locksmith.core.semaphore import CorruptDocument, NotHeld, Refusal, Semaphore

# How long one attempt fights for the key: an operator waits at the terminal.
PATIENCE_S = 15.0
# A write takes some milliseconds; a first pause of that size lets one competitor finish.
PAUSE_FIRST_S = 0.01
# Beyond this a pause only adds idle time: the key is free again within milliseconds.
PAUSE_MAX_S = 0.5


class CorruptSemaphore(StoreError):  # noqa: N818 - beside the store's own names
    """The key holds no semaphore. It is left as it is."""


class Contended(StoreError):  # noqa: N818
    """Others kept changing the semaphore for as long as one attempt lasts."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Time as an attempt sees it. `jitter(limit_s)` returns a pause between 0 and the limit."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    jitter: Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Reading:
    """The semaphore as it stood; `modified` is 0 while nobody has written it."""

    semaphore: Semaphore
    text: str
    modified: int


@dataclass(frozen=True, slots=True)
class Done:
    """The semaphore is as wanted, at index `modified`. `before` is what this attempt found."""

    before: Semaphore
    after: Semaphore
    modified: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """The caller saw a reason not to act."""

    reason: str

    def __str__(self) -> str:
        return self.reason


Declined = Refusal | Kept
Decide = Callable[[Reading], Semaphore | Declined]


@dataclass(frozen=True, slots=True)
class Wish:
    """What an attempt wants of the key.

    `touch` writes even what stands there already, so that a rival's compare fails.
    """

    decide: Decide
    touch: bool = False


def read(store: Store, key: str) -> Reading:
    """Read the semaphore with a quorum, without creating it. Raises CorruptSemaphore."""
    try:
        entry = store.get(key)
    except KeyNotFound:
        return Reading(semaphore.ABSENT, "", 0)
    try:
        return Reading(semaphore.decode(entry.value), entry.value, entry.modified)
    except CorruptDocument as error:
        raise CorruptSemaphore(
            f"{key} holds no semaphore ({error}); it was left untouched: "
            "repair it by hand, or delete the key to begin with one free slot"
        ) from error


def change(store: Store, key: str, wish: Wish, pace: Pace) -> Done | Declined:
    """Move the semaphore to what `wish` decides, racing others for up to PATIENCE_S.

    Raises CorruptSemaphore, Contended and what the store raises.
    """
    end_s = pace.clock() + PATIENCE_S
    pause_s = PAUSE_FIRST_S
    unsure: Reading | None = None
    while True:
        seen = read(store, key)
        wanted = wish.decide(seen)
        if isinstance(wanted, NotHeld) and unsure is not None:
            return Done(unsure.semaphore, seen.semaphore, seen.modified)
        if not isinstance(wanted, Semaphore):
            return wanted
        text = semaphore.encode(wanted)
        if text == seen.text and not wish.touch:
            return Done((unsure or seen).semaphore, wanted, seen.modified)
        written = _write(store, key, text, seen)
        if isinstance(written, int):
            return Done(seen.semaphore, wanted, written)
        if isinstance(written, Unavailable):
            unsure = seen
        pause = pace.jitter(pause_s)
        if pace.clock() + pause > end_s:
            raise written
        pace.sleep(pause)
        pause_s = min(PAUSE_MAX_S, pause_s * 2)


def _write(store: Store, key: str, text: str, seen: Reading) -> Contended | Unavailable | int:
    """Swap the document in; return its index, or why it did not happen, or may not have."""
    try:
        when = AtIndex(seen.modified) if seen.modified else Absent()
        return store.put(key, text, when=when).modified
    except (CompareFailed, KeyExists, KeyNotFound):
        return Contended(
            f"{key} kept changing for {PATIENCE_S:g} s: somebody writes it all the time; try again"
        )
    except Unavailable as error:
        return error
