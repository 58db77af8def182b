"""Keeping bad keys out: a key that cannot be used keeps its last good value in force.

The supervisor judges every change once; workers get only what passed. What passed is kept,
so that a worker that starts later gets the same last good values as the others have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes, View
from vulcan.core.config.errors import ModelError
from vulcan.core.config.model import NO_SEAL_KEYS, decode
from vulcan.core.config.secretbox import SealKeys


@dataclass(frozen=True, slots=True)
class RejectedKey:
    """Why a key is not in force as written; `last_good` is the index of the value in its place."""

    reason: str
    modified: int
    last_good: int | None


class KeyAdmission:
    """The keys below a prefix, each at its newest good value."""

    def __init__(self, prefix: str, seal: SealKeys = NO_SEAL_KEYS) -> None:
        self._seal = seal
        self._below = prefix + "/"
        self._good = View()
        self._refused: dict[str, RejectedKey] = {}

    @property
    def refused(self) -> Mapping[str, RejectedKey]:
        """The keys that are not in force as written."""
        return MappingProxyType(self._refused)

    def modified(self, key: str) -> int | None:
        """Return the index of a key's value as written, good or not; None without the key."""
        if refusal := self._refused.get(key):
            return refusal.modified
        entry = self._good.entries.get(key)
        return entry.modified if entry else None

    def newest(self) -> int:
        """Return the index of the newest value."""
        good = [entry.modified for entry in self._good.entries.values()]
        return max((*good, *(why.modified for why in self._refused.values())), default=0)

    def everything(self) -> Changes:
        """Return all that is in force, for who starts anew."""
        good = self._good
        return Changes(good.cluster, good.index, tuple(good.entries.values()), reset=True)

    def admit(self, changes: Changes) -> Changes:
        """Take changes in; return them without what is bad."""
        removed = list(changes.removed)
        if changes.reset:
            here = {entry.key for entry in changes.entries}
            removed += [key for key in self._good.entries if key not in here]
            self._refused = {key: why for key, why in self._refused.items() if key in here}
        for key in removed:
            self._refused.pop(key, None)
        entries = tuple(entry for entry in changes.entries if self._passes(entry))
        admitted = Changes(changes.cluster, changes.index, entries, tuple(removed))
        self._good.apply(admitted)
        return admitted

    def _passes(self, entry: Entry) -> bool:
        try:
            decode(entry.key.removeprefix(self._below), entry.value, self._seal)
        except ModelError as error:
            kept = self._good.entries.get(entry.key)
            self._refused[entry.key] = RejectedKey(
                str(error), entry.modified, kept.modified if kept else None
            )
            return False
        self._refused.pop(entry.key, None)
        return True


def merge_changes(batch: Iterable[Changes]) -> Changes:
    """Return one Changes with the effect of several in order."""
    cluster, index, reset = "", 0, False
    written: dict[str, Entry] = {}
    removed: dict[str, None] = {}
    for changes in batch:
        cluster, index = changes.cluster, changes.index
        if changes.reset:
            reset, written, removed = True, {}, {}
        for key in changes.removed:
            written.pop(key, None)
            removed[key] = None
        for entry in changes.entries:
            removed.pop(entry.key, None)
            written[entry.key] = entry
    return Changes(cluster, index, tuple(written.values()), tuple(removed), reset)
