"""The state of one group: its semaphore, holders, hosts, wait queue, pauses and failures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from coordinator.client.core.store_protocol import Entry
from locksmith.core import keys, queue, records, semaphore
from locksmith.core.queue import Waiter
from locksmith.core.records import Failure, Heartbeat, HolderRecord, Pause, Ticket
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
    corrupt: str = ""
    modified: int = 0
    waiters: tuple[Waiter, ...] = ()
    pauses: tuple[tuple[str, Pause], ...] = ()
    failures: tuple[tuple[str, Failure], ...] = ()
    store_member: str = ""  # the host with a member of the store that may reboot now

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
    return GroupState(
        group,
        exists,
        found,
        tuple(_holder(entries, group, name) for name in found.holders),
        _hosts_of(entries, group),
        waiters=_waiters_of(entries, group),
        pauses=tuple(_pauses_of(entries, group)),
        failures=tuple(_below(entries, f"{keys.FAILURES}/{keys.segment(group)}", Failure)),
        store_member=entries[keys.STORE_MEMBER].value if keys.STORE_MEMBER in entries else "",
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
    }


def _holder(entries: Mapping[str, Entry], group: str, name: str) -> Holder:
    return Holder(
        name,
        _at(entries, keys.holder(group, name), HolderRecord),
        _at(entries, keys.host(name), Heartbeat),
    )


def _hosts_of(entries: Mapping[str, Entry], group: str) -> tuple[str, ...]:
    """Return the machine-ids of the group's live hosts."""
    beats = (
        (keys.last_name(key), records.decode(entry.value, Heartbeat))
        for key, entry in entries.items()
        if key.startswith(f"{keys.HOSTS}/")
    )
    return tuple(sorted(name for name, beat in beats if beat and beat.group == group))


def _waiters_of(entries: Mapping[str, Entry], group: str) -> tuple[Waiter, ...]:
    """Return the wait queue in order; tickets of hosts without a heartbeat do not count."""
    below = f"{keys.QUEUE}/{keys.segment(group)}/"
    found: list[Waiter] = []
    for key, entry in entries.items():
        if not key.startswith(below):
            continue
        name, ticket = keys.last_name(key), records.decode(entry.value, Ticket)
        if ticket is not None and keys.host(name) in entries:
            found.append(Waiter(name, ticket.priority, entry.created))
    return tuple(queue.ordered(found))


def _pauses_of(entries: Mapping[str, Entry], group: str) -> Iterator[tuple[str, Pause]]:
    """Yield each pause of the group, with its scope: `fleet`, `group` or a host's id."""
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


def _fields(record: Pause | Failure) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _at(entries: Mapping[str, Entry], key: str, kind: type[records.T]) -> records.T | None:
    entry = entries.get(key)
    return None if entry is None else records.decode(entry.value, kind)


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
