"""What a start puts right in a data directory, without losing anything that was acknowledged."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from coordinator.core.storage.snapshot_file import SnapshotChoice
from coordinator.core.storage.torn_write import TornWrite
from coordinator.core.storage.wal_replay import WalReplay
from coordinator.storage.file_system import FileSystem, fill

# Files kept for the analysis of a crash; more of them add nothing.
BROKEN_COPIES_MAX = 5


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was put right, and what was done."""

    path: Path
    offset: int
    done: str


def set_aside(files: FileSystem, directory: Path, choice: SnapshotChoice) -> Iterator[Repair]:
    """Rename damaged snapshots, if an older one can replace them."""
    present = files.names(directory)
    for refused in choice.refused:
        path = Path(refused.path)
        if path.name in present:
            files.rename(path, path.with_suffix(".snap.broken"))
        yield Repair(path, refused.offset, f"skipped: {refused.finding}")


def repair_log_end(
    files: FileSystem, directory: Path, replay: WalReplay, raw: bytes, segment_bytes: int
) -> Iterator[Repair]:
    """Copy a torn write away and overwrite it with zeros; give the last segment its full size.

    `raw` is the content of the last segment.
    """
    path = directory / str(replay.name)
    if isinstance(replay.log_end, TornWrite):
        torn = raw[replay.offset : replay.log_end.until]
        copy = path.with_suffix(f".wal.{replay.offset:08x}.broken")
        _keep_broken(files, copy, torn)
        _overwrite(files, path, replay.offset, replay.log_end.until)
        done = f"cut off {len(torn)} bytes of a write that was never synced; copy: {copy}"
        yield Repair(path, replay.offset, done)
    if len(raw) < segment_bytes:
        _overwrite(files, path, len(raw), segment_bytes)


def _keep_broken(files: FileSystem, copy: Path, torn: bytes) -> None:
    directory = copy.parent
    with closing(files.create(copy)) as file:
        file.write_at(0, torn)
        file.sync()
    files.sync_directory(directory)
    copies = sorted(name for name in files.names(directory) if name.endswith(".broken"))
    for name in copies[:-BROKEN_COPIES_MAX]:
        files.remove(directory / name)


def _overwrite(files: FileSystem, path: Path, start: int, end: int) -> None:
    with closing(files.open(path)) as file:
        fill(file, start, end)
        file.sync()
