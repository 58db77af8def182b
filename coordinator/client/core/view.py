"""A local copy of a key prefix, kept up to date by `Changes`.

A Mirror produces Changes. Daemons and their worker processes apply them to a View. Changes travel
unchanged over the channel to the workers.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from coordinator.client.core.store_protocol import Entry


class Changes(msgspec.Struct, frozen=True):
    """What brings a view to `index`: the entries written and the keys removed since the last one.

    With `reset`, `entries` is everything and replaces the content of the view. The first Changes
    after a start has it set. A later listing arrives as the difference that it made.
    """

    cluster: str
    index: int
    entries: tuple[Entry, ...] = ()
    removed: tuple[str, ...] = ()
    reset: bool = False

    def touched(self) -> tuple[str, ...]:
        """The keys that were written or removed."""
        return (*(entry.key for entry in self.entries), *self.removed)


class View:
    """Entries by key at one index. Not thread-safe: one thread applies and reads."""

    def __init__(self) -> None:
        self.cluster = ""
        self.index = 0
        self._entries: dict[str, Entry] = {}

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The entries by key, read-only and live: it shows later changes, too."""
        return MappingProxyType(self._entries)

    def apply(self, changes: Changes) -> None:
        """Bring the view to `changes.index`."""
        if changes.reset:
            self._entries = {}
        for key in changes.removed:
            self._entries.pop(key, None)
        for entry in changes.entries:
            self._entries[entry.key] = entry
        self.cluster, self.index = changes.cluster, changes.index
