"""The metrics of a group, and of this host's daemon, as samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from daemonkit.core.samples import Sample
from locksmith.core import holder_status, records
from locksmith.core.group_state import GroupState
from locksmith.core.holder_status import HolderStatus


def of_holders(state: GroupState, now: datetime) -> Iterator[Sample]:
    """Yield how long each slot has been held, and the number of holders with each status."""
    counts = dict.fromkeys(HolderStatus, 0)
    for holder in state.holders:
        counts[holder_status.classify(holder.record, holder.heartbeat, now)] += 1
        since = records.parse_time(holder.record.since) if holder.record else None
        if since is not None:
            labels = {"group": state.group, "id": holder.id, "host": holder.hostname}
            text = "How long a slot has been held."
            age_s = max(0.0, (now - since).total_seconds())
            yield Sample("locksmith_slot_age_seconds", "gauge", text, age_s, labels)
    for status, count in counts.items():
        labels = {"group": state.group, "status": status.value}
        text = "Holders by their status."
        yield Sample("locksmith_holders", "gauge", text, float(count), labels)


def of_group(state: GroupState, machine_id: str) -> Iterator[Sample]:
    """Yield the metrics of a group; `machine_id` is the host that publishes them."""
    found, holders = state.semaphore, state.holders
    unknown = sum(holder.record is None for holder in holders)
    mine = any(holder.id == machine_id for holder in holders)
    paused = bool(state.pauses_of(machine_id))
    numbers = (
        ("semaphore_slots", "The number of slots.", found.max),
        ("semaphore_available", "Free slots; negative after max was lowered.", found.free),
        ("semaphore_holders", "Holders of a slot.", len(holders)),
        ("semaphore_holders_unknown", "Holders without a record.", unknown),
        ("semaphore_drift", "Stored number of free slots minus the real number.", found.drift),
        ("semaphore_corrupt", "1 if the key does not hold a semaphore.", bool(state.corrupt)),
        ("semaphore_held", "1 if this host holds a slot.", mine),
        ("hosts", "Hosts of the group whose locksmithd is alive.", len(state.hosts)),
        ("queue_waiters", "Hosts in the wait queue.", len(state.waiters)),
        ("failures", "Failures that count against the failure budget.", len(state.failures)),
        ("records_unreadable", "Keys left out: they hold no record.", len(state.unreadable)),
        ("paused", "1 while the fleet, the group or this host is paused.", paused),
    )
    labels = {"group": state.group}
    for name, text, value in numbers:
        yield Sample(f"locksmith_{name}", "gauge", text, float(value), labels)


@dataclass(frozen=True, slots=True)
class DaemonNumbers:
    """What this host's daemon counts; each field is a metric."""

    mirror_connected: bool
    mirror_index: int
    heartbeat_ok: bool
    reboot_needed: bool
    reboots_in_a_row: int
    wait_seconds: float
    check_seconds: float
    slots_released: int
    grants: int
    reboots_ordered: int
    reboots_refused: int
    reboots_aborted: int
    webhooks_failed: int


_GAUGES = {
    "mirror_connected": "1 while the daemon follows the store's changes.",
    "mirror_index": "The index of the store up to which the daemon has followed it.",
    "heartbeat_ok": "1 while the heartbeat of this host is written.",
    "reboot_needed": "1 while this host needs a reboot.",
    "reboots_in_a_row": "Reboots of this host that did not end its need for one.",
    "wait_seconds": "How long this host waited for its last slot.",
    "check_seconds": "How long the last check after a reboot took.",
}
_COUNTERS = {
    "slots_released": "Slots of earlier boots that were released.",
    "grants": "Slots granted to this process.",
    "reboots_ordered": "Orders to reboot.",
    "reboots_refused": "Orders to reboot that were refused or had no effect.",
    "reboots_aborted": "Slots that were released without a reboot.",
    "webhooks_failed": "Events that a webhook did not accept.",
}


def of_daemon(numbers: DaemonNumbers) -> Iterator[Sample]:
    """Yield the metrics of this host's daemon."""
    for name, text in _GAUGES.items():
        yield Sample(f"locksmith_{name}", "gauge", text, float(getattr(numbers, name)))
    for name, text in _COUNTERS.items():
        yield Sample(f"locksmith_{name}_total", "counter", text, getattr(numbers, name))
