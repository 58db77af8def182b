"""The Store of an etcd with the v3 API. A revision is an index."""

import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Self

from coordinator.client.core import key_paths, v3_events, v3_lease_ids, v3_requests
from coordinator.client.core.errors import BadRequest, HistoryCleared, Unavailable
from coordinator.client.core.store_protocol import DeleteCondition, Entry, Listing, PutCondition
from coordinator.client.core.v3_responses import (
    KeepAliveResponse,
    KeyValue,
    LeaseResponse,
    LeaseTaken,
    RangeResponse,
    TxnResponse,
)
from coordinator.client.core.validation import checked_condition, checked_text, checked_ttl
from coordinator.client.http.endpoint_pool import EndpointPool, of
from coordinator.client.http.tls_files import Tls
from coordinator.client.prefetch import PrefetchedWatch
from coordinator.client.v3 import v3_paging
from coordinator.client.v3.gateway import Gateway
from coordinator.client.v3.v3_watch import V3ChangeStream

# A compaction between two pages starts the listing again. It comes every few minutes at most.
LISTINGS_MAX = 3
# Each lost attempt means that another writer won; so many in a row is a storm, not bad luck.
ATTEMPTS_MAX = 32
# Ids of leases that are known to be of one key. Forgotten leases expire by themselves.
GRANTED_MAX = 10_000
# The server returns whole seconds, and the two clocks differ. Within this, the lease's id is more
# exact than the server.
ROUNDING_S = 1.5


