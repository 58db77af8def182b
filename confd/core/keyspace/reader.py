"""How templates read keys, with a record of what each template read.

Invariant: a rendering depends only on its template, the environment, the clock and what its
Reader returned, and everything the Reader returned is in `ReadSet`. So a change that touches
nothing in a resource's read set cannot change its file.
"""

from dataclasses import dataclass, field

from confd.core.keyspace.key_set import KeySet
from confd.core.keyspace.pathmatch import compiled
from confd.core.keyspace.scope import Scope, inside, segments


@dataclass(frozen=True, slots=True)
class KVPair:
    """One key as a template sees it; `Key` and `Value` are the names in Go's confd."""

    key: str
    value: str

    @property
    def Key(self) -> str:  # noqa: N802
        """The key, without the resource's prefix."""
        return self.key

    @property
    def Value(self) -> str:  # noqa: N802
        """The value."""
        return self.value


@dataclass(frozen=True, slots=True)
class ReadSet:
    """What a rendering read: keys, patterns and listings, named without the prefix."""

    exact: frozenset[str] = frozenset()
    globs: frozenset[str] = frozenset()
    listings: frozenset[str] = frozenset()


@dataclass(slots=True)
class Reader:
    """Reads keys for one rendering, only inside its scope, and records each read."""

    keys: KeySet
    scope: Scope
    _exact: set[str] = field(default_factory=set)
    _globs: set[str] = field(default_factory=set)
    _listings: set[str] = field(default_factory=set)

    @property
    def reads(self) -> ReadSet:
        """Everything read so far."""
        return ReadSet(frozenset(self._exact), frozenset(self._globs), frozenset(self._listings))

    def value(self, name: str) -> str | None:
        """Return the value of a name, or None if the key is absent or outside the scope."""
        self._exact.add(name)
        key = self.scope.key_of(name)
        return self.keys.value(key) if self.scope.covers(key) else None

    def matching(self, pattern: str) -> list[KVPair]:
        """Return the pairs whose name matches, in key order. Raises BadPattern."""
        glob = compiled(pattern)
        self._globs.add(pattern)
        return [
            KVPair(name, self.keys.value(key) or "")
            for key in self.keys.starting(self.scope.key_of(glob.literal))
            if self.scope.covers(key) and glob.matches(name := self.scope.name_of(key))
        ]

    def children(self, name: str) -> dict[str, bool]:
        """Return the names directly below `name`, each with whether it has children."""
        base = "/" + "/".join(segments(name)) if segments(name) else ""
        self._listings.add(base)
        base = self.scope.key_of(base)
        found: dict[str, bool] = {}
        for top in self.scope.subtrees:
            if inside(base, top):
                return self.keys.children(base)
            if inside(top, base) and self.keys.below(top):
                child, deeper, _ = top[len(base) + 1 :].partition("/")
                has_children = bool(deeper) or bool(self.keys.children(top))
                found[child] = found.get(child, False) or has_children
        return found
