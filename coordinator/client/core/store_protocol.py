"""The Store protocol: the operations of a key-value store that daemons use, on any server.

Keys are absolute paths (`/skydns/local/app`), values are text. A store keeps one
increasing index for all keys; an entry's `modified` is the index of its last write.
Implementations: `HttpStore` (our coordinator, etcd with the v2 API), `EtcdStore` (etcd with the
v3 API), `MemoryStore`.

A key with a value is a file; a key with keys below it is a directory. Two things depend on the
server. A directory outlives its last file, except on etcd's v3 API, which has no directories. And
a put without a condition makes a new file with a new `created`, except on that API, which keeps
the index of the first write.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One file. `expires_at` is Unix time in seconds, None for a key without TTL."""

    key: str
    value: str
    created: int
    modified: int
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All files below a prefix, sorted by key, as they were at `index` in one cluster."""

    cluster: str
    index: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `entry` is the new file. None means that `key` and all below it was removed.

    `more` says that another event of the same index follows at once: etcd's v3 transactions
    change several keys at one index.
    """

    index: int
    key: str
    entry: Entry | None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Nothing happened below the watched prefix up to and including `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class Absent:
    """Write only if the key does not exist."""


@dataclass(frozen=True, slots=True)
class Present:
    """Write only if the key exists."""


@dataclass(frozen=True, slots=True)
class AtIndex:
    """Act only if the key's modified index is this one (compare and swap).

    A `value` is the one that was read there. It makes no difference to what happens, except on a
    store that must see what a caller changes of a value before it lets the caller write.
    """

    modified: int
    value: str = ""


@dataclass(frozen=True, slots=True)
class WithValue:
    """Act only if the key's value is this one."""

    value: str


PutCondition = Absent | Present | AtIndex | WithValue
DeleteCondition = AtIndex | WithValue


class Watch(Protocol):
    """Changes below a prefix in index order, without gaps or repeats, until closed.

    The first item is `Progress(after)`: the server has accepted the watch. When a directory above
    the prefix is deleted, the event names the prefix itself.
    """

    def __iter__(self) -> Iterator[Event | Progress]:
        """Block for the next change. HistoryCleared or Unavailable if the watch cannot go on."""
        ...

    def pending(self) -> bool:
        """Return whether the next change is already here, for a caller that collects several."""
        ...

    def close(self) -> None:
        """End the watch from any thread; the iterator stops, also when it blocks."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Store(Protocol):
    """A replicated key-value store. Every method may raise a StoreError."""

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one file; `quorum` makes it linearizable. KeyNotFound, NotAFile."""
        ...

    def list(self, prefix: str) -> Listing:
        """Read every file below `prefix` (segments, `/app` is not `/app2`) at one index.

        A missing prefix is an empty listing. Keys with a segment that begins with `_` are
        listed where the server can list them.
        """
        ...

    def put(
        self,
        key: str,
        value: str,
        *,
        ttl_s: int | None = None,
        when: PutCondition | None = None,
    ) -> Entry:
        """Write one file, atomically with its condition. Without a TTL the key does not expire.

        KeyExists (Absent), KeyNotFound (Present, AtIndex, WithValue), CompareFailed, NotAFile,
        NotADirectory.
        """
        ...

    def refresh(self, key: str, ttl_s: int) -> None:
        """Restart the key's TTL without waking watchers. KeyNotFound."""
        ...

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one file, or with `recursive` all below the key. KeyNotFound, CompareFailed."""
        ...

    def remove_empty(self, directory: str) -> None:
        """Remove a directory if it is there and holds nothing, not even a directory."""
        ...

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> Watch:
        """Follow changes at or below `prefix` with an index above `after`.

        With `cluster`, from a Listing, the watch ends with HistoryCleared if another cluster
        answers. It also does if the store's index stays below `after`: the store was restored or
        replaced.
        """
        ...
