"""A model of what a log must remember: the list of its records."""

from dataclasses import dataclass, field
from pathlib import Path

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.storage.wal_format import SnapshotMarker, WalMetadata
from coordinator.storage.data_dir import DataDir, RecoveredState, Retention
from coordinator.storage.file_system import FileSystem

ME = WalMetadata(member=0x8E9E05C52164694D, cluster=0xCDF818194E3A8C32)
SMALL = Retention(segment_bytes=1536, entries_kept=3, snapshots_kept=3)
HOME = Path("/data")


@dataclass
class Knowledge:
    """What a member knows after some of its records."""

    entries: dict[int, LogEntry] = field(default_factory=dict)
    state: HardState = field(default_factory=HardState)
    snapshot: int = 0

    def learn(self, record: LogEntry | HardState | SnapshotMarker) -> None:
        match record:
            case LogEntry(_, index, _):
                for later in [known for known in self.entries if known >= index]:
                    del self.entries[later]
                self.entries[index] = record
            case HardState():
                self.state = record
            case SnapshotMarker(index, term):
                mine = self.entries.get(index)
                if mine is None or mine.term != term:
                    self.entries = {}
                self.snapshot = max(self.snapshot, index)

    def seen(self) -> tuple[int, HardState, list[LogEntry]]:
        """Return what `remembered` returns for a member that knows this."""
        behind = [self.entries[i] for i in sorted(self.entries) if i > self.snapshot]
        commit = max(self.state.commit, self.snapshot)
        return self.snapshot, HardState(self.state.term, self.state.vote, commit), behind


def remembered(recovered: RecoveredState) -> tuple[int, HardState, list[LogEntry]]:
    snapshot = recovered.snapshot
    if snapshot is not None:
        assert snapshot.data == state_as_of(snapshot.index)
    return snapshot.index if snapshot else 0, recovered.hard_state, recovered.entries


def state_as_of(index: int) -> bytes:
    """Return the bytes of this suite's snapshot of an index."""
    return b"state %d " % index * 40


class ModelMember:
    """A disk and the records it was given, in order; `synced` of them are safe."""

    def __init__(self, files: FileSystem, limits: Retention = SMALL) -> None:
        self.records: list[LogEntry | HardState | SnapshotMarker] = []
        self.synced = 0
        self.index = 0
        self.term = 1
        self.commits = 1  # entries that each append commits
        self.disk = DataDir(HOME, limits, files)

    def open(self) -> RecoveredState:
        return self.disk.open(ME)

    def append(self, sizes: list[int], *, back: int = 0) -> None:
        """Append entries of these sizes; `back`: replace that many, as a new leader does."""
        if back:
            self.term += 1
            self.index -= min(back, self.index - self.committed)
        first = self.index + 1
        batch = [
            LogEntry(self.term, first + i, bytes([first % 251]) * size)
            for i, size in enumerate(sizes)
        ]
        state = HardState(self.term, 7, min(self.index, self.committed + self.commits))
        self.records += [*batch, state]
        self.index += len(sizes)
        self.disk.append(batch, state)

    def sync(self) -> None:
        self.disk.sync()
        self.synced = len(self.records)

    def snapshot(self) -> None:
        """Keep a snapshot of what is committed."""
        self.sync()
        index = self.committed
        if index <= self.known().snapshot:
            return
        term = self.known().entries[index].term
        self.records.append(SnapshotMarker(index, term))
        self.disk.save_snapshot(index, term, state_as_of(index))
        self.synced = len(self.records)

    def install(self, ahead: int) -> None:
        """Keep a snapshot that a leader sent, of an index that the log does not reach."""
        self.sync()
        self.term += 1
        self.index += ahead
        self.records.append(SnapshotMarker(self.index, self.term))
        self.disk.save_snapshot(self.index, self.term, state_as_of(self.index))
        self.synced = len(self.records)

    @property
    def committed(self) -> int:
        return self.known().seen()[1].commit

    def known(self, count: int | None = None) -> Knowledge:
        knowledge = Knowledge()
        for record in self.records[:count]:
            knowledge.learn(record)
        return knowledge

    def may_remember(self) -> list[tuple[int, HardState, list[LogEntry]]]:
        """Return every state that a restart may find: all that is synced, and maybe more."""
        return [self.known(n).seen() for n in range(self.synced, len(self.records) + 1)]
