"""A directory as JSON: taken in one moment, rendered piece by piece.

Nodes never change, a write makes a new one. So a listing that has taken its nodes shows that one
moment, however long it takes to render them and whatever is written meanwhile. To take a node costs
some ten nanoseconds, to render one a hundred times that, and rendering can be interrupted after
every piece.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from operator import attrgetter

import msgspec

from coordinator.core.store.encoding import Moment
from coordinator.core.store.node import ROOT_KEY, Node
from coordinator.core.store.reserved_keys import SECURITY
from coordinator.core.store.tree import Tree

UNDERSCORE = ord("_")
# About a millisecond of sorting, after which others may get their turn.
SORTED_AT_ONCE_MAX = 4096
NODES = b',"nodes":['
_KEY = attrgetter("key")


class ListingScope(msgspec.Struct, frozen=True):
    """Which keys of a directory are shown, and the time that remaining TTLs count from.

    `shows` says it of each node; None shows all.
    """

    recursive: bool
    hidden: bool
    at: Moment
    shows: Callable[[Node], bool] | None = None


@dataclass(frozen=True, slots=True)
class ListingBounds:
    """How long a short listing is at most: its nodes, and the bytes of their values."""

    nodes: int
    value_bytes: int


class DirectoryListing:
    """The nodes of a directory as of one moment. Take them once, and render them once."""

    def __init__(self, top: Node, scope: ListingScope) -> None:
        self.top = top
        self._scope = scope
        self._children: dict[bytes, list[Node]] = {}

    def take(self, tree: Tree, bounds: ListingBounds | None = None) -> bool:
        """Take the nodes of the present moment; False if they are more than the bounds say."""
        if bounds is None:
            self._children = dict(self._levels(tree))
            return True
        nodes_left, bytes_left = bounds.nodes, bounds.value_bytes
        for key, children in self._levels(tree):
            self._children[key] = children
            nodes_left -= len(children)
            bytes_left -= sum([len(child.value) for child in children if child.value])
            if nodes_left < 0 or bytes_left < 0:
                return False
        return True

    def pieces(self) -> Iterator[bytes]:
        """Yield the parts of the JSON object; an empty one is only a place to stop."""
        at = self._scope.at
        way, comma = list[tuple[Node, Iterator[Node | None]]](), b""
        if not self._is_open(self.top):
            yield self.top.json(at)
            return
        yield self.top.head(at) + NODES
        # An explicit stack: a key can have more segments than Python allows nested calls.
        way.append((self.top, self._in_order(self.top)))
        while way:
            node, rest = way[-1]
            for child in rest:
                if child is None:
                    yield b""
                elif child.value is None and self._is_open(child):
                    yield comma + child.head(at) + NODES
                    way.append((child, self._in_order(child)))
                    comma = b""
                    break
                else:
                    yield comma + child.json(at)
                    comma = b","
            else:
                way.pop()
                yield b"]" + node.tail()
                comma = b","

    def _levels(self, tree: Tree) -> Iterator[tuple[bytes, list[Node]]]:
        waiting = [self.top]
        while waiting:
            directory = waiting.pop()
            children = list(tree.directories[directory.key].values())
            yield directory.key, children
            if self._scope.recursive:
                below = [child for child in children if child.value is None]
                waiting += self._shown(directory, below)

    def _is_open(self, directory: Node) -> bool:
        """Return whether the directory has children that are shown."""
        children = self._children.get(directory.key, [])
        return any(self._shown(directory, [child]) for child in children)

    def _in_order(self, directory: Node) -> Iterator[Node | None]:
        """Return the children that are shown in byte order; None is only a place to stop."""
        children = self._children.pop(directory.key)
        if len(children) <= SORTED_AT_ONCE_MAX:
            return iter(sorted(self._shown(directory, children), key=_KEY))
        return self._merged(directory, children)

    def _merged(self, directory: Node, children: list[Node]) -> Iterator[Node | None]:
        runs = []
        for start in range(0, len(children), SORTED_AT_ONCE_MAX):
            some = children[start : start + SORTED_AT_ONCE_MAX]
            runs.append(sorted(self._shown(directory, some), key=_KEY))
            yield None
        yield from merge(*runs, key=_KEY)

    def _shown(self, directory: Node, children: list[Node]) -> list[Node]:
        scope, is_root = self._scope, directory.key == ROOT_KEY
        if not scope.hidden:
            name_at = 1 if is_root else len(directory.key) + 1
            children = [child for child in children if child.key[name_at] != UNDERSCORE]
        elif is_root:
            children = [child for child in children if child.key != SECURITY]
        if (shows := scope.shows) is not None:
            children = [child for child in children if shows(child)]
        return children
