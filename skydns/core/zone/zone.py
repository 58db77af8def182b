"""The zone: all names and their services, in a tree by label, which Changes update.

A node is a name. The name exists while there is a key at it or below it. A key that cannot be
served still makes its name exist, so that a broken value means "no such data" and not "no such
name". A label that begins with `_` is hidden from all names above it, as the store hides such keys
from its listings: a question for `_http._tcp.app` finds its services, a question for `app` does
not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from skydns.core.dns.name import Name, is_within
from skydns.core.keys import is_config, name_of
from skydns.core.zone.service import InvalidKey, Service, read

# A message of 65,535 bytes has room for 4,095 of the smallest records (16 bytes). A name with more
# services below it cannot be answered anyway.
SERVICES_MAX = 4096
# How many names a wildcard may lead through. Clients choose the patterns, and one that matches
# nothing would lead through the whole zone.
VISITS_MAX = 4 * SERVICES_MAX
WILDCARDS = frozenset({b"*", b"any"})
HIDDEN = ord("_")


class _Node:
    __slots__ = ("children", "leaf")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        self.leaf: Service | InvalidKey | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a name, sorted by key.

    `exists` says that there is a name. `too_many` says that there are more than SERVICES_MAX, or
    that more than VISITS_MAX names had to be visited, so that `found` is not all of them.
    """

    found: tuple[Service, ...] = ()
    exists: bool = False
    too_many: bool = False


class Zone:
    """All names below the prefix. It is not thread-safe: one thread applies changes and reads."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._root = _Node()
        self._invalid: dict[str, InvalidKey] = {}
        self.loaded = False
        self.index = 0

    @property
    def invalid_keys(self) -> Mapping[str, InvalidKey]:
        """The keys that are not served, each with its reason."""
        return MappingProxyType(self._invalid)

    def invalid_below(self, name: Name) -> list[InvalidKey]:
        """Return the keys at or below a name that are not served."""
        return [key for key in self._invalid.values() if key.name and is_within(key.name, name)]

    def apply(self, changes: Changes, now_s: float | None = None) -> list[Name]:
        """Apply changes; return the names whose data may be different now."""
        since_s = None if changes.reset else now_s
        if changes.reset:
            self._root, self._invalid = _Node(), {}
        changed = [*self._remove(changes.removed), *self._put(changes.entries, since_s)]
        self.loaded, self.index = True, changes.index
        return changed

    def at(self, name: Name) -> Service | None:
        """Return the service whose key is exactly `name`."""
        node = self._node(name)
        return node.leaf if node is not None and isinstance(node.leaf, Service) else None

    def exists(self, name: Name) -> bool:
        """Return whether there is a key at or below the name, or one that its wildcards match."""
        if split(name)[1]:
            return self.below(name).exists
        return self._node(name) is not None

    def below(self, name: Name) -> Services:
        """Return all services of a name. A whole label `*` or `any` matches every label."""
        fixed, pattern = split(name)
        node = self._node(fixed)
        if node is None:
            return Services()
        found: list[Service] = []
        exists = too_many = False
        for visited, match in enumerate(_walk(node, pattern)):
            if visited == VISITS_MAX or len(found) > SERVICES_MAX:
                too_many = True
                break
            if match is None:
                continue
            exists = True
            if isinstance(match.leaf, Service):
                found.append(match.leaf)
        found.sort(key=lambda service: service.key)
        return Services(tuple(found), exists, too_many or len(found) > SERVICES_MAX)

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
            self._invalid.pop(entry.key, None)
            if isinstance(leaf, InvalidKey):
                self._invalid[entry.key] = leaf
            if leaf.name is None:
                continue
            node = self._root
            for label in reversed(leaf.name):
                node = node.children.get(label) or _child(node, label)
            node.leaf = leaf
            yield leaf.name

    def _remove(self, keys: Iterable[str]) -> Iterator[Name]:
        for key in keys:
            self._invalid.pop(key, None)
            try:
                name = name_of(key, self._prefix)
            except ValueError:
                continue
            self._prune(name)
            yield name

    def _prune(self, name: Name) -> None:
        """Remove the leaf, and every name that existed only because of it."""
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
    """Split a name at its last wildcard label.

    Return the name that all matches are below, and the labels to match there, topmost first.
    """
    for position in range(len(name) - 1, -1, -1):
        if name[position] in WILDCARDS:
            return name[position + 1 :], name[position::-1]
    return name, ()


def _walk(node: _Node, pattern: Name) -> Iterator[_Node | None]:
    """Visit the names below `node` that `pattern` leads to, whose topmost label comes first.

    Yield each name that matches, and None for each on the way to one.
    """
    yield None if pattern else node
    ahead = [_matching(node, pattern)]
    while ahead:
        for child, rest in ahead[-1]:
            yield None if rest else child
            ahead.append(_matching(child, rest))
            break
        else:
            ahead.pop()


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
