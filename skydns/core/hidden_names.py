"""Names with labels that begin with `_`, on a store that hides their keys.

etcd leaves such keys out of listings and watches of all directories above them, and shows them only
to a listing of the key itself. So the first question for such a name waits for a listing, and the
listing is repeated every second while clients ask for the name. Its result stays when the store is
down.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from skydns.core.dns.name import Name

# A name without a question in this time is forgotten; its next question waits again.
FORGET_S = 600.0
# The listings of the store per second and worker, even if clients ask for random names.
NAMES_MAX = 200


@dataclass(slots=True)
class _HiddenName:
    """The entries at a name. `asked` says that there was a question for it since the last poll."""

    entries: Mapping[str, Entry]
    asked_s: float
    asked: bool = False


class HiddenNames:
    """The names that were listed. Each method returns the changes that it causes."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._names_max = names_max
        # The least recently asked name comes first.
        self._names: dict[Name, _HiddenName] = {}
        self._index = 0

    def __contains__(self, name: Name) -> bool:
        return name in self._names

    def knows(self, name: Name) -> bool:
        """Return whether the name was listed, and note that a client asks for it."""
        hidden = self._names.pop(name, None)
        if hidden is None:
            return False
        hidden.asked = True
        self._names[name] = hidden
        return True

    def names(self) -> tuple[Name, ...]:
        """Return the names to list again."""
        return tuple(self._names)

    def learn(self, name: Name, entries: Mapping[str, Entry], now_s: float) -> Changes:
        """Store the listing of a name."""
        removed: list[str] = []
        hidden = self._names.get(name)
        if hidden is None:
            while len(self._names) >= self._names_max:
                removed += self._forget(next(iter(self._names)))
            hidden = self._names[name] = _HiddenName({}, now_s)
        known = hidden.entries
        written = tuple(entry for key, entry in entries.items() if known.get(key) != entry)
        removed += [key for key in known if key not in entries]
        hidden.entries = entries
        return Changes("", self._index, written, tuple(removed))

    def expire(self, now_s: float) -> Changes:
        """Forget the names without a question in FORGET_S."""
        removed: list[str] = []
        for name, hidden in tuple(self._names.items()):
            if hidden.asked:
                hidden.asked, hidden.asked_s = False, now_s
            elif now_s - hidden.asked_s > FORGET_S:
                removed += self._forget(name)
        return Changes("", self._index, removed=tuple(removed))

    def reload(self, index: int) -> Changes:
        """Return all listed entries, for a zone that was loaded again at `index`."""
        self._index = index
        entries = tuple(e for hidden in self._names.values() for e in hidden.entries.values())
        return Changes("", index, entries)

    def _forget(self, name: Name) -> list[str]:
        return list(self._names.pop(name).entries)
