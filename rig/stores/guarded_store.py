"""A store as one caller meets it whose roles decide what it may read and write.

The decisions are those of the coordinator, made by its own code. So a test can give a daemon the
role that it will have, take the role away while the daemon runs, and give it back.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

import msgspec

from coordinator.client.core.errors import HistoryCleared, Unauthorized
from coordinator.client.core.store_protocol import (
    Absent,
    AtIndex,
    DeleteCondition,
    Entry,
    Event,
    Listing,
    Present,
    Progress,
    PutCondition,
    Store,
    Watch,
    WithValue,
)
from coordinator.core.auth.decisions import Rights
from coordinator.core.auth.documents import RoleDocument
from coordinator.core.auth.principal import Principal
from coordinator.core.store.commands import Put
from coordinator.core.store.node import Node

_NOBODY: Mapping[str, str] = MappingProxyType({})


def host(machine: str, name: str = "h1") -> dict[str, str]:
    """Return the attributes of a host's user."""
    return {"host": name, "machine": machine, "machine8": machine[:8]}


class GuardedStore:
    """A store for one caller with these roles, as the auth API takes them."""

    def __init__(
        self, store: Store, *roles: dict[str, Any], attributes: Mapping[str, str] = _NOBODY
    ) -> None:
        self._store, self._attributes = store, attributes
        self.refused: list[str] = []
        self._changes = 0
        self.allow(*roles)

    def allow(self, *roles: dict[str, Any]) -> None:
        """Give the caller these roles and no others. Its watches end."""
        documents = [msgspec.convert(each, RoleDocument) for each in roles]
        names = frozenset(each.role for each in documents)
        principal = Principal("somebody", names, "cert", self._attributes)
        self._rights = Rights(principal, documents)
        self._changes += 1

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one key."""
        self._check(self._rights.may_read(key.encode()), f"get {key}")
        return self._store.get(key, quorum=quorum)

    def list(self, prefix: str) -> Listing:
        """Read the keys below a prefix that the caller may read."""
        self._check(self._may_list(prefix), f"list {prefix}")
        found = self._store.list(prefix)
        entries = tuple(each for each in found.entries if self._rights.may_read(each.key.encode()))
        return Listing(found.cluster, found.index, entries)

    def put(
        self, key: str, value: str, *, ttl_s: int | None = None, when: PutCondition | None = None
    ) -> Entry:
        """Write one key."""
        may = self._rights.may_write(key.encode()) or self._is_own(key, value, ttl_s, when)
        self._check(may, f"put {key}")
        return self._store.put(key, value, ttl_s=ttl_s, when=when)

    def refresh(self, key: str, ttl_s: int) -> None:
        """Restart a key's TTL."""
        self._check(self._rights.may_write(key.encode()), f"put {key}")
        self._store.refresh(key, ttl_s)

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one key, or all below it."""
        below = not recursive or self._rights.may_write_below(key.encode())
        self._check(self._rights.may_write(key.encode()) and below, f"delete {key}")
        self._store.delete(key, recursive=recursive, when=when)

    def remove_empty(self, directory: str) -> None:
        """Remove an empty directory."""
        self._check(self._rights.may_write(directory.encode()), f"delete {directory}")
        self._store.remove_empty(directory)

    def watch(self, prefix: str, after: int, *, cluster: str = "") -> "GuardedWatch":
        """Follow what the caller may read."""
        self._check(self._may_list(prefix), f"watch {prefix}")
        return GuardedWatch(self, self._store.watch(prefix, after, cluster=cluster))

    def sees(self, event: Event) -> bool:
        """Whether the caller may see an event."""
        return event.entry is None or self._rights.may_read(event.key.encode())

    @property
    def changes(self) -> int:
        """How often the caller's rights have changed."""
        return self._changes

    def _may_list(self, prefix: str) -> bool:
        key = prefix.encode()
        return self._rights.may_read(key) or self._rights.may_reach(key)

    def _is_own(self, key: str, value: str, ttl_s: int | None, when: PutCondition | None) -> bool:
        put = Put(key.encode(), value.encode(), expires_ns=ttl_s or 0)
        match when:
            case Absent():
                put = msgspec.structs.replace(put, prev_exist=False)
            case Present():
                put = msgspec.structs.replace(put, prev_exist=True)
            case AtIndex(modified, read):
                before = read.encode() or None
                put = msgspec.structs.replace(put, prev_index=modified, prev_value=before)
            case WithValue(old):
                put = msgspec.structs.replace(put, prev_value=old.encode())
            case None:
                pass
        # A member that lags behind does not have the key yet.
        node: Node | None = None
        return self._rights.own_problem(put, node) == ""

    def _check(self, may: bool, what: str) -> None:  # noqa: FBT001 - a decision
        if not may:
            self.refused.append(what)
            why = "The request requires user authentication (Insufficient credentials)"
            raise Unauthorized(f"{what}: {why}")


class GuardedWatch:
    """A watch that ends when the caller's rights change."""

    def __init__(self, store: GuardedStore, watch: Watch) -> None:
        self._store, self._watch, self._changes = store, watch, store.changes

    def __iter__(self) -> Iterator[Event | Progress]:
        """Block for the next change."""
        for change in self._watch:
            if self._changes != self._store.changes:
                raise HistoryCleared("the rights of the caller have changed")
            if isinstance(change, Progress) or self._store.sees(change):
                yield change

    def pending(self) -> bool:
        """Return whether the next change is already here. One that is hidden does not come."""
        return False

    def close(self) -> None:
        """End the watch."""
        self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
