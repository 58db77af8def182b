"""The present files and directories by path.

A flat dictionary holds every node by its full key, so a lookup costs one hash however deep
the key is; each directory also has its children. A new key makes each missing directory above it,
and each of these has a full key: `key_limits` bounds what one write can add.
"""

from collections.abc import Iterable, Iterator

from coordinator.core.store import api_errors
from coordinator.core.store.node import ROOT_KEY, Node
from coordinator.core.store.ttl_heap import TtlHeap

# What a key takes in memory besides its own bytes and those of its value.
NODE_BYTES = 400


class Tree:
    """Files and directories below the root, and when they expire."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {ROOT_KEY: Node(ROOT_KEY, None, 0, 0)}
        # The children of each directory, by their full keys.
        self.directories: dict[bytes, dict[bytes, Node]] = {ROOT_KEY: {}}
        self.ttls = TtlHeap()
        self.size_bytes = 0  # about what the nodes take in memory, the same on every member

    def place(self, node: Node) -> None:
        """Put a node at its key; missing parents are created at the node's index.

        A directory's children stay when a directory takes its place; a file never replaces
        one.
        """
        key = node.key
        old = self.nodes.get(key)
        self.size_bytes += value_bytes(node)
        self.size_bytes += NODE_BYTES + len(key) if old is None else -value_bytes(old)
        siblings = self.directories.get(parent_of(key))
        if siblings is None:
            siblings = self._make_directories(key, node.modified)
        if node.value is None and key not in self.directories:
            self.directories[key] = {}
        self.nodes[key] = siblings[key] = node
        if node.expires_ns:
            self.ttls.put(key, node.expires_ns)
        elif old is not None and old.expires_ns:
            self.ttls.drop(key)

    def remove(self, key: bytes) -> dict[bytes, None] | None:
        """Remove a node; for a directory return the keys below it, which go too."""
        del self.directories[parent_of(key)][key]
        removed = self._take(key)
        if removed is None:
            return None
        below: dict[bytes, None] = {}
        waiting = [removed]
        while waiting:
            for child in waiting.pop():
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

    def _make_directories(self, key: bytes, index: int) -> dict[bytes, Node]:
        """Make what is missing above a key; return the last directory's children."""
        siblings = self.directories[ROOT_KEY]
        for path in ancestors(key):
            below = self.directories.get(path)
            if below is None:
                self.nodes[path] = siblings[path] = Node(path, None, index, index)
                self.directories[path] = below = {}
                self.size_bytes += NODE_BYTES + len(path)
            siblings = below
        return siblings

    def _take(self, key: bytes) -> dict[bytes, Node] | None:
        node = self.nodes.pop(key)
        self.size_bytes -= NODE_BYTES + len(key) + value_bytes(node)
        if node.expires_ns:
            self.ttls.drop(key)
        return self.directories.pop(key, None)


def value_bytes(node: Node) -> int:
    """Return the length of a node's value, 0 for a directory."""
    return len(node.value) if node.value else 0


def parent_of(key: bytes) -> bytes:
    """Return the directory of a key that is not the root."""
    return key[: key.rindex(b"/")] or ROOT_KEY


def ancestors(key: bytes) -> Iterator[bytes]:
    """Yield the directories above a key, from below the root on."""
    end = key.find(b"/", 1)
    while end != -1:
        yield key[:end]
        end = key.find(b"/", end + 1)
