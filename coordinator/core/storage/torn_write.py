"""Tells a torn write, which a power cut has cut short, from damage to bytes that were synced.

The chain of records in the last segment ends somewhere. What is there decides:

* the segment's opening records are not complete: damage, they were synced before it got its name;
* only zeros to the end of the file: the log ends here;
* a later, intact record says that this place had been synced before: damage;
* one flipped bit, put right, would make the record at this place valid: damage. A torn write
  passes for that with a chance of (bits of the record) / 2^32;
* a record whose head continues the chain, without an unwritten (zero) part, and the checksum does
  not fit: damage, it was written in full;
* anything else: a torn write. It was never synced as a whole, so it was never acknowledged.

Tried and dropped: to call every intact record further on a proof of damage. The sectors of one
unsynced write reach the disk in any order, so one of its later records may be intact behind a
hole, and a member would refuse to start after a plain power cut.
"""

import re
from dataclasses import dataclass

from coordinator.core.storage import wal_format

SECTOR_BYTES = 512
CASTAGNOLI_REFLECTED = 0x82F63B78
# Longer records pass the one-bit test by chance too often (here once in 500 torn writes), and
# the search takes a second.
ONE_BIT_BYTES_MAX = 1 << 20
_CHUNK_BYTES = 1 << 16
_ZEROS = bytes(_CHUNK_BYTES)
_WRITTEN = re.compile(rb"[^\0]")


@dataclass(frozen=True, slots=True)
class CleanEnd:
    """Nothing was written from here on."""


@dataclass(frozen=True, slots=True)
class TornWrite:
    """An unsynced write fills the file up to `until`."""

    until: int


@dataclass(frozen=True, slots=True)
class Corruption:
    """Bytes that were synced have changed."""

    finding: str


LogEnd = CleanEnd | TornWrite | Corruption


def classify(raw: bytes, offset: int, crc: int, head_bytes: int) -> LogEnd:
    """Say what is at `offset`, where the chain ended with the checksum `crc`.

    `head_bytes` is the length of the segment's opening records.
    """
    if offset < head_bytes:
        return Corruption(f"the segment's opening records should reach to byte {head_bytes}")
    until = written_until(raw, offset)
    if until == offset:
        return CleanEnd()
    if later_record := _later_record(raw, offset, until):
        return Corruption(
            f"expected a record that continues checksum {crc:08x}; the intact record at byte "
            f"{later_record} was written after this place had been synced"
        )
    if one_bit_off(raw, offset, crc):
        return Corruption("one flipped bit in the last synced write")
    if _written_in_full(raw, offset, crc):
        return Corruption("a record was written in full, and its checksum does not fit it")
    return TornWrite(until)


def written_until(raw: bytes, start: int) -> int:
    """Return the end of what is not zero in `raw` from `start` on; `start` if all is."""
    end = len(raw)
    while end - start >= _CHUNK_BYTES and raw[end - _CHUNK_BYTES : end] == _ZEROS:
        end -= _CHUNK_BYTES
    chunk_start = max(start, end - _CHUNK_BYTES)
    return chunk_start + len(raw[chunk_start:end].rstrip(b"\0"))


def _later_record(raw: bytes, offset: int, until: int) -> int:
    """Return the place of a later record that knows `offset` to be synced, or 0."""
    candidate = offset
    while (found := _WRITTEN.search(raw, candidate, until)) is not None:
        candidate = max(
            offset + wal_format.ALIGNMENT,
            found.start() // wal_format.ALIGNMENT * wal_format.ALIGNMENT,
        )
        if candidate + wal_format.HEAD.size > len(raw):
            return 0
        durable = wal_format.HEAD.unpack_from(raw, candidate)[3]
        if offset < durable <= candidate and wal_format.proves_itself(raw, candidate):
            return candidate
        candidate += wal_format.ALIGNMENT
    return 0


def one_bit_off(raw: bytes, offset: int, crc: int) -> bool:
    """Return whether the record at `offset` would continue `crc` with one of its bits flipped."""
    if offset + wal_format.HEAD.size > len(raw):
        return False
    for bit in range(8 * 3):  # the bits of the length
        at = offset + 8 + bit // 8
        mended = raw[at] ^ 1 << bit % 8
        head = raw[offset:at] + bytes([mended]) + raw[at + 1 : offset + wal_format.HEAD.size]
        length = int.from_bytes(head[8:11], "little")
        size = wal_format.HEAD.size + length + -length % wal_format.ALIGNMENT
        if offset + size > len(raw):
            continue
        record = head + raw[offset + wal_format.HEAD.size : offset + size]
        if _continues(record, crc):
            return True
    end = wal_format.record_end(raw, offset)
    return bool(end) and _content_one_bit_off(raw[offset:end], crc)


def _continues(record: bytes, crc: int) -> bool:
    own, before = wal_format.SUMS.unpack_from(record)
    return bool(record[11] and before == crc and wal_format.extend(crc, record[8:]) == own)


def _content_one_bit_off(record: bytes, crc: int) -> bool:
    own, before, word, _ = wal_format.HEAD.unpack_from(record)
    difference = wal_format.extend(crc, record[8:]) ^ own
    if difference == 0:
        return bool(word)  # then `before` is what is wrong
    if before != crc or len(record) > ONE_BIT_BYTES_MAX:
        return False
    return difference.bit_count() == 1 or _is_one_flip(difference, 8 * (len(record) - 8))


def _is_one_flip(difference: int, bits: int) -> bool:
    """Return whether one of the last `bits` bits, flipped, changes a CRC32C by `difference`.

    The checksum is linear: the last bit changes it by the polynomial, and each bit in front by
    one more step of the shift register.
    """
    change = CASTAGNOLI_REFLECTED
    for _ in range(bits):
        if change == difference:
            return True
        change = change >> 1 ^ (CASTAGNOLI_REFLECTED if change & 1 else 0)
    return False


def _written_in_full(raw: bytes, offset: int, crc: int) -> bool:
    end = wal_format.record_end(raw, offset)
    if not end:
        return False
    _, before, word, durable = wal_format.HEAD.unpack_from(raw, offset)
    if before != crc or word >> 24 not in tuple(wal_format.RecordKind) or durable > offset:
        return False
    sectors = range(offset // SECTOR_BYTES * SECTOR_BYTES, end, SECTOR_BYTES)
    parts = [raw[max(start, offset) : min(start + SECTOR_BYTES, end)] for start in sectors]
    return any(raw[end - wal_format.ALIGNMENT : end]) and all(any(part) for part in parts)
