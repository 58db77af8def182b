"""The names and their services: a tree by label, moved forward by Changes.

A node is a name. It exists while its key or a key below it does; a key that cannot be served
still makes its name exist, so that a broken value reads as "no such data" and not as "no such
name". A label that begins with `_` is hidden from everything above it, as the store hides such
keys from its listings: `_http._tcp.app` is found when it is asked for, and by nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from skydns.core.dns.name import Name, is_within
from skydns.core.zone.service import Bad, Record, is_config, name_of, read

# A message of 65,535 bytes holds no more than 4,095 of the smallest record (16 bytes), so a
# name with more services below it cannot be answered anyway.
SERVICES_MAX = 4096
WILDCARDS = frozenset({b"*", b"any"})
HIDDEN = ord("_")


class _Node:
    __slots__ = ("children", "leaf")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        self.leaf: Record | Bad | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The services of a name, sorted by key.

    `excess` says that there are more than SERVICES_MAX and `records` is not all of them.
    """

    records: tuple[Record, ...] = ()
    excess: bool = False


@dataclass(slots=True)
class _Sweep:
    """Gathers the records of a subtree until there are too many."""

    records: list[Record] = field(default_factory=list)
    excess: bool = False

    def gather(self, node: _Node, pattern: Name) -> None:
        """Take what is below `node` and matches `pattern`, whose labels come topmost first."""
        ahead = [(node, pattern)]
        while ahead and not self.excess:
            node, pattern = ahead.pop()
            if not pattern and isinstance(node.leaf, Record):
                self.excess = len(self.records) == SERVICES_MAX
                self.records.append(node.leaf)
            ahead.extend(_matching(node, pattern))

    def found(self) -> Found:
        """Return what was gathered."""
        self.records.sort(key=lambda record: record.key)
        return Found(tuple(self.records), self.excess)


class Zone:
    """All names below the prefix. Not thread-safe: one thread applies and reads."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._root = _Node()
        self._bad: dict[str, Bad] = {}
        self.loaded = False
        self.index = 0

    @property
    def bad(self) -> Mapping[str, Bad]:
        """The keys that cannot be served, with their reasons."""
        return MappingProxyType(self._bad)

    def bad_below(self, name: Name) -> list[Bad]:
        """Return the keys that cannot be served at or below a name."""
        return [bad for bad in self._bad.values() if bad.name and is_within(bad.name, name)]

    def apply(self, changes: Changes, now_s: float | None = None) -> list[Name]:
        """Move to `changes.index`; return the names whose data may be different now."""
        since_s = None if changes.reset else now_s
        if changes.reset:
            self._root, self._bad = _Node(), {}
        touched = [*self._remove(changes.removed), *self._put(changes.entries, since_s)]
        self.loaded, self.index = True, changes.index
        return touched

    def at(self, name: Name) -> Record | None:
        """Return the service whose key is exactly `name`."""
        node = self._node(name)
        return node.leaf if node is not None and isinstance(node.leaf, Record) else None

    def exists(self, name: Name) -> bool:
        """Say whether there is a key at or below the name, up to its last wildcard label."""
        return self._node(split(name)[0]) is not None

    def below(self, name: Name) -> Found:
        """Return all services of a name; a whole label `*` or `any` stands for each label."""
        fixed, pattern = split(name)
        node = self._node(fixed)
        if node is None:
            return Found()
        sweep = _Sweep()
        sweep.gather(node, pattern)
        return sweep.found()

    def _node(self, name: Name) -> _Node | None:
        node: _Node | None = self._root
        for label in reversed(name):
            node = node.children.get(label) if node is not None else None
        return node

    def _put(self, entries: Iterable[Entry], since_s: float | None = None) -> Iterator[Name]:
        for entry in entries:
            if is_config(entry.key, self._prefix):
                continue
            leaf = read(entry, self._prefix, since_s)
            self._bad.pop(entry.key, None)
            if isinstance(leaf, Bad):
                self._bad[entry.key] = leaf
            if leaf.name is None:
                continue
            node = self._root
            for label in reversed(leaf.name):
                node = node.children.get(label) or _child(node, label)
            node.leaf = leaf
            yield leaf.name

    def _remove(self, keys: Iterable[str]) -> Iterator[Name]:
        for key in keys:
            self._bad.pop(key, None)
            try:
                name = name_of(key, self._prefix)
            except ValueError:
                continue
            self._prune(name)
            yield name

    def _prune(self, name: Name) -> None:
        """Take the leaf away, and every name that existed only because of it."""
        path = [self._root]
        for label in reversed(name):
            child = path[-1].children.get(label)
            if child is None:
                return
            path.append(child)
        path[-1].leaf = None
        for label, parent in zip(name, reversed(path[:-1]), strict=True):
            child = parent.children[label]
            if child.children or child.leaf is not None:
                return
            del parent.children[label]


def _child(node: _Node, label: bytes) -> _Node:
    child = node.children[label] = _Node()
    return child


def split(name: Name) -> tuple[Name, Name]:
    """Split a name at its last wildcard label: the name below which everything that matches
    must be, and the labels to match there, topmost first."""
    for position in range(len(name) - 1, -1, -1):
        if name[position] in WILDCARDS:
            return name[position + 1 :], name[position::-1]
    return name, ()


def _matching(node: _Node, pattern: Name) -> Iterator[tuple[_Node, Name]]:
    rest = pattern[1:]
    if pattern and pattern[0] not in WILDCARDS:
        child = node.children.get(pattern[0])
        if child is not None and pattern[0][0] != HIDDEN:
            yield child, rest
        return
    for label, child in node.children.items():
        if label[0] != HIDDEN:
            yield child, rest
