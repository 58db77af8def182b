"""What one caller may do: decisions about keys and capabilities."""

from collections.abc import Callable, Iterable

from coordinator.core.auth import own_entries
from coordinator.core.auth.documents import CAPABILITIES, ROOT, OwnEntries, RoleDocument
from coordinator.core.auth.patterns import KeyPatterns
from coordinator.core.auth.principal import Principal
from coordinator.core.store.commands import Put
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.node import Node

# The keys that a caller uses often: which it may read, and which it may write. Longer ones are
# looked at each time.
REMEMBERED_MAX = 64
REMEMBERED_BYTES_MAX = 256
# What a narrowed token may still do besides keys.
HARMLESS = frozenset(("info", "metrics"))
# The attribute that a caller's entries in shared documents have.
OWN_ENTRY = "machine"
EVERYTHING = "*"


class Rights:
    """The rights of one caller."""

    def __init__(self, principal: Principal, roles: Iterable[RoleDocument]) -> None:
        self.principal = principal
        self.is_root = principal.is_root
        self.roles = tuple(roles)
        kvs = [role.permissions.kv for role in self.roles]
        reads = [pattern for kv in kvs for pattern in kv.read or ()]
        writes = [pattern for kv in kvs for pattern in kv.write or ()]
        named = {name for role in self.roles for name in role.capabilities}
        if ROOT in principal.roles:
            reads, writes, named = [EVERYTHING], [EVERYTHING], set(CAPABILITIES)
        if principal.write_prefixes is not None:
            named &= HARMLESS
        self.capabilities = frozenset(named)
        attributes = principal.attributes
        self.reads, self.writes = KeyPatterns(reads, attributes), KeyPatterns(writes, attributes)
        self._owns = [(KeyPatterns([own.pattern], attributes), own) for kv in kvs for own in kv.own]
        # Keys that were found to be readable or writable. Only a quick look: a key that is not
        # here may be so, too.
        self.readable: set[bytes] = set()
        self.writable: set[bytes] = set()

    def has(self, capability: str) -> bool:
        """Whether it has a capability. Who may change members may also move leadership."""
        named = self.capabilities
        return capability in named or (capability == "leadership" and "members" in named)

    def may_read(self, key: bytes) -> bool:
        """Whether it may read this key."""
        if key in self.readable:
            return True
        may = self.is_root or self.reads.matches(key)
        if may:
            _remember(self.readable, key)
        return may

    def may_read_below(self, directory: bytes) -> bool:
        """Whether it may read every key below a directory."""
        return self.is_root or self.reads.covers(directory)

    def may_reach(self, directory: bytes) -> bool:
        """Whether it may read some key that may be below a directory."""
        return self.is_root or self.reads.reaches(directory)

    def may_write(self, key: bytes) -> bool:
        """Whether it may write this key."""
        if key in self.writable:
            return True
        may = self.is_root or (self.writes.matches(key) and self._is_narrowed_to(key))
        if may:
            _remember(self.writable, key)
        return may

    def may_write_below(self, directory: bytes) -> bool:
        """Whether it may write every key below a directory."""
        return self.is_root or (self.writes.covers(directory) and self._is_narrowed_to(directory))

    def shows(self, directory: bytes) -> Callable[[Node], bool] | None:
        """Return what a listing of a directory shows, None if that is everything."""
        if self.is_root or (self.may_read(directory) and self.may_read_below(directory)):
            return None
        return self._may_see

    def shows_events(self, key: bytes) -> Callable[[KeyEvent], bool] | None:
        """Return what a watch of a key and all below it shows, None if that is everything."""
        if self.is_root or (self.may_read(key) and self.may_read_below(key)):
            return None
        return self._may_see_event

    def own_problem(self, put: Put, node: Node | None) -> str | None:
        """Say why it may not write its own entry of a document; empty if it may.

        None if no permission is about this key.
        """
        why = None
        caller = self.principal.attributes.get(OWN_ENTRY, "")
        for own in self.owns(put.key):
            if caller and self._is_narrowed_to(put.key):
                why = own_entries.problem(own, caller, put, node)
                if not why:
                    return why
        return why

    def owns(self, key: bytes) -> list[OwnEntries]:
        """Return the permissions to change an own entry of the document at a key."""
        return [own for patterns, own in self._owns if patterns.matches(key)]

    def reads_like(self, other: "Rights") -> bool:
        """Whether both may read the same keys, by the same patterns and attributes."""
        if self is other:
            return True
        mine, others = self.reads, other.reads
        return self.is_root == other.is_root and (
            (mine.texts, mine.attributes) == (others.texts, others.attributes)
        )

    def _may_see(self, node: Node) -> bool:
        # The directories on the way to a key are shown.
        key = node.key
        return self.reads.matches(key) or (node.value is None and self.reads.reaches(key))

    def _may_see_event(self, event: KeyEvent) -> bool:
        if self.reads.matches(event.key):
            return True
        nodes = (event.node, event.prev)
        values = [node.value for node in nodes if node is not None]
        # A directory says that what is below it has gone; it has no value of its own.
        return not any(value is not None for value in values) and self.reads.reaches(event.key)

    def _is_narrowed_to(self, key: bytes) -> bool:
        prefixes = self.principal.write_prefixes
        if prefixes is None:
            return True
        directories = (prefix.rstrip("/").encode() + b"/" for prefix in prefixes)
        return any((key + b"/").startswith(directory) for directory in directories)


def _remember(keys: set[bytes], key: bytes) -> None:
    if len(key) <= REMEMBERED_BYTES_MAX:
        if len(keys) >= REMEMBERED_MAX:
            keys.clear()
        keys.add(key)


# Of requests with a discovery token: whoever knows it may use its keys.
BY_DISCOVERY_TOKEN = Rights(Principal("discovery", frozenset((ROOT,)), "token"), ())
