"""Backups as files: read, written from a stream, and restored into a new member's directory."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from coordinator.core.raft.entry import HardState
from coordinator.core.storage import backup_format
from coordinator.core.storage.backup_format import Backup
from coordinator.core.storage.snapshot_file import Snapshot
from coordinator.core.storage.wal_format import WalMetadata
from coordinator.storage.data_dir import UNFINISHED, DataDir
from coordinator.storage.file_system import OsFileSystem

# A data directory that holds nothing else counts as empty.
_NOTHING = frozenset({"lock", UNFINISHED, "lost+found"})


class NotEmpty(Exception):  # noqa: N818 - states a fact
    """The directory for a new member is not empty."""


def read(path: Path) -> Backup:
    """Verify a backup and load its keys. Raises BadBackup, OSError."""
    return backup_format.read(str(path), path.read_bytes())


def write(path: Path, pieces: Iterable[bytes]) -> Backup:
    """Write a backup, read it back, and only then give it its name. Raises BadBackup, OSError.

    Whatever goes wrong, an older file of that name stays as it is.
    """
    files = OsFileSystem()
    unfinished = path.with_name(path.name + backup_format.UNFINISHED_SUFFIX)
    try:
        offset = 0
        with closing(files.create(unfinished)) as file:
            for piece in pieces:
                file.write_at(offset, piece)
                offset += len(piece)
            file.sync()
        found = read(unfinished)
        files.rename(unfinished, path)
        files.sync_directory(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return found


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep every other process out of a data directory. Raises DirectoryInUse, OSError."""
    files = OsFileSystem()
    files.make_directory(directory)
    with closing(files.lock(directory / "lock")):
        yield


def check_empty(directory: Path) -> None:
    """Raise NotEmpty if a new member would replace anything."""
    if found := sorted({path.name for path in directory.iterdir()} - _NOTHING):
        raise NotEmpty(f"{directory} is not empty, it has {found[0]}: choose another --data-dir")


def build(directory: Path, metadata: WalMetadata, state: Snapshot) -> Path:
    """Make the log and snapshot of a member that begins with `state`; return where they are.

    It takes effect when it is renamed to `member` in the data directory; see `DataDir`.
    """
    unfinished = directory / UNFINISHED
    clear(unfinished)
    fresh = DataDir(unfinished)
    fresh.open(metadata)
    try:
        fresh.save_snapshot(state.index, state.term, state.data)
        fresh.append([], HardState(state.term, 0, state.index))
        fresh.sync()
    finally:
        fresh.close()
    return unfinished / "member"


def take_place(built: Path, directory: Path) -> None:
    """Make what was built the member of the data directory."""
    files = OsFileSystem()
    files.rename(built, directory / "member")
    files.sync_directory(directory)
    clear(directory / UNFINISHED)
    files.sync_directory(directory)


def clear(directory: Path) -> None:
    """Remove a directory that was never finished, if it is there."""
    for parent, _, names in os.walk(directory, topdown=False):
        for name in names:
            Path(parent, name).unlink()
        Path(parent).rmdir()


def restore(
    source: Backup,
    directory: Path,
    metadata: WalMetadata,
    founders: Mapping[int, tuple[str, ...]],
    gap: int,
) -> Backup:
    """Make the directory of one of a new cluster's first members; return what it begins with.

    Raises NotEmpty, CannotRenew, DirectoryInUse, OSError.
    """
    data = backup_format.renewed(source.snapshot.data, founders, gap)
    state = Snapshot(source.snapshot.index, source.snapshot.term, data)
    with held(directory):
        check_empty(directory)
        take_place(build(directory, metadata, state), directory)
    return backup_format.loaded(state)
