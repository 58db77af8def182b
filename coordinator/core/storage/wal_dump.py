"""The log and snapshots as text, one line a record: `entry term=4 index=17 put /a value="x"`."""

from collections.abc import Iterator
from typing import assert_never

import msgspec

from coordinator.core.raft import membership
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.replica import sessions, state_snapshot
from coordinator.core.storage import torn_write, wal_format
from coordinator.core.storage.snapshot_file import Snapshot
from coordinator.core.storage.wal_format import SegmentHeader, SnapshotMarker, WalMetadata
from coordinator.core.store import keyspace_dump
from coordinator.core.store.commands import Command, CreateInOrder, Delete, Note, Put, Sync
from coordinator.core.store.encoding import rfc3339
from coordinator.core.store.keyspace_dump import NodeRow

# The beginning of a long value is enough to recognize it.
SHOWN_BYTES_MAX = 64


def record(record: wal_format.Record) -> str:
    """Describe one record of the log."""
    match record:
        case LogEntry(term, index, data):
            return f"entry term={term} index={index} {_data(data)}"
        case HardState(term, vote, commit):
            return f"state term={term} vote={vote:x} commit={commit}"
        case SnapshotMarker(index, term):
            return f"snapshot index={index} term={term}"
        case WalMetadata(member, cluster, version):
            return f"metadata member={member:x} cluster={cluster:x} version={version}"
        case SegmentHeader(sequence, first, head_bytes, crc):
            return f"segment {sequence} first={first} opening={head_bytes} bytes crc={crc:08x}"
    assert_never(record)


def segment(raw: bytes) -> Iterator[tuple[int, str]]:
    """Describe each record of a segment with its offset, and then how the segment ends."""
    crc = wal_format.chain_start(raw)
    walk, head_bytes = wal_format.RecordReader(raw, crc or 0), wal_format.HEAD.size
    try:
        for offset, found in walk:
            if isinstance(found, SegmentHeader):
                head_bytes = found.head_bytes
            yield offset, record(found)
    except wal_format.MalformedRecord as malformed:
        yield walk.offset, f"unknown: {malformed}"
        return
    yield walk.offset, _log_end(torn_write.classify(raw, walk.offset, walk.crc, head_bytes))


def snapshot(found: Snapshot) -> Iterator[str]:
    """Describe a snapshot, one line a key."""
    yield f"snapshot index={found.index} term={found.term} state={len(found.data)} bytes"
    try:
        member = state_snapshot.load(found.data)
        keys = keyspace_dump.unpack(member.keys)
    except keyspace_dump.UnreadableDump as unreadable:
        yield f"unreadable: {unreadable}"
        return
    yield f"voters {_ids(member.voters)} learners {_ids(member.learners)}"
    last = keys.first + len(keys.events) - 1
    yield f"events first={keys.first} last={last}"
    yield from (f"note {kind} {_shown(data)}" for kind, data in sorted(keys.notes.items()))
    yield from map(_node, sorted(keys.nodes))


def _ids(members: list[int]) -> str:
    return ",".join(f"{member:x}" for member in members) or "none"


def command(found: Command) -> str:
    """Describe one command, without the options that have their default."""
    match found:
        case Put(key, value, directory, expires_ns):
            words = [f"put {_key(key)}", *_content(value, directory, expires_ns)]
            if found.prev_exist is not None:
                words.append(f"prev-exist={str(found.prev_exist).lower()}")
            words += _conditions(found.prev_value, found.prev_index)
            return " ".join(words + ["refresh"] * found.refresh)
        case CreateInOrder(key, value, directory, expires_ns):
            return " ".join([f"append {_key(key)}", *_content(value, directory, expires_ns)])
        case Delete(key, directory, recursive, prev_value, prev_index):
            words = [f"delete {_key(key)}"] + ["dir"] * directory + ["recursive"] * recursive
            return " ".join(words + _conditions(prev_value, prev_index))
        case Sync(now_ns):
            return f"sync now={rfc3339(now_ns).decode()}"
        case Note(kind, data):
            return f"note {kind} {_shown(data)}"
    assert_never(found)


def _log_end(found: torn_write.LogEnd) -> str:
    match found:
        case torn_write.CleanEnd():
            return "end"
        case torn_write.TornWrite(until):
            return f"torn: a write up to byte {until:x} was never synced; a start cuts it off"
        case torn_write.Corruption(finding):
            return f"damaged: {finding}"
    assert_never(found)


def _data(data: bytes) -> str:
    if not data:
        return "no-op"
    try:
        if (step := membership.decode(data)) is not None:
            return f"{type(step).__name__.lower()} member={step.member:x}"
        request = sessions.decode(data)
    except msgspec.DecodeError:
        return f"data={_shown(data)}"
    asked_by = f" request={request.origin:x}/{request.sequence}" if request.origin else ""
    return command(request.command) + asked_by


def _node(row: NodeRow) -> str:
    key, value, created, modified, expires_ns = row
    words = [_key(key), *_content(value, value is None, expires_ns)]
    return " ".join([*words, f"created={created}", f"modified={modified}"])


def _content(value: bytes | None, directory: bool, expires_ns: int) -> list[str]:  # noqa: FBT001 - a field of three commands
    words = ["dir"] if directory else [f"value={_shown(value or b'')}"]
    if expires_ns:
        words.append(f"expires={rfc3339(expires_ns).decode()}")
    return words


def _conditions(prev_value: bytes | None, prev_index: int) -> list[str]:
    words = [] if prev_value is None else [f"prev-value={_shown(prev_value)}"]
    return [*words, f"prev-index={prev_index}"] if prev_index else words


def _key(key: bytes) -> str:
    shown = key.decode(errors="backslashreplace")
    return shown if shown.isprintable() and " " not in shown else _shown(key)


def _shown(data: bytes) -> str:
    """Quote bytes so that a line stays a line."""
    text = data[:SHOWN_BYTES_MAX].decode(errors="backslashreplace")
    more = len(data) - SHOWN_BYTES_MAX
    quoted = msgspec.json.encode(text).decode()
    return f"{quoted}+{more} bytes" if more > 0 else quoted
