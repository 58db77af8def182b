"""The data directory on a real file system."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.storage.storage_errors import DamagedLog
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.storage.data_dir import DataDir, Retention
from coordinator.storage.file_system import DirectoryInUse, DiskFull, OsFileSystem
from rig.processes import ROOT
from tests.coordinator.storage.log_model import ME
from tests.coordinator.storage.memory_files import MemoryFileSystem

SMALL = Retention(segment_bytes=16 << 10, entries_kept=10, snapshots_kept=2)


def entries(first: int, count: int, size: int = 100) -> list[LogEntry]:
    return [
        LogEntry(1, index, (b"%d " % index * size)[:size]) for index in range(first, first + count)
    ]


def test_synced_entries_are_there_after_a_restart(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    first = data_dir.open(ME)
    assert (first.created, first.metadata, first.entries) == (True, ME, [])
    data_dir.append(entries(1, 64), HardState(1, 7, 60))
    data_dir.sync()
    data_dir.close()
    data_dir = DataDir(tmp_path / "data")
    again = data_dir.open(WalMetadata(member=5, cluster=6))
    data_dir.close()
    assert (again.created, again.metadata) == (False, ME)
    assert again.entries == entries(1, 64)
    assert again.hard_state == HardState(1, 7, 60)
    assert again.repairs == ()


def test_only_the_owner_can_read_the_data_directory(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "deep" / "data", SMALL)
    data_dir.open(ME)
    data_dir.append(entries(1, 3))
    data_dir.save_snapshot(2, 1, b"state")
    data_dir.close()
    data = tmp_path / "deep" / "data"
    assert sorted(str(p.relative_to(data)) for p in data.rglob("*") if p.is_file()) == [
        "lock",
        "member/snap/0000000000000002-0000000000000001.snap",
        "member/wal/0000000000000000-0000000000000001.wal",
    ]
    for path in (data, *data.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_directory_that_the_operator_made_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    data_dir = DataDir(tmp_path / "data", SMALL)
    data_dir.open(ME)
    data_dir.close()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "data" / "member").stat().st_mode) == 0o700


def test_segments_are_filled_with_zeros_before_use(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path, SMALL)
    data_dir.open(ME)
    for first in range(1, 400, 40):
        data_dir.append(entries(first, 40))
        data_dir.sync()
    data_dir.close()
    sizes = {path.stat().st_size for path in (tmp_path / "member" / "wal").iterdir()}
    assert sizes == {SMALL.segment_bytes}
    assert all(p.stat().st_blocks * 512 >= SMALL.segment_bytes for p in tmp_path.rglob("*.wal"))


def test_a_batch_longer_than_a_segment_gets_its_own_segment(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path, SMALL)
    data_dir.open(ME)
    data_dir.append([LogEntry(1, 1, b"x" * 100_000)])
    data_dir.append(entries(2, 2))
    data_dir.sync()
    data_dir.close()
    again = DataDir(tmp_path, SMALL)
    assert [len(entry.data) for entry in again.open(ME).entries] == [100_000, 100, 100]
    again.close()


def test_old_segments_and_snapshots_are_removed_after_a_snapshot(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path, SMALL)
    data_dir.open(ME)
    for first in range(1, 1200, 40):
        data_dir.append(entries(first, 40), HardState(1, 7, first + 39))
        data_dir.sync()
        if first % 240 == 1:
            data_dir.save_snapshot(first + 39, 1, b"state of %d" % (first + 39))
    data_dir.close()
    snaps = sorted(path.name for path in (tmp_path / "member" / "snap").iterdir())
    assert snaps == [f"{760:016x}-{1:016x}.snap", f"{1000:016x}-{1:016x}.snap"]
    first_kept = min((tmp_path / "member" / "wal").iterdir()).name
    assert 600 < int(first_kept[17:33], 16) <= 761
    again = DataDir(tmp_path, SMALL)
    recovered = again.open(ME)
    again.close()
    assert recovered.snapshot is not None
    assert (recovered.snapshot.index, recovered.snapshot.data) == (1000, b"state of 1000")
    assert recovered.entries == entries(1001, 200)


def test_entries_behind_a_snapshot_take_at_most_so_many_segments(tmp_path: Path) -> None:
    limits = Retention(segment_bytes=16 << 10, entries_kept=5000, segments_kept=3)
    data_dir = DataDir(tmp_path, limits)
    data_dir.open(ME)
    for last in range(50, 5001, 50):
        data_dir.append(entries(last - 49, 50))
        if last % 1000 == 0:
            data_dir.save_snapshot(last, 1, b"state of %d" % last)
    data_dir.close()
    kept = list((tmp_path / "member" / "wal").glob("*.wal"))
    # The entries since the last snapshot but one take nine.
    assert 9 <= len(kept) <= 12
    again = DataDir(tmp_path, limits)
    assert again.open(ME).snapshot is not None
    again.close()


def test_a_prepared_segment_is_the_one_that_is_used(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path, SMALL)
    data_dir.open(ME)
    assert not data_dir.wants_prepare
    data_dir.append(entries(1, 80))
    assert data_dir.wants_prepare
    preparing = threading.Thread(target=data_dir.prepare)
    preparing.start()
    data_dir.sync()
    preparing.join()
    assert not data_dir.wants_prepare
    spare = (tmp_path / "member" / "wal" / "spare.tmp").stat().st_ino
    data_dir.append(entries(81, 80))
    data_dir.sync()
    data_dir.close()
    newest = max((tmp_path / "member" / "wal").iterdir())
    assert newest.stat().st_ino == spare


def test_a_second_process_learns_which_process_uses_the_directory(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path, SMALL)
    data_dir.open(ME)
    script = (
        "import sys, pathlib; from coordinator.core.storage.wal_format import WalMetadata;"
        "from coordinator.storage.data_dir import DataDir;"
        "DataDir(pathlib.Path(sys.argv[1])).open(WalMetadata(1, 2))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    data_dir.close()
    assert second.returncode == 1
    assert f"{tmp_path} is in use by process {os.getpid()}: stop that one first" in second.stderr
    with pytest.raises(DirectoryInUse):
        hold_twice(tmp_path)


def hold_twice(directory: Path) -> None:
    first = DataDir(directory, SMALL)
    first.open(ME)
    try:
        DataDir(directory, SMALL).open(ME)
    finally:
        first.close()


def test_a_start_that_fails_releases_the_lock(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path, SMALL)
    data_dir.open(ME)
    data_dir.close()
    [segment] = (tmp_path / "member" / "wal").iterdir()
    good = segment.read_bytes()
    segment.write_bytes(b"\xff" + good[1:])
    refused = DataDir(tmp_path, SMALL)
    with pytest.raises(DamagedLog):
        refused.open(ME)
    refused.close()
    segment.write_bytes(good)
    again = DataDir(tmp_path, SMALL)
    assert not again.open(ME).created
    again.close()


WRITER = """
import sys, pathlib
from coordinator.storage.data_dir import DataDir, Retention
from coordinator.core.raft.entry import LogEntry, HardState
from coordinator.core.storage.wal_format import WalMetadata

