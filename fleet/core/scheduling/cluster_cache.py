"""Keeps the state of the fleet up to date from changes of its keys. Parses only changed keys.

A record that is not valid is left out, and `faults` says why. It ends nothing but itself.
"""

from dataclasses import replace
from typing import TypeVar

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from fleet.core import keys
from fleet.core.endpoints import checked_fqdn
from fleet.core.fields import HONEST_MAX, parse_number, shortened
from fleet.core.jobs import jobspec, selector, unitfile
from fleet.core.jobs.jobspec import Job
from fleet.core.model import (
    Cordon,
    Drain,
    Facts,
    FleetHealth,
    HostStatus,
    InvalidRecord,
    JobRecord,
    Plan,
    Rollout,
    ServiceRecord,
    TargetState,
    decode,
)
from fleet.core.scheduling.cluster_state import (
    ClusterState,
    DesiredJob,
    Host,
    Service,
    endpoints_of,
)

T = TypeVar("T")


class ClusterCache:
    """The state of the fleet, and the keys it was made from. One thread applies and reads."""

    def __init__(self) -> None:
        self.cluster = ClusterState()
        self._records: dict[str, JobRecord] = {}
        self._rollouts: dict[str, Rollout] = {}
        self._texts: dict[str, str] = {}
        self._parsed: dict[tuple[str, str], Job | str] = {}
        self._hosts: dict[str, Host] = {}
        self._services: dict[str, Service] = {}
        self._faults: dict[str, str] = {}
        self._jobs: dict[str, DesiredJob] = {}
        self._stale: set[str] = set()
        self._changed_hosts: set[str] = set()
        self._all_stale = False
        self._modified: dict[str, int] = {}

    def apply(self, changes: Changes) -> None:
        """Apply changes of keys. A reset starts over, but keeps the health of hosts."""
        health_by_host = {host.id: host.health for host in self._hosts.values()}
        if changes.reset:
            self.__init__()  # type: ignore[misc]
        for key in changes.removed:
            self._modified.pop(key, None)
            self._read(key, None)
        for entry in changes.entries:
            self._modified[entry.key] = entry.modified
            self._read(entry.key, entry)
        for name in self._changed_hosts:
            self._hosts[name].join()
            if changes.reset and name in health_by_host:
                self._hosts[name].health = health_by_host[name]
        self._changed_hosts.clear()
        self._refresh_jobs()
        self.cluster.jobs, self.cluster.hosts = self._jobs, self._hosts
        self.cluster.services, self.cluster.faults = self._services, self._faults

    def _read(self, key: str, entry: Entry | None) -> None:
        self._faults.pop(key, None)
        match key.removeprefix(keys.PREFIX).split("/")[1:]:
            case ["jobs", name, "spec"]:
                _set(self._records, name, self._job(name, entry))
                self._stale.add(name)
            case ["jobs", name, "rollout"]:
                _set(self._rollouts, name, self._value(entry, Rollout))
                self._stale.add(name)
            case ["units", digest]:
                _set(self._texts, digest, entry.value if entry else None)
                self._stale |= {n for n, r in self._records.items() if r.unit == digest}
            case ["hosts", name, what] | ["hosts", name, "inbox", "plan" as what]:
                self._host(name, what, entry)
            case ["services", fqdn]:
                _set(self._services, fqdn, self._service(fqdn, entry))
                self._all_stale = True
            case ["epoch"]:
                self.cluster.epoch = self._epoch(entry)
            case ["health"]:
                self.cluster.published_health = self._value(entry, FleetHealth) or FleetHealth()
            case _:
                pass

    def _host(self, name: str, what: str, entry: Entry | None) -> None:
        host = self._hosts.setdefault(name, Host(name))
        match what:
            case "facts":
                host.facts = self._facts(name, entry)
            case "status":
                host.status = self._status(entry)
            case "plan":
                host.plan = self._value(entry, Plan) or Plan()
                host.plan_modified = entry.modified if entry else 0
            case "cordon":
                host.cordon = self._value(entry, Cordon)
            case "drain":
                host.drain = self._value(entry, Drain)
            case "endpoints":
                host.has_endpoints = entry is not None
            case _:
                return
        self._changed_hosts.add(name)

    def _value(self, entry: Entry | None, kind: type[T]) -> T | None:
        if entry is None:
            return None
        try:
            return decode(entry.value, kind)
        except InvalidRecord as error:
            self._faults[entry.key] = str(error)
            return None

    def _job(self, name: str, entry: Entry | None) -> JobRecord | None:
        record = self._value(entry, JobRecord)
        if record is None or entry is None or record.name == name:
            return record
        self._faults[entry.key] = f"the record is of another job: {shortened(record.name)}"
        return None

    def _facts(self, name: str, entry: Entry | None) -> Facts | None:
        facts = self._value(entry, Facts)
        if facts is None or entry is None or facts.id == name:
            return facts
        self._faults[entry.key] = f"the facts are those of another host: {shortened(facts.id)}"
        return None

    def _status(self, entry: Entry | None) -> HostStatus | None:
        status = self._value(entry, HostStatus)
        if status is None or entry is None:
            return status
        claimed = (max(each.allocation.rev, each.allocation.version) for each in status.reports)
        if max(status.gen, *claimed, 0) <= HONEST_MAX:
            return status
        # The next number would be one that nobody can read.
        self._faults[entry.key] = f"it has a number above {HONEST_MAX}, which nobody has counted to"
        return None

    def _service(self, fqdn: str, entry: Entry | None) -> Service | None:
        record = self._value(entry, ServiceRecord)
        if record is None or entry is None:
            return None
        try:
            checked_fqdn(fqdn)
            return Service(fqdn, record, selector.parse(record.selector))
        except ValueError as error:
            self._faults[entry.key] = str(error)
            return None

    def _epoch(self, entry: Entry | None) -> int:
        if entry is None:
            return 0
        epoch = parse_number(entry.value)
        if epoch is None:
            self._faults[entry.key] = "it is not a number"
        return epoch or 0

    def _refresh_jobs(self) -> None:
        stale = set(self._records) | set(self._jobs) if self._all_stale else self._stale
        for name in stale:
            record = self._records.get(name)
            _set(self._jobs, name, self._desired(record) if record else None)
        self._stale, self._all_stale = set(), False

    def _desired(self, record: JobRecord) -> DesiredJob:
        text = self._texts.get(record.unit, "")
        parsed = self.parsed(record.name, record.unit)
        rollout = self._rollouts.get(record.name)
        if unitfile.is_template(record.name) and record.target is not TargetState.INACTIVE:
            parsed = "it is a template: start an instance of it"
        if isinstance(parsed, str):
            return DesiredJob(record, None, text, parsed, rollout)
        found = endpoints_of(parsed, self._services)
        return DesiredJob(record, parsed, text, "", rollout, found)

    def modified(self, key: str) -> int:
        """Return the index of a key's last write that arrived here; 0 for an unknown key."""
        return self._modified.get(key, 0)

    def parsed(self, name: str, digest: str) -> Job | str:
        """Return the job that a stored unit describes, or why it cannot be read."""
        known = self._parsed.get((name, digest))
        if known is None:
            text = self._texts.get(digest)
            if text is None:
                return f"its unit {digest[:8]} is not in the store"
            try:
                known = jobspec.parse(name, text)
            except ValueError as error:
                known = str(error)
            self._parsed[name, digest] = known
        return known


def with_job(cache: ClusterCache, record: JobRecord, text: str) -> ClusterState:
    """Return the fleet as it would be with a job that is not written yet."""
    cluster = cache.cluster
    try:
        parsed = jobspec.parse(record.name, text)
    except ValueError as error:
        desired = DesiredJob(record, None, text, str(error))
    else:
        was = cluster.jobs.get(record.name)
        found = endpoints_of(parsed, cluster.services)
        desired = DesiredJob(record, parsed, text, "", was.rollout if was else None, found)
    return replace(cluster, jobs={**cluster.jobs, record.name: desired})


def _set(table: dict[str, T], name: str, value: T | None) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value
