"""The keys that templates read, and the record of what each template read.

Invariant: a rendering depends on nothing but its template, the environment, the clock and what
its Reader handed out, and all of the latter is in `Reads`. So a change that touches none of a
resource's reads cannot change its file.

A base path here is "" for the root or "/a/b", never with a trailing slash, so that `base + "/"`
begins every key below it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from confd.core.keyspace.pathmatch import compiled
from coordinator.client.core.view import Changes

# Above this many names, sorting once is cheaper than inserting each.
INSERTS_MAX = 64


@dataclass(frozen=True, slots=True)
class KVPair:
    """One key as a template sees it; `Key` and `Value` are confd's spelling."""

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
class Touched:
    """What a change did: keys whose value is another now, and those that came or went."""

    written: frozenset[str] = frozenset()
    moved: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the store that a resource may see: `tops` and all below, named from `prefix`."""

    prefix: str
    tops: tuple[str, ...]

    def covers(self, key: str) -> bool:
        """Say whether the resource may see `key`."""
        return any(inside(key, top) for top in self.tops)

    def name_of(self, key: str) -> str:
        """Return the name that templates know a covered key by."""
        return key[len(self.prefix) :] or "/"

    def key_of(self, name: str) -> str:
        """Return the key that a template's name stands for."""
        return self.prefix + name


@dataclass(frozen=True, slots=True)
class Reads:
    """What a rendering read, in the names of its resource."""

    exact: frozenset[str] = frozenset()
    globs: frozenset[str] = frozenset()
    listings: frozenset[str] = frozenset()


class KeySet:
    """Values by key, in key order, from one store or several. One thread applies and reads.

    Of the layers the last that holds a key gives its value. `index` is the store's, of the last
    change.
    """

    def __init__(self, layers: int = 1) -> None:
        self._layers: tuple[dict[str, str], ...] = tuple({} for _ in range(layers))
        self._values: dict[str, str] = {}
        self._sorted: list[str] = []
        self.index = 0

    def apply(self, root: str, changes: Changes, layer: int = 0) -> Touched:
        """Take in a change of one layer below `root`; a reset replaces all that it has there."""
        own = self._layers[layer]
        new = {entry.key: entry.value for entry in changes.entries}
        gone = {key for key in changes.removed if key in own and key not in new}
        if changes.reset:
            gone |= {key for key in self.below(root) if key in own and key not in new}
        for key in gone:
            del own[key]
        own.update(new)
        self.index = max(self.index, changes.index)
        return self._renewed({*gone, *new})

    def forget(self, root: str, layer: int = 0) -> None:
        """Drop all of a layer that stands below `root`."""
        self.apply(root, Changes(cluster="", index=0, reset=True), layer)

    def _renewed(self, keys: AbstractSet[str]) -> Touched:
        written: set[str] = set()
        come: set[str] = set()
        gone: set[str] = set()
        for key in keys:
            before, after = self._values.get(key), self._topmost(key)
            if before == after:
                continue
            written.add(key)
            if after is None:
                gone.add(key)
                del self._values[key]
                continue
            if before is None:
                come.add(key)
            self._values[key] = after
        self._reorder(come, gone)
        return Touched(frozenset(written), frozenset(come | gone))

    def _topmost(self, key: str) -> str | None:
        return next((layer[key] for layer in reversed(self._layers) if key in layer), None)

    def value(self, key: str) -> str | None:
        """Return the value of a key, None when it is absent."""
        return self._values.get(key)

    def starting(self, text: str) -> Iterator[str]:
        """Yield the keys that begin with `text`, in order."""
        for at in range(bisect_left(self._sorted, text), len(self._sorted)):
            if not self._sorted[at].startswith(text):
                return
            yield self._sorted[at]

    def below(self, base: str) -> list[str]:
        """Return the key at `base` and those below it, in order."""
        own = [base] if base in self._values else []
        return [*own, *self.starting(base + "/")]

    def children(self, base: str) -> dict[str, bool]:
        """Return the names right below `base`; true for those that have children."""
        found: dict[str, bool] = {}
        start = base + "/"
        at = bisect_left(self._sorted, start)
        while at < len(self._sorted) and self._sorted[at].startswith(start):
            name, deeper, _ = self._sorted[at][len(start) :].partition("/")
            found[name] = found.get(name, False) or bool(deeper)
            # "0" follows "/": the first key that is not below this child.
            at = bisect_left(self._sorted, f"{start}{name}0") if deeper else at + 1
        return found

    def _reorder(self, come: AbstractSet[str], gone: AbstractSet[str]) -> None:
        if len(come) + len(gone) > INSERTS_MAX:
            self._sorted = sorted(self._values)
            return
        for key in gone:
            del self._sorted[bisect_left(self._sorted, key)]
        for key in come:
            insort(self._sorted, key)


@dataclass(slots=True)
class Reader:
    """One rendering's door to the keys: answers from its scope, and remembers each question."""

    keys: KeySet
    scope: Scope
    _exact: set[str] = field(default_factory=set)
    _globs: set[str] = field(default_factory=set)
    _listings: set[str] = field(default_factory=set)

    @property
    def reads(self) -> Reads:
        """What was read so far."""
        return Reads(frozenset(self._exact), frozenset(self._globs), frozenset(self._listings))

    def value(self, name: str) -> str | None:
        """Return the value of a name; None when the key is absent or outside the scope."""
        self._exact.add(name)
        key = self.scope.key_of(name)
        return self.keys.value(key) if self.scope.covers(key) else None

    def matching(self, pattern: str) -> list[KVPair]:
        """Return the pairs whose name matches, in key order. BadPattern."""
        glob = compiled(pattern)
        self._globs.add(pattern)
        return [
            KVPair(name, self.keys.value(key) or "")
            for key in self.keys.starting(self.scope.key_of(glob.literal))
            if self.scope.covers(key) and glob.matches(name := self.scope.name_of(key))
        ]

    def children(self, name: str) -> dict[str, bool]:
        """Return the names right below `name`; true for those that have children."""
        base = "/" + "/".join(segments(name)) if segments(name) else ""
        self._listings.add(base)
        base = self.scope.key_of(base)
        found: dict[str, bool] = {}
        for top in self.scope.tops:
            if inside(base, top):
                return self.keys.children(base)
            if inside(top, base) and self.keys.below(top):
                child, deeper, _ = top[len(base) + 1 :].partition("/")
                has_children = bool(deeper) or bool(self.keys.children(top))
                found[child] = found.get(child, False) or has_children
        return found


def segments(path: str) -> list[str]:
    """Split a path as Go's path.Clean sees it: no empty segments, `.` and `..` resolved."""
    found: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del found[-1:]
        elif part not in {"", "."}:
            found.append(part)
    return found


def inside(key: str, base: str) -> bool:
    """Say whether `key` is `base` or below it, by whole segments."""
    return key == base or key.startswith(base + "/")


def minimal(bases: Iterable[str]) -> tuple[str, ...]:
    """Return the bases that cover all others, in order."""
    kept: list[str] = []
    for base in sorted(set(bases)):
        if not any(inside(base, above) for above in kept):
            kept.append(base)
    return tuple(kept)
