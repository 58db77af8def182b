"""The records beside the semaphore: holders and their phases, waiting hosts, heartbeats, events.

A host that acquires a slot for itself writes a holder record. A slot without a record was taken by
another program or by an operator, and locksmith never releases it by itself. All records are
advisory: the semaphore alone decides who holds a slot.
"""

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, TypeVar

import msgspec

T = TypeVar("T")


class Phase(Enum):
    """How far a holder has come with its reboot."""

    ACQUIRING = "acquiring"  # written before the semaphore, so it does not prove a slot
    HELD = "held"
    DRAINING = "draining"  # the hooks of pre-reboot.d run
    REBOOTING = "rebooting"  # the fence has confirmed the grant
    CHECKING = "checking"  # up again, health not yet confirmed
    FAILED = "failed"  # up again and unhealthy: the slot stays taken


class HolderRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """`host` acquired a slot in the boot `boot_id`, at `since` (RFC 3339, UTC).

    `token` is the index of the write that granted the slot; `by` is the program that acquired it;
    `deadline` is when the reboot must have happened; `failed_units` had failed before the reboot.
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


class FleetHost(msgspec.Struct, frozen=True):
    """What a fleet knows about a host; the other fields do not concern us."""

    host: str


def fleet_host(value: str) -> str:
    """Return the name of the host in a record, empty if it is none."""
    try:
        return msgspec.json.decode(value, type=FleetHost).host
    except (ValueError, RecursionError):
        return ""


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host whose locksmithd runs; the key expires when locksmithd stops.

    `reasons` say why the host needs a reboot, and `waits_for` what the reboot waits for. `reclaims`
    is false for a host that the store does not let release the slot of a lost one.
    """

    hostname: str
    boot_id: str
    group: str
    version: str
    reasons: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    reclaims: bool = True


class Ticket(msgspec.Struct, frozen=True, omit_defaults=True):
    """A position in a group's queue; within a priority, the key's created index is the order."""

    host: str
    boot_id: str
    since: str
    priority: int = 0


class Pause(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pause of reboots; with `until` the key also has a TTL."""

    reason: str
    author: str
    since: str
    until: str = ""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host that did not come back from its reboot, or came back unhealthy."""

    host: str
    boot_id: str
    at: str
    reason: str


class GroupEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a group's history."""

    at: str
    event: str
    id: str
    host: str = ""
    detail: str = ""
    author: str = ""
    seconds: float = 0.0


# Larger numbers are no counts of reboots: nobody may write one from which none can be counted on.
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class OrderedReboot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reboot that was ordered in the boot `boot_id`."""

    number: _Number
    boot_id: str
    at: str
    reasons: tuple[str, ...] = ()


class RebootRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host's reboots in a row, the oldest first; those up to `forgiven` do not count."""

    reboots: tuple[OrderedReboot, ...] = ()
    forgiven: _Number = 0


Record = HolderRecord | Heartbeat | Ticket | Pause | Failure | GroupEvent | RebootRow


class UnreadableRecord(ValueError):  # noqa: N818 - the message is read by an operator
    """The text is not a record that this version can read; the message says why."""


def encode(record: Record) -> str:
    """Return a record's JSON."""
    return msgspec.json.encode(record).decode()


def parse(text: str, kind: type[T]) -> T:
    """Return a record. Raises UnreadableRecord, for any other text: anybody may write the keys."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecord(str(error)) from None


def decode(text: str, kind: type[T]) -> T | None:
    """Return a record, or None if this version cannot read it."""
    try:
        return parse(text, kind)
    except UnreadableRecord:
        return None


def format_time(now: datetime) -> str:
    """Format an aware time for a record."""
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime | None:
    """Parse a record's time; None if it is not a time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
