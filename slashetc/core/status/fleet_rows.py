"""Hosts and jobs: their rows, and what is wrong with them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from slashetc.core.keys import HostRecord
from slashetc.core.status import documents, reboot_rows
from slashetc.core.status.documents import (
    ADMITTED,
    EVICTED,
    FLEETD_HEALTH,
    FLEETD_HOSTS,
    FLEETD_JOBS,
    FLEETD_UNITS,
    HOSTS,
    Documents,
)
from slashetc.core.status.finding import Finding, notice, problem
from slashetc.core.status.reading import Reading
from slashetc.core.status.reboot_rows import Reboots
from slashetc.core.status.store_rows import of_certificate

READY, ROLLING = "ready", "rolling"
HOSTS_COMMAND = "fleetctl hosts"
_TRUE = frozenset({"true", "yes", "1", "on", "t"})


@dataclass(frozen=True, slots=True)
class HostRow:
    """A line of the table of hosts. `certificate` is the end, in Unix time; 0 is unknown."""

    host: str
    machine: str
    address: str
    health: str
    member: bool
    instances: int
    reboot: str
    certificate: float
    version: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """A line of the table of jobs. None stands for what is not known."""

    job: str
    version: int
    wanted: int | None
    running: int | None
    state: str


@dataclass(slots=True)
class FleetKeys:
    """The keys of the agents and of fleetd. Hosts are named by their machine ids."""

    records: Documents[HostRecord]
    facts: Documents[documents.Facts]
    statuses: Documents[documents.HostStatus]
    plans: Documents[documents.Plan]
    cordons: Documents[documents.Reason]
    drains: Documents[documents.Reason]
    jobs: Documents[documents.JobRecord]
    rollouts: Documents[documents.Rollout]
    evicted: Documents[documents.Evicted]
    units: dict[str, str] = field(default_factory=dict)
    health: documents.FleetHealth = field(default_factory=documents.FleetHealth)
    unreadable: list[str] = field(default_factory=list)

    def hosts(self) -> list[str]:
        """Return the machine ids of all hosts, by the names of the hosts."""
        known = {*self.records.by_name, *self.facts.by_name}
        return sorted(known, key=lambda machine: (self.name(machine), machine))

    def name(self, machine: str) -> str:
        """Return the name of a host, or the start of its id."""
        record, facts = self.records.by_name.get(machine), self.facts.by_name.get(machine)
        return record.host if record else facts.hostname if facts else machine[:8]


def read(reading: Reading) -> FleetKeys:
    """Read the keys of fleetd and of the agents."""
    fleet = FleetKeys(
        Documents(HostRecord),
        Documents(documents.Facts),
        Documents(documents.HostStatus),
        Documents(documents.Plan),
        Documents(documents.Reason),
        Documents(documents.Reason),
        Documents(documents.JobRecord),
        Documents(documents.Rollout),
        Documents(documents.Evicted),
    )
    # What a host says of itself goes before what it was admitted with.
    for prefix, kind in ((ADMITTED, fleet.records), (HOSTS, fleet.records)):
        for entry in reading.below(prefix):
            kind.add(documents.segments(entry.key, prefix)[-1], entry)
    for entry in reading.below(EVICTED):
        fleet.evicted.add(documents.segments(entry.key, EVICTED)[-1], entry)
    by_path: Mapping[tuple[str, ...], Documents[object]] = {
        ("facts",): fleet.facts,  # type: ignore[dict-item]
        ("status",): fleet.statuses,  # type: ignore[dict-item]
        ("inbox", "plan"): fleet.plans,  # type: ignore[dict-item]
        ("cordon",): fleet.cordons,  # type: ignore[dict-item]
        ("drain",): fleet.drains,  # type: ignore[dict-item]
    }
    for entry in reading.below(FLEETD_HOSTS):
        host, *path = documents.segments(entry.key, FLEETD_HOSTS)
        if (found := by_path.get(tuple(path))) is not None:
            found.add(host, entry)
    for entry in reading.below(FLEETD_JOBS):
        match documents.segments(entry.key, FLEETD_JOBS):
            case [job, "spec"]:
                fleet.jobs.add(job, entry)
            case [job, "rollout"]:
                fleet.rollouts.add(job, entry)
    for entry in reading.below(FLEETD_UNITS):
        fleet.units[documents.segments(entry.key, FLEETD_UNITS)[-1]] = entry.value
    for entry in reading.below(FLEETD_HEALTH):
        try:
            fleet.health = documents.decode(entry, documents.FleetHealth)
        except documents.Unreadable as error:
            fleet.unreadable.append(str(error))
    kinds = (fleet.records, fleet.facts, fleet.statuses, fleet.plans, fleet.cordons, fleet.drains)
    fleet.unreadable += [each for kind in kinds for each in kind.unreadable]
    return fleet


def host_rows(fleet: FleetKeys, reboots: Reboots, reading: Reading) -> list[HostRow]:
    """Return the hosts by name."""
    states = reboot_rows.states(reboots)
    members = {each.name for each in reading.members}
    rows = []
    for machine in fleet.hosts():
        record, facts = fleet.records.by_name.get(machine), fleet.facts.by_name.get(machine)
        status = fleet.statuses.by_name.get(machine)
        name = fleet.name(machine)
        rows.append(
            HostRow(
                name,
                machine,
                record.address if record and record.address else facts.address if facts else "",
                _health(fleet, machine, reading),
                record.member if record else name in members,
                sum(each.phase == READY for each in status.reports) if status else 0,
                states.get(machine, ""),
                record.not_after if record else 0.0,
                record.version if record and record.version else facts.version if facts else "",
            )
        )
    return rows


def _health(fleet: FleetKeys, machine: str, reading: Reading) -> str:
    words = []
    if machine not in fleet.statuses.by_name:
        unheard = "unknown" if reading.is_partial else "silent"
        words.append(fleet.health.hosts.get(machine, unheard))
    else:
        words.append(fleet.health.hosts.get(machine, READY))
    if machine in fleet.drains.by_name:
        words.append("drained")
    elif machine in fleet.cordons.by_name:
        words.append("cordoned")
    if fleet.name(machine) in _evicted_hosts(fleet):
        words.append("evicted")
    return ", ".join(words)


def _evicted_hosts(fleet: FleetKeys) -> set[str]:
    return {each.name for each in fleet.evicted.by_name.values() if not each.user}


def host_findings(fleet: FleetKeys, reboots: Reboots, reading: Reading) -> Iterator[Finding]:
    """Yield what is wrong with hosts. A host that reboots in its turn may be silent."""
    rebooting = reboot_rows.rebooting(reboots, reading.now_s)
    if fleet.health.storm:
        text = "Many hosts fell silent at once, so the scheduler waits: is the network at fault?"
        yield problem(text, HOSTS_COMMAND)
    evicted = _evicted_hosts(fleet)
    for machine in fleet.hosts():
        name = fleet.name(machine)
        if name in evicted:
            continue
        if machine in rebooting and machine not in fleet.statuses.by_name:
            yield notice(f"{name} is silent while it reboots.", f"locksmithctl why {name}")
        else:
            yield from _of_host(fleet, machine, reading)
        if (drain := fleet.drains.by_name.get(machine)) is not None:
            yield notice(f"{name} is drained: {_why(drain)}.", f"fleetctl back {name}")
        elif (cordon := fleet.cordons.by_name.get(machine)) is not None:
            yield notice(f"{name} is cordoned: {_why(cordon)}.", f"fleetctl uncordon {name}")
    for each in fleet.unreadable:
        yield problem(f"A key of a host cannot be read: {each}.", HOSTS_COMMAND)
    versions = Counter(row.version for row in host_rows(fleet, reboots, reading) if row.version)
    if len(versions) > 1:
        shown = ", ".join(f"{version} on {count}" for version, count in sorted(versions.items()))
        yield notice(f"The hosts have different versions: {shown}.", "slashetc status --json")


def _of_host(fleet: FleetKeys, machine: str, reading: Reading) -> Iterator[Finding]:
    name, record = fleet.name(machine), fleet.records.by_name.get(machine)
    status = fleet.statuses.by_name.get(machine)
    health = fleet.health.hosts.get(machine, "")
    if status is None and machine in fleet.facts.by_name:
        lost = ": its instances are started elsewhere" if health == "lost" else ""
        yield problem(f"{name} is silent{lost}. Is the host up, and its fleetd?", HOSTS_COMMAND)
    elif status is None and not reading.is_partial:
        yield problem(f"The fleetd of {name} has never reported.", HOSTS_COMMAND)
    elif health == "flapping":
        yield problem(f"{name} is heard only from time to time.", HOSTS_COMMAND)
    if status is not None and status.note:
        yield problem(f"{name} says: {status.note.rstrip('.')}.", HOSTS_COMMAND)
    if record is not None:
        yield from of_certificate(f"The certificate of {name}", record.not_after, reading)


def _why(reason: documents.Reason) -> str:
    by = f" (by {reason.by})" if reason.by else ""
    return f"{reason.reason or 'no reason is given'}{by}"


def job_rows(fleet: FleetKeys, reading: Reading) -> list[JobRow]:
    """Return the jobs by name."""
    running: Counter[str] = Counter()
    ordered: Counter[str] = Counter()
    for status in fleet.statuses.by_name.values():
        running.update(each.order.job for each in status.reports if each.phase == READY)
    for plan in fleet.plans.by_name.values():
        ordered.update(each.job for each in plan.orders if each.want == "run")
    return [
        JobRow(
            name,
            record.version,
            _wanted(record, fleet.units.get(record.unit), ordered[name]),
            None if reading.is_partial else running[name],
            _state(record, fleet.rollouts.by_name.get(name)),
        )
        for name, record in sorted(fleet.jobs.by_name.items())
    ]


def _state(record: documents.JobRecord, rollout: documents.Rollout | None) -> str:
    if record.target != "launched":
        return record.target
    if record.paused:
        return "paused"
    return rollout.state if rollout and rollout.state else record.target


def _wanted(record: documents.JobRecord, unit: str | None, ordered: int) -> int | None:
    if record.target != "launched":
        return 0
    if unit is None:
        return record.count
    options = _fleet_options(unit)
    if options.get("Global", "").lower() in _TRUE:
        return ordered
    count = options.get("Count", "")
    if not count:
        return 1
    if record.count is not None:
        return record.count
    return int(count) if count.isascii() and count.isdigit() and len(count) < 7 else None


def _fleet_options(unit: str) -> dict[str, str]:
    """Return the options of the section [X-Fleet]; the last of a name counts."""
    found: dict[str, str] = {}
    inside = False
    for line in unit.splitlines():
        text = line.strip()
        if text.startswith("["):
            inside = text == "[X-Fleet]"
        elif inside and not text.startswith(("#", ";")):
            name, equals, value = text.partition("=")
            if equals:
                found[name.strip()] = value.strip()
    return found


def job_findings(fleet: FleetKeys, reading: Reading) -> Iterator[Finding]:
    """Yield what is wrong with jobs."""
    for row in job_rows(fleet, reading):
        command = f"fleetctl status {row.job}"
        rollout = fleet.rollouts.by_name.get(row.job)
        note = f": {rollout.note}" if rollout and rollout.note else ""
        if row.state == "failed":
            yield problem(f"The rollout of {row.job} failed{note}.", command)
        if row.wanted is None:
            yield problem(f"The unit of {row.job} is missing or wrong.", command)
        elif row.running is not None and row.running < row.wanted:
            said = f"{row.job} has {row.running} of {row.wanted} instances ready"
            if row.state == ROLLING and row.running:
                yield notice(f"{said}, and is rolling out.", command)
            elif row.state != "failed":
                yield problem(f"{said}.", f"fleetctl explain {row.job}")
    for each in (*fleet.jobs.unreadable, *fleet.rollouts.unreadable):
        yield problem(f"A key of a job cannot be read: {each}.", "fleetctl status")
