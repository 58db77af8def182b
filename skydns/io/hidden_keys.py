"""Names with labels that begin with `_`, on a store that hides such keys from the Mirror.

etcd leaves them out of listings and watches of anything above them; asked for themselves it
shows them. So the first question for such a name waits for one look at the store, and while the
name is asked for it is looked at again every second. What was found stays when the store is away.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from coordinator.client import Changes, Entry, Store, StoreError
from daemonkit.observe import logs
from skydns.core.dns.name import Name

POLL_S = 1.0
# Who asks less often waits again for the store.
FORGET_S = 600.0
# As many looks a second at the store by each worker, and no more by whoever makes up names.
NAMES_MAX = 200
UNDER_WAY_MAX = 64
LOOK_S = 2.0
THREADS = 4

_log = logs.get("hidden")


@dataclass(slots=True)
class _Known:
    """What was found at a name, and when it was asked for last."""

    asked_s: float
    entries: dict[str, Entry] = field(default_factory=dict)


class Hidden:
    """Looks at names one by one; what it finds is applied as Changes."""

    def __init__(self, store: Store, prefix: str, apply: Callable[[Changes], None]) -> None:
        self._store, self._prefix, self._apply = store, prefix, apply
        self._known: dict[Name, _Known] = {}
        self._under_way: dict[Name, asyncio.Task[bool]] = {}
        self._threads = ThreadPoolExecutor(THREADS, "hidden")
        self._index = 0

    def knows(self, name: Name) -> bool:
        """Say whether the name was looked at, and note that it is asked for."""
        known = self._known.pop(name, None)
        if known is None:
            return False
        known.asked_s = asyncio.get_running_loop().time()
        self._known[name] = known
        return True

    def look(self, name: Name, then: Callable[[bool], None]) -> None:
        """Look at the store, then say whether that was possible."""
        task = self._under_way.get(name)
        if task is None:
            if len(self._under_way) >= UNDER_WAY_MAX:
                then(False)
                return
            task = asyncio.get_running_loop().create_task(self._first_look(name))
            self._under_way[name] = task
            task.add_done_callback(lambda _: self._under_way.pop(name, None))
        task.add_done_callback(lambda done: then(not done.cancelled() and done.result()))

    def again(self, index: int) -> Changes:
        """Return all that was found, for a view that began anew at `index`."""
        self._index = index
        entries = tuple(e for known in self._known.values() for e in known.entries.values())
        return Changes("", index, entries)

    async def poll(self) -> None:
        """Look again at what is asked for, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(POLL_S)
            for name, known in tuple(self._known.items()):
                if loop.time() - known.asked_s > FORGET_S:
                    self._forget(name)
                elif (entries := await self._entries(name)) is None:
                    break  # the store is away; all stays as it was
                elif name in self._known:
                    self._learn(known, entries)

    def stop(self) -> None:
        """Look no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _first_look(self, name: Name) -> bool:
        entries = await self._entries(name)
        if entries is None:
            return False
        while len(self._known) >= NAMES_MAX:
            self._forget(next(iter(self._known)))
        known = self._known[name] = _Known(asyncio.get_running_loop().time())
        self._learn(known, entries)
        return True

    async def _entries(self, name: Name) -> dict[str, Entry] | None:
        key = "/".join((self._prefix, *(label.decode() for label in reversed(name))))
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOK_S):
                listing = await loop.run_in_executor(self._threads, self._store.list, key)
        except (StoreError, TimeoutError) as error:
            _log.debug("not-seen", key=key, error=error)
            return None
        return {entry.key: entry for entry in listing.entries}

    def _learn(self, known: _Known, entries: dict[str, Entry]) -> None:
        written = tuple(e for key, e in entries.items() if known.entries.get(key) != e)
        removed = tuple(key for key in known.entries if key not in entries)
        known.entries = entries
        if written or removed:
            self._apply(Changes("", self._index, written, removed))

    def _forget(self, name: Name) -> None:
        known = self._known.pop(name)
        if known.entries:
            self._apply(Changes("", self._index, removed=tuple(known.entries)))
