"""The log and snapshots as text."""

import pytest

from coordinator.core.raft import membership
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.membership import AddFounder, Configuration
from coordinator.core.replica import state_snapshot
from coordinator.core.replica.sessions import Proposal, Sessions, encode
from coordinator.core.storage import wal_dump, wal_format
from coordinator.core.storage.snapshot_file import Snapshot
from coordinator.core.storage.wal_format import (
    Record,
    SegmentHeader,
    SegmentName,
    SnapshotMarker,
    WalMetadata,
)
from coordinator.core.store.commands import Command, CreateInOrder, Delete, Note, Put, Sync
from coordinator.core.store.keyspace import KeySpace


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            LogEntry(4, 17, encode(Proposal(0xAB, 3, Put(b"/a", b"hello")))),
            'entry term=4 index=17 put /a value="hello" request=ab/3',
        ),
        (
            LogEntry(1, 1, membership.encode(AddFounder(0x8E9E))),
            "entry term=1 index=1 addfounder member=8e9e",
        ),
        (LogEntry(4, 18), "entry term=4 index=18 no-op"),
        (LogEntry(4, 19, b"\xc1\x00"), 'entry term=4 index=19 data="\\\\xc1\\u0000"'),
        (HardState(4, 0x8E9E, 16), "state term=4 vote=8e9e commit=16"),
        (SnapshotMarker(10, 3), "snapshot index=10 term=3"),
        (WalMetadata(0xAB, 0xCD), "metadata member=ab cluster=cd version=2"),
        (SegmentHeader(2, 17, 168, 0xABCD), "segment 2 first=17 opening=168 bytes crc=0000abcd"),
    ],
)
def test_each_kind_of_record_is_described(record: Record, line: str) -> None:
    assert wal_dump.record(record) == line


NOON_NS = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (Put(b"/d", directory=True), "put /d dir"),
        (Put(b"/a b", b"x"), 'put "/a b" value="x"'),
        (Put(b"/a", b"x" * 70), f'put /a value="{"x" * 64}"+6 bytes'),
        (
            Put(b"/a", b"x", prev_exist=True, prev_value=b"y", prev_index=3),
            'put /a value="x" prev-exist=true prev-value="y" prev-index=3',
        ),
        (
            Put(b"/a", prev_exist=False, refresh=True, expires_ns=NOON_NS),
            'put /a value="" expires=2023-11-14T22:13:20Z prev-exist=false refresh',
        ),
        (CreateInOrder(b"/q", b"job"), 'append /q value="job"'),
        (Delete(b"/a"), "delete /a"),
        (Delete(b"/d", directory=True, recursive=True), "delete /d dir recursive"),
        (
            Delete(b"/a", prev_value=b"1\n2", prev_index=9),
            'delete /a prev-value="1\\n2" prev-index=9',
        ),
        (Sync(NOON_NS), "sync now=2023-11-14T22:13:20Z"),
        (Note("members", b"{}"), 'note members "{}"'),
    ],
)
def test_a_command_is_described_with_its_options(command: Command, line: str) -> None:
    assert wal_dump.command(command) == line


def a_segment() -> bytes:
    crc, head = wal_format.encode_segment_start(
        0, SegmentName(0, 1), [WalMetadata(1, 2), HardState()]
    )
    _, batch = wal_format.encode_entries(
        crc, [LogEntry(1, 1), LogEntry(1, 2, encode(Proposal(0, 0, Delete(b"/a"))))], len(head)
    )
    return head + batch + bytes(512)


def test_a_segment_is_described_record_by_record() -> None:
    assert list(wal_dump.segment(a_segment())) == [
        (0x00, "segment 0 first=1 opening=136 bytes crc=00000000"),
        (0x38, "metadata member=1 cluster=2 version=2"),
        (0x60, "state term=0 vote=0 commit=0"),
        (0x88, "entry term=1 index=1 no-op"),
        (0xA8, "entry term=1 index=2 delete /a"),
        (0xE0, "end"),
    ]


def test_a_torn_write_and_damage_are_distinguished() -> None:
    raw = a_segment()
    torn = raw[:0xD8] + bytes(8) + raw[0xE0:]
    line = "torn: a write up to byte d8 was never synced; a start cuts it off"
    assert list(wal_dump.segment(torn))[-1] == (0xA8, line)
    damaged = raw[:0xB8] + b"\xff" + raw[0xB9:]
    for raw, place in ((damaged, 0xA8), (b"not a log at all", 0)):
        offset, line = list(wal_dump.segment(raw))[-1]
        assert offset == place
        assert line.startswith("damaged: ")


def test_a_record_of_a_later_version_ends_the_description() -> None:
    crc, head = wal_format.encode_segment_start(0, SegmentName(0, 1), [WalMetadata(1, 2)])
    body = wal_format.HEAD.pack(0, 0, 99 << 24, len(head))[8:]
    raw = head + wal_format.SUMS.pack(wal_format.extend(crc, body), crc) + body
    line = "unknown: a record of the unknown kind 99"
    assert list(wal_dump.segment(raw))[-1] == (len(head), line)


def test_a_snapshot_is_described_key_by_key() -> None:
    space = KeySpace()
    for command in (
        Note("version", b"1"),
        Put(b"/a", b"x", expires_ns=NOON_NS),
        Put(b"/b", directory=True),
    ):
        space.apply(command)
    data = state_snapshot.dump(Configuration(frozenset({0xA1, 0xB2})), Sessions(), 0, space)
    assert list(wal_dump.snapshot(Snapshot(9, 2, data))) == [
        f"snapshot index=9 term=2 state={len(data)} bytes",
        "voters a1,b2 learners none",
        "events first=1 last=3",
        'note version "1"',
        '/a value="x" expires=2023-11-14T22:13:20Z created=2 modified=2',
        "/b dir created=3 modified=3",
    ]


def test_an_unreadable_snapshot_is_reported() -> None:
    assert list(wal_dump.snapshot(Snapshot(9, 2, b"other")))[-1].startswith(
        "unreadable: the state snapshot is damaged"
    )
