"""Snapshot files: damage is reported, and the right file is chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.storage import snapshot_file
from coordinator.core.storage.snapshot_file import Snapshot, SnapshotName
from coordinator.core.storage.storage_errors import DamagedLog, DamagedSnapshot, UnknownFormat
from coordinator.core.storage.wal_format import SnapshotMarker, extend

u64 = st.integers(0, (1 << 64) - 1)
snapshots = st.builds(Snapshot, u64, u64, st.binary(max_size=200))


def encoded(found: Snapshot) -> bytes:
    return b"".join(snapshot_file.encode(found))


@given(snapshots)
def test_a_decoded_snapshot_equals_the_encoded_one(found: Snapshot) -> None:
    assert snapshot_file.decode("f", encoded(found)) == found


@given(snapshots, st.data())
def test_a_flipped_bit_or_a_missing_end_is_reported(found: Snapshot, data: st.DataObject) -> None:
    raw = bytearray(encoded(found))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedSnapshot, match="f: byte"):
        snapshot_file.decode("f", bytes(raw))
    whole = encoded(found)
    with pytest.raises(DamagedSnapshot, match="f: byte"):
        snapshot_file.decode("f", whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_the_format_on_disk_does_not_change() -> None:
    assert encoded(Snapshot(10, 3, b"state")).hex(" ", -8) == (
        "6574632d736e6170 0100000000000000 0a00000000000000 0300000000000000 "
        "0500000000000000 7374617465f1a432 55"
    )


def test_a_snapshot_of_a_later_version_asks_for_that_version() -> None:
    raw = encoded(Snapshot(10, 3, b"state"))[:-4]
    raw = raw[:8] + b"\x09" + raw[9:]
    raw += extend(0, raw).to_bytes(4, "little")
    with pytest.raises(UnknownFormat, match="format version 9, and this program knows 1"):
        snapshot_file.decode("f", raw)


@given(u64, u64)
def test_snapshot_names_can_be_parsed(index: int, term: int) -> None:
    assert SnapshotName.parse(str(SnapshotName(index, term))) == SnapshotName(index, term)


@pytest.mark.parametrize("name", ["x.snap", "0-1.snap", f"{'g' * 16}-{'0' * 16}.snap", "a.tmp"])
def test_other_files_are_not_snapshots(name: str) -> None:
    assert SnapshotName.parse(name) is None


def choose(kept: dict[int, bytes], first: int) -> snapshot_file.SnapshotChoice:
    markers = [SnapshotMarker(index, 1) for index in (10, 20, 30)]
    return snapshot_file.choose("d", markers, first, lambda name: kept.get(name.index))


def test_the_newest_intact_snapshot_is_chosen() -> None:
    kept = {index: encoded(Snapshot(index, 1, b"s%d" % index)) for index in (10, 20, 30)}
    assert choose(kept, 5) == snapshot_file.SnapshotChoice(Snapshot(30, 1, b"s30"), ())


def test_a_snapshot_with_the_name_of_another_is_refused() -> None:
    kept = {index: encoded(Snapshot(10, 1, b"s10")) for index in (10, 20, 30)}
    choice = choose(kept, 5)
    assert choice.snapshot == Snapshot(10, 1, b"s10")
    findings = {refused.finding for refused in choice.refused}
    assert findings == {"found the snapshot of 10 in term 1"}


def test_a_snapshot_that_the_log_does_not_continue_is_not_chosen() -> None:
    kept = {10: encoded(Snapshot(10, 1, b"s10"))}
    with pytest.raises(DamagedSnapshot, match="the file is missing"):
        choose(kept, 12)
    with pytest.raises(DamagedLog, match="no snapshot leads up to it"):
        choose(kept, 40)
