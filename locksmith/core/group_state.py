"""What the keys of one group say, put together for a page, a table and metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from coordinator.client.core.store_protocol import Entry
from daemonkit.core.samples import Sample
from locksmith.core import holder_status, keys, queue, records, semaphore
from locksmith.core.holder_status import Verdict
from locksmith.core.queue import Waiter
from locksmith.core.records import Failure, Heartbeat, HolderRecord, Pause, Ticket
from locksmith.core.semaphore import CorruptDocument, Semaphore


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a slot. `record` and `heartbeat` are None where nothing is known."""

    id: str
    record: HolderRecord | None
    heartbeat: Heartbeat | None

    @property
    def hostname(self) -> str:
        """The host's name as it last gave it; "" when unknown."""
        if self.heartbeat is not None:
            return self.heartbeat.hostname
        return self.record.host if self.record is not None else ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One group at one index. `corrupt` is why the semaphore cannot be read, or ""."""

    group: str
    exists: bool
    semaphore: Semaphore
    holders: tuple[Holder, ...] = ()
    hosts: tuple[str, ...] = ()
    corrupt: str = ""
    modified: int = 0
    waiters: tuple[Waiter, ...] = ()
    pauses: tuple[tuple[str, Pause], ...] = ()
    failures: tuple[tuple[str, Failure], ...] = ()

    def holder(self, name: str) -> Holder | None:
        """Return a holder by its id."""
        return next((holder for holder in self.holders if holder.id == name), None)

    def pauses_of(self, machine_id: str) -> tuple[str, ...]:
        """Return what stops a host of this group."""
        scopes = {"fleet", "group", machine_id}
        return tuple(
            f"{scope if scope in {'fleet', 'group'} else 'host'} by {pause.author}: {pause.reason}"
            + (f", until {pause.until}" if pause.until else "")
            for scope, pause in self.pauses
            if scope in scopes
        )


def build(entries: Mapping[str, Entry], group: str) -> Picture:
    """Read a group's picture from the files below `keys.PREFIX`."""
    stored = entries.get(keys.semaphore(group))
    if stored is None:
        return build_from(entries, group, semaphore.ABSENT, exists=False)
    try:
        now = build_from(entries, group, semaphore.decode(stored.value), exists=True)
        return replace(now, modified=stored.modified)
    except CorruptDocument as error:
        nothing = build_from(entries, group, Semaphore(max=0), exists=True)
        return replace(nothing, corrupt=str(error))


def build_from(
    entries: Mapping[str, Entry], group: str, found: Semaphore, *, exists: bool
) -> Picture:
    """Put the picture together from a semaphore that was read apart from the other keys."""
    return Picture(
        group,
        exists,
        found,
        tuple(_holder(entries, group, name) for name in found.holders),
        _hosts_of(entries, group),
        waiters=_waiters_of(entries, group),
        pauses=tuple(_pauses_of(entries, group)),
        failures=tuple(_below(entries, f"{keys.FAILURES}/{keys.segment(group)}", Failure)),
    )


def described(picture: Picture) -> dict[str, object]:
    """Return the picture as JSON shows it."""
    found = picture.semaphore
    return {
        "group": picture.group,
        "key": keys.semaphore(picture.group),
        "exists": picture.exists,
        "corrupt": picture.corrupt,
        "available": found.free,
        "max": found.max,
        "drift": found.drift,
        "holders": [_holder_described(holder) for holder in picture.holders],
        "queue": [waiter.id for waiter in picture.waiters],
        "pauses": [{"scope": scope, **_plain(pause)} for scope, pause in picture.pauses],
        "failures": [{"id": name, **_plain(failure)} for name, failure in picture.failures],
    }


def holder_samples(picture: Picture, now: datetime) -> Iterator[Sample]:
    """Yield how long each slot is held, and how many holders there are of each kind."""
    counts = dict.fromkeys(Verdict, 0)
    for holder in picture.holders:
        counts[holder_status.of(holder.record, holder.heartbeat, now)] += 1
        since = records.moment(holder.record.since) if holder.record else None
        if since is not None:
            labels = {"group": picture.group, "id": holder.id, "host": holder.hostname}
            text = "How long a slot has been held."
            age_s = max(0.0, (now - since).total_seconds())
            yield Sample("locksmith_slot_age_seconds", "gauge", text, age_s, labels)
    for kind, count in counts.items():
        labels = {"group": picture.group, "verdict": kind.value}
        text = "Holders by what became of them."
        yield Sample("locksmith_holders", "gauge", text, float(count), labels)


