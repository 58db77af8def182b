"""What a mirror knows, and what each listing or event changes in it. Pure.

1. The first Changes resets, and holds everything at one index.
2. Each later one is the difference between two states that the store had, in the order it had
   them: a key is in it at most once, and only if its file is another or gone.
3. Nothing else takes a key away: neither silence nor a TTL that this host's clock sees pass.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from coordinator.client.core import key_paths
from coordinator.client.core.store_protocol import Entry, Event, Listing, Progress
from coordinator.client.core.view import Changes


class Replay:
    """The files below a prefix, moved by what the store tells."""

    def __init__(self) -> None:
        self.cluster = ""
        self.index = 0
        self._entries: dict[str, Entry] = {}
        self._is_known = False

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The files by key, read-only and live."""
        return MappingProxyType(self._entries)

    def listed(self, listing: Listing) -> Changes | None:
        """Go to a listing, or to a snapshot of an earlier life; None if it changes no file.

        It may be of another cluster or of a lower index: the store is right.
        """
        before, was_known = self._entries, self._is_known
        self._entries = {entry.key: entry for entry in listing.entries}
        self._is_known = True
        self.cluster, self.index = listing.cluster, listing.index
        if not was_known:
            return Changes(self.cluster, self.index, listing.entries, reset=True)
        written = tuple(entry for entry in listing.entries if before.get(entry.key) != entry)
        removed = tuple(key for key in before if key not in self._entries)
        return self._changes(written, removed)

    def followed(self, events: Iterable[Event | Progress]) -> Changes | None:
        """Apply what a watch told, in order; None if it changes no file."""
        before: dict[str, Entry | None] = {}
        told = self.index
        for event in events:
            # Several events may have one index, and a batch has all of them.
            if event.index <= told or event.index < self.index:
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
        else:
            before.setdefault(event.key, self._entries.get(event.key))
            self._entries[event.key] = event.entry

    def _at_or_below(self, key: str) -> list[str]:
        if key in self._entries:
            return [key]  # a file has nothing below it
        # Directories go seldom: one look at each of 100,000 keys takes about 10 ms.
        return [name for name in self._entries if key_paths.holds(key, name)]

    def _changes(self, written: tuple[Entry, ...], removed: tuple[str, ...]) -> Changes | None:
        if not written and not removed:
            return None
        return Changes(self.cluster, self.index, written, removed)
