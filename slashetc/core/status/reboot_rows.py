"""Reboots: the slots of each group, who waits, what is paused, and what went wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from coordinator.client.core.store_protocol import Entry
from slashetc.core.status import documents
from slashetc.core.status.documents import REBOOTS, Documents
from slashetc.core.status.finding import Finding, notice, problem
from slashetc.core.status.reading import Reading

# As locksmith has it: clocks of hosts differ.
SKEW_S = 60.0
DEFAULT_GROUP = "default"
_DEFAULT_SEGMENT = "@default"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The slots of one group. `holders` and `queue` are names of hosts."""

    group: str
    slots: int
    holders: tuple[str, ...]
    queue: tuple[str, ...]
    paused: str


@dataclass(slots=True)
class Reboots:
    """The keys of locksmith. Names of documents are (group, machine) where there are groups."""

    semaphores: Documents[documents.Semaphore]
    holders: dict[tuple[str, str], documents.Holder] = field(default_factory=dict)
    heartbeats: dict[str, documents.Heartbeat] = field(default_factory=dict)
    tickets: list[tuple[str, int, int, documents.Ticket]] = field(default_factory=list)
    failures: dict[tuple[str, str], documents.Failure] = field(default_factory=dict)
    pauses: dict[str, documents.Reason] = field(default_factory=dict)  # by the path below pauses/
    unreadable: list[str] = field(default_factory=list)


def read(reading: Reading) -> Reboots:
    """Read the keys of locksmith."""
    found = Reboots(Documents(documents.Semaphore))
    for entry in reading.below(REBOOTS):
        try:
            _read(found, entry, documents.segments(entry.key, REBOOTS))
        except documents.Unreadable as error:
            found.unreadable.append(str(error))
    found.unreadable += found.semaphores.unreadable
    return found


def _read(found: Reboots, entry: Entry, names: list[str]) -> None:
    match names:
        case ["semaphore"]:
            found.semaphores.add(DEFAULT_GROUP, entry)
        case ["groups", group, "semaphore"]:
            found.semaphores.add(group, entry)
        case ["ext", "v1", "holders", group, machine]:
            found.holders[_group(group), machine] = documents.decode(entry, documents.Holder)
        case ["ext", "v1", "hosts", machine]:
            found.heartbeats[machine] = documents.decode(entry, documents.Heartbeat)
        case ["ext", "v1", "queue", group, _]:
            ticket = documents.decode(entry, documents.Ticket)
            found.tickets.append((_group(group), -ticket.priority, entry.created, ticket))
        case ["ext", "v1", "failures", group, machine]:
            found.failures[_group(group), machine] = documents.decode(entry, documents.Failure)
        case ["ext", "v1", "pauses", *where]:
            found.pauses["/".join(where)] = documents.decode(entry, documents.Reason)


def _group(segment: str) -> str:
    return DEFAULT_GROUP if segment == _DEFAULT_SEGMENT else segment


def rows(found: Reboots) -> list[GroupRow]:
    """Return the groups that have slots, hosts or a queue."""
    groups = {
        *found.semaphores.by_name,
        *(group for group, _ in found.holders),
        *(group for group, *_ in found.tickets),
        *(beat.group or DEFAULT_GROUP for beat in found.heartbeats.values()),
    }
    return [_row(found, group) for group in sorted(groups)]


def _row(found: Reboots, group: str) -> GroupRow:
    semaphore = found.semaphores.by_name.get(group, documents.Semaphore(1))
    waiting = sorted((*each[:3], each[3].host) for each in found.tickets if each[0] == group)
    segment = _DEFAULT_SEGMENT if group == DEFAULT_GROUP else group
    pauses = [found.pauses.get("fleet"), found.pauses.get(f"groups/{segment}")]
    return GroupRow(
        group,
        semaphore.max or 0,
        tuple(_host(found, group, machine) for machine in semaphore.holders or ()),
        tuple(each[3] for each in waiting),
        "; ".join(_why(each) for each in pauses if each is not None),
    )


