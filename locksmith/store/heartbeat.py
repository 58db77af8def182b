"""Telling the group that this host lives, why it needs a reboot, and what it waits for."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from coordinator.client.core.errors import KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Entry, Store
from locksmith.core import keys, records
from locksmith.core.records import Heartbeat
from locksmith.store.retry import Attempts

# A host counts as silent after three missed beats. Each beat takes a place in the store's event
# history, which etcd keeps for 1000 events: more of them would only make watchers list anew.
TTL_S = 180
EVERY_S = 60.0
# What a host waits for may change each second; others need not know it that often.
NEWS_EVERY_S = 3.0


class Heart:
    """Keeps the host's heartbeat; `now` says what stands in it."""

    def __init__(self, store: Store, machine_id: str, now: Callable[[], Heartbeat]) -> None:
        self._store, self._machine_id, self._now = store, machine_id, now
        self._news = asyncio.Event()
        self._written: Heartbeat | None = None
        self._written_at = 0
        self.attempts = Attempts("heartbeat")

    def news(self) -> None:
        """Write soon if what the host says of itself has changed."""
        if self._now() != self._written:
            self._news.set()

    def twin(self, entry: Entry | None) -> str:
        """Return another host that beats under this machine-id: cloned disks share one slot."""
        if entry is None or self._written is None or not 0 < self._written_at < entry.modified:
            return ""
        beat = records.decode(entry.value, Heartbeat)
        if beat is None:
            return "a host of another version"
        if beat.boot_id == self._written.boot_id:
            return ""
        return f"{beat.hostname} boot {beat.boot_id}"

    async def beat(self) -> None:
        """Keep the heartbeat alive for as long as the daemon lives."""
        while True:
            self._news.clear()
            try:
                await asyncio.to_thread(self._beat_once)
            except StoreError as error:
                if isinstance(error, KeyNotFound):
                    self._written = None
                await asyncio.sleep(self.attempts.failed(error))
                continue
            self.attempts.worked()
            with suppress(TimeoutError):
                pause_s = EVERY_S * random.uniform(0.9, 1.0)
                await asyncio.wait_for(self._news.wait(), pause_s)
                await asyncio.sleep(NEWS_EVERY_S)

    def _beat_once(self) -> None:
        key, now = keys.host(self._machine_id), self._now()
        if now == self._written:
            self._store.refresh(key, TTL_S)
            return
        entry = self._store.put(key, records.encode(now), ttl_s=TTL_S)
        self._written, self._written_at = now, entry.modified
