"""Which directories of the store to watch, so that the keys of all resources are covered."""

from collections.abc import Iterable

from confd.core.keyspace.scope import Scope, minimal

# Each root costs a connection and a thread. More roots than this are merged into common parents.
ROOTS_MAX = 8


def watch_roots(scopes: Iterable[Scope]) -> tuple[str, ...]:
    """Return the fewest bases that cover all keys of all resources, at most ROOTS_MAX.

    Several roots are better than one common parent: resources of /app and /db share only /, and
    following / means receiving every event and every value of the store.
    """
    found = minimal(top for scope in scopes for top in scope.subtrees)
    depth = max((base.count("/") for base in found), default=0)
    while len(found) > ROOTS_MAX:
        depth -= 1
        found = minimal(_cut(base, depth) for base in found)
    return found


def _cut(base: str, depth: int) -> str:
    return "/".join(base.split("/")[: depth + 1])
