"""Rebuilds a member's log and hard state from its segments: bytes in, state out.

Give it the segments in order, then call `finish`. Only the last segment may end in a torn write. An
earlier one was synced before the next one was begun, so its chain of checksums must continue in the
next segment's header. Anything else raises DamagedLog.
"""

from typing import assert_never

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.storage import torn_write, wal_format
from coordinator.core.storage.storage_errors import NEWER, REBUILD, DamagedLog, UnknownFormat
from coordinator.core.storage.wal_format import (
    FORMAT_VERSION,
    SegmentHeader,
    SegmentName,
    SnapshotMarker,
    WalMetadata,
)

FOREIGN = "check that --data-dir names a directory of this program; if it does, " + REBUILD
PUT_BACK = "put the file back if it was moved; otherwise " + REBUILD


class WalReplay:
    """The log after the segments that were read so far.

    `offset` and `crc` are where the records of the last segment, `name`, end, and `log_end` says
    what stands there.
    """

    def __init__(self) -> None:
        self.metadata: WalMetadata | None = None
        self.state = HardState()
        self.markers: list[SnapshotMarker] = []
        self.entries: list[LogEntry] = []
        self.first = 1
        self.offset = 0
        self.crc = 0
        self.log_end: torn_write.LogEnd = torn_write.CleanEnd()
        self._path = ""
        self.name: SegmentName | None = None
        self._head_bytes = 0

    @property
    def last(self) -> int:
        """The index of the last entry, or the one that the next entry follows."""
        return self.first + len(self.entries) - 1

    def segment(self, path: str, name: SegmentName, raw: bytes) -> None:
        """Read the next segment."""
        crc = self._link(path, name, raw)
        self._path, self.name, self._head_bytes = path, name, 0
        records = wal_format.RecordReader(raw, crc)
        try:
            for offset, record in records:
                self._take(offset, record)
        except wal_format.MalformedRecord as malformed:
            raise UnknownFormat(path, records.offset, f"found {malformed}", NEWER) from malformed
        self.offset, self.crc = records.offset, records.crc
        if self._head_bytes == 0:
            raise DamagedLog(path, 0, f"expected the opening record of segment {name}", FOREIGN)
        self.log_end = torn_write.classify(raw, self.offset, self.crc, self._head_bytes)
        if isinstance(self.log_end, torn_write.Corruption):
            raise DamagedLog(path, self.offset, self.log_end.finding)

    def finish(self) -> None:
        """Check what only the whole log can show."""
        if self.metadata is None:
            raise DamagedLog(self._path, self.offset, "expected a METADATA record in the log")
        if self.state.commit > self.last:
            finding = f"index {self.state.commit} is committed, and the log ends at {self.last}"
            raise DamagedLog(self._path, self.offset, finding)

    def _link(self, path: str, name: SegmentName, raw: bytes) -> int:
        """Return the checksum that the segment must continue."""
        start = wal_format.chain_start(raw)
        if start is None:
            raise DamagedLog(path, 0, f"expected the opening record of segment {name}", FOREIGN)
        if self.name is None:
            return start
        if name.sequence != self.name.sequence + 1:
            finding = f"expected segment {self.name.sequence + 1:016x} before this one"
            raise DamagedLog(path, 0, finding, PUT_BACK)
        if start != self.crc:
            finding = (
                f"the records end here with checksum {self.crc:08x}, and the next segment, "
                f"{name}, continues {start:08x}"
            )
            raise DamagedLog(self._path, self.offset, finding)
        return start

    def _take(self, offset: int, record: wal_format.Record) -> None:
        match record:
            case LogEntry():
                self._append(offset, record)
            case HardState():
                self.state = record
            case SnapshotMarker():
                if record not in self.markers:
                    self.markers.append(record)
                self._start_behind(record)
            case WalMetadata():
                self._identify(offset, record)
            case SegmentHeader():
                self._open(offset, record)
            case _:
                assert_never(record)

    def _append(self, offset: int, entry: LogEntry) -> None:
        place = entry.index - self.first
        if place == len(self.entries):
            self.entries.append(entry)
        elif place > len(self.entries):
            finding = f"expected entry {self.last + 1} or lower, found entry {entry.index}"
            raise DamagedLog(self._path, offset, finding)
        elif place >= 0:
            self.entries[place:] = [entry]
        else:
            self.first, self.entries = entry.index, [entry]

    def _start_behind(self, marker: SnapshotMarker) -> None:
        """Drop a log that does not lead up to the snapshot: another member sent that."""
        place = marker.index - self.first
        if marker.index > self.last or (place >= 0 and self.entries[place].term != marker.term):
            self.first, self.entries = marker.index + 1, []

    def _identify(self, offset: int, metadata: WalMetadata) -> None:
        if metadata.version != FORMAT_VERSION:
            finding = f"format version {metadata.version}, and this program knows {FORMAT_VERSION}"
            raise UnknownFormat(self._path, offset, finding, NEWER)
        if self.metadata not in (None, metadata):
            finding = f"expected the log of {self.metadata}, found that of {metadata}"
            raise DamagedLog(self._path, offset, finding, PUT_BACK)
        self.metadata = metadata

    def _open(self, offset: int, opening: SegmentHeader) -> None:
        found = SegmentName(opening.sequence, opening.first)
        if offset or found != self.name:
            finding = f"expected segment {self.name}, found the opening record of {found}"
            raise DamagedLog(self._path, offset, finding, PUT_BACK)
        self._head_bytes = opening.head_bytes
        if self.metadata is None:
            self.first = opening.first
