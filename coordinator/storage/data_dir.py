"""A member's directory on disk: its log, its snapshots, its lock.

<data-dir>/lock                                        locked while a process uses the directory
<data-dir>/member/wal/<sequence>-<first index>.wal     (format: core.storage.wal_format)
<data-dir>/member/wal/<segment>.<offset>.broken        a copy of a torn write that was removed
<data-dir>/member/snap/<index>-<term>.snap             (format: core.storage.snapshot_file)
<data-dir>/unfinished/                                 a restore or recovery that was cut short
<data-dir>/member.<time>.kept/                         the old data after a recovery
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.storage import snapshot_file
from coordinator.core.storage.snapshot_file import Snapshot, SnapshotName
from coordinator.core.storage.storage_errors import DamagedLog
from coordinator.core.storage.wal_format import SegmentName, SnapshotMarker, WalMetadata
from coordinator.core.storage.wal_replay import PUT_BACK, WalReplay
from coordinator.storage import wal_writer
from coordinator.storage.file_system import FileSystem, OsFileSystem
from coordinator.storage.repairs import Repair, repair_log_end, set_aside
from coordinator.storage.wal_writer import SegmentPreamble, WalPosition, WalWriter

UNFINISHED = "unfinished"
FINISH = (
    "run the restore again; after a recovery rename the newest member.<time>.kept beside it to "
    "member and recover again"
)


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the log and how many snapshots stay on disk.

    `entries_kept` stay in the log behind a snapshot, if the last `segments_kept` have them.
    """

    segment_bytes: int = 16 << 20
    entries_kept: int = 5000
    segments_kept: int = 4
    snapshots_kept: int = 5


@dataclass(frozen=True, slots=True)
class RecoveredState:
    """What a member knew when it stopped. `entries` begin after the snapshot.

    `created`: the directory was empty, and now holds a log that begins with `metadata`.
    """

    metadata: WalMetadata
    snapshot: Snapshot | None
    hard_state: HardState
    entries: list[LogEntry]
    created: bool = False
    repairs: tuple[Repair, ...] = ()

    @property
    def is_blank(self) -> bool:
        """Whether this member has never taken part in anything."""
        return not self.entries and self.snapshot is None and self.hard_state.term == 0


