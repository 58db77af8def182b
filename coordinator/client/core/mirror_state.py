"""The state of a mirror, and what each listing or event changes in it.

1. The first Changes has `reset` set, and holds everything at one index.
2. Each later one is the difference between two states that the store had, in the store's order. A
   key is in it at most once, and only if it was written or removed.
3. Nothing else removes a key: neither silence, nor a TTL that has passed on this host's clock.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from coordinator.client.core import key_paths
from coordinator.client.core.store_protocol import Entry, Event, Listing, Progress
from coordinator.client.core.view import Changes


def _always(_: str) -> bool:
    return True


class MirrorState:
    """The keys below a prefix that `concerns` accepts, kept up to date by listings and events."""

    def __init__(self, concerns: Callable[[str], bool] = _always) -> None:
        self._concerns = concerns
        self.cluster = ""
        self.index = 0
        self._entries: dict[str, Entry] = {}
        self._is_known = False

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The entries by key, read-only and live."""
        return MappingProxyType(self._entries)

    def listed(self, listing: Listing) -> Changes | None:
        """Take over a listing or a saved snapshot. None if it changes no key.

        A listing of another cluster or of a lower index is taken over, too: the store is right.
        """
        before, was_known = self._entries, self._is_known
        entries = tuple(entry for entry in listing.entries if self._concerns(entry.key))
        self._entries = {entry.key: entry for entry in entries}
        self._is_known = True
        self.cluster, self.index = listing.cluster, listing.index
        if not was_known:
            return Changes(self.cluster, self.index, entries, reset=True)
        written = tuple(entry for entry in entries if before.get(entry.key) != entry)
        removed = tuple(key for key in before if key not in self._entries)
        return self._changes(written, removed)

    def followed(self, events: Iterable[Event | Progress]) -> Changes | None:
        """Apply the events of a watch, in order. None if they change no key."""
        before: dict[str, Entry | None] = {}
        index_before = self.index
        for event in events:
            # Several events may have one index, and a batch has all of them.
            if event.index <= index_before or event.index < self.index:
                continue
            self.index = event.index
            if isinstance(event, Event):
                self._apply(event, before)
        now = self._entries
        return self._changes(
            tuple(now[key] for key, old in before.items() if key in now and now[key] != old),
            tuple(key for key, old in before.items() if key not in now and old is not None),
        )

    def _apply(self, event: Event, before: dict[str, Entry | None]) -> None:
        if event.entry is None:
            for key in self._at_or_below(event.key):
                before.setdefault(key, self._entries.pop(key))
        elif self._concerns(event.key):
            before.setdefault(event.key, self._entries.get(event.key))
            self._entries[event.key] = event.entry

    def _at_or_below(self, key: str) -> list[str]:
        if key in self._entries:
            return [key]  # a file has nothing below it
        # Directories are deleted seldom. A look at each of 100,000 keys takes about 10 ms.
        return [name for name in self._entries if key_paths.holds(key, name)]

    def _changes(self, written: tuple[Entry, ...], removed: tuple[str, ...]) -> Changes | None:
        if not written and not removed:
            return None
        return Changes(self.cluster, self.index, written, removed)
