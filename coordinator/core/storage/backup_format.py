"""Backups: what one holds, how it becomes a new cluster's state, and which ones to delete.

A backup has the format of a snapshot file (see snapshot_file), so a snapshot file can be used as a
backup. In a new cluster

1. the keys, their indexes and their remaining times to live are those of the backup;
2. the index jumps by a gap: the old cluster went on after the backup, and a client may hold an
   index from then. No such index may ever be used for another change;
3. the history is empty, so a client that watches from an old index gets error 401 and lists the
   keys again;
4. the members have ids that the old cluster never had, and the cluster has a new id with them:
   members and connections of the old cluster are refused.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from coordinator.core.cluster.members import (
    Member,
    is_about_member,
    members_in,
    peer_urls_note,
    removed_members,
)
from coordinator.core.replica import state_snapshot
from coordinator.core.replica.state_snapshot import StateSnapshot
from coordinator.core.storage import snapshot_file
from coordinator.core.storage.snapshot_file import Snapshot
from coordinator.core.storage.storage_errors import Damaged
from coordinator.core.store import keyspace_dump
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.keyspace_dump import UnreadableDump

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_SUFFIX = ".backup"
UNFINISHED_SUFFIX = ".tmp"


class BadBackup(Exception):  # noqa: N818 - states a fact about a file
    """The file is not a backup, or was damaged; the message says what is wrong."""


class CannotRenew(Exception):  # noqa: N818 - states a fact about what was asked for
    """The new members would have the ids of old ones; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds. `snapshot.index` counts the log's entries, `index` changes of keys."""

    snapshot: Snapshot
    state: StateSnapshot
    keyspace: KeySpace
    size_bytes: int = 0
    sha256: str = ""

    @property
    def index(self) -> int:
        """The index of the last change."""
        return self.keyspace.index

    @property
    def members(self) -> tuple[Member, ...]:
        """The members that the cluster had."""
        return members_in(self.keyspace.notes, self.state.configuration)

    def facts(self) -> dict[str, object]:
        """Return what an operator wants to know about it."""
        return {
            "index": self.index,
            "keys": len(self.keyspace.tree.nodes) - 1,
            "bytes": self.size_bytes,
            "sha256": self.sha256,
            "log_index": self.snapshot.index,
            "term": self.snapshot.term,
            "digest": f"{self.keyspace.digest:016x}",
            "members": {f"{member.id:x}": described(member) for member in self.members},
        }


def described(member: Member) -> str:
    """Describe a member: its name and its peer URLs."""
    words = [member.name or "unstarted", *member.peer_urls, *["learner"] * member.learner]
    return " ".join(words)


def read(path: str, raw: bytes) -> Backup:
    """Verify a backup and load its keys. Raises BadBackup."""
    try:
        found = loaded(snapshot_file.decode(path, raw))
    except Damaged as damaged:
        raise BadBackup(
            f"{path}: byte {damaged.offset}: {damaged.finding}; use another backup"
        ) from damaged
    except UnreadableDump as unreadable:
        raise BadBackup(f"{path}: {unreadable}; use another backup") from unreadable
    return replace(found, size_bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())


def loaded(state: Snapshot) -> Backup:
    """Load a member's state. Raises UnreadableDump."""
    found = state_snapshot.load(state.data)
    return Backup(state, found, keyspace_dump.load(found.keys))


def renewed(state: bytes, founders: Mapping[int, Collection[str]], gap: int) -> bytes:
    """Return a member's state for the first members of a new cluster, by id with peer URLs.

    All members get the same bytes from the same arguments. Raises CannotRenew.
    """
    before = state_snapshot.load(state)
    keys = keyspace_dump.unpack(before.keys)
    if known := sorted(founders.keys() & _members_ever(before, keys.notes)):
        raise CannotRenew(
            f"member {known[0]:x} was in the old cluster, so the two could be confused: "
            "give --initial-cluster-token a value that it never had"
        )
    notes = {kind: data for kind, data in keys.notes.items() if not is_about_member(kind)}
    for member, urls in sorted(founders.items()):
        note = peer_urls_note(member, sorted(urls))
        notes[note.kind] = note.data
    index = keys.first + len(keys.events) - 1
    after = msgspec.structs.replace(keys, notes=notes, first=index + gap + 1, events=[], digest=0)
    # Members that were given different backups must not agree.
    digest = int.from_bytes(hashlib.sha256(keyspace_dump.pack(after)).digest()[:8], "big")
    fresh = StateSnapshot(
        before.version,
        voters=sorted(founders),
        learners=[],
        applied=[],
        clock_ns=before.clock_ns,
        keys=keyspace_dump.pack(msgspec.structs.replace(after, digest=digest)),
    )
    return msgspec.msgpack.encode(fresh)


def _members_ever(state: StateSnapshot, notes: Mapping[str, bytes]) -> frozenset[int]:
    return state.configuration.members | removed_members(notes)


@dataclass(frozen=True, slots=True, order=True)
class BackupName:
    """When a backup was made, in Unix seconds, and the index it holds; names sort by both."""

    time_s: int
    index: int

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.time_s, UTC)
        return f"{moment.strftime(_TIME_FORMAT)}-{self.index:016d}{_SUFFIX}"

    @classmethod
    def parse(cls, name: str) -> "BackupName | None":
        """Return the parts of a backup's file name, None for any other file."""
        moment, dash, index = name.removesuffix(_SUFFIX).partition("-")
        if not name.endswith(_SUFFIX) or not dash or len(index) != 16 or not index.isdigit():
            return None
        try:
            parsed = datetime.strptime(moment, _TIME_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(int(parsed.timestamp()), int(index))


def backups(names: Iterable[str]) -> list[BackupName]:
    """Return the backups among the names of a directory, the oldest first."""
    parsed = map(BackupName.parse, names)
    return sorted(name for name in parsed if name is not None)


def expired_backups(names: Iterable[str], keep: int) -> list[BackupName]:
    """Return the oldest backups, all but the last `keep`."""
    return backups(names)[:-keep]


def leftovers(names: Iterable[str], before_s: float) -> list[str]:
    """Return the unfinished files of writers that were killed, if they began before a time."""
    return [
        name
        for name in names
        if (begun := BackupName.parse(name.removesuffix(UNFINISHED_SUFFIX))) is not None
        and name.endswith(UNFINISHED_SUFFIX)
        and begun.time_s < before_s
    ]