def samples(picture: Picture, machine_id: str) -> Iterator[Sample]:
    """Yield the picture's metrics; `machine_id` is the host that publishes them."""
    found, holders = picture.semaphore, picture.holders
    unknown = sum(holder.record is None for holder in holders)
    mine = any(holder.id == machine_id for holder in holders)
    paused = bool(picture.pauses_of(machine_id))
    numbers = (
        ("semaphore_slots", "Hosts that may hold a slot at once.", found.max),
        ("semaphore_available", "Slots nobody holds; below zero after a cut.", found.free),
        ("semaphore_holders", "Hosts that hold a slot.", len(holders)),
        ("semaphore_holders_unknown", "Holders without a record of ours.", unknown),
        ("semaphore_drift", "Stored free slots beyond what max and holders make.", found.drift),
        ("semaphore_corrupt", "1 when the key holds no semaphore.", bool(picture.corrupt)),
        ("semaphore_held", "1 when this host holds a slot.", mine),
        ("hosts", "Hosts of the group whose locksmithd is alive.", len(picture.hosts)),
        ("queue_waiters", "Hosts that wait for a slot.", len(picture.waiters)),
        ("failures", "Failures that count against the budget.", len(picture.failures)),
        ("paused", "1 while the fleet, the group or this host is paused.", paused),
    )
    labels = {"group": picture.group}
    for name, text, value in numbers:
        yield Sample(f"locksmith_{name}", "gauge", text, float(value), labels)


def _holder(entries: Mapping[str, Entry], group: str, name: str) -> Holder:
    return Holder(
        name,
        _at(entries, keys.holder(group, name), HolderRecord),
        _at(entries, keys.host(name), Heartbeat),
    )


def _hosts_of(entries: Mapping[str, Entry], group: str) -> tuple[str, ...]:
    """Return the machine-ids of the group's hosts that are alive."""
    beating = (
        (keys.last_name(key), records.decode(entry.value, Heartbeat))
        for key, entry in entries.items()
        if key.startswith(f"{keys.HOSTS}/")
    )
    return tuple(sorted(name for name, beat in beating if beat and beat.group == group))


def _waiters_of(entries: Mapping[str, Entry], group: str) -> tuple[Waiter, ...]:
    """Return who waits, first in the line first; the tickets of silent hosts do not count."""
    below = f"{keys.QUEUE}/{keys.segment(group)}/"
    found: list[Waiter] = []
    for key, entry in entries.items():
        if not key.startswith(below):
            continue
        name, ticket = keys.last_name(key), records.decode(entry.value, Ticket)
        if ticket is not None and keys.host(name) in entries:
            found.append(Waiter(name, ticket.priority, entry.created))
    return tuple(queue.in_order(found))


def _pauses_of(entries: Mapping[str, Entry], group: str) -> Iterator[tuple[str, Pause]]:
    """Yield each pause that concerns the group, with `fleet`, `group` or a host's id."""
    for scope, key in (("fleet", keys.PAUSED_FLEET), ("group", keys.paused_group(group))):
        if (pause := _at(entries, key, Pause)) is not None:
            yield scope, pause
    yield from _below(entries, f"{keys.PAUSES}/hosts", Pause)


def _below(
    entries: Mapping[str, Entry], prefix: str, kind: type[records.T]
) -> Iterator[tuple[str, records.T]]:
    for key, entry in entries.items():
        if key.startswith(f"{prefix}/"):
            record = records.decode(entry.value, kind)
            if record is not None:
                yield keys.last_name(key), record


def _plain(record: Pause | Failure) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _at(entries: Mapping[str, Entry], key: str, kind: type[records.T]) -> records.T | None:
    entry = entries.get(key)
    return None if entry is None else records.decode(entry.value, kind)


def _holder_described(holder: Holder) -> dict[str, object]:
    record = holder.record
    return {
        "id": holder.id,
        "hostname": holder.hostname,
        "known": record is not None,
        "phase": record.phase.value if record else "unknown",
        "since": record.since if record else "",
        "boot_id": record.boot_id if record else "",
        "reasons": list(record.reasons) if record else [],
        "deadline": record.deadline if record else "",
        "detail": record.detail if record else "",
        "alive": holder.heartbeat is not None,
    }
