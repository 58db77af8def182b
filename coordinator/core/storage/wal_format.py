"""The write-ahead log's format: records chained by checksums, in preallocated segments.

A record is a head of 16 bytes, a payload, and zeros up to a multiple of eight:

    crc u32 | before u32 | kind u8, length u24 | durable u32 | payload | zeros     little endian

1. `crc` is the CRC32C of everything after `before`, continued from `before`, and `before` is the
   `crc` of the previous record, across segments. So a record proves itself on its own, and
   all records up to it once the chain is followed.
2. `durable` is how far the segment was known to be synced when the record was encoded. A valid
   record proves that everything below its `durable` was on the disk: what is wrong below is damage,
   and what is wrong above may be a torn write (see torn_write).
3. No kind is 0, so preallocated zeros never look like a record.
4. A segment opens with CRC, METADATA, STATE and one SNAPSHOT for each snapshot file that is kept;
   they are synced before the segment gets its name. Older segments can be removed without loss.
5. An ENTRY at or below the last index replaces that entry and all after it (a new leader's).
   A SNAPSHOT that the log does not lead up to restarts the log after it.
6. A change of any of this is a new FORMAT_VERSION.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import assert_never

import google_crc32c
import msgspec

from coordinator.core.raft.entry import HardState, LogEntry

FORMAT_VERSION = 2
MAGIC = b"etc-wal\n"
ALIGNMENT = 8
# What 24 bits can say; requests end at 10 MiB, so no entry comes near.
PAYLOAD_BYTES_MAX = (1 << 24) - 1
# Beside the term and the index of an entry.
ENTRY_BYTES_MAX = PAYLOAD_BYTES_MAX - 16

HEAD = struct.Struct("<IIII")
SUMS = struct.Struct("<II")
_ENTRY = struct.Struct("<IIQQ")
_NUMBERS = struct.Struct("<QQ")
_STATE = struct.Struct("<QQQ")
_METADATA = struct.Struct("<QQI")
_OPENING = struct.Struct("<8sQQQI")
_PADDING = tuple(bytes(-length % ALIGNMENT) for length in range(ALIGNMENT))
_KIND_SHIFT = 24
_LENGTH_MASK = PAYLOAD_BYTES_MAX

extend: Callable[[int, bytes], int] = google_crc32c.extend


class RecordKind(IntEnum):
    """The record kinds as written."""

    METADATA = 1
    ENTRY = 2
    STATE = 3
    SNAPSHOT = 4
    CRC = 5


class WalMetadata(msgspec.Struct, frozen=True):
    """The member and the cluster that a log belongs to."""

    member: int
    cluster: int
    version: int = FORMAT_VERSION


class SnapshotMarker(msgspec.Struct, frozen=True):
    """Says that a snapshot up to `index` was synced before this record was written."""

    index: int
    term: int


class SegmentHeader(msgspec.Struct, frozen=True):
    """The CRC record: a segment's place in the log, and how long its opening records are.

    `crc` is the chain's checksum that the segment before ended with.
    """

    sequence: int
    first: int
    head_bytes: int
    crc: int


Record = WalMetadata | LogEntry | HardState | SnapshotMarker | SegmentHeader


class SegmentName(msgspec.Struct, frozen=True, order=True):
    """A segment's sequence number, and the index after the log's last when it was cut.

    Entries from `first` on are in no earlier segment; a lower one may be in this one.
    """

    sequence: int
    first: int

    def __str__(self) -> str:
        return f"{self.sequence:016x}-{self.first:016x}.wal"

    @classmethod
    def parse(cls, name: str) -> "SegmentName | None":
        """Return the parts of a segment's file name, None for any other file."""
        stem, dot, suffix = name.partition(".")
        if (dot, suffix) != (".", "wal") or len(stem) != 33 or stem[16] != "-":
            return None
        try:
            return cls(int(stem[:16], 16), int(stem[17:], 16))
        except ValueError:
            return None


def encode_entries(crc: int, entries: Iterable[LogEntry], durable: int = 0) -> tuple[int, bytes]:
    """Return the chain's checksum after these entries, and their records."""
    parts: list[bytes] = []
    append = parts.append
    for entry in entries:
        data = entry.data
        length = len(data) + 16
        assert length <= PAYLOAD_BYTES_MAX, f"entry {entry.index} has {len(data)} bytes"
        word = RecordKind.ENTRY << _KIND_SHIFT | length
        body = _ENTRY.pack(word, durable, entry.term, entry.index) + data + _PADDING[length & 7]
        before, crc = crc, extend(crc, body)
        append(SUMS.pack(crc, before))
        append(body)
    return crc, b"".join(parts)


