"""Damage to synced bytes is found and reported, and never taken for a torn write."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.storage import snapshot_file, torn_write, wal_format
from coordinator.core.storage.snapshot_file import Snapshot, SnapshotName
from coordinator.core.storage.storage_errors import (
    Damaged,
    DamagedLog,
    DamagedSnapshot,
    UnknownFormat,
)
from coordinator.core.storage.wal_format import HEAD, SegmentName, SnapshotMarker
from tests.coordinator.storage.log_model import HOME, ME, ModelMember, remembered, state_as_of
from tests.coordinator.storage.memory_files import MemoryDirectory, MemoryFileSystem, MemoryInode

WAL = HOME / "member" / "wal"
SNAP = HOME / "member" / "snap"


def a_life(*, snapshots: int = 0) -> tuple[ModelMember, MemoryFileSystem]:
    """Return a closed member with a log of several segments."""
    member = ModelMember(files := MemoryFileSystem())
    member.commits = 3
    member.open()
    for round_ in range(10):
        member.append([round_ * 40, 0, 100])
        member.sync()
        if snapshots and round_ >= 10 - snapshots:
            member.snapshot()
    member.disk.close()
    return member, files


def contents(files: MemoryFileSystem, directory: Path) -> dict[Path, bytes]:
    names = sorted(files.names(directory))
    return {directory / name: files.read(directory / name) or b"" for name in names}


def segments(files: MemoryFileSystem) -> dict[Path, bytes]:
    return {path: raw for path, raw in contents(files, WAL).items() if path.suffix == ".wal"}


def with_content(files: MemoryFileSystem, path: Path, content: bytes | None) -> MemoryFileSystem:
    """Return the same files with one changed, or removed."""
    after = MemoryFileSystem()
    for directory, names in files.directories.items():
        after.directories[directory] = MemoryDirectory(
            {name: MemoryInode(node.visible()) for name, node in names.visible().items()}
        )
    after.directories[path.parent].durable.pop(path.name, None)
    if content is not None:
        after.directories[path.parent].durable[path.name] = MemoryInode(content)
    return after


def flipped(raw: bytes, bit: int) -> bytes:
    mended = bytearray(raw)
    mended[bit // 8] ^= 1 << bit % 8
    return bytes(mended)


def records_end(raw: bytes) -> int:
    walk = wal_format.RecordReader(raw, wal_format.chain_start(raw) or 0)
    list(walk)
    return walk.offset


def test_each_flipped_bit_of_a_synced_record_is_reported_with_its_offset() -> None:
    member, files = a_life()
    promised = member.known().seen()
    rng = random.Random(5)
    for path, raw in segments(files).items():
        for byte in range(len(raw)):
            bit = byte * 8 + rng.randrange(8)
            changed = with_content(files, path, flipped(raw, bit))
            if byte < records_end(raw):
                with pytest.raises(DamagedLog) as refusal:
                    ModelMember(changed).open()
                assert refusal.value.path == str(path)
                assert refusal.value.offset <= byte
                assert str(path) in str(refusal.value)
                assert "move the data directory away" in str(refusal.value)
            else:
                assert remembered(ModelMember(changed).open()) == promised


@settings(deadline=None, max_examples=400)
@given(
    sizes=st.lists(st.integers(0, 700), min_size=1, max_size=6),
    zeros=st.booleans(),
    data=st.data(),
)
def test_a_flipped_bit_in_the_very_last_write_is_damage_too(
    sizes: list[int], zeros: bool, data: st.DataObject
) -> None:
    crc, head = wal_format.encode_segment_start(99, SegmentName(3, 17), [ME, HardState(2, 7, 16)])
    entries = [
        LogEntry(4, 17 + n, bytes(size) if zeros else b"v" * size) for n, size in enumerate(sizes)
    ]
    _, records = wal_format.encode_entries(crc, entries, len(head))
    raw = head + records + bytes(1024)
    bit = data.draw(st.integers(len(head) * 8, (len(head) + len(records)) * 8 - 1))
    walk = wal_format.RecordReader(raw := flipped(raw, bit), 99)
    list(walk)
    assert walk.offset <= bit // 8
    assert isinstance(
        torn_write.classify(raw, walk.offset, walk.crc, len(head)), torn_write.Corruption
    )


def test_lost_sectors_before_a_later_write_are_damage() -> None:
    member = ModelMember(files := MemoryFileSystem())
    member.open()
    for _ in range(3):
        member.append([250])
        member.sync()
    member.disk.close()
    [(path, raw)] = segments(files).items()
    last_write = records_end_of(raw, member.synced - 2)
    for start in range(200, last_write, 8):
        hole = raw[:start] + bytes(64) + raw[start + 64 :]
        with pytest.raises(DamagedLog, match="synced"):
            ModelMember(with_content(files, path, hole)).open()


@settings(deadline=None, max_examples=200)
@given(cut=st.integers(0, 1200), sizes=st.lists(st.integers(0, 200), max_size=5))
def test_a_file_truncated_after_its_synced_part_opens_with_all_of_that(
    cut: int, sizes: list[int]
) -> None:
    member = ModelMember(files := MemoryFileSystem())
    member.open()
    member.append([20, 30])
    member.sync()
    member.append(sizes)
    member.disk.close()
    [(path, raw)] = segments(files).items()
    end = max(cut, records_end_of(raw, member.synced))
    after = with_content(files, path, raw[:end])
    found = remembered(ModelMember(after).open())
    assert found in member.may_remember()
    assert len(after.read(path) or b"") == len(raw)


def records_end_of(raw: bytes, count: int) -> int:
    """Return where the first `count` records behind the opening ones end."""
    walk = wal_format.RecordReader(raw, wal_format.chain_start(raw) or 0)
    opening = 3
    for n, _ in enumerate(walk, start=1):
        if n == opening + count:
            break
    return walk.offset


def garbage() -> Iterator[bytes]:
    rng = random.Random(11)
    for size in (1, 7, 8, 16, 100, 513, 900):
        yield rng.randbytes(size)
        yield b"\xff" * size
        yield bytes(size) + b"\x80"


def test_garbage_after_the_last_record_is_copied_and_removed() -> None:
    for junk in garbage():
        member = ModelMember(files := MemoryFileSystem())
        member.open()
        member.append([40])
        member.sync()
        [(path, raw)] = segments(files).items()
        end = records_end_of(raw, 2)
        changed = with_content(files, path, raw[:end] + junk + raw[end + len(junk) :])
        recovered = ModelMember(changed).open()
        assert remembered(recovered) == member.known().seen()
        [repair] = recovered.repairs
        assert (repair.path, repair.offset) == (path, end)
        copy = changed.read(Path(repair.done.split("copy: ")[1]))
        assert copy == junk.rstrip(b"\0")
        assert (changed.read(path) or b"")[end:].strip(b"\0") == b""


def test_garbage_in_the_last_bytes_of_a_file_is_torn() -> None:
    crc, head = wal_format.encode_segment_start(0, SegmentName(0, 1), [ME])
    raw = head + bytes(800) + b"junk"
    assert torn_write.classify(raw, len(head), crc, len(head)) == torn_write.TornWrite(len(raw))


def test_broken_copies_do_not_pile_up() -> None:
    files = MemoryFileSystem()
    for _ in range(12):
        member = ModelMember(files)
        member.open()
        member.append([40])
        member.sync()
        member.disk.close()
        path, raw = max(segments(files).items())
        files = with_content(files, path, raw[: records_end(raw)] + b"junk" + bytes(400))
    assert sum(name.endswith(".broken") for name in files.names(WAL)) == 5


def test_a_missing_segment_is_reported() -> None:
    _, files = a_life()
    paths = list(segments(files))
    assert len(paths) >= 3
    with pytest.raises(DamagedLog, match="expected segment 0000000000000001 before") as refusal:
        ModelMember(with_content(files, paths[1], None)).open()
    assert refusal.value.path == str(paths[2])
    with pytest.raises(DamagedLog, match="and no snapshot leads up to it"):
        ModelMember(with_content(files, paths[0], None)).open()


def test_a_segment_of_another_log_does_not_fit() -> None:
    _, files = a_life()
    member = ModelMember(others := MemoryFileSystem())
    member.open()
    for size in (900, 800, 700, 600):
        member.append([size])
    member.sync()
    alien = segments(others)
    first, second, *_ = segments(files)
    with pytest.raises(DamagedLog, match="continues") as refusal:
        ModelMember(with_content(files, second, list(alien.values())[1])).open()
    assert refusal.value.path == str(first)


def test_a_segment_with_a_wrong_name_is_reported() -> None:
    _, files = a_life()
    first, *_ = segments(files).items()
    wrong = WAL / str(SegmentName(0, 9))
    changed = with_content(with_content(files, first[0], None), wrong, first[1])
    with pytest.raises(DamagedLog, match="found the opening record of 0000000000000000-0"):
        ModelMember(changed).open()


def test_a_record_missing_in_the_middle_breaks_the_chain() -> None:
    _, files = a_life()
    path, raw = next(iter(segments(files).items()))
    starts = [offset for offset, _ in wal_format.RecordReader(raw, 0)]
    without = raw[: starts[6]] + raw[starts[7] :]
    with pytest.raises(DamagedLog) as refusal:
        ModelMember(with_content(files, path, without)).open()
    assert refusal.value.offset == starts[6]


def test_a_gap_in_the_indexes_is_reported() -> None:
    crc, head = wal_format.encode_segment_start(0, SegmentName(0, 1), [ME, HardState()])
    _, records = wal_format.encode_entries(crc, [LogEntry(1, 1), LogEntry(1, 3)], len(head))
    files = MemoryFileSystem()
    ModelMember(files).open()
    path = WAL / str(SegmentName(0, 1))
    files.locked.clear()
    with pytest.raises(DamagedLog, match="expected entry 2 or lower, found entry 3") as refusal:
        ModelMember(with_content(files, path, head + records)).open()
    assert refusal.value.offset == len(head) + 32


def test_a_commit_index_beyond_the_log_is_reported() -> None:
    crc, head = wal_format.encode_segment_start(0, SegmentName(0, 1), [ME, HardState()])
    _, record = wal_format.encode(crc, HardState(1, 7, 5), len(head))
    path = WAL / str(SegmentName(0, 1))
    with pytest.raises(DamagedLog, match="index 5 is committed, and the log ends at 0"):
        ModelMember(with_content(empty(), path, head + record)).open()


def test_a_segment_must_begin_with_its_header() -> None:
    _, record = wal_format.encode(0, ME)
    path = WAL / str(SegmentName(0, 1))
    with pytest.raises(DamagedLog, match="expected the opening record") as refusal:
        ModelMember(with_content(empty(), path, record + bytes(512))).open()
    assert refusal.value.offset == 0


def test_a_log_may_begin_with_entries_that_replaced_older_ones() -> None:
    crc, head = wal_format.encode_segment_start(
        0, SegmentName(4, 101), [ME, HardState(), SnapshotMarker(90, 1)]
    )
    batch = [LogEntry(2, index) for index in range(91, 104)]
    _, records = wal_format.encode_entries(crc, batch, len(head))
    files = with_content(empty(), WAL / str(SegmentName(4, 101)), head + records)
    header, state, footer = snapshot_file.encode(Snapshot(90, 1, state_as_of(90)))
    files = with_content(files, SNAP / str(SnapshotName(90, 1)), header + state + footer)
    assert remembered(ModelMember(files).open()) == (90, HardState(commit=90), batch)


def empty() -> MemoryFileSystem:
    files = MemoryFileSystem()
    for directory in (HOME, HOME / "member", WAL, SNAP):
        files.make_directory(directory)
    return files


@pytest.mark.parametrize(
    ("records", "finding"),
    [
        ([SnapshotMarker(0, 0)], "expected a METADATA record"),
        ([wal_format.WalMetadata(1, 2, 9)], "format version 9, and this program knows 2"),
        ([ME, wal_format.WalMetadata(5, 6)], "expected the log of"),
        ([ME, wal_format.SegmentHeader(0, 1, 60, 0)], "found the opening record of"),
    ],
)
def test_opening_records_that_do_not_fit_are_reported(
    records: list[wal_format.Record], finding: str
) -> None:
    _, head = wal_format.encode_segment_start(0, SegmentName(0, 1), records)
    path = WAL / str(SegmentName(0, 1))
    with pytest.raises(Damaged, match=finding):
        ModelMember(with_content(empty(), path, head)).open()


def sealed(kind: int, payload: bytes) -> bytes:
    crc, head = wal_format.encode_segment_start(0, SegmentName(0, 1), [ME])
    body = HEAD.pack(0, 0, kind << 24 | len(payload), len(head))[8:] + payload
    body += bytes(-len(payload) % 8)
    return head + wal_format.SUMS.pack(wal_format.extend(crc, body), crc) + body


@pytest.mark.parametrize(
    ("raw", "finding"),
    [
        (sealed(77, b"what?"), "a record of the unknown kind 77"),
        (sealed(wal_format.RecordKind.STATE, b"short"), "a record of kind 3 with 5 bytes"),
        (sealed(wal_format.RecordKind.ENTRY, b"short"), "a record of the unknown kind 2"),
        (sealed(wal_format.RecordKind.CRC, bytes(36)), "an opening record with the mark"),
    ],
)
def test_an_intact_record_of_an_unknown_kind_is_reported(raw: bytes, finding: str) -> None:
    path = WAL / str(SegmentName(0, 1))
    with pytest.raises(UnknownFormat, match=finding) as refusal:
        ModelMember(with_content(empty(), path, raw)).open()
    assert "start the version of this program that wrote it" in str(refusal.value)


@pytest.mark.parametrize("raw", [b"", bytes(4096), b"\x04\x00\x00\x00\x00\x00\x00\x84" * 64])
def test_a_file_of_another_program_is_not_taken_for_a_log(raw: bytes) -> None:
    path = WAL / str(SegmentName(0, 0))
    with pytest.raises(DamagedLog, match="check that --data-dir names a directory of this program"):
        ModelMember(with_content(empty(), path, raw)).open()


def test_a_member_does_not_start_from_snapshots_without_a_log() -> None:
    _, files = a_life(snapshots=2)
    for path in segments(files):
        files = with_content(files, path, None)
    with pytest.raises(DamagedLog, match="found no segment"):
        ModelMember(files).open()


def test_a_damaged_newest_snapshot_is_replaced_by_the_one_before() -> None:
    member, files = a_life(snapshots=3)
    promised = member.known()
    *_, (path, raw) = contents(files, SNAP).items()
    rng = random.Random(3)
    for byte in range(len(raw)):
        changed = with_content(files, path, flipped(raw, byte * 8 + rng.randrange(8)))
        try:
            recovered = ModelMember(changed).open()
        except UnknownFormat:
            pytest.fail("one flipped bit is no later version")
        assert recovered.snapshot is not None
        assert recovered.snapshot.index < promised.snapshot
        assert recovered.snapshot.index + len(recovered.entries) == member.index
        assert recovered.hard_state.commit == promised.seen()[1].commit
        assert recovered.repairs[0].path == path
        assert f"{path.name}.broken" in changed.names(SNAP)
        changed.locked.clear()
        assert ModelMember(changed).open().snapshot == recovered.snapshot


@pytest.mark.parametrize("size", range(0, 640, 40))
def test_the_log_always_reaches_back_to_the_snapshot_before_the_newest(size: int) -> None:
    member = ModelMember(files := MemoryFileSystem())
    member.commits = 3
    member.open()
    for _ in range(12):
        member.append([size, size + 16])
        member.append([])
        member.sync()
        member.snapshot()
        *_, (path, raw) = contents(files, SNAP).items()
        recovered = ModelMember(with_content(files, path, raw[:-1])).open()
        at = recovered.snapshot.index if recovered.snapshot else 0
        assert at < member.known().snapshot
        assert at + len(recovered.entries) == member.index


@pytest.mark.parametrize("size", [0, 400, 900, 1500])
def test_a_log_restarted_after_a_leaders_snapshot_can_lose_its_old_segments(
    size: int,
) -> None:
    member = ModelMember(MemoryFileSystem())
    member.commits = 3
    member.open()
    member.append([500, 500])
    member.install(30)
    for _ in range(5):
        member.append([size, 10])
        member.sync()
        member.snapshot()
        member.disk.close()
        assert remembered(member.open()) == member.known().seen()


def test_a_member_does_not_start_if_every_snapshot_it_needs_is_damaged() -> None:
    member, files = a_life(snapshots=4)
    for path in contents(files, SNAP):
        files = with_content(files, path, b"not a snapshot")
    with pytest.raises(DamagedSnapshot) as refusal:
        ModelMember(files).open()
    assert f"{member.known().snapshot:016x}" in refusal.value.path


def test_a_missing_first_snapshot_is_replaced_by_the_whole_log() -> None:
    member, files = a_life(snapshots=1)
    [path] = contents(files, SNAP)
    recovered = ModelMember(with_content(files, path, None)).open()
    assert recovered.snapshot is None
    assert [entry.index for entry in recovered.entries] == list(range(1, member.index + 1))
    assert "the file is missing" in recovered.repairs[0].done


def test_a_damaged_snapshot_of_a_leader_cannot_be_replaced() -> None:
    member, files = a_life(snapshots=1)
    member = ModelMember(files)
    member.open()
    member.index, member.term = 18, 4
    member.install(30)
    member.append([4])
    member.sync()
    member.disk.close()
    *_, path = contents(files, SNAP)
    changed = with_content(files, path, flipped(files.read(path) or b"", 400))
    with pytest.raises(DamagedSnapshot, match="checksum"):
        ModelMember(changed).open()


def test_a_snapshot_file_without_a_marker_is_removed() -> None:
    member, files = a_life(snapshots=1)
    again = ModelMember(files)
    again.open()
    again.disk.write_snapshot(12, 1, b"never marked")
    again.disk.close()
    assert remembered(ModelMember(files).open()) == member.known().seen()
    assert len(files.names(SNAP)) == 1
