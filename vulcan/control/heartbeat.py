"""Telling the store how far this node is, and reading how far all are."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping

import msgspec

from coordinator.client import KeyNotFound, Store, StoreError
from daemonkit.observe import logs
from vulcan.core.control.node_status import (
    RENEWED_S,
    TOLD_S,
    TTL_S,
    Report,
    standing,
    status_key,
    told,
)

_log = logs.get("vulcand")


class Teller:
    """Keeps this node's key what `report` says."""

    def __init__(self, store: Store, prefix: str, report: Callable[[], Report]) -> None:
        self._store = store
        self._prefix = prefix
        self._report = report
        self._told: Report | None = None
        self._told_s = 0.0
        self._failing = False

    async def run(self) -> None:
        """Tell, for as long as the node runs."""
        while True:
            now_s = asyncio.get_running_loop().time()
            report = self._report()
            if report != self._told or now_s - self._told_s >= RENEWED_S:
                await asyncio.to_thread(self._tell, report)
                self._told_s = now_s
            await asyncio.sleep(TOLD_S * random.uniform(0.8, 1.2))

    async def take_back(self) -> None:
        """Remove this node's key: it is ending."""
        if self._told is not None and not self._failing:
            await asyncio.to_thread(self._remove)

    def _tell(self, report: Report) -> None:
        key = status_key(self._prefix, report.node)
        try:
            if report == self._told:
                self._renew(key, report)
            else:
                self._put(key, report)
            self._told, self._failing = report, False
        except StoreError as error:
            if not self._failing:
                _log.warning("status-not-told", key=key, reason=str(error))
            self._failing = True

    def _renew(self, key: str, report: Report) -> None:
        try:
            self._store.refresh(key, TTL_S)
        except KeyNotFound:
            self._put(key, report)

    def _put(self, key: str, report: Report) -> None:
        self._store.put(key, msgspec.json.encode(report).decode(), ttl_s=TTL_S)

    def _remove(self) -> None:
        try:
            self._store.delete(status_key(self._prefix, self._report().node))
        except StoreError as error:
            _log.debug("status-not-removed", reason=str(error))


def everyone(store: Store, prefix: str, own: Report) -> list[Mapping[str, object]]:
    """Return every node as the store has it, and this one as it is. Raises StoreError."""
    others = told(store.list(f"{prefix}-status").entries, time.time())
    reports = [(report, age_s) for report, age_s in others if report.node != own.node]
    newest = max((entry.modified for entry in store.list(prefix).entries), default=0)
    return standing([*reports, (own, 0.0)], newest)
