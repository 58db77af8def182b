"""What we keep beside the semaphore: who holds a slot since when, and which hosts are alive.

A holder record is written by the host that takes a slot for itself. A slot without one was
taken by another program or by hand, and nothing here gives it back unasked.
"""

from datetime import datetime
from enum import Enum
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Phase(Enum):
    """How far a holder has come."""

    ACQUIRING = "acquiring"  # written before the semaphore: proves nothing
    HELD = "held"


class HolderRecord(msgspec.Struct, frozen=True):
    """`host` took a slot in the boot `boot_id`, at `since` (RFC 3339, UTC)."""

    boot_id: str
    host: str
    since: str
    phase: Phase


class Heartbeat(msgspec.Struct, frozen=True):
    """A host whose locksmithd runs; the key's TTL tells when it no longer does."""

    hostname: str
    boot_id: str
    group: str
    version: str


def encode(record: HolderRecord | Heartbeat) -> str:
    """Return a record's JSON."""
    return msgspec.json.encode(record).decode()


def decode(text: str, kind: type[T]) -> T | None:
    """Read a record, or return None for one that this version does not understand."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def stamp(now: datetime) -> str:
    """Write an aware time for a record."""
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")
