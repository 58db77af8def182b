"""Admission of keys: while a key's new value is invalid, its last good value stays in force.

A middleware that may guard its frontend, and has no last good value that does, is admitted all the
same: in the table it closes the frontend.

The supervisor checks every change once, and workers get only what it admits. It keeps the admitted
values, so that a worker that starts later gets the same last good values as the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes, View
from vulcan.core.config.errors import ModelError
from vulcan.core.config.frontend import Middleware
from vulcan.core.config.model import NO_SEAL_KEYS, decode, decode_or_close
from vulcan.core.config.secretbox import SealKeys
from vulcan.core.middleware.compiler import may_guard


@dataclass(frozen=True, slots=True)
class RejectedKey:
    """Why a key's value is not in force. `last_good` is the index of the value that is."""

    reason: str
    modified: int
    last_good: int | None


class KeyAdmission:
    """The keys below a prefix, each with its last good value."""

    def __init__(self, prefix: str, seal_keys: SealKeys = NO_SEAL_KEYS) -> None:
        self._seal_keys = seal_keys
        self._below = prefix + "/"
        self._good = View()
        self._refused: dict[str, RejectedKey] = {}

    @property
    def refused(self) -> Mapping[str, RejectedKey]:
        """The keys whose newest value is not in force."""
        return MappingProxyType(self._refused)

    def modified(self, key: str) -> int | None:
        """Return the index of a key's newest value, valid or not; None without the key."""
        if rejected := self._refused.get(key):
            return rejected.modified
        entry = self._good.entries.get(key)
        return entry.modified if entry else None

    def newest(self) -> int:
        """Return the index of the newest value."""
        good = [entry.modified for entry in self._good.entries.values()]
        return max((*good, *(why.modified for why in self._refused.values())), default=0)

    def everything(self) -> Changes:
        """Return all keys in force, for a starting worker."""
        good = self._good
        return Changes(good.cluster, good.index, tuple(good.entries.values()), reset=True)

    def admit(self, changes: Changes) -> Changes:
        """Check changes, and return the valid ones."""
        removed = list(changes.removed)
        if changes.reset:
            present = {entry.key for entry in changes.entries}
            removed += [key for key in self._good.entries if key not in present]
            self._refused = {key: why for key, why in self._refused.items() if key in present}
        for key in removed:
            self._refused.pop(key, None)
        entries = tuple(entry for entry in changes.entries if self._comes_into_force(entry))
        admitted = Changes(changes.cluster, changes.index, entries, tuple(removed))
        self._good.apply(admitted)
        return admitted

    def _comes_into_force(self, entry: Entry) -> bool:
        """Check a value; return whether it comes into force, even if only to close a frontend."""
        path = entry.key.removeprefix(self._below)
        try:
            decode(path, entry.value, self._seal_keys)
        except ModelError as error:
            closes = self._closes(path, entry)
            last_good = None if closes else self._last_good(entry.key)
            self._refused[entry.key] = RejectedKey(str(error), entry.modified, last_good)
            return closes
        self._refused.pop(entry.key, None)
        return True

    def _closes(self, path: str, entry: Entry) -> bool:
        """Whether an invalid value must close a frontend, since no good value guards it."""
        if self._last_good(entry.key) is not None:
            good = decode(path, self._good.entries[entry.key].value, self._seal_keys)
            if isinstance(good, Middleware) and may_guard(good.document.type):
                return False
        try:
            decode_or_close(path, entry.value, self._seal_keys)
        except ModelError:
            return False
        return True

    def _last_good(self, key: str) -> int | None:
        """Return the index of the last valid value; one that closes a frontend is none."""
        if rejected := self._refused.get(key):
            return rejected.last_good
        entry = self._good.entries.get(key)
        return entry.modified if entry else None


def merge_changes(batch: Iterable[Changes]) -> Changes:
    """Merge several changes, in order, into one with the same effect."""
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
