"""Publishes that this host is alive, why it needs a reboot, and what the reboot waits for."""

import asyncio
import random
from collections.abc import Callable

from coordinator.client.core.errors import KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Entry, Store
from locksmith.core import keys, records
from locksmith.core.records import Heartbeat
from locksmith.store.retry import Retry

# A host counts as silent after three missed heartbeats. Each heartbeat is an event in the store,
# and etcd keeps the last 1000 events: more heartbeats would only make watchers list again.
TTL_S = 180
EVERY_S = 60.0
# What a host waits for may change every second; other hosts need it less often.
UPDATE_EVERY_S = 3.0


class HeartbeatWriter:
    """Keeps the host's heartbeat in the store.

    `content` returns the present heartbeat; `due` is set when that may have changed.
    """

    def __init__(
        self, store: Store, machine_id: str, content: Callable[[], Heartbeat], due: asyncio.Event
    ) -> None:
        self._store, self._machine_id = store, machine_id
        self._content, self._due = content, due
        self._written: Heartbeat | None = None
        self._written_at = 0
        self.retry = Retry("heartbeat")

    def duplicate(self, entry: Entry | None) -> str:
        """Return another host with this machine-id; hosts with cloned disks share one slot."""
        if entry is None or self._written is None or not 0 < self._written_at < entry.modified:
            return ""
        beat = records.decode(entry.value, Heartbeat)
        if beat is None:
            return "a host of another version"
        if beat.boot_id == self._written.boot_id:
            return ""
        return f"{beat.hostname} boot {beat.boot_id}"

    async def run(self) -> None:
        """Renew the heartbeat as long as the daemon runs."""
        while True:
            try:
                await asyncio.to_thread(self._write)
            except StoreError as error:
                if isinstance(error, KeyNotFound):
                    self._written = None
                await asyncio.sleep(self.retry.failed(error))
                continue
            self.retry.succeeded()
            await self._until_due()

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S * random.uniform(0.9, 1.0)):
                while self._content() == self._written:
                    await self._due.wait()
                    self._due.clear()
        except TimeoutError:
            return
        await asyncio.sleep(UPDATE_EVERY_S)

    def _write(self) -> None:
        key, now = keys.host(self._machine_id), self._content()
        if now == self._written:
            self._store.refresh(key, TTL_S)
            return
        entry = self._store.put(key, records.encode(now), ttl_s=TTL_S)
        self._written, self._written_at = now, entry.modified