def encode(crc: int, record: Record, durable: int = 0) -> tuple[int, bytes]:
    """Return the chain's checksum after this record, and the record."""
    match record:
        case LogEntry():
            return encode_entries(crc, [record], durable)
        case HardState(term, vote, commit):
            kind, payload = RecordKind.STATE, _STATE.pack(term, vote, commit)
        case SnapshotMarker(index, term):
            kind, payload = RecordKind.SNAPSHOT, _NUMBERS.pack(index, term)
        case WalMetadata(member, cluster, version):
            kind, payload = RecordKind.METADATA, _METADATA.pack(member, cluster, version)
        case SegmentHeader(sequence, first, head_bytes, before):
            kind = RecordKind.CRC
            payload = _OPENING.pack(MAGIC, sequence, first, head_bytes, before)
        case _:
            assert_never(record)
    word = kind << _KIND_SHIFT | len(payload)
    body = struct.pack("<II", word, durable) + payload + _PADDING[len(payload) & 7]
    after = extend(crc, body)
    return after, SUMS.pack(after, crc) + body


def encode_segment_start(
    crc: int, name: SegmentName, records: Iterable[Record]
) -> tuple[int, bytes]:
    """Return the chain's checksum after a new segment's opening records, and those records."""
    wanted = list(records)
    _, sized = _encode_all(crc, [SegmentHeader(name.sequence, name.first, 0, crc), *wanted])
    opening = SegmentHeader(name.sequence, name.first, len(sized), crc)
    return _encode_all(crc, [opening, *wanted])


def _encode_all(crc: int, records: Iterable[Record]) -> tuple[int, bytes]:
    parts = []
    for record in records:
        crc, part = encode(crc, record)
        parts.append(part)
    return crc, b"".join(parts)


class MalformedRecord(Exception):  # noqa: N818
    """A record has the right checksum, and is not one that this version writes."""


def record_end(raw: bytes, offset: int) -> int:
    """Return where the record at `offset` ends by its own length, or 0 if not within `raw`."""
    if offset + HEAD.size > len(raw):
        return 0
    _, _, word, _ = HEAD.unpack_from(raw, offset)
    end = offset + HEAD.size + (word & _LENGTH_MASK)
    end += -end % ALIGNMENT
    return end if end <= len(raw) else 0


def proves_itself(raw: bytes, offset: int) -> bool:
    """Return whether an intact record is at `offset`, regardless of the bytes before it."""
    crc, before, word, _ = HEAD.unpack_from(raw, offset)
    end = record_end(raw, offset)
    return bool(word >> _KIND_SHIFT and end) and extend(before, raw[offset + 8 : end]) == crc


class RecordReader:
    """The valid records of one segment, up to the first place that holds none.

    Iterate for (offset, record); afterwards `offset` and `crc` tell where and on which
    checksum the chain ended. Raises Malformed, with `offset` at the record.
    """

    def __init__(self, raw: bytes, crc: int) -> None:
        self.raw = raw
        self.crc = crc
        self.offset = 0

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        raw, limit = self.raw, len(self.raw) - HEAD.size
        while self.offset <= limit:
            offset = self.offset
            crc, before, word, _ = HEAD.unpack_from(raw, offset)
            length = word & _LENGTH_MASK
            end = offset + HEAD.size + length
            end += -end % ALIGNMENT
            kind = word >> _KIND_SHIFT
            if not kind or before != self.crc or end > len(raw):
                return
            if extend(before, raw[offset + 8 : end]) != crc:
                return
            record = _decode(kind, raw[offset + HEAD.size : offset + HEAD.size + length])
            self.offset, self.crc = end, crc
            yield offset, record


def chain_start(raw: bytes) -> int | None:
    """Return the checksum that a segment's first record continues, None if it is damaged."""
    if len(raw) < HEAD.size or not proves_itself(raw, 0):
        return None
    return int(HEAD.unpack_from(raw, 0)[1])


def _decode(kind: int, payload: bytes) -> Record:
    if kind == RecordKind.ENTRY and len(payload) >= 16:
        term, index = _NUMBERS.unpack_from(payload)
        return LogEntry(term, index, payload[16:])
    try:
        match kind:
            case RecordKind.STATE:
                return HardState(*_STATE.unpack(payload))
            case RecordKind.SNAPSHOT:
                return SnapshotMarker(*_NUMBERS.unpack(payload))
            case RecordKind.METADATA:
                return WalMetadata(*_METADATA.unpack(payload))
            case RecordKind.CRC:
                magic, sequence, first, head_bytes, crc = _OPENING.unpack(payload)
            case _:
                raise MalformedRecord(f"a record of the unknown kind {kind}")
    except struct.error as error:
        raise MalformedRecord(f"a record of kind {kind} with {len(payload)} bytes") from error
    if magic != MAGIC:
        raise MalformedRecord(f"an opening record with the mark {magic!r}")
    return SegmentHeader(sequence, first, head_bytes, crc)
