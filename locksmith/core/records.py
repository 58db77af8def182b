"""What we keep beside the semaphore: who holds a slot and how far it came, who waits, who lives.

A holder record is written by the host that takes a slot for itself. A slot without one was
taken by another program or by hand, and nothing here gives it back unasked. All of it is
advice: the semaphore alone decides who has a slot.
"""

from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Phase(Enum):
    """How far a holder has come."""

    ACQUIRING = "acquiring"  # written before the semaphore: proves nothing
    HELD = "held"
    DRAINING = "draining"  # the hooks of pre-reboot.d run
    REBOOTING = "rebooting"  # the fence was passed
    CHECKING = "checking"  # up again, and not yet found healthy
    FAILED = "failed"  # up again and not healthy: the slot stays taken


class HolderRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """`host` took a slot in the boot `boot_id`, at `since` (RFC 3339, UTC).

    `token` is the index of the write that granted the slot; `by` the program that took it;
    `deadline` when the reboot should have happened; `failed_units` those that were broken before.
    """

    boot_id: str
    host: str
    since: str
    phase: Phase
    token: int = 0
    by: str = ""
    deadline: str = ""
    reasons: tuple[str, ...] = ()
    failed_units: tuple[str, ...] = ()
    detail: str = ""


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host whose locksmithd runs; the key's TTL tells when it no longer does.

    `reasons` say why it needs a reboot, `waits_for` what keeps it from one.
    """

    hostname: str
    boot_id: str
    group: str
    version: str
    reasons: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()


class Ticket(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in a group's queue; the key's created index is the order within a priority."""

    host: str
    boot_id: str
    since: str
    priority: int = 0


class Pause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody stopped reboots; with `until` the key has a TTL, too."""

    reason: str
    author: str
    since: str
    until: str = ""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host that did not come back healthy, or did not come back."""

    host: str
    boot_id: str
    at: str
    reason: str


class Happening(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a group's history."""

    at: str
    event: str
    id: str
    host: str = ""
    detail: str = ""
    author: str = ""
    seconds: float = 0.0


Record = HolderRecord | Heartbeat | Ticket | Pause | Failure | Happening


def encode(record: Record) -> str:
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


def moment(text: str) -> datetime | None:
    """Read a record's time; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
