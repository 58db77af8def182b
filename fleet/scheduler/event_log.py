"""The scheduler's decisions, in its log and in a ring of keys."""

import asyncio

from coordinator.client import Store
from daemonkit.observe import logs
from fleet.clock import timestamp
from fleet.core import keys
from fleet.core.fields import shortened
from fleet.core.model import EventRecord, encode

# The ring has this many entries, and a pass of the scheduler writes one.
EVENTS, EVENT_LINES_MAX = 500, 50
_log = logs.get("scheduler")


class EventLog:
    """Appends to the ring. It finds its position in the store when it first writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position = 0

    async def append(self, lines: list[str], epoch: int) -> None:
        """Log decisions, and write them to the ring."""
        for line in lines[:EVENT_LINES_MAX]:
            _log.info("decided", what=line, epoch=epoch)
        more = [f"and {len(lines) - EVENT_LINES_MAX} more"] * (len(lines) > EVENT_LINES_MAX)
        text = "\n".join([*map(shortened, lines[:EVENT_LINES_MAX]), *more])
        event = EventRecord(at=timestamp(), epoch=epoch, text=text)
        if not self._position:
            self._position = await asyncio.to_thread(self._newest_position)
        self._position += 1
        key = keys.event(self._position % EVENTS)
        await asyncio.to_thread(self._store.put, key, encode(event))

    def _newest_position(self) -> int:
        entries = self._store.list(keys.EVENTS).entries
        own = {keys.event(position): position for position in range(EVENTS)}
        known = [each for each in entries if each.key in own]
        newest = max(known, key=lambda entry: entry.modified, default=None)
        return own[newest.key] if newest else EVENTS