def _host(found: Reboots, group: str, machine: str) -> str:
    record = found.holders.get((group, machine))
    beat = found.heartbeats.get(machine)
    return record.host if record else beat.hostname if beat else machine


def _why(pause: documents.Reason) -> str:
    until = f", until {pause.until}" if pause.until else ""
    return f"{pause.reason or 'no reason'} (by {pause.author or 'nobody'}{until})"


def states(found: Reboots) -> dict[str, str]:
    """Return the state of the reboots of each machine that locksmith knows: "" for none."""
    shown = {
        machine: f"needed: {', '.join(beat.reasons)}" if beat.reasons else ""
        for machine, beat in found.heartbeats.items()
    }
    queued = {each[3].host for each in found.tickets}
    for machine, beat in found.heartbeats.items():
        if beat.hostname in queued:
            shown[machine] = "queued"
        if f"hosts/{machine}" in found.pauses:
            shown[machine] = "paused"
    for (group, machine), record in found.holders.items():
        semaphore = found.semaphores.by_name.get(group)
        if semaphore is not None and machine in (semaphore.holders or ()):
            shown[machine] = record.phase
    return shown


def rebooting(found: Reboots, now_s: float) -> set[str]:
    """Return the machines that have a slot, and whose reboot is not late."""
    return {
        machine
        for group, semaphore in found.semaphores.by_name.items()
        for machine in semaphore.holders or ()
        if (record := found.holders.get((group, machine))) is not None
        and record.phase in {"draining", "rebooting"}
        and (_seconds_since(record.deadline, now_s) or 0.0) < SKEW_S
    }


def findings(found: Reboots, reading: Reading) -> Iterator[Finding]:
    """Yield what stops reboots, or went wrong in one."""
    for group, semaphore in sorted(found.semaphores.by_name.items()):
        for machine in semaphore.holders or ():
            yield from _of_holder(found, group, machine, reading)
        if (semaphore.max or 0) <= 0:
            text = f"The group {group} has no slots, so none of its hosts reboots."
            yield notice(text, "locksmithctl set-max 1")
    for (group, machine), failure in sorted(found.failures.items()):
        record = found.holders.get((group, machine))
        if record is None or record.phase != "failed":
            text = f"{failure.host} failed its reboot: {failure.reason}."
            yield problem(text, f"locksmithctl why {failure.host}")
    if (pause := found.pauses.get("fleet")) is not None:
        yield notice(f"All reboots are paused: {_why(pause)}.", "locksmithctl resume")
    for where, pause in sorted(found.pauses.items()):
        if where != "fleet":
            yield notice(f"Reboots of {_whose(found, where)} are paused: {_why(pause)}.",
                         "locksmithctl status -v")  # fmt: skip
    for each in found.unreadable:
        yield problem(f"A key of locksmith cannot be read: {each}.", "locksmithctl status -v")


def _whose(found: Reboots, where: str) -> str:
    kind, _, name = where.partition("/")
    if kind == "hosts":
        beat = found.heartbeats.get(name)
        return beat.hostname if beat else name
    return f"the group {_group(name)}"


def _of_holder(found: Reboots, group: str, machine: str, reading: Reading) -> Iterator[Finding]:
    record = found.holders.get((group, machine))
    if record is None:
        return
    why = f"locksmithctl why {record.host}"
    if record.phase == "failed":
        detail = f": {record.detail}" if record.detail else ""
        yield problem(f"{record.host} failed its reboot and keeps its slot{detail}.", why)
        return
    late = _seconds_since(record.deadline, reading.now_s)
    beat = found.heartbeats.get(machine)
    if late is None or late < SKEW_S or (beat is not None and beat.boot_id != record.boot_id):
        return
    if beat is None:
        yield problem(f"{record.host} has not come back from its reboot.", why)
    else:
        yield problem(f"{record.host} has a slot, and has not rebooted in time.", why)


def _seconds_since(text: str, now_s: float) -> float | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return now_s - (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
