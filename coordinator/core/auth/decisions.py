"""What one caller may do: decisions about keys and capabilities, each made once."""

from collections.abc import Callable, Iterable

from coordinator.core.auth import own_entries
from coordinator.core.auth.documents import CAPABILITIES, ROOT, RoleDocument
from coordinator.core.auth.patterns import KeyPatterns, compile_pattern
from coordinator.core.auth.principal import Principal
from coordinator.core.store.commands import Put
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.node import Node

# Decisions that are remembered, of all callers together, and the longest key of one.
DECISIONS_MAX = 32_768
KEY_BYTES_MAX = 512
# What a narrowed token may still do besides keys.
HARMLESS = frozenset(("info", "metrics"))
# The attribute that a caller's entries in shared documents have.
OWN_ENTRY = "machine"
EVERYTHING = "*"
Decisions = dict[tuple[int, str, bytes], bool]


class Rights:
    """The rights of one caller; `number` distinguishes callers among remembered decisions."""

    def __init__(
        self, principal: Principal, roles: Iterable[RoleDocument], number: int, decided: Decisions
    ) -> None:
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
        owns = [(compile_pattern(own.pattern, attributes), own) for kv in kvs for own in kv.own]
        self.owns = [(pattern, own) for pattern, own in owns if pattern is not None]
        self._number = number
        self._decided = decided

    def has(self, capability: str) -> bool:
        """Whether it has a capability. Who may change members may also move leadership."""
        named = self.capabilities
        return capability in named or (capability == "leadership" and "members" in named)

    def may_read(self, key: bytes) -> bool:
        """Whether it may read this key."""
        return self.is_root or self._decision("read", key, self._read)

    def may_read_below(self, directory: bytes) -> bool:
        """Whether it may read every key below a directory."""
        return self.is_root or self._decision("read below", directory, self.reads.covers)

    def may_reach(self, directory: bytes) -> bool:
        """Whether it may read some key that may be below a directory."""
        return self.is_root or self._decision("reach", directory, self.reads.reaches)

    def may_write(self, key: bytes) -> bool:
        """Whether it may write this key."""
        return self.is_root or self._decision("write", key, self._write)

    def may_write_below(self, directory: bytes) -> bool:
        """Whether it may write every key below a directory."""
        return self.is_root or self._decision("write below", directory, self._write_below)

    def may_see(self, node: Node) -> bool:
        """Whether a listing shows this node: the directories on the way to a key are shown."""
        return self.may_read(node.key) or (node.value is None and self.may_reach(node.key))

    def may_see_event(self, event: KeyEvent) -> bool:
        """Whether a watch shows this event."""
        if self.may_read(event.key):
            return True
        nodes = (event.node, event.prev)
        values = [node.value for node in nodes if node is not None]
        # A directory says that what is below it has gone; it has no value of its own.
        return not any(value is not None for value in values) and self.may_reach(event.key)

    def own_problem(self, put: Put, node: Node | None) -> str | None:
        """Say why it may not write its own entry of a document; empty if it may.

        None if no permission is about this key.
        """
        why = None
        caller = self.principal.attributes.get(OWN_ENTRY, "")
        for pattern, own in self.owns:
            if caller and pattern.matches(put.key) and self._is_narrowed_to(put.key):
                why = own_entries.problem(own, caller, put, node)
                if not why:
                    return why
        return why

    def reads_like(self, other: "Rights") -> bool:
        """Whether both may read the same keys, by the same patterns and attributes."""
        mine, others = self.principal, other.principal
        return self.is_root == other.is_root and (
            (self.reads.texts, mine.attributes) == (other.reads.texts, others.attributes)
        )

    def _read(self, key: bytes) -> bool:
        return self.reads.match(key) is not None

    def _write(self, key: bytes) -> bool:
        return self.writes.match(key) is not None and self._is_narrowed_to(key)

    def _write_below(self, directory: bytes) -> bool:
        return self.writes.covers(directory) and self._is_narrowed_to(directory)

    def _is_narrowed_to(self, key: bytes) -> bool:
        prefixes = self.principal.write_prefixes
        if prefixes is None:
            return True
        directories = (prefix.rstrip("/").encode() + b"/" for prefix in prefixes)
        return any((key + b"/").startswith(directory) for directory in directories)

    def _decision(self, kind: str, key: bytes, decide: Callable[[bytes], bool]) -> bool:
        place = (self._number, kind, key)
        known = self._decided.get(place)
        if known is None:
            known = decide(key)
            if len(key) <= KEY_BYTES_MAX:
                if len(self._decided) >= DECISIONS_MAX:
                    self._decided.clear()
                self._decided[place] = known
        return known


# Of requests with a discovery token: whoever knows it may use its keys.
BY_DISCOVERY_TOKEN = Rights(Principal("discovery", frozenset((ROOT,)), "token"), (), 0, {})
