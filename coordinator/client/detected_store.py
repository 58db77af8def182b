"""The store at some endpoints, of any kind: the first call asks the servers for their kind."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Self

from coordinator.client.core import key_paths
from coordinator.client.core.endpoint import ServerKind
from coordinator.client.core.store_protocol import DeleteCondition, Entry, Listing, PutCondition
from coordinator.client.http.endpoint_pool import EndpointPool
from coordinator.client.http.tls_files import Tls
from coordinator.client.prefetch import PrefetchedWatch

if TYPE_CHECKING:
    from coordinator.client.http.v2_store import HttpStore
    from coordinator.client.v3.v3_store import EtcdStore


class DetectedStore:
    """An HttpStore or an EtcdStore, according to what the servers are. Thread-safe.

    Each call raises BadRequest if the endpoints are of different kinds.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str],
        tls: Tls | None = None,
        *,
        patience_s: float = 0.0,
        bearer: str = "",
    ) -> None:
        self._endpoints = EndpointPool(
            endpoints, tls or Tls(), patience_s=patience_s, bearer=bearer
        )

    def close(self) -> None:
        """Close idle connections; watches end by their own close()."""
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kind(self) -> ServerKind:
        """Return the kind of the servers."""
        return self._endpoints.kind()

    def shows_hidden(self) -> bool:
        """Return whether listings and watches have keys with a segment that begins with `_`."""
        return self._store.shows_hidden()

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one key."""
        return self._store.get(key_paths.checked_key(key), quorum=quorum)

    def list(self, prefix: str) -> Listing:
        """Read every key below `prefix` at one index."""
        return self._store.list(key_paths.checked_prefix(prefix))

    def put(
        self,
        key: str,
        value: str,
        *,
        ttl_s: int | None = None,
        when: PutCondition | None = None,
    ) -> Entry:
        """Write one key, atomically with its condition. Without a TTL the key does not expire."""
        return self._store.put(key, value, ttl_s=ttl_s, when=when)

    def refresh(self, key: str, ttl_s: int) -> None:
        """Restart the key's TTL without waking watchers."""
        self._store.refresh(key, ttl_s)

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one key, or with `recursive` all below the key."""
        self._store.delete(key, recursive=recursive, when=when)

    def remove_empty(self, directory: str) -> None:
        """Remove a directory if it is there and holds nothing, not even a directory."""
        self._store.remove_empty(directory)

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> PrefetchedWatch:
        """Follow changes at or below `prefix` with an index above `after`."""
        return self._store.watch(prefix, after, cluster=cluster)

    @cached_property
    def _store(self) -> "HttpStore | EtcdStore":
        # Only one of the two is needed, and a daemon starts the faster.
        if self._endpoints.kind() is ServerKind.ETCD3:
            from coordinator.client.v3.v3_store import EtcdStore

            return EtcdStore(self._endpoints)
        from coordinator.client.http.v2_store import HttpStore

        return HttpStore(self._endpoints)


def connect(
    endpoints: str | Sequence[str],
    *,
    tls: Tls | None = None,
    patience_s: float = 0.0,
    bearer: str = "",
) -> DetectedStore:
    """Return the store at `endpoints`, base URLs in a comma list or a sequence.

    This asks no server, so that a daemon starts while the store is away. For `patience_s` from now
    on, calls wait for a store that has not served any yet: a daemon gives DAEMON_PATIENCE_S. With
    `bearer`, a token of our coordinator, the calls are those of its user. BadRequest if `endpoints`
    has a mistake.
    """
    return DetectedStore(endpoints, tls, patience_s=patience_s, bearer=bearer)
