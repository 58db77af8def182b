"""Reads the keys that the store hides from listings; see `skydns.core.hidden_names`."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from coordinator.client import Changes, Entry, Store, StoreError
from daemonkit.observe import logs
from daemonkit.observe.process_counters import record_error
from skydns.core.dns.name import Name
from skydns.core.hidden_names import HiddenNames, visible_part
from skydns.core.keys import key_of

POLL_S = 1.0
IN_FLIGHT_MAX = 64
# Random names below one visible name leave the rest of the look-ups to all others.
IN_FLIGHT_PER_NAME_MAX = 16
READ_S = 2.0
THREADS = 4

_log = logs.get("hidden")


class HiddenKeyReader:
    """Reads the keys of one name after the other, and applies them as Changes."""

    def __init__(self, store: Store, prefix: str, apply: Callable[[Changes], None]) -> None:
        self.names = HiddenNames()
        self._store, self._prefix, self._apply = store, prefix, apply
        self._in_flight: dict[Name, asyncio.Task[bool]] = {}
        self._in_flight_below: Counter[Name] = Counter()
        self._threads = ThreadPoolExecutor(THREADS, "hidden")
        # The names that clients know must not wait behind those that they make up.
        self._poll_thread = ThreadPoolExecutor(1, "hidden poll")

    def read(self, name: Name, then: Callable[[bool], None]) -> None:
        """Read the keys of a name, then say whether the store answered."""
        task = self._in_flight.get(name)
        if task is None:
            above = visible_part(name)
            if (
                len(self._in_flight) >= IN_FLIGHT_MAX
                or self._in_flight_below[above] >= IN_FLIGHT_PER_NAME_MAX
            ):
                then(False)
                return
            task = asyncio.get_running_loop().create_task(self._read(name))
            self._in_flight[name] = task
            self._in_flight_below[above] += 1
            task.add_done_callback(lambda _: self._ended(name, above))
        task.add_done_callback(lambda done: then(not done.cancelled() and done.result()))

    async def poll(self) -> None:
        """Read the names that clients ask for, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(POLL_S)
            for name in self.names.names():
                entries = await self._entries(name, self._poll_thread)
                if entries is None:
                    break  # the store is down, and everything stays as it was
                if name in self.names:
                    self._apply_any(self.names.learn(name, entries, loop.time()))
            else:
                self._apply_any(self.names.expire(loop.time()))

    def stop(self) -> None:
        """Stop reading."""
        for threads in (self._threads, self._poll_thread):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _read(self, name: Name) -> bool:
        try:
            entries = await self._entries(name, self._threads)
            if entries is None:
                return False
            self._apply_any(self.names.learn(name, entries, asyncio.get_running_loop().time()))
        except Exception as error:  # noqa: BLE001 - one name must not end all others
            record_error(error)
            return False
        return True

    def _ended(self, name: Name, above: Name) -> None:
        del self._in_flight[name]
        self._in_flight_below[above] -= 1
        if not self._in_flight_below[above]:
            del self._in_flight_below[above]

    async def _entries(self, name: Name, threads: ThreadPoolExecutor) -> dict[str, Entry] | None:
        key = key_of(name, self._prefix)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READ_S):
                listing = await loop.run_in_executor(threads, self._store.list, key)
        except (StoreError, TimeoutError) as error:
            _log.debug("hidden-key-not-read", key=key, error=error)
            return None
        return {entry.key: entry for entry in listing.entries}

    def _apply_any(self, changes: Changes) -> None:
        if changes.entries or changes.removed:
            self._apply(changes)
