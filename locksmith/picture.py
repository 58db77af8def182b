"""What the keys of one group say, put together for a page, a table and metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from coordinator.client.store import Entry
from daemonkit.metrics import Sample
from locksmith import keys, records, semaphore
from locksmith.records import Heartbeat, HolderRecord
from locksmith.semaphore import CorruptDocument, Semaphore


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


def build(entries: Mapping[str, Entry], group: str) -> Picture:
    """Read a group's picture from the files below `keys.PREFIX`."""
    stored = entries.get(keys.semaphore(group))
    if stored is None:
        return build_from(entries, group, semaphore.ABSENT, exists=False)
    try:
        return build_from(entries, group, semaphore.decode(stored.value), exists=True)
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
    }


def samples(picture: Picture, machine_id: str) -> Iterator[Sample]:
    """Yield the picture's metrics; `machine_id` is the host that publishes them."""
    found, holders = picture.semaphore, picture.holders
    unknown = sum(holder.record is None for holder in holders)
    mine = any(holder.id == machine_id for holder in holders)
    numbers = (
        ("semaphore_slots", "Hosts that may hold a slot at once.", found.max),
        ("semaphore_available", "Slots nobody holds; below zero after a cut.", found.free),
        ("semaphore_holders", "Hosts that hold a slot.", len(holders)),
        ("semaphore_holders_unknown", "Holders without a record of ours.", unknown),
        ("semaphore_drift", "Stored free slots beyond what max and holders make.", found.drift),
        ("semaphore_corrupt", "1 when the key holds no semaphore.", bool(picture.corrupt)),
        ("semaphore_held", "1 when this host holds a slot.", mine),
        ("hosts", "Hosts of the group whose locksmithd is alive.", len(picture.hosts)),
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
        "alive": holder.heartbeat is not None,
    }
