"""The keys that templates read: values by key, from the store and from other sources."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from coordinator.client.core.view import Changes

# Above this many names, sorting once is cheaper than inserting each.
INSERTS_MAX = 64


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """The keys whose value changed, and of those the keys that were added or removed."""

    written: frozenset[str] = frozenset()
    added_or_removed: frozenset[str] = frozenset()


class KeySet:
    """Values by key, in key order, from one source or several. One thread applies and reads.

    Each source is a layer; the last layer that has a key gives its value. `index` is the store's
    index of the last change.
    """

    def __init__(self, layers: int = 1) -> None:
        self._layers: tuple[dict[str, str], ...] = tuple({} for _ in range(layers))
        self._values: dict[str, str] = {}
        self._sorted: list[str] = []
        self.index = 0

    def apply(self, root: str, changes: Changes, layer: int = 0) -> KeyChanges:
        """Apply a change of one layer below `root`; a reset replaces all of its keys there."""
        own = self._layers[layer]
        new = {entry.key: entry.value for entry in changes.entries}
        gone = {key for key in changes.removed if key in own and key not in new}
        if changes.reset:
            gone |= {key for key in self.below(root) if key in own and key not in new}
        for key in gone:
            del own[key]
        own.update(new)
        self.index = max(self.index, changes.index)
        return self._update({*gone, *new})

    def forget(self, root: str, layer: int = 0) -> None:
        """Remove everything that a layer has below `root`."""
        self.apply(root, Changes(cluster="", index=0, reset=True), layer)

    def _update(self, keys: AbstractSet[str]) -> KeyChanges:
        written: set[str] = set()
        added: set[str] = set()
        removed: set[str] = set()
        for key in keys:
            before, after = self._values.get(key), self._effective(key)
            if before == after:
                continue
            written.add(key)
            if after is None:
                removed.add(key)
                del self._values[key]
                continue
            if before is None:
                added.add(key)
            self._values[key] = after
        self._reorder(added, removed)
        return KeyChanges(frozenset(written), frozenset(added | removed))

    def _effective(self, key: str) -> str | None:
        return next((layer[key] for layer in reversed(self._layers) if key in layer), None)

    def value(self, key: str) -> str | None:
        """Return the value of a key, or None if there is no such key."""
        return self._values.get(key)

    def starting(self, text: str) -> Iterator[str]:
        """Yield the keys that start with `text`, in order."""
        for at in range(bisect_left(self._sorted, text), len(self._sorted)):
            if not self._sorted[at].startswith(text):
                return
            yield self._sorted[at]

    def below(self, base: str) -> list[str]:
        """Return the key at `base` and those below it, in order."""
        own = [base] if base in self._values else []
        return [*own, *self.starting(base + "/")]

    def children(self, base: str) -> dict[str, bool]:
        """Return the names directly below `base`, each with whether it has children."""
        found: dict[str, bool] = {}
        start = base + "/"
        at = bisect_left(self._sorted, start)
        while at < len(self._sorted) and self._sorted[at].startswith(start):
            name, deeper, _ = self._sorted[at][len(start) :].partition("/")
            found[name] = found.get(name, False) or bool(deeper)
            # "0" follows "/" in ASCII, so this finds the first key that is not below the child.
            at = bisect_left(self._sorted, f"{start}{name}0") if deeper else at + 1
        return found

    def _reorder(self, added: AbstractSet[str], removed: AbstractSet[str]) -> None:
        if len(added) + len(removed) > INSERTS_MAX:
            self._sorted = sorted(self._values)
            return
        for key in removed:
            del self._sorted[bisect_left(self._sorted, key)]
        for key in added:
            insort(self._sorted, key)
