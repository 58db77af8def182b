"""The present files and directories by path.

A flat dictionary holds every node by its full key, so a lookup costs one hash however deep
the key is; directories also have the set of their children.
"""

from collections.abc import Iterable

from coordinator.core.store import api_errors
from coordinator.core.store.node import ROOT_KEY, Node
from coordinator.core.store.ttl_heap import TtlHeap


class Directory:
    """The keys of a directory's children."""

    __slots__ = ("_in_order", "children")

    def __init__(self) -> None:
        self.children: dict[bytes, None] = {}
        self._in_order: list[bytes] | None = None

    def add(self, key: bytes) -> None:
        """Add a child."""
        self.children[key] = None
        self._in_order = None

    def discard(self, key: bytes) -> None:
        """Remove a child."""
        del self.children[key]
        self._in_order = None

    def in_order(self) -> list[bytes]:
        """Return the children's keys in byte order."""
        if self._in_order is None:
            self._in_order = sorted(self.children)
        return self._in_order


class Tree:
    """Files and directories below the root, and when they expire."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {ROOT_KEY: Node(ROOT_KEY, None, 0, 0)}
        self.directories: dict[bytes, Directory] = {ROOT_KEY: Directory()}
        self.ttls = TtlHeap()

    def place(self, node: Node) -> None:
        """Put a node at its key; missing parents are created at the node's index.

        A directory's children stay when a directory takes its place; a file never replaces
        one.
        """
        key = node.key
        old = self.nodes.get(key)
        if old is None:
            self._adopt(key, node.modified)
        if node.value is None and key not in self.directories:
            self.directories[key] = Directory()
        self.nodes[key] = node
        if node.expires_ns:
            self.ttls.put(key, node.expires_ns)
        elif old is not None and old.expires_ns:
            self.ttls.drop(key)

    def remove(self, key: bytes) -> dict[bytes, None] | None:
        """Remove a node; for a directory return the keys below it, which go too."""
        self.directories[parent_of(key)].discard(key)
        removed = self._take(key)
        if removed is None:
            return None
        below: dict[bytes, None] = {}
        waiting = [removed]
        while waiting:
            for child in waiting.pop().children:
                below[child] = None
                deeper = self._take(child)
                if deeper is not None:
                    waiting.append(deeper)
        return below

    def obstacle(self, key: bytes) -> tuple[int, bytes]:
        """Say why `key` is not there: an error code, and the path that is in the way or missing."""
        for path in (*ancestors(key), key):
            node = self.nodes.get(path)
            if node is None:
                return api_errors.KEY_NOT_FOUND, path
            if node.value is not None:
                return api_errors.NOT_A_DIRECTORY, path
        raise AssertionError(f"{key!r} is there")

    def rows(self) -> list[tuple[bytes, bytes | None, int, int, int]]:
        """Return every node but the root as plain values, parents before children."""
        nodes = iter(self.nodes.values())
        next(nodes)
        return [(n.key, n.value, n.created, n.modified, n.expires_ns) for n in nodes]

    def fill(self, nodes: Iterable[Node]) -> None:
        """Fill an empty tree with nodes in the order of `rows`."""
        for node in nodes:
            self.place(node)

    def _adopt(self, key: bytes, index: int) -> None:
        parent = parent_of(key)
        directory = self.directories.get(parent)
        if directory is None:
            for path in (*ancestors(parent)[1:], parent):
                if path not in self.directories:
                    self.directories[parent_of(path)].add(path)
                    self.directories[path] = Directory()
                    self.nodes[path] = Node(path, None, index, index)
            directory = self.directories[parent]
        directory.add(key)

    def _take(self, key: bytes) -> Directory | None:
        node = self.nodes.pop(key)
        if node.expires_ns:
            self.ttls.drop(key)
        return self.directories.pop(key, None)


def parent_of(key: bytes) -> bytes:
    """Return the directory of a key that is not the root."""
    return key[: key.rindex(b"/")] or ROOT_KEY


def ancestors(key: bytes) -> list[bytes]:
    """Return the directories above a key that is not the root, the root first."""
    above = [ROOT_KEY]
    end = key.find(b"/", 1)
    while end != -1:
        above.append(key[:end])
        end = key.find(b"/", end + 1)
    return above
