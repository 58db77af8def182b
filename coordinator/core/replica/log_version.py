"""Which cluster version a member's files require, read before the member changes any of them."""

from collections.abc import Iterable

import msgspec

from coordinator.core.cluster import versions
from coordinator.core.cluster.versions import ClusterVersion
from coordinator.core.raft.entry import LogEntry
from coordinator.core.replica import sessions, state_snapshot
from coordinator.core.store import keyspace_dump
from coordinator.core.store.commands import Note
from coordinator.core.store.keyspace_dump import UnreadableDump

_KIND = versions.REQUIRED.encode()


def problem(snapshot: bytes | None, entries: Iterable[LogEntry]) -> str:
    """Say why this program cannot read a member's state; an empty string if it can."""
    try:
        needed = max(_in_snapshot(snapshot), *map(_in_entry, entries), versions.FIRST)
    except UnreadableDump as unreadable:
        return str(unreadable)
    return versions.problem(versions.OWN, needed)


def _in_snapshot(snapshot: bytes | None) -> ClusterVersion:
    if snapshot is None:
        return versions.FIRST
    return versions.required(keyspace_dump.notes(state_snapshot.load(snapshot).keys))


def _in_entry(entry: LogEntry) -> ClusterVersion:
    if _KIND not in entry.data:
        return versions.FIRST
    try:
        command = sessions.decode(entry.data).command
    except msgspec.DecodeError:
        return versions.FIRST  # the entry that applies it names what is wrong
    return versions.required({command.kind: command.data} if isinstance(command, Note) else {})