class EtcdStore:
    """The v3 API on a list of endpoints; nothing is asked before the first call. Thread-safe."""

    def __init__(
        self, endpoints: str | Sequence[str] | EndpointPool, tls: Tls | None = None
    ) -> None:
        self._endpoints = of(endpoints, tls)
        self._gateway = Gateway(self._endpoints)
        self._granted: OrderedDict[int, None] = OrderedDict()

    def close(self) -> None:
        """Close idle connections; watches end by their own close()."""
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shows_hidden(self) -> bool:
        """Return whether listings and watches have keys with a segment that begins with `_`."""
        return True

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one key. `expires_at` counts refreshes, too."""
        body = {**v3_requests.one_key(key_paths.checked_key(key)), "serializable": not quorum}
        found = self._gateway.ask(v3_requests.RANGE, body, RangeResponse).kvs
        if not found:
            response = self._txn(v3_requests.inspect(key))
            found = v3_requests.inspected(response)[0].kvs
            if not found:
                raise v3_requests.not_found(key, response)
        return self._entry(found[0])

    def list(self, prefix: str) -> Listing:
        """Read every key below `prefix` at one index, linearizably, also hidden ones."""
        key_paths.checked_prefix(prefix)
        for _ in range(LISTINGS_MAX):
            try:
                header, found = v3_paging.read(self._gateway, prefix)
            except HistoryCleared:
                continue
            expiries = self._gateway.expiries(v3_events.leases(found))
            entries = (v3_events.entry(pair, expiries) for pair in found)
            return Listing(
                header.cluster_id, header.revision, tuple(each for each in entries if each)
            )
        raise Unavailable(f"list {prefix}: compacted {LISTINGS_MAX} times meanwhile: try again")

    def put(
        self,
        key: str,
        value: str,
        *,
        ttl_s: int | None = None,
        when: PutCondition | None = None,
    ) -> Entry:
        """Write one key, atomically with its condition. Without a TTL the key does not expire."""
        checked_condition(when, key_paths.checked_key(key))
        checked_text(value, f"value of {key}")
        lease = 0 if ttl_s is None else self._grant(checked_ttl(ttl_s, key))
        body = v3_requests.put(key, value, lease, when)
        body["success"][0]["request_put"]["prev_kv"] = bool(self._granted)
        response = self._txn(body, once=when is not None)
        if not response.succeeded:
            self._revoke(lease)
            raise v3_requests.refusal(key, response, when)
        put, ranged = response.responses
        self._revoke(put.response_put.prev_kv.lease)
        (pair,) = ranged.response_range.kvs
        expires_at = v3_lease_ids.expires_at(lease) if lease else None
        return Entry(key, value, pair.create_revision, pair.mod_revision, expires_at)

    def refresh(self, key: str, ttl_s: int) -> None:
        """Restart the key's TTL without waking watchers. A changed TTL takes an index."""
        checked_ttl(ttl_s, key_paths.checked_key(key))
        for _ in range(ATTEMPTS_MAX):
            response = self._txn(v3_requests.inspect(key))
            found = v3_requests.inspected(response)[0].kvs
            if not found:
                raise v3_requests.not_found(key, response)
            if self._keep_alive(found[0].lease) == ttl_s:
                return
            if self._replace_lease(found[0], ttl_s):
                return
        raise Unavailable(f"{key} changed {ATTEMPTS_MAX} times during this call: try again")

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one key, or with `recursive` all below the key. Never sent twice."""
        checked_condition(when, key_paths.checked_key(key))
        if recursive and when is None:
            response = self._txn(v3_requests.delete_recursive(key), once=True)
            if not any(op.response_delete_range.deleted for op in response.responses):
                raise v3_requests.not_found(key, response)
            return
        body = v3_requests.delete(key, when)
        body["success"][0]["request_delete_range"]["prev_kv"] = bool(self._granted)
        response = self._txn(body, once=True)
        if not response.succeeded:
            raise v3_requests.refusal(key, response, when)
        for pair in response.responses[0].response_delete_range.prev_kvs:
            self._revoke(pair.lease)

    def remove_empty(self, directory: str) -> None:
        """Do nothing: this API has no directories."""

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> PrefetchedWatch:
        """Follow changes at or below `prefix` with an index above `after`."""
        key_paths.checked_prefix(prefix)
        return PrefetchedWatch(V3ChangeStream(self._gateway, prefix, after, cluster))

    def _txn(self, body: v3_requests.Body, *, once: bool = False) -> TxnResponse:
        return self._gateway.ask(v3_requests.TXN, body, TxnResponse, once=once)

    def _entry(self, pair: KeyValue) -> Entry:
        expires_at = self._expires_at(pair.lease) if pair.lease else None
        expiries = {pair.lease: expires_at} if expires_at is not None else {}
        entry = v3_events.entry(pair, expiries)
        if entry is None:
            raise BadRequest(f"{pair.key!r} has a value that is not UTF-8 text")
        if expires_at is None:
            return entry
        return Entry(entry.key, entry.value, entry.created, entry.modified, expires_at)

    def _expires_at(self, lease: int) -> float | None:
        left_s = self._gateway.left_s(lease)
        is_ours = v3_lease_ids.is_ours(lease, time.time())
        if left_s < 0:
            return v3_lease_ids.expires_at(lease) if is_ours else None
        by_server = time.time() + left_s
        if is_ours:
            by_id = v3_lease_ids.expires_at(lease)
            if abs(by_id - by_server) < ROUNDING_S:
                return by_id
        return by_server

    def _grant(self, ttl_s: int, *, refresh: bool = False) -> int:
        for _ in range(ATTEMPTS_MAX):
            bits = random.randrange(v3_lease_ids.RANDOM_MAX)
            lease = v3_lease_ids.lease_id(time.time() + ttl_s, bits, refresh=refresh)
            try:
                self._gateway.ask(v3_requests.GRANT, {"ID": lease, "TTL": ttl_s}, LeaseResponse)
            except LeaseTaken:
                # It may be ours, if the response was lost. It may be another's, with whose keys
                # ours would then expire.
                continue
            self._granted[lease] = None
            while len(self._granted) > GRANTED_MAX:
                self._granted.popitem(last=False)
            return lease
        raise Unavailable(f"no free lease id in {ATTEMPTS_MAX} tries: try again")

    def _revoke(self, lease: int) -> None:
        """Revoke a lease that no key has any more, if it was of one key of ours."""
        if self._granted.pop(lease, self) is self:
            return
        try:
            self._gateway.ask(v3_requests.REVOKE, {"ID": lease}, LeaseResponse)
        except Unavailable:
            return  # it expires by itself

    def _keep_alive(self, lease: int) -> int:
        """Restart a lease of ours and return its TTL; return 0 for a foreign one.

        A foreign lease may be of other keys, too.
        """
        if not v3_lease_ids.is_ours(lease, time.time()):
            return 0
        answer = self._gateway.ask(v3_requests.KEEP_ALIVE, {"ID": lease}, KeepAliveResponse)
        return answer.result.ttl_s

    def _replace_lease(self, pair: KeyValue, ttl_s: int) -> bool:
        lease = self._grant(ttl_s, refresh=True)
        body = v3_requests.replace_lease(pair.key.decode(), pair.mod_revision, lease)
        succeeded = self._txn(body).succeeded
        self._revoke(pair.lease if succeeded else lease)
        return succeeded
