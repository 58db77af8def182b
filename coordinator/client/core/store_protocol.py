"""The Store protocol: what every daemon may ask of a key-value store, whatever serves it.

Keys are absolute paths (`/skydns/local/app`), values are text. A store keeps one
increasing index for all keys; an entry's `modified` is the index of its last write.
Adapters: `http.HttpStore` (our coordinator, etcd with the v2 API), `v3.store.EtcdStore` (etcd
with the v3 API), `memory.MemoryStore`.

Two things depend on the server. A directory outlives its last file, except on etcd's v3 API,
which has no directories: there one is where a file is below. And a plain put makes a new file
with a new `created`, except on that API, which counts from the first write.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One file key. `expires_at` is Unix time in seconds, None for a key without TTL."""

    key: str
    value: str
    created: int
    modified: int
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All files below a prefix, sorted by key, as they stood at `index` in one cluster."""

    cluster: str
    index: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `entry` is the new file; None says that `key` and all below it is gone.

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
    """Act only if the key's modified index is this one (compare and swap)."""

    modified: int


@dataclass(frozen=True, slots=True)
class WithValue:
    """Act only if the key's value is this one."""

    value: str


PutCondition = Absent | Present | AtIndex | WithValue
DeleteCondition = AtIndex | WithValue


class Watch(Protocol):
    """Changes below a prefix in index order, without gaps or repeats, until closed.

    The first item is `Progress(after)`: the server has taken the watch. When a directory above
    the prefix goes, the event names the prefix itself.
    """

    def __iter__(self) -> Iterator[Event | Progress]:
        """Block for the next change. Raises HistoryCleared or Unavailable when it cannot go on."""
        ...

    def pending(self) -> bool:
        """Say whether the next change is here already, for a caller that collects several."""
        ...

    def close(self) -> None:
        """End the watch from any thread; the iterator stops, also when it blocks."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Store(Protocol):
    """A replicated key-value store. Every method raises `errors.StoreError` and its kinds."""

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
        """Write one file, atomically with its condition; no TTL given removes one.

        KeyExists (Absent), KeyNotFound (Present, AtIndex, WithValue), CompareFailed, NotAFile,
        NotADirectory.
        """
        ...

    def refresh(self, key: str, ttl_s: int) -> None:
        """Start the key's TTL anew without waking watchers. KeyNotFound."""
        ...

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one file, or with `recursive` all below the key. KeyNotFound, CompareFailed."""
        ...

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> Watch:
        """Follow changes at or below `prefix` with an index above `after`.

        `cluster`, from a Listing, makes the watch end with HistoryCleared if another cluster
        answers. So does a store whose index stays below `after`: it was restored or replaced.
        """
        ...
