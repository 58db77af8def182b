"""The store at some endpoints, whatever serves them: that is asked before the first call."""

from collections.abc import Sequence
from functools import cached_property
from typing import Self

from coordinator.client.core import key_paths
from coordinator.client.core.endpoint import Kind, Tls
from coordinator.client.core.store_protocol import DeleteCondition, Entry, Listing, PutCondition
from coordinator.client.http.endpoint_pool import Endpoints
from coordinator.client.http.v2_store import HttpStore
from coordinator.client.prefetch import Feed
from coordinator.client.v3.v3_store import EtcdStore


class DetectedStore:
    """An HttpStore or an EtcdStore, by what answers first. Thread-safe.

    Each call raises BadRequest if the endpoints are of different kinds.
    """

    def __init__(self, endpoints: str | Sequence[str], tls: Tls | None = None) -> None:
        self._endpoints = Endpoints(endpoints, tls or Tls())

    def close(self) -> None:
        """Close idle connections; watches end by their own close()."""
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kind(self) -> Kind:
        """Return what serves the endpoints."""
        return self._endpoints.kind()

    def shows_hidden(self) -> bool:
        """Say whether listings and watches have keys with a segment that begins with `_`."""
        return self._store.shows_hidden()

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one file."""
        return self._store.get(key_paths.checked_key(key), quorum=quorum)

    def list(self, prefix: str) -> Listing:
        """Read every file below `prefix` at one index."""
        return self._store.list(key_paths.checked_prefix(prefix))

    def put(
        self,
        key: str,
        value: str,
        *,
        ttl_s: int | None = None,
        when: PutCondition | None = None,
    ) -> Entry:
        """Write one file, atomically with its condition; no TTL given removes one."""
        return self._store.put(key, value, ttl_s=ttl_s, when=when)

    def refresh(self, key: str, ttl_s: int) -> None:
        """Start the key's TTL anew without waking watchers."""
        self._store.refresh(key, ttl_s)

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one file, or with `recursive` all below the key."""
        self._store.delete(key, recursive=recursive, when=when)

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> Feed:
        """Follow changes at or below `prefix` with an index above `after`."""
        return self._store.watch(prefix, after, cluster=cluster)

    @cached_property
    def _store(self) -> HttpStore | EtcdStore:
        kind = self._endpoints.kind()
        return (EtcdStore if kind is Kind.ETCD3 else HttpStore)(self._endpoints)


def connect(endpoints: str | Sequence[str], *, tls: Tls | None = None) -> DetectedStore:
    """Return the store at `endpoints`, base URLs in a comma list or a sequence.

    Asks no server yet, so that a daemon starts while the store is away. BadRequest for what is
    wrong already in `endpoints` or `tls`.
    """
    return DetectedStore(endpoints, tls)