class DataDir:
    """The files of one member. One thread calls it, but for `prepare` and `write_snapshot`.

    Any OSError from a method that writes means: end the process, start again, `open` recovers.
    """

    def __init__(
        self, directory: Path, limits: Retention | None = None, files: FileSystem | None = None
    ) -> None:
        self._directory = directory
        self._limits = limits or Retention()
        self._files = files or OsFileSystem()
        self._wal = directory / "member" / "wal"
        self._snap = directory / "member" / "snap"
        self._held = ExitStack()
        self._wal_writer = WalWriter(self._files, self._wal, self._limits.segment_bytes)

    @property
    def has_log(self) -> bool:
        """Whether a member began here before."""
        return self._wal.is_dir() and bool(wal_writer.segments(self._files, self._wal))

    def open(
        self, fresh: WalMetadata, check: Callable[[RecoveredState], None] = lambda _: None
    ) -> RecoveredState:
        """Recover what is there, or begin a new log with `fresh`.

        `check` sees what is there before anything is changed; what it raises ends the start.
        Raises Damaged when that would lose what was acknowledged, DirectoryInUse, OSError.
        """
        self._files.make_directory(self._directory)
        self._held.callback(self._files.lock(self._directory / "lock").close)
        try:
            recovered = self._open(fresh, check)
        except BaseException:
            self.close()
            raise
        self._held.callback(self._wal_writer.close)
        return recovered

    def read(self) -> RecoveredState:
        """Return what `open` would, and change nothing; the caller has the lock. Raises Damaged."""
        replay, choice, _ = self._replayed()
        return _recovered(replay, choice)

    def append(self, entries: Sequence[LogEntry], state: HardState | None = None) -> None:
        """Write entries and the hard state that goes with them; safe after the next `sync`."""
        self._wal_writer.append(entries, state)

    def sync(self) -> None:
        """Return when all that was appended is safe from a power cut."""
        self._wal_writer.sync()

    @property
    def wants_prepare(self) -> bool:
        """Whether now is a good time for `prepare`."""
        return self._wal_writer.wants_prepare

    def prepare(self) -> None:
        """Make the next segment ahead of time, on a thread that may wait for the disk."""
        self._wal_writer.prepare()

    def save_snapshot(self, index: int, term: int, data: bytes) -> None:
        """Write the state as of entry `index`, then remove what is no longer needed."""
        self.write_snapshot(index, term, data)
        self.mark_snapshot(index, term)

    def write_snapshot(self, index: int, term: int, data: bytes) -> None:
        """The first half of `save_snapshot`, on a thread that may wait for the disk."""
        path = self._snap / str(SnapshotName(index, term))
        unfinished = path.with_suffix(".tmp")
        offset = 0
        with closing(self._files.create(unfinished)) as file:
            for part in snapshot_file.encode(Snapshot(index, term, data)):
                file.write_at(offset, part)
                offset += len(part)
            file.sync()
        self._files.rename(unfinished, path)
        self._files.sync_directory(self._snap)

    def mark_snapshot(self, index: int, term: int) -> None:
        """The second half of `save_snapshot`: from now on a start uses the snapshot."""
        self._wal_writer.mark(SnapshotMarker(index, term))
        kept = self._snapshots()[-self._limits.snapshots_kept :]
        # As far back as the snapshot before: if this one turns out damaged, that one serves.
        needed_from = next((name.index for name in kept[-2:-1]), 0) + 1
        wanted_from = max(1, index - self._limits.entries_kept + 1)
        markers = [SnapshotMarker(name.index, name.term) for name in kept]
        self._wal_writer.release(needed_from, (wanted_from, self._limits.segments_kept), markers)
        for name in self._snapshots()[: -len(kept)]:
            self._files.remove(self._snap / str(name))

    def last_snapshot(self) -> tuple[int, int, bytes] | None:
        """Read the newest snapshot that counts: its index, term and state."""
        marked = {SnapshotName(mark.index, mark.term) for mark in self._wal_writer.preamble.markers}
        for name in reversed(self._snapshots()):
            raw = self._read_snapshot(name) if name in marked else None
            if raw is not None:
                found = snapshot_file.decode(str(self._snap / str(name)), raw)
                return found.index, found.term, found.data
        return None

    def close(self) -> None:
        """Close the files and unlock the directory; harmless when nothing is open."""
        self._held.close()

    def _open(self, fresh: WalMetadata, check: Callable[[RecoveredState], None]) -> RecoveredState:
        files = self._files
        if not self.has_log and UNFINISHED in files.names(self._directory):
            finding = "no log: a restore or a recovery was cut short"
            raise DamagedLog(str(self._directory / UNFINISHED), 0, finding, FINISH)
        for directory in (self._wal.parent, self._wal, self._snap):
            files.make_directory(directory)
            for name in files.names(directory):
                if name.endswith(".tmp"):
                    files.remove(directory / name)
        if wal_writer.segments(files, self._wal):
            return self._recover(check)
        if snapshots := self._snapshots():
            finding = f"expected the log that goes with snapshot {snapshots[-1]}, found no segment"
            raise DamagedLog(str(self._wal), 0, finding, PUT_BACK)
        self._wal_writer.begin(fresh)
        return RecoveredState(fresh, None, HardState(), [], created=True)

    def _snapshots(self) -> list[SnapshotName]:
        parsed = map(SnapshotName.parse, self._files.names(self._snap))
        return sorted(name for name in parsed if name is not None)

    def _recover(self, check: Callable[[RecoveredState], None]) -> RecoveredState:
        replay, choice, raw = self._replayed()
        check(_recovered(replay, choice))
        segment_bytes = self._limits.segment_bytes
        repairs = (
            *set_aside(self._files, self._snap, choice),
            *repair_log_end(self._files, self._wal, replay, raw, segment_bytes),
        )
        self._resume(replay)
        return _recovered(replay, choice, repairs)

    def _replayed(self) -> tuple[WalReplay, snapshot_file.SnapshotChoice, bytes]:
        """Return the log, the snapshot to begin from, and the last segment's bytes."""
        replay, raw = WalReplay(), b""
        for name, raw in read_segments(self._files, self._wal):
            replay.segment(str(self._wal / str(name)), name, raw)
        replay.finish()
        choice = snapshot_file.choose(
            str(self._snap), replay.markers, replay.first, self._read_snapshot
        )
        return replay, choice, raw

    def _resume(self, replay: WalReplay) -> None:
        assert replay.metadata is not None
        assert replay.name is not None
        for orphan in snapshot_file.orphans(self._snapshots(), replay.markers):
            self._files.remove(self._snap / str(orphan))
        # A process that died between a rename and its sync left a name that a power cut can undo.
        self._files.sync_directory(self._wal)
        present = self._snapshots()
        kept = [mark for mark in replay.markers if SnapshotName(mark.index, mark.term) in present]
        preamble = SegmentPreamble(replay.metadata, replay.state, tuple(kept))
        self._wal_writer.resume(
            WalPosition(replay.name, replay.offset, replay.crc), preamble, replay.last
        )

    def _read_snapshot(self, name: SnapshotName) -> bytes | None:
        return self._files.read(self._snap / str(name))


def _recovered(
    replay: WalReplay, choice: snapshot_file.SnapshotChoice, repairs: tuple[Repair, ...] = ()
) -> RecoveredState:
    assert replay.metadata is not None
    state, at = replay.state, choice.snapshot.index if choice.snapshot else 0
    return RecoveredState(
        replay.metadata,
        choice.snapshot,
        HardState(state.term, state.vote, max(state.commit, at)),
        replay.entries[max(0, at + 1 - replay.first) :],
        repairs=repairs,
    )


def read_segments(files: FileSystem, directory: Path) -> Iterator[tuple[SegmentName, bytes]]:
    """Read a log's segments in order, one in memory at a time."""
    for name in wal_writer.segments(files, directory):
        yield name, files.read(directory / str(name)) or b""
