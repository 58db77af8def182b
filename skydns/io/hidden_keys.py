"""Reads the keys that the store hides from listings; see `skydns.core.hidden_names`."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from coordinator.client import Changes, Entry, Store, StoreError
from daemonkit.observe import logs
from skydns.core.dns.name import Name
from skydns.core.hidden_names import HiddenNames
from skydns.core.keys import key_of

POLL_S = 1.0
IN_FLIGHT_MAX = 64
READ_S = 2.0
THREADS = 4

_log = logs.get("hidden")


class HiddenKeyReader:
    """Reads the keys of one name after the other, and applies them as Changes."""

    def __init__(self, store: Store, prefix: str, apply: Callable[[Changes], None]) -> None:
        self.names = HiddenNames()
        self._store, self._prefix, self._apply = store, prefix, apply
        self._in_flight: dict[Name, asyncio.Task[bool]] = {}
        self._threads = ThreadPoolExecutor(THREADS, "hidden")

    def read(self, name: Name, then: Callable[[bool], None]) -> None:
        """Read the keys of a name, then say whether the store answered."""
        task = self._in_flight.get(name)
        if task is None:
            if len(self._in_flight) >= IN_FLIGHT_MAX:
                then(False)
                return
            task = asyncio.get_running_loop().create_task(self._read(name))
            self._in_flight[name] = task
            task.add_done_callback(lambda _: self._in_flight.pop(name, None))
        task.add_done_callback(lambda done: then(not done.cancelled() and done.result()))

    async def poll(self) -> None:
        """Read the names that clients ask for, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(POLL_S)
            self._apply_any(self.names.expire(loop.time()))
            for name in self.names.names():
                entries = await self._entries(name)
                if entries is None:
                    break  # the store is down, and everything stays as it was
                if name in self.names:
                    self._apply_any(self.names.learn(name, entries, loop.time()))

    def stop(self) -> None:
        """Stop reading."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _read(self, name: Name) -> bool:
        entries = await self._entries(name)
        if entries is None:
            return False
        self._apply_any(self.names.learn(name, entries, asyncio.get_running_loop().time()))
        return True

    async def _entries(self, name: Name) -> dict[str, Entry] | None:
        key = key_of(name, self._prefix)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READ_S):
                listing = await loop.run_in_executor(self._threads, self._store.list, key)
        except (StoreError, TimeoutError) as error:
            _log.debug("hidden-key-not-read", key=key, error=error)
            return None
        return {entry.key: entry for entry in listing.entries}

    def _apply_any(self, changes: Changes) -> None:
        if changes.entries or changes.removed:
            self._apply(changes)
