"""The Store of an etcd with the v3 API. A revision is an index."""

import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Self

from coordinator.client.core import key_paths, v3_events, v3_lease_ids, v3_requests, v3_responses
from coordinator.client.core.endpoint import Tls
from coordinator.client.core.errors import BadRequest, HistoryCleared, Unavailable
from coordinator.client.core.store_protocol import DeleteCondition, Entry, Listing, PutCondition
from coordinator.client.core.validation import checked_condition, checked_text, checked_ttl
from coordinator.client.http.endpoint_pool import Endpoints, of
from coordinator.client.prefetch import Feed
from coordinator.client.v3 import v3_paging
from coordinator.client.v3.gateway import Gate
from coordinator.client.v3.v3_watch import Tail

# A compaction between two pages begins the listing anew. It comes every few minutes at most.
LISTINGS_MAX = 3
# Each lost round means that another writer won; so many in a row is a storm, not bad luck.
SWAPS_MAX = 32
# Numbers of leases that we know to be of one key. Those forgotten end by themselves.
GRANTED_MAX = 10_000
# The server tells whole seconds, and the two clocks differ: within it, a number tells better.
ROUNDING_S = 1.5


class EtcdStore:
    """The v3 API on a list of endpoints; nothing is asked before the first call. Thread-safe."""

    def __init__(self, endpoints: str | Sequence[str] | Endpoints, tls: Tls | None = None) -> None:
        self._endpoints = of(endpoints, tls)
        self._gate = Gate(self._endpoints)
        self._granted: OrderedDict[int, None] = OrderedDict()

    def close(self) -> None:
        """Close idle connections; watches end by their own close()."""
        self._endpoints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shows_hidden(self) -> bool:
        """Say whether listings and watches have keys with a segment that begins with `_`."""
        return True

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one file, with the end it has now also after refreshes."""
        body = {**v3_requests.file(key_paths.checked_key(key)), "serializable": not quorum}
        found = self._gate.ask(v3_requests.RANGE, body, v3_responses.Ranged).kvs
        if not found:
            outcome = self._txn(v3_requests.look(key))
            found = v3_requests.looked(outcome)[0].kvs
            if not found:
                raise v3_requests.missing(key, outcome)
        return self._entry(found[0])

    def list(self, prefix: str) -> Listing:
        """Read every file below `prefix` at one index, linearizably, also hidden ones."""
        key_paths.checked_prefix(prefix)
        for _ in range(LISTINGS_MAX):
            try:
                header, found = v3_paging.read(self._gate, prefix)
            except HistoryCleared:
                continue
            ends = self._gate.ends(v3_events.foreign(found))
            entries = (v3_events.entry(pair, ends) for pair in found)
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
        """Write one file, atomically with its condition; no TTL given removes one."""
        checked_condition(when, key_paths.checked_key(key))
        checked_text(value, f"value of {key}")
        lease = 0 if ttl_s is None else self._grant(checked_ttl(ttl_s, key))
        body = v3_requests.put(key, value, lease, when)
        body["success"][0]["request_put"]["prev_kv"] = bool(self._granted)
        outcome = self._txn(body, once=when is not None)
        if not outcome.succeeded:
            self._revoke(lease)
            raise v3_requests.refusal(key, outcome, when)
        put, ranged = outcome.responses
        self._revoke(put.response_put.prev_kv.lease)
        (pair,) = ranged.response_range.kvs
        end_at = v3_lease_ids.end_at(lease) if lease else None
        return Entry(key, value, pair.create_revision, pair.mod_revision, end_at)

    def refresh(self, key: str, ttl_s: int) -> None:
        """Start the key's TTL anew without waking watchers; another TTL takes an index."""
        checked_ttl(ttl_s, key_paths.checked_key(key))
        for _ in range(SWAPS_MAX):
            outcome = self._txn(v3_requests.look(key))
            found = v3_requests.looked(outcome)[0].kvs
            if not found:
                raise v3_requests.missing(key, outcome)
            if self._keep_alive(found[0].lease) == ttl_s:
                return
            if self._relet(found[0], ttl_s):
                return
        raise Unavailable(f"{key} changed {SWAPS_MAX} times under this call: try again")

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one file, or with `recursive` all below the key. Never sent twice."""
        checked_condition(when, key_paths.checked_key(key))
        if recursive and when is None:
            outcome = self._txn(v3_requests.delete_tree(key), once=True)
            if not any(step.response_delete_range.deleted for step in outcome.responses):
                raise v3_requests.missing(key, outcome)
            return
        body = v3_requests.delete(key, when)
        body["success"][0]["request_delete_range"]["prev_kv"] = bool(self._granted)
        outcome = self._txn(body, once=True)
        if not outcome.succeeded:
            raise v3_requests.refusal(key, outcome, when)
        for pair in outcome.responses[0].response_delete_range.prev_kvs:
            self._revoke(pair.lease)

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> Feed:
        """Follow changes at or below `prefix` with an index above `after`."""
        return Feed(Tail(self._gate, key_paths.checked_prefix(prefix), after, cluster))

    def _txn(self, body: v3_requests.Body, *, once: bool = False) -> v3_responses.Outcome:
        return self._gate.ask(v3_requests.TXN, body, v3_responses.Outcome, once=once)

    def _entry(self, pair: v3_responses.Pair) -> Entry:
        end_at = self._end_at(pair.lease) if pair.lease else None
        ends = {pair.lease: end_at} if end_at is not None else {}
        entry = v3_events.entry(pair, ends)
        if entry is None:
            raise BadRequest(f"{pair.key!r} has a value that is not UTF-8 text")
        if end_at is None:
            return entry
        return Entry(entry.key, entry.value, entry.created, entry.modified, end_at)

    def _end_at(self, lease: int) -> float | None:
        left_s = self._gate.left_s(lease)
        if left_s < 0:
            return v3_lease_ids.end_at(lease) if v3_lease_ids.is_ours(lease) else None
        told = time.time() + left_s
        if v3_lease_ids.is_ours(lease) and abs(v3_lease_ids.end_at(lease) - told) < ROUNDING_S:
            return v3_lease_ids.end_at(lease)
        return told

    def _grant(self, ttl_s: int, *, refresh: bool = False) -> int:
        for _ in range(SWAPS_MAX):
            chance = random.randrange(v3_lease_ids.CHANCE_MAX)
            lease = v3_lease_ids.number(time.time() + ttl_s, chance, refresh=refresh)
            try:
                self._gate.ask(v3_requests.GRANT, {"ID": lease, "TTL": ttl_s}, v3_responses.Lease)
            except v3_responses.LeaseTaken:
                # Ours, if its answer was lost, or another's: then its keys would end with ours.
                continue
            self._granted[lease] = None
            while len(self._granted) > GRANTED_MAX:
                self._granted.popitem(last=False)
            return lease
        raise Unavailable(f"no free lease number in {SWAPS_MAX} tries: try again")

    def _revoke(self, lease: int) -> None:
        """End a lease that no key has any more, if it was ours alone."""
        if self._granted.pop(lease, self) is self:
            return
        try:
            self._gate.ask(v3_requests.REVOKE, {"ID": lease}, v3_responses.Lease)
        except Unavailable:
            return  # it ends by itself

    def _keep_alive(self, lease: int) -> int:
        """Start a lease anew; return its length, 0 if it is none of ours, of one key each."""
        if not v3_lease_ids.is_ours(lease):
            return 0
        return self._gate.ask(
            v3_requests.KEEP_ALIVE, {"ID": lease}, v3_responses.KeptAlive
        ).result.ttl_s

    def _relet(self, pair: v3_responses.Pair, ttl_s: int) -> bool:
        lease = self._grant(ttl_s, refresh=True)
        body = v3_requests.relet(pair.key.decode(), pair.mod_revision, lease)
        succeeded = self._txn(body).succeeded
        self._revoke(pair.lease if succeeded else lease)
        return succeeded