data_dir = DataDir(pathlib.Path(sys.argv[1]), Retention(segment_bytes=32 << 10, entries_kept=50))
recovered = data_dir.open(WalMetadata(1, 2))
index = recovered.entries[-1].index if recovered.entries else recovered.hard_state.commit
while True:
    batch = [LogEntry(1, index + n, b"%d " % (index + n) * 30) for n in range(1, 9)]
    index += 8
    data_dir.append(batch, HardState(1, 7, index))
    data_dir.sync()
    print(index, flush=True)
    if index % 200 == 0:
        data_dir.save_snapshot(index, 1, b"state")
"""


def test_a_killed_process_finds_everything_that_it_reported_as_safe(tmp_path: Path) -> None:
    acknowledged = 0
    for lines in (3, 60, 150):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(lines):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        writer.wait()
        writer.stdout.close()
        data_dir = DataDir(tmp_path)
        recovered = data_dir.open(ME)
        data_dir.close()
        last = recovered.entries[-1].index if recovered.entries else recovered.hard_state.commit
        assert last >= acknowledged
        assert recovered.hard_state.commit in (acknowledged, last)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("a tmpfs of its own can be mounted by root only")
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tiny)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mount: {mounted.stderr}")
    yield tiny
    subprocess.run(["umount", "-l", str(tiny)], check=True)


def test_a_full_disk_is_reported_and_nothing_acknowledged_is_lost(tiny: Path) -> None:
    limits = Retention(segment_bytes=300 << 10)
    data_dir = DataDir(tiny, limits)
    data_dir.open(ME)
    safe: list[LogEntry] = []
    with pytest.raises(DiskFull) as refusal:
        fill(data_dir, safe)
    assert "No space left on device: make room on this file system" in str(refusal.value)
    assert str(tiny / "member" / "wal") in str(refusal.value)
    with pytest.raises(DiskFull):
        data_dir.append(entries(len(safe) + 1, 8))
    data_dir.close()
    again = DataDir(tiny, limits)
    assert again.open(ME).entries == safe
    again.close()


def fill(data_dir: DataDir, safe: list[LogEntry]) -> None:
    """Write until it fails, and note in `safe` what was synced."""
    for _ in range(10_000):
        batch = entries(len(safe) + 1, 8)
        data_dir.append(batch)
        data_dir.sync()
        safe += batch


def test_a_file_size_limit_is_reported(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, resource;"
        "from coordinator.core.storage.wal_format import WalMetadata;"
        "from coordinator.storage.data_dir import DataDir;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY));"
        "DataDir(pathlib.Path(sys.argv[1])).open(WalMetadata(1, 2))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "DiskFull: [Errno 27] cannot write, File too large: make room" in result.stderr
    assert not DataDir(tmp_path, SMALL).open(ME).repairs


class Failing:
    """Raises once, at the n-th call of one kind."""

    def __init__(self, kind: str, after: int) -> None:
        self.kind, self.left = kind, after

    def __call__(self, kind: str) -> None:
        if kind == self.kind:
            self.left -= 1
            if self.left == 0:
                raise OSError(5, "Input/output error", "the disk")


@pytest.mark.parametrize("kind", ["sync", "write_at"])
def test_a_failed_write_or_sync_is_never_retried(kind: str) -> None:
    files = MemoryFileSystem()
    data_dir = DataDir(Path("/data"), SMALL, files)
    data_dir.open(ME)
    data_dir.append(entries(1, 1))
    data_dir.sync()
    files.step = Failing(kind, 1)
    for _ in range(3):
        with pytest.raises(OSError, match="Input/output error"):
            write(data_dir)
    with pytest.raises(OSError, match="Input/output error"):
        data_dir.save_snapshot(1, 1, b"state")


def write(data_dir: DataDir) -> None:
    data_dir.append(entries(2, 1))
    data_dir.sync()


def test_errors_of_the_operating_system_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot create, .*: '.*file/data'"):
        DataDir(tmp_path / "file" / "data").open(ME)
    files = OsFileSystem()
    with pytest.raises(FileNotFoundError, match="cannot open"):
        files.open(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="cannot name"):
        files.rename(tmp_path / "nothing", tmp_path / "something")
