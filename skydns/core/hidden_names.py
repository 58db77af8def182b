"""Names with labels that begin with `_`, on a store that hides their keys.

etcd leaves such keys out of listings and watches of all directories above them, and shows them only
to a listing of the key itself. So the first question for such a name waits for a listing, and the
listing is repeated every second while clients ask for the name. Its result stays when the store is
down.

Clients choose the names that they ask for. Names without keys have a bound of their own, so that
random names push out each other and never a name with keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from skydns.core.dns.name import Name
from skydns.core.zone.zone import HIDDEN

# A name without a question in this time is forgotten; its next question waits again.
FORGET_S = 600.0
# Together they bound the listings of the store per second and worker. A name without keys must
# outlive the longest queue of questions that wait for their listings.
NAMES_MAX = 200
EMPTY_MAX = 100


@dataclass(slots=True)
class _HiddenName:
    """The entries at a name. `asked` says that there was a question for it since the last poll."""

    entries: Mapping[str, Entry]
    asked_s: float
    asked: bool = False


class HiddenNames:
    """The names that were listed. Each method returns the changes that it causes."""

    def __init__(self, names_max: int = NAMES_MAX, empty_max: int = EMPTY_MAX) -> None:
        self._names_max, self._empty_max = names_max, empty_max
        # The names with keys, and those without. The least recently asked name comes first.
        self._full: dict[Name, _HiddenName] = {}
        self._empty: dict[Name, _HiddenName] = {}
        self._index = 0

    def __contains__(self, name: Name) -> bool:
        return name in self._full or name in self._empty

    def knows(self, name: Name) -> bool:
        """Return whether the name was listed, and note that a client asks for it."""
        for names in (self._full, self._empty):
            if (hidden := names.pop(name, None)) is not None:
                hidden.asked = True
                names[name] = hidden
                return True
        return False

    def names(self) -> tuple[Name, ...]:
        """Return the names to list again."""
        return (*self._full, *self._empty)

    def learn(self, name: Name, entries: Mapping[str, Entry], now_s: float) -> Changes:
        """Store the listing of a name."""
        hidden = self._full.get(name) or self._empty.get(name) or _HiddenName({}, now_s)
        known, hidden.entries = hidden.entries, entries
        written = tuple(entry for key, entry in entries.items() if known.get(key) != entry)
        removed = [key for key in known if key not in entries]
        names, other, count_max = self._full, self._empty, self._names_max
        if not entries:
            names, other, count_max = self._empty, self._full, self._empty_max
        other.pop(name, None)
        names.setdefault(name, hidden)
        while len(names) > count_max:
            removed += names.pop(next(iter(names))).entries
        return Changes("", self._index, written, tuple(removed))

    def expire(self, now_s: float) -> Changes:
        """Forget the names without a question in FORGET_S."""
        removed: list[str] = []
        for names in (self._full, self._empty):
            for name, hidden in tuple(names.items()):
                if hidden.asked:
                    hidden.asked, hidden.asked_s = False, now_s
                elif now_s - hidden.asked_s > FORGET_S:
                    removed += names.pop(name).entries
        return Changes("", self._index, removed=tuple(removed))

    def reload(self, index: int) -> Changes:
        """Return all listed entries, for a zone that was loaded again at `index`."""
        self._index = index
        entries = tuple(e for hidden in self._full.values() for e in hidden.entries.values())
        return Changes("", index, entries)


def hidden_root(name: Name) -> Name:
    """Return the name whose listing has all keys at or below `name`; () if none is hidden.

    A listing hides the keys below the next hidden label, so it begins at the leftmost one.
    """
    for position, label in enumerate(name):
        if label[0] == HIDDEN:
            return name[position:]
    return ()


def visible_part(name: Name) -> Name:
    """Return the name above all hidden labels."""
    while root := hidden_root(name):
        name = root[1:]
    return name
