"""The record format: what is encoded is decoded, byte for byte the same in every version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.storage import wal_format
from coordinator.core.storage.wal_format import (
    Record,
    RecordReader,
    SegmentHeader,
    SegmentName,
    SnapshotMarker,
    WalMetadata,
)

u64 = st.integers(0, (1 << 64) - 1)
u32 = st.integers(0, (1 << 32) - 1)
entries = st.builds(LogEntry, u64, u64, st.binary(max_size=300))
records = st.one_of(
    entries,
    st.builds(HardState, u64, u64, u64),
    st.builds(SnapshotMarker, u64, u64),
    st.builds(WalMetadata, u64, u64, u32),
    st.builds(SegmentHeader, u64, u64, u32, u32),
)


@given(st.lists(records, max_size=20), u32, u32)
def test_records_come_back_as_they_were(wanted: list[Record], start: int, durable: int) -> None:
    crc, raw = start, b""
    for record in wanted:
        crc, part = wal_format.encode(crc, record, durable)
        assert len(part) % wal_format.ALIGNMENT == 0
        raw += part
    walk = RecordReader(raw, start)
    assert [record for _, record in walk] == wanted
    assert (walk.offset, walk.crc) == (len(raw), crc)


@given(st.lists(entries, max_size=20), u32)
def test_a_batch_encodes_as_its_entries_do_one_by_one(batch: list[LogEntry], start: int) -> None:
    crc, raw = start, b""
    for entry in batch:
        crc, part = wal_format.encode(crc, entry)
        raw += part
    assert wal_format.encode_entries(start, batch) == (crc, raw)


@given(st.lists(records, min_size=1, max_size=8), u32, st.data())
def test_a_truncated_log_keeps_its_complete_records(
    wanted: list[Record], start: int, data: st.DataObject
) -> None:
    raw, ends = b"", []
    crc = start
    for record in wanted:
        crc, part = wal_format.encode(crc, record)
        raw += part
        ends.append(len(raw))
    cut = data.draw(st.integers(0, len(raw)))
    whole = sum(end <= cut for end in ends)
    assert [record for _, record in RecordReader(raw[:cut], start)] == wanted[:whole]


def test_the_format_on_disk_does_not_change() -> None:
    name = SegmentName(2, 17)
    state = HardState(term=4, vote=7, commit=16)
    crc, head = wal_format.encode_segment_start(
        0xABCD, name, [WalMetadata(1, 2, 1), state, SnapshotMarker(10, 3)]
    )
    crc, batch = wal_format.encode_entries(
        crc, [LogEntry(4, 17, b"hello"), LogEntry(4, 18)], len(head)
    )
    assert (head + batch).hex(" ", 8) == (
        "a2f9c0a0cdab0000 2400000500000000 6574632d77616c0a 0200000000000000 1100000000000000 "
        "a800000000000000 cdab000000000000 acf1ffa9a2f9c0a0 1400000100000000 0100000000000000 "
        "0200000000000000 0100000000000000 26689e25acf1ffa9 1800000300000000 0400000000000000 "
        "0700000000000000 1000000000000000 7adccfc926689e25 1000000400000000 0a00000000000000 "
        "0300000000000000 0c8472ec7adccfc9 15000002a8000000 0400000000000000 1100000000000000 "
        "68656c6c6f000000 a7d472270c8472ec 10000002a8000000 0400000000000000 1200000000000000"
    )


def test_the_checksum_is_crc32c() -> None:
    assert wal_format.extend(0, b"123456789") == 0xE3069283  # the check value of the CRC catalogues


def test_a_segment_header_has_the_length_of_the_opening_records() -> None:
    _, head = wal_format.encode_segment_start(
        5, SegmentName(0, 1), [WalMetadata(1, 2), HardState()]
    )
    [(_, opening), *_] = RecordReader(head, 5)
    assert opening == SegmentHeader(sequence=0, first=1, head_bytes=len(head), crc=5)


def test_the_chain_of_checksums_continues_in_the_next_segment() -> None:
    crc, first = wal_format.encode_segment_start(0, SegmentName(0, 1), [WalMetadata(1, 2)])
    after, second = wal_format.encode_segment_start(crc, SegmentName(1, 9), [WalMetadata(1, 2)])
    assert wal_format.chain_start(first) == 0
    assert wal_format.chain_start(second) == crc
    walk = RecordReader(second, crc)
    assert len(list(walk)) == 2
    assert walk.crc == after


def test_a_file_shorter_than_a_record_ends_at_once() -> None:
    assert list(RecordReader(b"short", 0)) == []
    assert wal_format.record_end(b"short", 0) == 0
    assert wal_format.chain_start(b"short") is None


def test_zeros_are_not_a_record() -> None:
    walk = RecordReader(bytes(4096), 0)
    assert list(walk) == []
    assert wal_format.chain_start(bytes(4096)) is None


def test_an_entry_that_is_too_long_for_the_format_fails_an_assertion() -> None:
    with pytest.raises(AssertionError, match="entry 3 has 16777216 bytes"):
        wal_format.encode_entries(0, [LogEntry(1, 3, bytes(1 << 24))])


@given(u64, u64)
def test_segment_names_can_be_parsed_and_sort_by_sequence(sequence: int, first: int) -> None:
    name = SegmentName(sequence, first)
    assert SegmentName.parse(str(name)) == name
    assert len(str(name)) == 37


@pytest.mark.parametrize(
    "name",
    [
        "spare.tmp",
        "0000000000000000-0000000000000001.wal.00000010.broken",
        "0000000000000000_0000000000000001.wal",
        "000000000000000g-0000000000000001.wal",
        "0000000000000000-0000000000000001.snap",
        "0-1.wal",
    ],
)
def test_other_files_are_not_segments(name: str) -> None:
    assert SegmentName.parse(name) is None
