"""A local copy of a key prefix, moved forward by `Changes`.

Mirror produces Changes; daemons and their worker processes apply them to a View. Changes
travel as they are over the workers' channel and to the snapshot on disk.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from coordinator.client.core.store_protocol import Entry


class Changes(msgspec.Struct, frozen=True):
    """What moves a view to `index`: entries written and keys removed since the last one.

    `reset` says that `entries` is everything there is and the view starts anew with it. The
    first Changes after a start is one; a later re-list arrives as the difference it made.
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
    """Files by key at one index. Not thread-safe: one thread applies and reads."""

    def __init__(self) -> None:
        self.cluster = ""
        self.index = 0
        self._entries: dict[str, Entry] = {}

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The files by key, read-only and live: it shows later changes too."""
        return MappingProxyType(self._entries)

    def apply(self, changes: Changes) -> None:
        """Move to `changes.index`."""
        if changes.reset:
            self._entries = {}
        for key in changes.removed:
            self._entries.pop(key, None)
        for entry in changes.entries:
            self._entries[entry.key] = entry
        self.cluster, self.index = changes.cluster, changes.index
