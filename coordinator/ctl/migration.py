"""Copying a tree from one store to another while both are in use.

A Mirror of the source tells everything at one index and then each difference; it alone knows
what to do when a watch breaks or history is cleared. Each of its deliveries is written to the
target before it takes the next. Three things need more:

1. A refresh wakes no watcher. So keys with a TTL are looked at again before their copies end.
2. At the cut-over the source must stand still while both are read: a verified copy is one where
   the source read before and after the target is the same, and the target is the same as both.
3. Deliveries and looks exclude each other, or a look could bring back what was just removed.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self, TypeVar

from coordinator.client import (
    BadRequest,
    Changes,
    DetectedStore,
    Entry,
    HistoryCleared,
    KeyNotFound,
    Mirror,
    NotAFile,
    StoreError,
    Unavailable,
)
from coordinator.core.ctl.migration_plan import Plan, ends_alike, is_same, left_s, may_be_one, plan

# Writes under way at a time: enough for a store to share one fsync among them.
WRITERS = 16
# A target that is away so long ends the migration; it can be started again.
AWAY_MAX_S = 60.0
AWAY_PAUSE_S = 0.5
# Two stores may have one cluster id and, for a moment, indexes as if they were one.
LOOKS = 3
# Copies that end within it are looked at each second, so a copy's TTL is moved in time.
LOOK_AHEAD_S = 10.0
TICK_S = 1.0
T = TypeVar("T")


class Differs(Exception):  # noqa: N818 - what was found
    """The copy was not the same as the source; the message names keys."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What is copied from where to where."""

    source: DetectedStore
    target: DetectedStore
    prefix: str


def dry_run(tree: Tree) -> Plan:
    """Return what a migration would do now. BadRequest if both are one store."""
    for _ in range(LOOKS):
        before = tree.source.list(tree.prefix)
        target = tree.target.list(tree.prefix)
        after = tree.source.list(tree.prefix)
        if not may_be_one(before, target, after):
            return plan(after.entries, target.entries)
    raise BadRequest("the source and the target are one store")


class Migration:
    """Keeps the target the same as the source until it is told to verify that."""

    def __init__(self, tree: Tree) -> None:
        self._source, self._target, self._prefix = tree.source, tree.target, tree.prefix
        self._lock = threading.Lock()
        self._copied = threading.Event()
        self._failed: StoreError | None = None
        self._mirror = Mirror(tree.source, tree.prefix, self._deliver)
        self._writers = ThreadPoolExecutor(WRITERS, "copy")
        self._ends: dict[str, float] = {}
        self.written = 0

    def __enter__(self) -> Self:
        self._mirror.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._mirror.stop()
        self._writers.shutdown()

    def follow(self, over: threading.Event) -> None:
        """Go on until the first copy is whole and it is `over`."""
        while not (self._copied.is_set() and over.is_set()):
            self._check()
            self._look(time.time() + LOOK_AHEAD_S)
            (over if self._copied.is_set() else self._copied).wait(TICK_S)

    def verify(self, patience_s: float) -> int:
        """Wait for a moment when both are the same; return how many keys they have. Differs."""
        deadline_s = time.monotonic() + patience_s
        while True:
            self._check()
            before = self._source.list(self._prefix)
            self._look(float("inf"))
            target = self._target.list(self._prefix)
            after = self._source.list(self._prefix)
            found = plan(after.entries, target.entries)
            stood_still = _standing(before.entries) == _standing(after.entries)
            if stood_still and self._is_done(found):
                return found.same + len(found.changed)
            if time.monotonic() > deadline_s:
                raise Differs(_reason(found, stood_still=stood_still))
            time.sleep(AWAY_PAUSE_S)

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _is_done(self, found: Plan) -> bool:
        return not found.new and not found.extra and all(map(self._is_alike, found.changed))

    def _is_alike(self, entry: Entry) -> bool:
        """Look at a key that differs: a listing may not know the end that a refresh gave it."""
        if entry.expires_at is None:
            return False
        try:
            return is_same(self._source.get(entry.key), self._target.get(entry.key))
        except (KeyNotFound, NotAFile):
            return False

    def _deliver(self, changes: Changes) -> None:
        if self._failed is not None:
            return
        try:
            with self._lock:
                if changes.reset:
                    self._remove_extra(changes)
                self._each(self._remove, changes.removed)
                self._each(self._write, changes.entries)
                self.written += len(changes.entries) + len(changes.removed)
        except StoreError as error:
            self._failed = error
        self._copied.set()

    def _remove_extra(self, changes: Changes) -> None:
        target = self._target.list(self._prefix)
        self._each(self._remove, plan(changes.entries, target.entries).extra)

    def _each(self, act: Callable[[T], None], what: Iterable[T]) -> None:
        for _ in self._writers.map(act, what):
            pass

    def _write(self, entry: Entry) -> None:
        ttl_s = None
        if entry.expires_at is not None:
            # A listing may not know of refreshes; the key itself does.
            try:
                entry = _patiently(lambda: self._source.get(entry.key))
            except (KeyNotFound, NotAFile):
                return  # it is gone, which the mirror will tell
            ttl_s = left_s(entry, time.time())
            if ttl_s == 0:
                return
        _patiently(lambda: self._put(entry, ttl_s))
        self._note(entry)

    def _put(self, entry: Entry, ttl_s: int | None) -> None:
        try:
            self._target.put(entry.key, entry.value, ttl_s=ttl_s)
        except NotAFile:
            # A directory that is empty in the source, or the source would have no file here.
            self._target.delete(entry.key, recursive=True)
            self._target.put(entry.key, entry.value, ttl_s=ttl_s)

    def _remove(self, key: str) -> None:
        self._ends.pop(key, None)
        _patiently(lambda: self._forget(key))

    def _forget(self, key: str) -> None:
        try:
            self._target.delete(key)
        except (KeyNotFound, NotAFile):
            return  # its TTL ran out here too, or a directory took its place

    def _note(self, entry: Entry) -> None:
        if entry.expires_at is None:
            self._ends.pop(entry.key, None)
        else:
            self._ends[entry.key] = entry.expires_at

    def _look(self, until: float) -> None:
        """Move the ends of copies that would end before `until` to where the source has them."""
        with self._lock:
            due = [key for key, end_at in self._ends.items() if end_at < until]
            self._each(self._relook, due)

    def _relook(self, key: str) -> None:
        try:
            entry = _patiently(lambda: self._source.get(key))
        except (KeyNotFound, NotAFile):
            return
        ttl_s = left_s(entry, time.time())
        if not ttl_s or ends_alike(entry.expires_at, self._ends[key]):
            return
        try:
            _patiently(lambda: self._target.refresh(key, ttl_s))
        except (KeyNotFound, NotAFile):
            _patiently(lambda: self._put(entry, ttl_s))
        self._note(entry)


def _patiently(act: Callable[[], T]) -> T:
    deadline_s = time.monotonic() + AWAY_MAX_S
    while True:
        try:
            return act()
        except (Unavailable, HistoryCleared):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(AWAY_PAUSE_S)


def _standing(entries: tuple[Entry, ...]) -> list[tuple[str, str, int]]:
    """What must not move meanwhile; a refresh moves the index of a key and may go on."""
    return [(each.key, each.value, 0 if each.expires_at else each.modified) for each in entries]


def _reason(found: Plan, *, stood_still: bool) -> str:
    if not stood_still:
        return "the source did not stand still: stop who writes to it, and start again"
    keys = [*(each.key for each in (*found.new, *found.changed)), *found.extra]
    return f"{len(keys)} keys differ, first {', '.join(keys[:5])}"
