"""A directory as JSON, made of the rendered nodes below it."""

from collections.abc import Iterator

import msgspec

from coordinator.core.store.node import ROOT_KEY, Node
from coordinator.core.store.tree import Tree

UNDERSCORE = ord("_")


class ListingScope(msgspec.Struct, frozen=True):
    """Which keys of a directory are shown, and the time that remaining TTLs count from."""

    recursive: bool
    hidden: bool
    now_ns: int


def listing(tree: Tree, node: Node, scope: ListingScope) -> bytes:
    """Return the directory's JSON object with its children, or `recursive` with all below."""
    if not scope.recursive:
        children = [child.json(scope.now_ns) for child in shown(tree, node, scope)]
        return _object(node, children, scope.now_ns)
    return _recursive(tree, node, scope)


def shown(tree: Tree, node: Node, scope: ListingScope) -> list[Node]:
    """Return a directory's children in byte order, hidden ones only when asked for."""
    nodes = tree.nodes
    keys = tree.directories[node.key].in_order()
    if scope.hidden:
        return [nodes[key] for key in keys]
    name_at = 1 if node.key == ROOT_KEY else len(node.key) + 1
    return [nodes[key] for key in keys if key[name_at] != UNDERSCORE]


def _recursive(tree: Tree, top: Node, scope: ListingScope) -> bytes:
    # An explicit stack: a key can have more segments than Python allows nested calls.
    way: list[tuple[Node, Iterator[Node], list[bytes]]] = []
    node, todo, done = top, iter(shown(tree, top, scope)), list[bytes]()
    while True:
        child = next(todo, None)
        if child is None:
            rendered = _object(node, done, scope.now_ns)
            if not way:
                return rendered
            node, todo, done = way.pop()
            done.append(rendered)
        elif child.value is not None:
            done.append(child.json(scope.now_ns))
        else:
            way.append((node, todo, done))
            node, todo, done = child, iter(shown(tree, child, scope)), []


def _object(node: Node, children: list[bytes], now_ns: int) -> bytes:
    if not children:
        return node.json(now_ns)
    return b'%b,"nodes":[%b]%b' % (node.head(now_ns), b",".join(children), node.tail())
