"""Changes that users make in the store: jobs and their versions, services, cordons, drains."""

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, Queue
from typing import TYPE_CHECKING

import msgspec

from coordinator.client import (
    Absent,
    AtIndex,
    Changes,
    CompareFailed,
    KeyExists,
    KeyNotFound,
    Mirror,
    Store,
)
from daemonkit.host import machine_id
from daemonkit.host.author import author
from daemonkit.host.machine_id import NoMachineId
from fleet.clock import timestamp
from fleet.core import endpoints, keys
from fleet.core.jobs import jobspec, selector, unitfile
from fleet.core.model import (
    Cordon,
    Drain,
    InvalidRecord,
    JobRecord,
    JobVersion,
    Phase,
    ServiceRecord,
    TargetState,
    decode,
    digest,
    encode,
)
from fleet.core.scheduling.cluster_cache import ClusterCache
from fleet.core.scheduling.cluster_state import DesiredJob, Host

if TYPE_CHECKING:
    from fleet.core.jobs.signing import Signer

# A waiting command checks its deadline this often.
LOOK_S = 0.2


class Refused(Exception):  # noqa: N818 - a clean "no"
    """The command cannot be done. The message says why, and what to do instead."""


class Registry:
    """The fleet's keys, as read at the start of a command."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cache = ClusterCache()
        self.refresh()

    def refresh(self) -> None:
        """Read all keys again."""
        listing = self.store.list(keys.PREFIX)
        self._apply(Changes(listing.cluster, listing.index, listing.entries, reset=True))

    @contextmanager
    def following(self) -> Iterator[Callable[[], None]]:
        """Keep the cache up to date. The yielded function waits for a change, or for a moment."""
        arrived: Queue[Changes] = Queue()
        mirror = Mirror(self.store, keys.PREFIX, arrived.put)
        mirror.start()

        def wait() -> None:
            with contextlib.suppress(Empty):
                self._apply(arrived.get(timeout=LOOK_S))
                while True:
                    self._apply(arrived.get_nowait())

        try:
            wait()
            yield wait
        finally:
            mirror.stop()

    def has_leader(self) -> bool:
        """Return whether a scheduler has the lease."""
        return self.cache.modified(keys.LEADER) > 0

    def desired(self, name: str) -> DesiredJob:
        """Return a job. Raises Refused."""
        found = self.cache.cluster.jobs.get(name) or self.cache.cluster.jobs.get(f"{name}.service")
        if fault := self.cache.cluster.faults.get(keys.job(name)):
            raise Refused(f"the record of {name} is not valid, so it is ignored: {fault}")
        if found is None:
            raise Refused(f"there is no job {name}: `fleetctl list-unit-files` lists all jobs")
        return found

    def host(self, name: str) -> Host:
        """Return a host by its name or the start of its id; `self` is this host. Raises Refused."""
        if name == "self":
            name = _own_name()
        found = [
            host
            for host in self.cache.cluster.hosts.values()
            if host.facts and (host.name() == name or (name and host.id.startswith(name)))
        ]
        named = [host for host in found if name in (host.name(), host.id)]
        if len(found := named or found) != 1:
            raise Refused(f"{len(found)} hosts match {name}: `fleetctl hosts` lists all hosts")
        return found[0]

    def put_job(  # noqa: PLR0913 - what a record holds
        self,
        name: str,
        text: str,
        *,
        target: TargetState,
        count: int | None = None,
        note: str = "",
        signer: "Signer | None" = None,
    ) -> JobRecord:
        """Write a job, or its next version. Raises UnitRefused, ValueError, Refused."""
        parsed = jobspec.parse(name, text)
        if target is not TargetState.INACTIVE and unitfile.is_template(name):
            raise Refused(f"{name} is a template: start an instance of it")
        if count is not None and not parsed.counted:
            raise Refused(f"{name} has no Count= in its [X-Fleet] section")
        unit = digest(text)
        signatures = (signer.sign_job(name, text), signer.sign_text(text)) if signer else ()
        self._put_unit(unit, text, signatures)
        was = self.cache.cluster.jobs.get(name)
        old = was.record if was else None
        if old and (old.unit, old.target) == (unit, target) and count in (None, old.count):
            return old
        if old and count is None and old.unit == unit:
            count = old.count
        number = 1 if old is None else old.version + (old.unit != unit)
        record = JobRecord(
            name=name,
            version=number,
            rev=self._next_rev(name),
            unit=unit,
            target=target,
            count=count,
            paused=old is not None and old.paused and old.target is not TargetState.DESTROYED,
            by=author(),
            at=timestamp(),
            note=note,
        )
        if old is None or old.unit != unit:
            version = JobVersion(number=number, unit=unit, by=record.by, at=record.at, note=note)
            self.store.put(keys.version(name, number), encode(version))
        self._swap(record)
        # If a scheduler is deleting this unit with another job, it sees this write and keeps the
        # unit.
        self._put_unit(unit, text, signatures, again=True)
        self.refresh()
        return record

    def change_job(self, name: str, **fields: object) -> JobRecord:
        """Change fields of a job's record. Raises Refused."""
        old = self.desired(name).record
        if old.target is TargetState.DESTROYED:
            raise Refused(
                f"{old.name} is being destroyed: use `fleetctl run` with its file to bring it back"
            )
        record = msgspec.structs.replace(
            old, rev=self._next_rev(old.name), by=author(), at=timestamp(), **fields
        )
        self._swap(record)
        self.refresh()
        return record

    def versions(self, name: str) -> list[JobVersion]:
        """Return a job's versions, oldest first."""
        found = []
        for each in self.store.list(keys.versions(name)).entries:
            with contextlib.suppress(InvalidRecord):
                found.append(decode(each.value, JobVersion))
        return sorted(found, key=lambda each: each.number)

    def text_of(self, unit: str) -> str:
        """Return the text of a stored unit. Raises Refused."""
        try:
            return self.store.get(keys.unit(unit)).value
        except KeyNotFound:
            raise Refused(f"the unit {unit[:8]} is no longer in the store") from None

    def put_service(self, fqdn: str, record: ServiceRecord) -> str:
        """Write a service, with its backend and its frontend in the proxy. Raises ValueError."""
        name = endpoints.checked_fqdn(fqdn)
        selector.parse(record.selector)
        if record.check and jobspec.parse_check(record.check).kind == "active":
            raise ValueError(
                "the check of a service must be tcp or http:/path: the job's own check always runs"
            )
        for key, value in endpoints.proxy_records(name, record).items():
            self.store.put(key, value)
        self.store.put(keys.service(name), encode(record))
        return name

    def remove_service(self, fqdn: str) -> None:
        """Remove a service. Agents then remove its endpoints. Raises Refused."""
        name = endpoints.checked_fqdn(fqdn)
        try:
            self.store.delete(keys.service(name))
        except KeyNotFound:
            raise Refused(f"there is no service {name}") from None
        for key in (keys.frontend(name), keys.backend(name)):
            with contextlib.suppress(KeyNotFound):
                self.store.delete(key)

    def cordon(self, host: Host, reason: str) -> None:
        """Place no new instances on a host."""
        self.store.put(keys.cordon(host.id), encode(Cordon(author(), timestamp(), reason)))

    def drain(self, host: Host, reason: str, deadline_s: float, *, reboot: bool) -> None:
        """Move all instances off a host."""
        boot = host.status.boot_id if host.status else ""
        value = Drain(author(), timestamp(), reason, deadline_s, reboot, boot)
        self.store.put(keys.drain(host.id), encode(value))

    def uncordon(self, host: Host) -> None:
        """End the cordon and the drain of a host."""
        for key in (keys.cordon(host.id), keys.drain(host.id)):
            with contextlib.suppress(KeyNotFound):
                self.store.delete(key)

    def _apply(self, changes: Changes) -> None:
        self.cache.apply(changes)
        self.cache.cluster.take_published_health()

    def _next_rev(self, name: str) -> int:
        """Return a revision above all that are known: the store may be an old backup."""
        known = self.cache.cluster.jobs.get(name)
        revs = [known.record.rev] if known else []
        for host in self.cache.cluster.hosts.values():
            revs += [each.allocation.rev for each in host.instances if each.allocation.job == name]
            reports = host.status.reports if host.status else ()
            revs += [each.allocation.rev for each in reports if each.allocation.job == name]
        return max(revs, default=0) + 1

    def _put_unit(
        self, unit: str, text: str, signatures: Sequence[str], *, again: bool = False
    ) -> None:
        with contextlib.suppress(KeyExists):
            self.store.put(keys.unit(unit), text, when=None if again else Absent())
        for signature in signatures:
            self.store.put(f"{keys.signature(unit)}/{digest(signature)[:16]}", signature)

    def _swap(self, record: JobRecord) -> None:
        key = keys.job(record.name)
        modified = self.cache.modified(key)
        try:
            self.store.put(key, encode(record), when=AtIndex(modified) if modified else Absent())
        except (CompareFailed, KeyExists, KeyNotFound):
            raise Refused(
                f"another user changed {record.name} at the same time: check it and try again"
            ) from None


def has_converged(desired: DesiredJob, hosts: list[Host]) -> bool:
    """Return whether a job has its desired state everywhere."""
    record = desired.record
    instances = [
        each for host in hosts for each in host.instances if each.allocation.job == record.name
    ]
    if record.target is TargetState.DESTROYED:
        return False  # it is done when its record is gone
    if record.target is TargetState.INACTIVE:
        return not instances
    rollout = desired.rollout
    if rollout is None or rollout.version != record.version or rollout.state != "stable":
        return False
    phase = Phase.LOADED if record.target is TargetState.LOADED else Phase.READY
    is_global = desired.job is not None and desired.job.is_global
    if not is_global and len(instances) != desired.count:
        return False
    return all(each.report is not None and each.report.phase is phase for each in instances)


def _own_name() -> str:
    """Return this host's id; without one, fleetd keeps an id that only its host's name leads to."""
    try:
        return machine_id.read()
    except NoMachineId:
        return socket.gethostname()
