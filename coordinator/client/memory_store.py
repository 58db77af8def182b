"""A Store in memory that behaves as a store of one member does, for tests and for confd."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Self, assert_never

from coordinator.client.core import key_paths
from coordinator.client.core.errors import (
    CompareFailed,
    HistoryCleared,
    KeyExists,
    KeyNotFound,
    NotADirectory,
    NotAFile,
)
from coordinator.client.core.store_protocol import (
    Absent,
    AtIndex,
    DeleteCondition,
    Entry,
    Event,
    Listing,
    Present,
    Progress,
    PutCondition,
    WithValue,
)
from coordinator.client.core.validation import checked_condition, checked_text, checked_ttl


class MemoryStore:
    """Files and directories under one lock. Thread-safe.

    A key with a TTL goes when `expire` is called and `clock` (Unix time, seconds) has passed its
    expiry. As on a server, a directory is created with its first file and stays until deleted. The
    last `history_max` changes can be watched.
    """

    def __init__(
        self,
        *,
        cluster: str = "memory",
        clock: Callable[[], float] = time.time,
        history_max: int = 1000,
    ) -> None:
        self.cluster = cluster
        self._clock = clock
        self._changed = threading.Condition()
        self._files: dict[str, Entry] = {}
        self._directories: set[str] = set()
        self._index = 0
        # A refresh takes an index, but watchers do not see it: None.
        self._history: deque[Event | None] = deque(maxlen=history_max)

    def get(self, key: str, *, quorum: bool = True) -> Entry:  # noqa: ARG002 - always current
        """Read one key."""
        with self._changed:
            return self._file(key_paths.checked_key(key))

    def list(self, prefix: str) -> Listing:
        """Read every key below `prefix`, also with segments that begin with `_`."""
        key_paths.checked_prefix(prefix)
        with self._changed:
            found = (entry for key, entry in self._files.items() if key_paths.holds(prefix, key))
            entries = tuple(sorted(found, key=lambda entry: entry.key))
            return Listing(self.cluster, self._index, entries)

    def put(
        self,
        key: str,
        value: str,
        *,
        ttl_s: int | None = None,
        when: PutCondition | None = None,
    ) -> Entry:
        """Write one key, atomically with its condition. Without a TTL the key does not expire."""
        key_paths.checked_key(key)
        checked_text(value, f"value of {key}")
        checked_condition(when, key)
        expires_at = None if ttl_s is None else self._clock() + checked_ttl(ttl_s, key)
        with self._changed:
            old = self._checked_put(key, when)
            index = self._index + 1
            # A put without a condition makes a new file; one with a condition keeps the old one.
            created = old.created if old is not None and when is not None else index
            entry = self._files[key] = Entry(key, value, created, index, expires_at)
            self._directories.update(key_paths.parents(key))
            self._record(Event(index, key, entry))
            return entry

    def refresh(self, key: str, ttl_s: int) -> None:
        """Restart the key's TTL without waking watchers."""
        checked_ttl(ttl_s, key_paths.checked_key(key))
        with self._changed:
            old = self._file(key)
            index = self._index + 1
            self._files[key] = Entry(key, old.value, index, index, self._clock() + ttl_s)
            self._record(None)

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one key, or with `recursive` all below the key."""
        key_paths.checked_key(key)
        checked_condition(when, key)
        with self._changed:
            if key in self._directories and recursive and when is None:
                self._drop_directory(key)
            else:
                entry = self._file(key)
                if when is not None:
                    _compared(entry, when)
                del self._files[key]
            self._record(Event(self._index + 1, key, None))

    def remove_empty(self, directory: str) -> None:
        """Remove a directory if it is there and holds nothing, not even a directory."""
        key_paths.checked_key(directory)
        with self._changed:
            below = (key for key in (*self._files, *self._directories) if key != directory)
            if directory in self._directories and not any(
                key_paths.holds(directory, key) for key in below
            ):
                self._directories.remove(directory)
                self._record(Event(self._index + 1, directory, None))

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> "MemoryWatch":
        """Follow changes at or below `prefix` with an index above `after`."""
        return MemoryWatch(self, key_paths.checked_prefix(prefix), after, cluster)

    def expire(self) -> None:
        """Remove the keys that have expired, each as one event, the earliest first."""
        with self._changed:
            now = self._clock()
            due = [
                (entry.expires_at, entry.key)
                for entry in self._files.values()
                if entry.expires_at is not None and entry.expires_at <= now
            ]
            for _, key in sorted(due):
                del self._files[key]
                self._record(Event(self._index + 1, key, None))

    def after(self, index: int) -> tuple[Event, ...]:
        """Return the changes after `index`. HistoryCleared if the history has lost some of them."""
        with self._changed:
            oldest = self._index - len(self._history) + 1
            if index + 1 < oldest:
                raise HistoryCleared(f"changes after {index} are gone, the oldest is {oldest}")
            if index > self._index:
                raise HistoryCleared(f"the store is behind index {index}, at {self._index}")
            events = islice(self._history, index + 1 - oldest, None)
            return tuple(event for event in events if event is not None)

    def wait(self, done: Callable[[], object]) -> None:
        """Block until `done()` is true; it is checked after each change."""
        with self._changed:
            self._changed.wait_for(done)

    def wake(self) -> None:
        """Make every `wait` check again."""
        with self._changed:
            self._changed.notify_all()

    def _checked_put(self, key: str, when: PutCondition | None) -> Entry | None:
        match when:
            case None if key not in self._directories:
                self._check_parents(key)
                return self._files.get(key)
            case Absent():
                self._check_parents(key)
                if key in self._files or key in self._directories:
                    raise KeyExists(f"{key} exists")
                return None
            case None | Present():
                return self._file(key)
            case AtIndex() | WithValue():
                return _compared(self._file(key), when)
            case _:
                assert_never(when)

    def _check_parents(self, key: str) -> None:
        for parent in key_paths.parents(key):
            if parent in self._files:
                raise NotADirectory(f"{key}: {parent} is a file")

    def _file(self, key: str) -> Entry:
        self._check_parents(key)
        if key in self._directories:
            raise NotAFile(f"{key} is a directory")
        if (entry := self._files.get(key)) is None:
            raise KeyNotFound(f"{key} does not exist")
        return entry

    def _drop_directory(self, key: str) -> None:
        self._files = {
            name: entry for name, entry in self._files.items() if not key_paths.holds(key, name)
        }
        self._directories = {name for name in self._directories if not key_paths.holds(key, name)}

    def _record(self, event: Event | None) -> None:
        self._index += 1
        self._history.append(event)
        self._changed.notify_all()


def _compared(entry: Entry, when: AtIndex | WithValue) -> Entry:
    match when:
        case AtIndex(modified):
            holds = entry.modified == modified
        case WithValue(value):
            holds = entry.value == value
        case _:
            assert_never(when)
    if not holds:
        raise CompareFailed(f"{entry.key} has index {entry.modified}, but the condition is {when}")
    return entry


class MemoryWatch:
    """A Watch of a MemoryStore."""

    def __init__(self, store: MemoryStore, prefix: str, after: int, cluster: str) -> None:
        self._store = store
        self._prefix = prefix
        self._after = after
        self._cluster = cluster or store.cluster
        self._ahead: deque[Event] = deque()
        self._closed = False

    def __iter__(self) -> Iterator[Event | Progress]:
        """Block for the next change."""
        if self._cluster != self._store.cluster:
            raise HistoryCleared(f"cluster {self._store.cluster} answers, not {self._cluster}")
        opening = Progress(self._after)
        self.pending()
        yield opening
        while not self._closed:
            self._store.wait(lambda: self._closed or self.pending())
            if not self._closed:
                yield self._ahead.popleft()

    def pending(self) -> bool:
        """Return whether the next change is already here."""
        if not self._ahead:
            for event in self._store.after(self._after):
                self._after = event.index
                if key_paths.holds(self._prefix, event.key):
                    self._ahead.append(event)
                elif event.entry is None and key_paths.holds(event.key, self._prefix):
                    self._ahead.append(Event(event.index, self._prefix, None))
        return bool(self._ahead)

    def close(self) -> None:
        """End the watch from any thread."""
        self._closed = True
        self._store.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
