"""Copies a tree from one store to another while both are in use.

A Mirror of the source delivers everything at one index, and then each difference. It handles broken
watches and cleared history. Each delivery is written to the target before the next one is taken.
Three things need more:

1. A refresh wakes no watcher. So a key with a TTL is read again before its copy expires.
2. At the cut-over the source must not change while both stores are read. A copy is verified if the
   source, read before and after the target, is unchanged, and the target is identical to it.
3. Deliveries and these re-reads exclude each other. Otherwise a re-read could bring back a key that
   was just removed.
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
from coordinator.core.ctl.migration_plan import (
    MigrationPlan,
    is_same,
    is_same_expiry,
    left_s,
    may_be_one_store,
    plan,
)

# Writes at a time: enough for a store to share one fsync among them.
WRITERS = 16
# If the target is away for longer, the migration ends. It can be started again.
AWAY_MAX_S = 60.0
AWAY_PAUSE_S = 0.5
# Two stores may have the same cluster id and, for a moment, indexes as if they were one.
DRY_RUN_ATTEMPTS = 3
# Copies that expire within this time are re-read each second, so their TTL is moved in time.
REFRESH_AHEAD_S = 10.0
TICK_S = 1.0
T = TypeVar("T")


class NotIdentical(Exception):  # noqa: N818 - what was found
    """The copy is not identical to the source; the message names keys."""


@dataclass(frozen=True, slots=True)
class StorePair:
    """The two stores, and the prefix that is copied."""

    source: DetectedStore
    target: DetectedStore
    prefix: str


def dry_run(pair: StorePair) -> MigrationPlan:
    """Return what a migration would do now. BadRequest if both are one store."""
    for _ in range(DRY_RUN_ATTEMPTS):
        before = pair.source.list(pair.prefix)
        target = pair.target.list(pair.prefix)
        after = pair.source.list(pair.prefix)
        if not may_be_one_store(before, target, after):
            return plan(after.entries, target.entries)
    raise BadRequest("the source and the target are one store")


class Migration:
    """Keeps the target identical to the source, until `verify` proves that it is."""

    def __init__(self, pair: StorePair) -> None:
        self._source, self._target, self._prefix = pair.source, pair.target, pair.prefix
        self._lock = threading.Lock()
        self._copied = threading.Event()
        self._failed: StoreError | None = None
        self._mirror = Mirror(pair.source, pair.prefix, self._deliver)
        self._writers = ThreadPoolExecutor(WRITERS, "copy")
        self._expiries: dict[str, float] = {}
        self.written = 0

    def __enter__(self) -> Self:
        self._mirror.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._mirror.stop()
        self._writers.shutdown()

    def follow(self, over: threading.Event) -> None:
        """Continue until the first copy is complete and `over` is set."""
        while not (self._copied.is_set() and over.is_set()):
            self._check()
            self._refresh_due(time.time() + REFRESH_AHEAD_S)
            (over if self._copied.is_set() else self._copied).wait(TICK_S)

    def verify(self, patience_s: float) -> int:
        """Wait until both are identical, and return how many keys they have. NotIdentical."""
        deadline_s = time.monotonic() + patience_s
        while True:
            self._check()
            before = self._source.list(self._prefix)
            self._refresh_due(float("inf"))
            target = self._target.list(self._prefix)
            after = self._source.list(self._prefix)
            found = plan(after.entries, target.entries)
            unchanged = _comparable(before.entries) == _comparable(after.entries)
            if unchanged and self._is_done(found):
                return found.same + len(found.changed)
            if time.monotonic() > deadline_s:
                raise NotIdentical(_reason(found, unchanged=unchanged))
            time.sleep(AWAY_PAUSE_S)

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _is_done(self, found: MigrationPlan) -> bool:
        return not found.new and not found.extra and all(map(self._is_same_now, found.changed))

    def _is_same_now(self, entry: Entry) -> bool:
        """Read a key that differs: a listing may not have the expiry that a refresh gave it."""
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
            # A listing may not have the expiry after a refresh; a read of the key has it.
            try:
                entry = _retry(lambda: self._source.get(entry.key))
            except (KeyNotFound, NotAFile):
                return  # it is gone: the mirror will deliver that
            ttl_s = left_s(entry, time.time())
        _retry(lambda: self._put(entry, ttl_s))
        self._remember_expiry(entry)

    def _put(self, entry: Entry, ttl_s: int | None) -> None:
        try:
            self._target.put(entry.key, entry.value, ttl_s=ttl_s)
        except NotAFile:
            # An empty directory in the target. The source has a file here.
            self._target.delete(entry.key, recursive=True)
            self._target.put(entry.key, entry.value, ttl_s=ttl_s)

    def _remove(self, key: str) -> None:
        self._expiries.pop(key, None)
        _retry(lambda: self._delete(key))

    def _delete(self, key: str) -> None:
        try:
            self._target.delete(key)
        except (KeyNotFound, NotAFile):
            return  # it expired here, too, or a directory took its place

    def _remember_expiry(self, entry: Entry) -> None:
        if entry.expires_at is None:
            self._expiries.pop(entry.key, None)
        else:
            self._expiries[entry.key] = entry.expires_at

    def _refresh_due(self, until: float) -> None:
        """Refresh the copies that would expire before `until`, as the source has been."""
        with self._lock:
            due = [key for key, expires_at in self._expiries.items() if expires_at < until]
            self._each(self._refresh_one, due)

    def _refresh_one(self, key: str) -> None:
        try:
            entry = _retry(lambda: self._source.get(key))
        except (KeyNotFound, NotAFile):
            return
        now_s = time.time()
        ttl_s = left_s(entry, now_s)
        is_overdue = (entry.expires_at or now_s) < now_s
        is_known = is_same_expiry(entry.expires_at, self._expiries[key]) and not is_overdue
        if ttl_s is None or is_known:
            return
        try:
            _retry(lambda: self._target.refresh(key, ttl_s))
        except (KeyNotFound, NotAFile):
            _retry(lambda: self._put(entry, ttl_s))
        self._remember_expiry(entry)


def _retry(act: Callable[[], T]) -> T:
    deadline_s = time.monotonic() + AWAY_MAX_S
    while True:
        try:
            return act()
        except (Unavailable, HistoryCleared):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(AWAY_PAUSE_S)


def _comparable(entries: tuple[Entry, ...]) -> list[tuple[str, str, int]]:
    """What must not change meanwhile. A refresh moves the index of a key, and is allowed."""
    return [(each.key, each.value, 0 if each.expires_at else each.modified) for each in entries]


def _reason(found: MigrationPlan, *, unchanged: bool) -> str:
    if not unchanged:
        return "the source kept changing: stop the programs that write to it, and start again"
    keys = [*(each.key for each in (*found.new, *found.changed)), *found.extra]
    return f"{len(keys)} keys differ, first {', '.join(keys[:5])}"
