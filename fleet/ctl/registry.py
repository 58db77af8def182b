"""What users change in the store: jobs and their versions, services, cordons and drains."""

import contextlib
import getpass
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue

import msgspec

from coordinator.client.core.errors import CompareFailed, KeyExists, KeyNotFound
from coordinator.client.core.store_protocol import Absent, AtIndex, Store
from coordinator.client.core.view import Changes
from coordinator.client.mirror import Mirror
from fleet.core import endpoints, keys
from fleet.core.jobs import jobspec, selector, unitfile
from fleet.core.model import (
    Cordon,
    Drain,
    JobRecord,
    Phase,
    ServiceRecord,
    Target,
    Version,
    digest,
    encode,
)
from fleet.core.scheduling.cluster_cache import Picture
from fleet.core.scheduling.cluster_state import Desired, HostView, Standing

# A command that waits tells of every change, and looks at its clock so often.
LOOK_S = 0.2


class Refused(Exception):  # noqa: N818 - a clean "no"
    """Cannot be done; the message says why, and what to do instead."""


class Registry:
    """The fleet's keys, as one command sees them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.picture = Picture()
        self.refresh()

    def refresh(self) -> None:
        """Read everything again."""
        listing = self.store.list(keys.PREFIX)
        self._apply(Changes(listing.cluster, listing.index, listing.entries, reset=True))

    @contextmanager
    def following(self) -> Iterator[Callable[[], None]]:
        """Keep the picture up to date; the function waits for a moment or a change."""
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

    def desired(self, name: str) -> Desired:
        """Return a job, or refuse."""
        found = self.picture.world.jobs.get(name) or self.picture.world.jobs.get(f"{name}.service")
        if found is None:
            raise Refused(f"there is no job {name}: `fleetctl list-unit-files` shows all")
        return found

    def host(self, name: str) -> HostView:
        """Return a host by its name, its id or the beginning of its id, or refuse."""
        found = [
            host
            for host in self.picture.world.hosts.values()
            if host.facts and (host.name() == name or (name and host.id.startswith(name)))
        ]
        named = [host for host in found if name in (host.name(), host.id)]
        if len(found := named or found) != 1:
            raise Refused(f"{len(found)} hosts are called {name}: `fleetctl hosts` shows all")
        return found[0]

    def put_job(  # noqa: PLR0913 - what a record holds
        self,
        name: str,
        text: str,
        *,
        target: Target,
        count: int | None = None,
        note: str = "",
        signature: str = "",
    ) -> JobRecord:
        """Want a job, or its next version. Raises UnitRefused, ValueError, Refused."""
        parsed = jobspec.parse(name, text)
        if target is not Target.INACTIVE and unitfile.is_template(name):
            raise Refused(f"{name} is a template: start an instance of it")
        if count is not None and not parsed.counted:
            raise Refused(f"{name} has no Count= in its [X-Fleet] section")
        unit = digest(text)
        self._put_unit(unit, text, signature)
        was = self.picture.world.jobs.get(name)
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
            paused=old is not None and old.paused and old.target is not Target.DESTROYED,
            by=who(),
            at=now(),
            note=note,
        )
        if old is None or old.unit != unit:
            version = Version(number=number, unit=unit, by=record.by, at=record.at, note=note)
            self.store.put(keys.version(name, number), encode(version))
        self._swap(record)
        # Whoever forgets another job at this moment, and saw no user of the unit, finds it changed.
        self._put_unit(unit, text, signature, again=True)
        self.refresh()
        return record

    def change_job(self, name: str, **fields: object) -> JobRecord:
        """Change what is wanted of a job."""
        old = self.desired(name).record
        if old.target is Target.DESTROYED:
            raise Refused(f"{old.name} is being destroyed: `fleetctl run` its file to have it back")
        record = msgspec.structs.replace(
            old, rev=self._next_rev(old.name), by=who(), at=now(), **fields
        )
        self._swap(record)
        self.refresh()
        return record

    def versions(self, name: str) -> list[Version]:
        """Return a job's versions, the newest last."""
        found = self.store.list(f"{keys.whole_job(name)}/v").entries
        return sorted(
            (msgspec.json.decode(each.value, type=Version) for each in found),
            key=lambda each: each.number,
        )

    def text_of(self, unit: str) -> str:
        """Return a stored unit."""
        try:
            return self.store.get(keys.unit(unit)).value
        except KeyNotFound:
            raise Refused(f"the unit {unit[:8]} is not in the store any more") from None

    def put_service(self, fqdn: str, record: ServiceRecord) -> str:
        """Name what a selector finds; the proxy's backend and route come with it."""
        name = endpoints.checked_name(fqdn)
        selector.parse(record.selector)
        if record.check and jobspec.check(record.check).kind == "active":
            raise ValueError(
                "a service's check is tcp or http:/path: its jobs' own is asked anyway"
            )
        for key, value in endpoints.front(name, record).items():
            self.store.put(key, value)
        self.store.put(keys.service(name), encode(record))
        return name

    def remove_service(self, fqdn: str) -> None:
        """Forget a service; its endpoints leave as agents hear of it."""
        name = endpoints.checked_name(fqdn)
        try:
            self.store.delete(keys.service(name))
        except KeyNotFound:
            raise Refused(f"there is no service {name}") from None
        for key in (keys.frontend(name), keys.backend(name)):
            with contextlib.suppress(KeyNotFound):
                self.store.delete(key)

    def cordon(self, host: HostView, reason: str) -> None:
        """Let nothing new come to a host."""
        self.store.put(keys.cordon(host.id), encode(Cordon(who(), now(), reason)))

    def drain(self, host: HostView, reason: str, deadline_s: float, *, reboot: bool) -> None:
        """Let all go from a host."""
        boot = host.status.boot_id if host.status else ""
        value = Drain(who(), now(), reason, deadline_s, reboot, boot)
        self.store.put(keys.drain(host.id), encode(value))

    def release(self, host: HostView) -> None:
        """Take cordon and drain back."""
        for key in (keys.cordon(host.id), keys.drain(host.id)):
            with contextlib.suppress(KeyNotFound):
                self.store.delete(key)

    def _apply(self, changes: Changes) -> None:
        self.picture.apply(changes)
        for host in self.picture.world.hosts.values():
            host.standing = Standing.READY if host.status else Standing.SUSPECT

    def _next_rev(self, name: str) -> int:
        """Grow beyond the record and all that runs: the store may be of an old backup."""
        known = self.picture.world.jobs.get(name)
        revs = [known.record.rev] if known else []
        for host in self.picture.world.hosts.values():
            revs += [each.order.rev for each in host.placed if each.order.job == name]
            reports = host.status.reports if host.status else ()
            revs += [each.order.rev for each in reports if each.order.job == name]
        return max(revs, default=0) + 1

    def _put_unit(self, unit: str, text: str, signature: str, *, again: bool = False) -> None:
        with contextlib.suppress(KeyExists):
            self.store.put(keys.unit(unit), text, when=None if again else Absent())
        if signature:
            self.store.put(f"{keys.signature(unit)}/{digest(signature)[:16]}", signature)

    def _swap(self, record: JobRecord) -> None:
        key = keys.job(record.name)
        modified = self.picture.modified(key)
        try:
            self.store.put(key, encode(record), when=AtIndex(modified) if modified else Absent())
        except (CompareFailed, KeyExists, KeyNotFound):
            raise Refused(
                f"{record.name} was changed by somebody else at this moment: look, and try again"
            ) from None


def is_settled(desired: Desired, hosts: list[HostView]) -> bool:
    """Say whether a job is as it was wanted, everywhere."""
    record = desired.record
    placed = [each for host in hosts for each in host.placed if each.order.job == record.name]
    if record.target is Target.DESTROYED:
        return False  # until there is no record
    if record.target is Target.INACTIVE:
        return not placed
    rollout = desired.rollout
    if rollout is None or rollout.version != record.version or rollout.state != "stable":
        return False
    phase = Phase.LOADED if record.target is Target.LOADED else Phase.READY
    everywhere = desired.job is not None and desired.job.everywhere
    if not everywhere and len(placed) != desired.count:
        return False
    return all(each.report is not None and each.report.phase is phase for each in placed)


def who() -> str:
    """Return who asks, for records and history."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a user without a name
        return socket.gethostname()


def now() -> str:
    """Return the time as records have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
