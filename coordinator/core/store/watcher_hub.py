"""Watchers: cursors over the event history, fed directly while they keep up.

1. A watcher's events are those of the history that its watch_filter matches, after the index it
   began at, in order, each once. Live and from history the same rule decides (`matches`).
2. A watcher that keeps up gets a matching event put into its queue. When the queue is full it
   falls behind: it remembers its position and later continues from the history.
3. If the history no longer reaches back to its place, it gets error 401; it never skips events.
4. An event is compared with the watchers of its key, of each directory above it, and of the
   keys that went with a removed directory; other watchers cost nothing.
"""

from collections.abc import Callable, Iterator

import msgspec

from coordinator.core.store.api_errors import HISTORY_CLEARED, ApiError
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.event_history import EventHistory
from coordinator.core.store.node import ROOT_KEY

# A reader further behind than this is slower than its events and is served from the history.
QUEUE_EVENTS_MAX = 64
# About a third of a millisecond of work, so that an old cursor cannot hold up everybody.
SCAN_SLOTS_MAX = 2000
# Above every index: an index has 64 bits.
INDEX_NEVER = 1 << 64


class WatchFilter(msgspec.Struct, frozen=True):
    """What to watch: a key; with `recursive` all below it; with `hidden` also names with `_`.

    A key that does not exist can be watched. The removal of a directory concerns every key
    that existed below it.
    """

    key: bytes
    recursive: bool = False
    hidden: bool = False

    def matches(self, event: KeyEvent) -> bool:
        """Return whether the event is for this watcher."""
        key = self.key
        if event.key == key:
            return True
        if self.recursive:
            above = b"" if key == ROOT_KEY else key
            if event.key.startswith(above + b"/"):
                return self.hidden or event.key.find(b"/_", len(above)) == -1
        return event.removed is not None and key in event.removed


class Watcher:
    """One reader's place among the events. Made by `WatcherHub.watch`."""

    __slots__ = ("_after", "_cursor", "_hub", "_queue", "wake", "watch_filter")

    def __init__(
        self,
        hub: "WatcherHub",
        watch_filter: WatchFilter,
        after_index: int,
        wake: Callable[[], None],
    ) -> None:
        self.watch_filter = watch_filter
        self.wake = wake
        self._hub = hub
        self._queue: list[KeyEvent] = []
        self._after = after_index
        # Up to where the history was looked through; None while events come by themselves.
        self._cursor: int | None = after_index if after_index < hub.history.last else None

    @property
    def more(self) -> bool:
        """Whether `take` has work left: call it again without waiting to be woken."""
        return bool(self._queue) or self._cursor is not None

    @property
    def position(self) -> int:
        """The index up to which every event for this watcher has been taken."""
        if self._queue:
            return self._queue[0].index - 1
        return self._hub.history.last if self._cursor is None else self._cursor

    def take(self, limit: int) -> list[KeyEvent]:
        """Return the next events, at most `limit`; none does not mean the end, see `more`.

        Raises ApiError 401 when the events after `position` are no longer kept.
        """
        if self._queue:
            events = self._queue[:limit]
            del self._queue[:limit]
            return events
        return [] if self._cursor is None else self._scan(self._cursor, limit)

    def close(self) -> None:
        """Stop watching. `wake` is not called again, not even for an event under way."""
        self._after = INDEX_NEVER
        self._hub.forget(self)

    def offer(self, event: KeyEvent) -> None:
        """Take a matching event that just happened."""
        if self._cursor is not None or event.index <= self._after:
            return
        if len(self._queue) == QUEUE_EVENTS_MAX:
            self._cursor = event.index - 1
            return
        self._queue.append(event)
        if len(self._queue) == 1:
            self.wake()

    def move(self, hub: "WatcherHub") -> None:
        """Go on in another hub, from its history."""
        self._after = self._cursor = max(self.position, self._after)
        self._queue.clear()
        self._hub = hub

    def _scan(self, cursor: int, limit: int) -> list[KeyEvent]:
        history = self._hub.history
        check_kept(history, cursor + 1)
        matches = self.watch_filter.matches
        events: list[KeyEvent] = []
        stop = min(history.last, cursor + SCAN_SLOTS_MAX)
        for index in range(cursor + 1, stop + 1):
            event = history.at(index)
            if event is not None and matches(event):
                events.append(event)
                if len(events) == limit:
                    stop = index
                    break
        self._cursor = stop if stop < history.last else None
        return events


class WatcherHub:
    """All watchers of one key space, by the key they watch."""

    def __init__(self, history: EventHistory) -> None:
        self.history = history
        self._by_key: dict[bytes, dict[Watcher, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def watch(
        self, watch_filter: WatchFilter, after_index: int, wake: Callable[[], None]
    ) -> Watcher:
        """Begin to watch for events with an index above `after_index`.

        `wake` is called when a first event comes to wait for `take`, on the stack of the
        `apply` that made it: it may take and close, it must not apply. Call `take` once
        without being woken. Raises ApiError 401 when the history begins later.
        """
        check_kept(self.history, after_index + 1)
        watcher = Watcher(self, watch_filter, after_index, wake)
        self._add(watcher)
        return watcher

    def notify(self, event: KeyEvent) -> None:
        """Hand an event, already in the history, to the watchers it is for."""
        if not self._by_key:
            return
        for key in self._watched_keys(event):
            # A copy, because a woken watcher may remove itself.
            for watcher in tuple(self._by_key.get(key, ())):
                if watcher.watch_filter.matches(event):
                    watcher.offer(event)

    def take_over(self, other: "WatcherHub") -> None:
        """Go on for the watchers of a hub whose key space this one's replaces."""
        for watchers in other.clear():
            for watcher in watchers:
                watcher.move(self)
                self._add(watcher)
                watcher.wake()

    def forget(self, watcher: Watcher) -> None:
        """Remove a watcher, if it is still there."""
        watchers = self._by_key.get(watcher.watch_filter.key)
        if watchers is not None and watchers.pop(watcher, self) is None:
            self._count -= 1
            if not watchers:
                del self._by_key[watcher.watch_filter.key]

    def clear(self) -> list[dict[Watcher, None]]:
        """Remove all watchers and return them."""
        watchers = list(self._by_key.values())
        self._by_key = {}
        self._count = 0
        return watchers

    def _add(self, watcher: Watcher) -> None:
        self._by_key.setdefault(watcher.watch_filter.key, {})[watcher] = None
        self._count += 1

    def _watched_keys(self, event: KeyEvent) -> Iterator[bytes]:
        by_key = self._by_key
        path = event.key
        while len(path) > 1:
            if path in by_key:
                yield path
            path = path[: path.rindex(b"/")]
        if ROOT_KEY in by_key:
            yield ROOT_KEY
        if event.removed:
            few, many = sorted((event.removed, by_key), key=len)
            yield from [key for key in few if key in many]


def check_kept(history: EventHistory, index: int) -> None:
    """Raise ApiError 401 for an index that the history no longer has."""
    if index < history.first:
        cause = f"the requested history has been cleared [{history.first}/{index}]"
        raise ApiError(HISTORY_CLEARED, cause, history.last)
