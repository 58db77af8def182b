"""Writes the records of a host's ready endpoints, for skydns and the proxy.

The keys are fixed by those daemons, and a store without leases has no TTL that many keys share. So
the host's status key is the lease: when it ends, the leading scheduler removes the endpoints that
the host has listed in a key of its own. A host lists an endpoint before it writes the record, and
strikes it off after it has removed the record: the list is never too short.

The records have a long TTL besides, which ends what a host and all schedulers leave behind when
they die together. While there is no leader, or one of 0.1 that removes no endpoints, the records
have the TTL of the host's status instead, and are refreshed as often.

A store with roles lets a host write its own records only. What it refuses is logged once, tried
again from time to time, and keeps nothing else from being written.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from coordinator.client import KeyNotFound, NotADirectory, NotAFile, Store, Unauthorized
from daemonkit.observe import logs
from fleet.core import keys
from fleet.core.endpoints import is_endpoint_of
from fleet.core.model import EndpointList, InvalidRecord, LeaderLease, decode, encode

# The TTL of a record that a scheduler removes, and the age at which it is refreshed.
LONG_TTL_S, LONG_REFRESH_S = 3600, 2400.0
# A record that somebody else removed is written again after this time at the latest.
CHECK_S = 60.0
# Who leads is read this often. Between two leaders nobody leads for as long as a lease lasts; after
# the second time nobody does.
ASK_EVERY_S, LEADERLESS_S = 10.0, 60.0
# A record that the store has refused is written again after this time.
REFUSED_S = 30.0
_log = logs.get("agent")


@dataclass(slots=True)
class _Record:
    value: str
    written_s: float
    checked_s: float
    ttl_s: int


class EndpointWriter:
    """The endpoints of one host, as they were written last. All calls block."""

    def __init__(self, store: Store, host: str, ttl_s: int, clock: Callable[[], float]) -> None:
        self._store, self._host, self._ttl_s, self._clock = store, host, ttl_s, clock
        self._records: dict[str, _Record] = {}
        self._listed: frozenset[str] | None = None
        # What an earlier agent listed. Its instances may be about to be found ready again.
        self._inherited: set[str] = set()
        self._inherited_until_s = 0.0
        self._is_removed_by_leader = False
        self._asked_s = self._led_s = -math.inf
        self._refused_s: dict[str, float] = {}

    def forget(self) -> None:
        """Write everything again next time: others may have removed it."""
        self._records.clear()
        self._listed = None

    def remove_others(self, wanted: Collection[str]) -> None:
        """Remove the records that are not wanted. Raises StoreError."""
        if self._listed is None and not self._inherited:
            self._inherit()
        self._inherited -= set(wanted)
        gone = self._records.keys() - set(wanted)
        if self._clock() >= self._inherited_until_s:
            gone |= self._inherited
        for key in gone:
            if self._is_allowed(key, functools.partial(self._remove, key)):
                self._records.pop(key, None)
                self._inherited.discard(key)

    def write(self, records: Mapping[str, str]) -> None:
        """Bring these records up to date, after `remove_others`. Raises StoreError."""
        if records:
            self._ask_for_leader()
        self._list(self._records.keys() | records.keys() | self._inherited)
        for key, value in records.items():
            try:
                self._is_allowed(key, functools.partial(self._write_one, key, value))
            except (NotAFile, NotADirectory) as error:
                _log.warning("endpoint-not-written", key=key, error=str(error))

    def _is_allowed(self, key: str, write: Callable[[], None]) -> bool:
        """Write a key, unless the store refuses it or has just done so; return whether it did."""
        now_s, refused_s = self._clock(), self._refused_s.get(key)
        if refused_s is not None and now_s - refused_s < REFUSED_S:
            return False
        try:
            write()
        except Unauthorized as error:
            if refused_s is None:
                _log.warning("endpoint-refused", key=key, error=str(error))
            self._refused_s[key] = now_s
            return False
        self._refused_s.pop(key, None)
        return True

    def _remove(self, key: str) -> None:
        with contextlib.suppress(KeyNotFound, NotAFile):
            self._store.delete(key)

    def _inherit(self) -> None:
        with contextlib.suppress(KeyNotFound, InvalidRecord):
            text = self._store.get(keys.endpoints(self._host)).value
            found = decode(text, EndpointList).endpoints
            self._inherited = {key for key in found if is_endpoint_of(key, self._host)}
            self._inherited_until_s = self._clock() + self._ttl_s

    def _list(self, wanted: Collection[str]) -> None:
        listed = frozenset(wanted)
        if listed == self._listed or (not listed and self._listed is None):
            return
        self._store.put(keys.endpoints(self._host), encode(EndpointList(tuple(sorted(listed)))))
        self._listed = listed

    def _write_one(self, key: str, value: str) -> None:
        now_s, record = self._clock(), self._records.get(key)
        ttl_s = LONG_TTL_S if self._is_removed_by_leader else self._ttl_s
        refresh_s = LONG_REFRESH_S if self._is_removed_by_leader else self._ttl_s / 3
        if record is not None and record.value == value:
            try:
                if record.ttl_s != ttl_s or now_s - record.written_s >= refresh_s:
                    self._store.refresh(key, ttl_s)
                    record.written_s, record.ttl_s = now_s, ttl_s
                elif now_s - record.checked_s >= CHECK_S:
                    self._store.get(key, quorum=False)
                    record.checked_s = now_s
            except KeyNotFound:
                pass
            else:
                return
        self._store.put(key, value, ttl_s=ttl_s)
        self._records[key] = _Record(value, now_s, now_s, ttl_s)

    def _ask_for_leader(self) -> None:
        """Find out whether a leader removes the endpoints of silent hosts. It is no write."""
        now_s = self._clock()
        if now_s - self._asked_s < ASK_EVERY_S:
            return
        self._asked_s = now_s
        try:
            lease = decode(self._store.get(keys.LEADER, quorum=False).value, LeaderLease)
        except (KeyNotFound, InvalidRecord, Unauthorized):
            if now_s - self._led_s >= LEADERLESS_S:
                self._is_removed_by_leader = False
            return
        self._led_s, self._is_removed_by_leader = now_s, lease.removes_endpoints
