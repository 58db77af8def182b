"""The state of one group: its semaphore, holders, hosts, wait queue, pauses and failures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from coordinator.client.core.store_protocol import Entry
from locksmith.core import keys, queue, records, semaphore
from locksmith.core.queue import Waiter
from locksmith.core.records import (
    Failure,
    Heartbeat,
    HolderRecord,
    Pause,
    Ticket,
    UnreadableRecord,
)
from locksmith.core.semaphore import CorruptSemaphoreText, Semaphore


@dataclass(frozen=True, slots=True)
class Holder:
    """A holder of a slot; `record` and `heartbeat` are None if there is none."""

    id: str
    record: HolderRecord | None
    heartbeat: Heartbeat | None

    @property
    def hostname(self) -> str:
        """The host name that the holder last published; "" if unknown."""
        if self.heartbeat is not None:
            return self.heartbeat.hostname
        return self.record.host if self.record is not None else ""

    @property
    def shown_phase(self) -> str:
        """The phase of the holder, as commands show it."""
        return self.record.phase.value if self.record else "holds a slot"


@dataclass(frozen=True, slots=True)
class GroupState:
    """One group at one index. `corrupt` is why the semaphore cannot be parsed, or ""."""

    group: str
    exists: bool
    semaphore: Semaphore
    holders: tuple[Holder, ...] = ()
    hosts: tuple[str, ...] = ()
    reclaimers: tuple[str, ...] = ()  # those of the hosts that may release the slots of lost ones
    corrupt: str = ""
    modified: int = 0
    waiters: tuple[Waiter, ...] = ()
    pauses: tuple[tuple[str, Pause], ...] = ()
    failures: tuple[tuple[str, Failure], ...] = ()
    store_member: str = ""  # the host with a member of the store that may reboot now
    unreadable: tuple[tuple[str, str], ...] = ()  # keys whose record is left out, and why

    def holder(self, name: str) -> Holder | None:
        """Return the holder with this id."""
        return next((holder for holder in self.holders if holder.id == name), None)

    def pauses_of(self, machine_id: str) -> tuple[str, ...]:
        """Return the pauses that apply to a host of this group."""
        scopes = {"fleet", "group", machine_id}
        return tuple(
            f"{scope if scope in {'fleet', 'group'} else 'host'} by {pause.author}: {pause.reason}"
            + (f", until {pause.until}" if pause.until else "")
            for scope, pause in self.pauses
            if scope in scopes
        )


def build(entries: Mapping[str, Entry], group: str) -> GroupState:
    """Build a group's state from all entries below `keys.PREFIX`."""
    stored = entries.get(keys.semaphore(group))
    if stored is None:
        return build_from(entries, group, semaphore.ABSENT, exists=False)
    try:
        now = build_from(entries, group, semaphore.decode(stored.value), exists=True)
        return replace(now, modified=stored.modified)
    except CorruptSemaphoreText as error:
        nothing = build_from(entries, group, Semaphore(max=0), exists=True)
        return replace(nothing, corrupt=str(error))


def build_from(
    entries: Mapping[str, Entry], group: str, found: Semaphore, *, exists: bool
) -> GroupState:
    """Build a group's state from a semaphore that was read separately from the other keys."""
    reader = _Reader(entries)
    return GroupState(
        group,
        exists,
        found,
        tuple(_holder(reader, group, name) for name in found.holders),
        _hosts_of(reader, group),
        _hosts_of(reader, group, only_reclaimers=True),
        waiters=_waiters_of(reader, group),
        pauses=tuple(_pauses_of(reader, group)),
        failures=_failures_of(reader, group),
        store_member=entries[keys.STORE_MEMBER].value if keys.STORE_MEMBER in entries else "",
        unreadable=tuple(sorted(reader.unreadable.items())),
    )


def as_json(state: GroupState) -> dict[str, object]:
    """Return the state as `--json` and /debug/state show it."""
    found = state.semaphore
    return {
        "group": state.group,
        "key": keys.semaphore(state.group),
        "exists": state.exists,
        "corrupt": state.corrupt,
        "available": found.free,
        "max": found.max,
        "drift": found.drift,
        "holders": [_holder_as_json(holder) for holder in state.holders],
        "queue": [waiter.id for waiter in state.waiters],
        "pauses": [{"scope": scope, **_fields(pause)} for scope, pause in state.pauses],
        "failures": [{"id": name, **_fields(failure)} for name, failure in state.failures],
        "unreadable": dict(state.unreadable),
    }


class _Reader:
    """Reads records from entries, and notes those that this version cannot read."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self.unreadable: dict[str, str] = {}

    def at(self, key: str, kind: type[records.T]) -> records.T | None:
        entry = self.entries.get(key)
        if entry is None:
            return None
        try:
            return records.parse(entry.value, kind)
        except UnreadableRecord as error:
            self.unreadable[key] = str(error)
            return None

    def below(self, prefix: str, kind: type[records.T]) -> Iterator[tuple[str, records.T]]:
        """Yield each key below a prefix with its record."""
        for key in self.entries:
            if key.startswith(f"{prefix}/") and (record := self.at(key, kind)) is not None:
                yield key, record


def _holder(reader: _Reader, group: str, name: str) -> Holder:
    record = reader.at(keys.holder(group, name), HolderRecord)
    return Holder(name, record, reader.at(keys.host(name), Heartbeat))


def _hosts_of(reader: _Reader, group: str, *, only_reclaimers: bool = False) -> tuple[str, ...]:
    """Return the machine-ids of the group's live hosts."""
    found = (
        keys.last_name(key)
        for key, beat in reader.below(keys.HOSTS, Heartbeat)
        if beat.group == group and (beat.reclaims or not only_reclaimers)
    )
    return tuple(sorted(found))


def _waiters_of(reader: _Reader, group: str) -> tuple[Waiter, ...]:
    """Return the wait queue in order; tickets of hosts without a heartbeat do not count."""
    tickets = reader.below(f"{keys.QUEUE}/{keys.segment(group)}", Ticket)
    found = (
        Waiter(keys.last_name(key), ticket.priority, reader.entries[key].created)
        for key, ticket in tickets
    )
    return tuple(queue.ordered(one for one in found if keys.host(one.id) in reader.entries))


def _pauses_of(reader: _Reader, group: str) -> Iterator[tuple[str, Pause]]:
    """Yield each pause of the group, with its scope: `fleet`, `group` or a host's id."""
    for scope, key in (("fleet", keys.PAUSED_FLEET), ("group", keys.paused_group(group))):
        if (pause := reader.at(key, Pause)) is not None:
            yield scope, pause
    for key, pause in reader.below(f"{keys.PAUSES}/hosts", Pause):
        yield keys.last_name(key), pause


def _failures_of(reader: _Reader, group: str) -> tuple[tuple[str, Failure], ...]:
    found = reader.below(f"{keys.FAILURES}/{keys.segment(group)}", Failure)
    return tuple((keys.last_name(key), failure) for key, failure in found)


def _fields(record: Pause | Failure) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _holder_as_json(holder: Holder) -> dict[str, object]:
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
