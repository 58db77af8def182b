"""From the keys to a World. Only what changed is read again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from fleet.core import keys
from fleet.core.jobs import jobspec as jobs
from fleet.core.jobs import selector
from fleet.core.jobs.jobspec import Job
from fleet.core.model import (
    Cordon,
    Damaged,
    Drain,
    Facts,
    JobRecord,
    Plan,
    Rollout,
    ServiceRecord,
    Status,
    decode,
)
from fleet.core.scheduling.cluster_state import (
    Desired,
    HostView,
    Service,
    Standing,
    World,
    endpoints,
)

T = TypeVar("T")


class Picture:
    """Keeps a World in step with Changes of /fleet/v1. One thread applies and reads."""

    def __init__(self) -> None:
        self.world = World()
        self._records: dict[str, JobRecord] = {}
        self._rollouts: dict[str, Rollout] = {}
        self._texts: dict[str, str] = {}
        self._parsed: dict[tuple[str, str], Job | str] = {}
        self._hosts: dict[str, HostView] = {}
        self._services: dict[str, Service] = {}
        self._faults: dict[str, str] = {}
        self._jobs: dict[str, Desired] = {}
        self._stale: set[str] = set()
        self._touched: set[str] = set()
        self._all_stale = False
        self._modified: dict[str, int] = {}

    def apply(self, changes: Changes) -> None:
        """Move the world on. A reset begins anew, and keeps how hosts stand."""
        standings = {host.id: host.standing for host in self._hosts.values()}
        if changes.reset:
            self.__init__()  # type: ignore[misc]
        for key in changes.removed:
            self._modified.pop(key, None)
            self._read(key, None)
        for entry in changes.entries:
            self._modified[entry.key] = entry.modified
            self._read(entry.key, entry)
        for name in self._touched:
            self._hosts[name].join()
            if changes.reset and name in standings:
                self._hosts[name].standing = standings[name]
        self._touched.clear()
        self._understand()
        self.world.jobs, self.world.hosts = self._jobs, self._hosts
        self.world.services, self.world.faults = self._services, self._faults

    def _read(self, key: str, entry: Entry | None) -> None:
        self._faults.pop(key, None)
        match key.removeprefix(keys.PREFIX).split("/")[1:]:
            case ["jobs", name, "spec"]:
                _keep(self._records, name, self._value(entry, JobRecord))
                self._stale.add(name)
            case ["jobs", name, "rollout"]:
                _keep(self._rollouts, name, self._value(entry, Rollout))
                self._stale.add(name)
            case ["units", digest]:
                _keep(self._texts, digest, entry.value if entry else None)
                self._stale |= {n for n, r in self._records.items() if r.unit == digest}
            case ["hosts", name, what] | ["hosts", name, "inbox", "plan" as what]:
                self._host(name, what, entry)
            case ["services", fqdn]:
                _keep(self._services, fqdn, self._service(fqdn, entry))
                self._all_stale = True
            case ["epoch"]:
                self.world.epoch = int(entry.value) if entry and entry.value.isdigit() else 0
            case _:
                pass

    def _host(self, name: str, what: str, entry: Entry | None) -> None:
        host = self._hosts.setdefault(name, HostView(name))
        match what:
            case "facts":
                host.facts = self._value(entry, Facts)
            case "status":
                host.status = self._value(entry, Status)
            case "plan":
                host.plan = self._value(entry, Plan) or Plan()
                host.plan_modified = entry.modified if entry else 0
            case "cordon":
                host.cordon = self._value(entry, Cordon)
            case "drain":
                host.drain = self._value(entry, Drain)
            case _:
                return
        self._touched.add(name)

    def _value(self, entry: Entry | None, kind: type[T]) -> T | None:
        if entry is None:
            return None
        try:
            return decode(entry.value, kind)
        except Damaged as error:
            self._faults[entry.key] = str(error)
            return None

    def _service(self, fqdn: str, entry: Entry | None) -> Service | None:
        record = self._value(entry, ServiceRecord)
        if record is None or entry is None:
            return None
        try:
            return Service(fqdn, record, selector.parse(record.selector))
        except selector.SelectorError as error:
            self._faults[entry.key] = str(error)
            return None

    def _understand(self) -> None:
        stale = set(self._records) | set(self._jobs) if self._all_stale else self._stale
        for name in stale:
            record = self._records.get(name)
            _keep(self._jobs, name, self._desired(record) if record else None)
        self._stale, self._all_stale = set(), False

    def _desired(self, record: JobRecord) -> Desired:
        text = self._texts.get(record.unit, "")
        parsed = self.parsed(record.name, record.unit)
        rollout = self._rollouts.get(record.name)
        if isinstance(parsed, str):
            return Desired(record, None, text, parsed, rollout)
        found = endpoints(parsed, self._services)
        return Desired(record, parsed, text, "", rollout, found)

    def modified(self, key: str) -> int:
        """Return the index of a key's last write that is known here; 0 when there is none."""
        return self._modified.get(key, 0)

    def parsed(self, name: str, digest: str) -> Job | str:
        """Return the job that a stored unit describes, or why there is none."""
        known = self._parsed.get((name, digest))
        if known is None:
            text = self._texts.get(digest)
            if text is None:
                return f"its unit {digest[:8]} is not in the store"
            try:
                known = jobs.parse(name, text)
            except ValueError as error:
                known = str(error)
            self._parsed[name, digest] = known
        return known


def imagined(picture: Picture, record: JobRecord, text: str) -> World:
    """Return the world as it would be with a job that is not written yet."""
    world = picture.world
    try:
        parsed = jobs.parse(record.name, text)
    except ValueError as error:
        desired = Desired(record, None, text, str(error))
    else:
        was = world.jobs.get(record.name)
        found = endpoints(parsed, world.services)
        desired = Desired(record, parsed, text, "", was.rollout if was else None, found)
    return replace(world, jobs={**world.jobs, record.name: desired})


def observe(
    world: World, standings: Mapping[str, Standing], overdue: Callable[[str], bool]
) -> None:
    """Note how hosts stand, and whose drain is past its deadline."""
    for host in world.hosts.values():
        host.standing = standings.get(host.id, Standing.LOST)
        host.drain_overdue = host.drain is not None and overdue(host.id)


def _keep(table: dict[str, T], name: str, value: T | None) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value
