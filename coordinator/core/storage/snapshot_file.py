"""Snapshot files: their format, whether one is intact, and which one to start from.

A file has a head (magic, version, index, term, length), the state as the replica encoded it, and
the CRC32C of both, little endian. Only a snapshot with a marker in the log counts: the marker is
written after the file is safe, so a file without a marker may be incomplete.
"""

import struct
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import msgspec

from coordinator.core.storage.storage_errors import (
    NEWER,
    DamagedLog,
    DamagedSnapshot,
    UnknownFormat,
)
from coordinator.core.storage.wal_format import SnapshotMarker, extend

FORMAT_VERSION = 1
MAGIC = b"etc-snap"
_HEAD = struct.Struct("<8sIIQQQ")
_FOOTER = struct.Struct("<I")


class SnapshotName(msgspec.Struct, frozen=True, order=True):
    """The last entry that a snapshot file contains; files sort by index."""

    index: int
    term: int

    def __str__(self) -> str:
        return f"{self.index:016x}-{self.term:016x}.snap"

    @classmethod
    def parse(cls, name: str) -> "SnapshotName | None":
        """Return the parts of a snapshot's file name, None for any other file."""
        stem, dot, suffix = name.partition(".")
        if (dot, suffix) != (".", "snap") or len(stem) != 33 or stem[16] != "-":
            return None
        try:
            return cls(int(stem[:16], 16), int(stem[17:], 16))
        except ValueError:
            return None


class Snapshot(msgspec.Struct, frozen=True):
    """The whole state as of one entry."""

    index: int
    term: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SnapshotChoice:
    """The snapshot to start from (None: replay the log from its beginning), and those refused."""

    snapshot: Snapshot | None
    refused: tuple[DamagedSnapshot, ...]


def encode(snapshot: Snapshot) -> tuple[bytes, bytes, bytes]:
    """Return the parts of the snapshot's file, to be written one after the other."""
    data = snapshot.data
    head = _HEAD.pack(MAGIC, FORMAT_VERSION, 0, snapshot.index, snapshot.term, len(data))
    return head, data, _FOOTER.pack(extend(extend(0, head), data))


def decode(path: str, raw: bytes) -> Snapshot:
    """Return the snapshot that a file holds. Raises DamagedSnapshot, UnknownFormat."""
    if len(raw) < _HEAD.size + _FOOTER.size:
        raise DamagedSnapshot(path, len(raw), "the file is shorter than the smallest snapshot")
    magic, version, _, index, term, length = _HEAD.unpack_from(raw)
    if magic != MAGIC:
        raise DamagedSnapshot(path, 0, f"expected the mark {MAGIC!r}, found {magic!r}")
    end = len(raw) - _FOOTER.size
    if length != end - _HEAD.size:
        finding = f"expected {length} bytes of state, found {end - _HEAD.size}"
        raise DamagedSnapshot(path, _HEAD.size, finding)
    expected, found = _FOOTER.unpack_from(raw, end)[0], extend(0, raw[:end])
    if expected != found:
        finding = f"expected the checksum {expected:08x}, found {found:08x}"
        raise DamagedSnapshot(path, end, finding)
    if version != FORMAT_VERSION:
        finding = f"format version {version}, and this program knows {FORMAT_VERSION}"
        raise UnknownFormat(path, len(MAGIC), finding, NEWER)
    return Snapshot(index, term, raw[_HEAD.size : end])


def choose(
    directory: str,
    markers: Iterable[SnapshotMarker],
    first: int,
    read: Callable[[SnapshotName], bytes | None],
) -> SnapshotChoice:
    """Return the newest intact snapshot that the log continues; the log begins at entry `first`.

    `read` returns a snapshot file, None when there is no such file. Raises Damaged when
    no start would have all that was acknowledged.
    """
    refused: list[DamagedSnapshot] = []
    for name in sorted({SnapshotName(marker.index, marker.term) for marker in markers})[::-1]:
        path = f"{directory}/{name}"
        if name.index + 1 < first:
            break
        raw = read(name)
        try:
            if raw is None:
                raise DamagedSnapshot(path, 0, "the log names this snapshot; the file is missing")
            snapshot = decode(path, raw)
            if (snapshot.index, snapshot.term) != (name.index, name.term):
                finding = f"found the snapshot of {snapshot.index} in term {snapshot.term}"
                raise DamagedSnapshot(path, 16, finding)
        except DamagedSnapshot as damaged:
            refused.append(damaged)
        else:
            return SnapshotChoice(snapshot, tuple(refused))
    if first > 1:
        if refused:
            raise refused[0]
        finding = f"the log begins at entry {first}, and no snapshot leads up to it"
        raise DamagedLog(directory, 0, finding)
    return SnapshotChoice(None, tuple(refused))


def orphans(
    present: Collection[SnapshotName], markers: Iterable[SnapshotMarker]
) -> list[SnapshotName]:
    """Return the snapshot files that have no marker."""
    marked = {SnapshotName(marker.index, marker.term) for marker in markers}
    return sorted(name for name in present if name not in marked)
