"""Which resources a change of keys affects."""

from collections.abc import Iterable, Iterator
from typing import Any

from confd.core.keyspace.key_set import KeyChanges
from confd.core.keyspace.pathmatch import compiled
from confd.core.keyspace.reader import ReadSet
from confd.core.keyspace.scope import Scope


class DependencyIndex:
    """Resources by the keys that they read, so that a change finds its readers directly.

    Invariant: for each name, the index has exactly the entries of its last `note`.
    """

    def __init__(self) -> None:
        self._exact: dict[str, set[str]] = {}
        self._globs: dict[str, dict[tuple[str, str], Scope]] = {}
        self._listings: dict[str, dict[str, Scope]] = {}
        self._triggers: dict[str, set[str]] = {}
        self._places: dict[str, list[tuple[dict[str, Any], str, Any]]] = {}

    def note(
        self, name: str, scope: Scope, reads: ReadSet, trigger_keys: Iterable[str] = ()
    ) -> None:
        """Record what a resource read last. With trigger keys, only those affect the resource."""
        self.drop(name)
        places = self._places[name] = []
        if triggers := tuple(trigger_keys):
            for trigger in triggers:
                key = scope.key_of(trigger)
                self._triggers.setdefault(key, set()).add(name)
                places.append((self._triggers, key, name))
            return
        for key in filter(scope.covers, map(scope.key_of, reads.exact)):
            self._exact.setdefault(key, set()).add(name)
            places.append((self._exact, key, name))
        for glob in reads.globs:
            above = _directory(scope.key_of(compiled(glob).literal))
            self._globs.setdefault(above, {})[name, glob] = scope
            places.append((self._globs, above, (name, glob)))
        for key in map(scope.key_of, reads.listings):
            self._listings.setdefault(key, {})[name] = scope
            places.append((self._listings, key, name))

    def drop(self, name: str) -> None:
        """Forget a resource."""
        for index, place, entry in self._places.pop(name, ()):
            found = index[place]
            if isinstance(found, set):
                found.discard(entry)
            else:
                found.pop(entry, None)
            if not found:
                del index[place]

    def affected(self, changes: KeyChanges) -> frozenset[str]:
        """Return the names of the resources whose last rendering read what changed."""
        found: set[str] = set()
        for key in changes.written:
            found |= self._exact.get(key, set())
            if self._globs:
                found |= self._by_glob(key)
            if self._triggers:
                for base in _bases(key):
                    found |= self._triggers.get(base, set())
        if self._listings:
            for key in changes.added_or_removed:
                for base in _bases(key):
                    readers = self._listings.get(base, {})
                    found |= {name for name, scope in readers.items() if scope.covers(key)}
        return frozenset(found)

    def _by_glob(self, key: str) -> set[str]:
        return {
            name
            for above in ("", *(f"{base}/" for base in _bases(key)))
            for (name, glob), scope in self._globs.get(above, {}).items()
            if scope.covers(key) and compiled(glob).matches(scope.name_of(key))
        }


def _directory(literal: str) -> str:
    return literal[: literal.rfind("/") + 1]


def _bases(key: str) -> Iterator[str]:
    """Yield the key and every base above it, the root last."""
    at = len(key)
    while at > 0:
        yield key[:at]
        at = key.rfind("/", 0, at)
    yield ""
