"""Removes the endpoints of a silent host from DNS and the proxy: its lease has ended.

The host may come back at any moment. It then writes its status first and each record again, so a
record that was read before the status was missing, and has not changed since, is a stale one.

Whoever may write the list of one host can put any key into it. So a key that the store does not
take, or that this scheduler may not remove, is left alone.
"""

import contextlib

from coordinator.client import (
    AtIndex,
    BadRequest,
    CompareFailed,
    Entry,
    KeyNotFound,
    NotADirectory,
    NotAFile,
    Store,
    Unauthorized,
)
from daemonkit.observe import logs
from fleet.core import keys
from fleet.core.endpoints import is_endpoint_of
from fleet.core.model import EndpointList, InvalidRecord, decode

# The keys of one list that are looked at: two for each instance and service. The others expire.
LISTED_MAX = 2000
_NOT_THERE = (KeyNotFound, NotAFile, NotADirectory, BadRequest, Unauthorized)
_log = logs.get("scheduler")


def remove_endpoints(store: Store, host: str) -> None:
    """Remove what a host has listed, unless it is back. Blocks; raises StoreError."""
    try:
        listed = store.get(keys.endpoints(host))
    except KeyNotFound:
        return
    entries = [entry for key in _keys_in(listed, host) if (entry := _entry(store, key))]
    try:
        store.get(keys.status(host))
    except KeyNotFound:
        pass
    else:
        return
    for entry in (*entries, listed):
        with contextlib.suppress(CompareFailed, *_NOT_THERE):
            store.delete(entry.key, when=AtIndex(entry.modified))
    _log.info("endpoints-removed", host=host, endpoints=len(entries))


def _keys_in(listed: Entry, host: str) -> list[str]:
    """Return the endpoints of a list; a list of another host's keys removes none of them."""
    try:
        found = decode(listed.value, EndpointList).endpoints
    except InvalidRecord:
        return []
    return [key for key in found[:LISTED_MAX] if is_endpoint_of(key, host)]


def _entry(store: Store, key: str) -> Entry | None:
    try:
        return store.get(key)
    except _NOT_THERE:
        return None
