"""Writes the log: to one open segment, and to the next one when it is full.

The order of the steps makes it safe. A segment is complete and synced before it gets its name, and
the name is synced before the first record is written. Old segments are removed from the oldest on,
and each removal is synced. So a crash between any two steps leaves a log without holes.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Lock

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.storage import wal_format
from coordinator.core.storage.wal_format import Record, SegmentName, SnapshotMarker, WalMetadata
from coordinator.storage.file_system import FileSystem, fill

SPARE = "spare.tmp"


@dataclass(frozen=True, slots=True)
class WalPosition:
    """Where the next record goes: in the last segment, after the last record."""

    name: SegmentName
    offset: int
    crc: int


@dataclass(frozen=True, slots=True)
class SegmentPreamble:
    """What each new segment begins with."""

    metadata: WalMetadata
    state: HardState
    markers: tuple[SnapshotMarker, ...]

    def records(self) -> list[Record]:
        return [self.metadata, self.state, *self.markers]


class WalWriter:
    """Appends records to the last segment of `directory`.

    A failed write or sync is final: what the disk holds is unknown from then on, and a second
    fsync may report success for pages that are lost. Every later call raises the same error.
    `prepare` may run on another thread; all else on one.
    """

    def __init__(self, files: FileSystem, directory: Path, segment_bytes: int) -> None:
        self.last = 0
        self._files = files
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._spare_lock = Lock()
        self._spare_ready = False
        self._failure: OSError | None = None

    def begin(self, metadata: WalMetadata) -> None:
        """Make the first segment of a new log."""
        self.preamble = SegmentPreamble(metadata, HardState(), ())
        self._start_segment(SegmentName(0, 1), 0)

    def resume(self, place: WalPosition, preamble: SegmentPreamble, last: int) -> None:
        """Go on after the last record of an existing segment; `last` is the last index."""
        self.preamble, self.last = preamble, last
        self._name, self._crc = place.name, place.crc
        self._offset = self._synced = place.offset
        self._file = self._files.open(self._directory / str(place.name))
        with self._final():
            # The process before may have died between its write and its sync.
            self._file.sync()

    def append(self, entries: Sequence[LogEntry], state: HardState | None) -> None:
        """Write entries and then the hard state, unsynced, in one write."""
        self._write(entries, [] if state is None else [state])
        if entries:
            self.last = entries[-1].index
        if state is not None:
            self.preamble = replace(self.preamble, state=state)

    def mark(self, marker: SnapshotMarker) -> None:
        """Write the marker of a snapshot whose file is safe, and sync."""
        self._write([], [marker])
        self.sync()
        self.last = max(self.last, marker.index)
        self.preamble = replace(self.preamble, markers=(*self.preamble.markers, marker))

    def sync(self) -> None:
        """Return when all that was appended is safe from a power cut."""
        with self._final():
            if self._synced != self._offset:
                self._file.sync()
                self._synced = self._offset

    @property
    def wants_prepare(self) -> bool:
        """Whether the segment is half full and its successor is not prepared."""
        return self._offset * 2 > self._segment_bytes and not self._spare_ready

    def prepare(self) -> None:
        """Fill the next segment with zeros ahead of its need, which takes a while."""
        with self._final(), self._spare_lock:
            self._fill_spare()

    def release(
        self, needed_from: int, wanted: tuple[int, int], markers: Iterable[SnapshotMarker]
    ) -> None:
        """Remove the segments before entry `needed_from`; new segments repeat only `markers`.

        Those from the first entry of `wanted` on stay too, if they are among its last segments.
        """
        wanted_from, segments_kept = wanted
        self.preamble = replace(self.preamble, markers=tuple(markers))
        found = segments(self._files, self._directory)
        with self._final():
            for place, (old, following) in enumerate(pairwise(found)):
                is_wanted = following.first > wanted_from and len(found) - place <= segments_kept
                if following.first > needed_from or is_wanted:
                    return
                self._files.remove(self._directory / str(old))
                self._files.sync_directory(self._directory)

    def close(self) -> None:
        """Close the file; what was not synced may be lost."""
        self._file.close()

    def _write(self, entries: Sequence[LogEntry], others: Sequence[Record]) -> None:
        with self._final():
            crc, data = self._encode(entries, others)
            if self._offset + len(data) > self._segment_bytes:
                self._cut()
                crc, data = self._encode(entries, others)
            self._file.write_at(self._offset, data)
            self._offset += len(data)
            self._crc = crc

    def _encode(self, entries: Sequence[LogEntry], others: Sequence[Record]) -> tuple[int, bytes]:
        crc, data = wal_format.encode_entries(self._crc, entries, self._synced)
        for record in others:
            crc, part = wal_format.encode(crc, record, self._synced)
            data += part
        return crc, data

    def _cut(self) -> None:
        full = self._file
        full.sync()
        # Not the first entry to come: that one may replace older ones, and never arrive.
        self._start_segment(SegmentName(self._name.sequence + 1, self.last + 1), self._crc)
        full.close()

    def _start_segment(self, name: SegmentName, crc: int) -> None:
        after, head = wal_format.encode_segment_start(crc, name, self.preamble.records())
        with self._spare_lock:
            self._fill_spare()
            file = self._files.open(self._directory / SPARE)
            file.write_at(0, head)
            file.sync()
            self._files.rename(self._directory / SPARE, self._directory / str(name))
            self._files.sync_directory(self._directory)
            self._spare_ready = False
        self._name, self._file, self._crc = name, file, after
        self._offset = self._synced = len(head)

    def _fill_spare(self) -> None:
        """Zeros on the disk make a later fdatasync half as long as one that grows the file."""
        if self._spare_ready:
            return
        with closing(self._files.create(self._directory / SPARE)) as file:
            fill(file, 0, self._segment_bytes)
            file.sync()
        self._spare_ready = True

    @contextmanager
    def _final(self) -> Iterator[None]:
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except OSError as error:
            self._failure = error
            raise


def segments(files: FileSystem, directory: Path) -> list[SegmentName]:
    """Return the segments of a log in order."""
    parsed = map(SegmentName.parse, files.names(directory))
    return sorted(name for name in parsed if name is not None)
