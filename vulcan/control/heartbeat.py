"""The heartbeat: this node writes its status to the store, and reads that of all nodes."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping

import msgspec

from coordinator.client import KeyNotFound, Store, StoreError
from daemonkit.observe import logs
from vulcan.core.control.node_status import (
    HEARTBEAT_S,
    RENEW_S,
    TTL_S,
    NodeStatus,
    cluster_status,
    decode_statuses,
)
from vulcan.core.keys import status_directory, status_key

_log = logs.get("vulcand")


class Heartbeat:
    """Keeps this node's status key up to date."""

    def __init__(self, store: Store, prefix: str, status: Callable[[], NodeStatus]) -> None:
        self._store = store
        self._prefix = prefix
        self._status = status
        self._written: NodeStatus | None = None
        self._written_s = 0.0
        self._failing = False

    async def run(self) -> None:
        """Write and renew the key for as long as the node runs."""
        while True:
            now_s = asyncio.get_running_loop().time()
            status = self._status()
            if status != self._written or now_s - self._written_s >= RENEW_S:
                await asyncio.to_thread(self._write, status)
                self._written_s = now_s
            await asyncio.sleep(HEARTBEAT_S * random.uniform(0.8, 1.2))

    async def withdraw(self) -> None:
        """Remove this node's key when the node stops."""
        if self._written is not None and not self._failing:
            await asyncio.to_thread(self._remove)

    def _write(self, status: NodeStatus) -> None:
        key = status_key(self._prefix, status.node)
        try:
            if status == self._written:
                self._renew(key, status)
            else:
                self._put(key, status)
            self._written, self._failing = status, False
        except StoreError as error:
            if not self._failing:
                _log.warning("status-not-written", key=key, reason=str(error))
            self._failing = True

    def _renew(self, key: str, status: NodeStatus) -> None:
        try:
            self._store.refresh(key, TTL_S)
        except KeyNotFound:
            self._put(key, status)

    def _put(self, key: str, status: NodeStatus) -> None:
        self._store.put(key, msgspec.json.encode(status).decode(), ttl_s=TTL_S)

    def _remove(self) -> None:
        try:
            self._store.delete(status_key(self._prefix, self._status().node))
        except StoreError as error:
            _log.debug("status-not-removed", reason=str(error))


def read_cluster_status(store: Store, prefix: str, own: NodeStatus) -> list[Mapping[str, object]]:
    """Return the status of every node: the others' from the store. Raises StoreError."""
    others = decode_statuses(store.list(status_directory(prefix)).entries, time.time())
    statuses = [(status, age_s) for status, age_s in others if status.node != own.node]
    newest = max((entry.modified for entry in store.list(prefix).entries), default=0)
    return cluster_status([*statuses, (own, 0.0)], newest)
