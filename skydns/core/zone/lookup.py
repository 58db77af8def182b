"""The lookups for one question, and the facts about its answer that a cache needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from skydns.core.config import Config
from skydns.core.dns.name import Name, text
from skydns.core.dns.rr import STALE_TTL_S, TTL_S_MAX, Rdata, RRset, RRType, Soa
from skydns.core.keys import NAME_SERVERS
from skydns.core.zone.service import Service
from skydns.core.zone.zone import SERVICES_MAX, Services, Zone, split

# Orders of one answer: enough to spread clients, and few enough to cache them all.
ROTATIONS_MAX = 8
# The store removes an expired key within a second or so. A key that still exists after that was
# refreshed without an event, and its new expiry is unknown.
EXPIRY_GRACE_S = 2.0
# SkyDNS counts whole hours, so that several servers agree.
SERIAL_STEP_S = 3600

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The input of an answer. When the store is down, the zone may be out of date."""

    zone: Zone
    config: Config
    now_s: float
    store_down: bool = False


class TooManyServicesError(Exception):
    """A name has more services than any message has room for."""


@dataclass(slots=True)
class Lookup:
    """The lookups for one question. Each name is looked up once.

    `rotates` says that the answer has several orders. `names` are the names whose subtrees the
    answer depends on. `count` is how often a name was asked for. `volatile` says that the answer
    changes with time alone, because a key is about to expire. `notes` are the steps so far, or None
    when they are not needed.
    """

    snapshot: Snapshot
    rotates: bool
    count: int = 0
    names: set[Name] = field(default_factory=set)
    volatile: bool = False
    notes: list[str] | None = None
    _found: dict[Name, tuple[Service, ...]] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The options for answers."""
        return self.snapshot.config

    def note(self, *lines: str) -> None:
        """Record a step and its reason, if there are notes."""
        if self.notes is not None:
            self.notes.extend(lines)

    def priority(self, service: Service) -> int:
        """Return the priority of a service's SRV record, which its MX record has too."""
        return service.value.priority or self.config.priority

    def exists(self, name: Name) -> bool:
        """Return whether there is a key at the name or below it."""
        self.names.add(split(name)[0])
        exists = self.snapshot.zone.exists(name)
        self.note(f"name: {text(name)} {'exists' if exists else 'does not exist'}")
        return exists

    def at(self, name: Name) -> Service | None:
        """Return the service whose key is exactly this name."""
        self.names.add(name)
        return self.snapshot.zone.at(name)

    def services(self, name: Name) -> tuple[Service, ...]:
        """Return all services of a name, or raise TooManyServicesError."""
        self.count += 1
        if (known := self._found.get(name)) is not None:
            return known
        self.names.add(split(name)[0])
        services = self.snapshot.zone.below(name)
        if self.notes is not None:
            self._note_services(name, services)
        if services.too_many:
            raise TooManyServicesError
        self._found[name] = services.found
        return services.found

    def rotations(self, items: Sequence[T]) -> list[Sequence[T]]:
        """Return the items in each order: as they are, or each time from another one on."""
        if len(items) < 2 or not (self.rotates and self.config.round_robin):
            return [items]
        count = min(len(items), ROTATIONS_MAX)
        starts = [number * len(items) // count for number in range(count)]
        return [(*items[start:], *items[:start]) for start in starts]

    def rrset(
        self, name: Name, rtype: RRType, data: Sequence[tuple[Service, Rdata]]
    ) -> tuple[RRset, ...]:
        """Return one RRset without duplicates, under the least of its TTLs; none without data."""
        if not data:
            return ()
        ttl_s = self.capped(min(self._ttl_s(service) for service, _ in data))
        if self.notes is not None:
            self._note_ttl(name, rtype, data, ttl_s)
        return (RRset(name, rtype, ttl_s, tuple(dict.fromkeys(rdata for _, rdata in data))),)

    def soa(self, domain: Name, ttl_s: int) -> RRset:
        """Return the SOA record of a domain."""
        config = self.config
        soa = Soa(
            primary=(*NAME_SERVERS, *domain),
            mailbox=config.hostmaster or (b"hostmaster", *domain),
            serial=int(self.snapshot.now_s) // SERIAL_STEP_S * SERIAL_STEP_S,
            minimum_s=config.negative_ttl_s,
        )
        return RRset(domain, RRType.SOA, self.capped(ttl_s), (soa,))

    def capped(self, ttl_s: int) -> int:
        """Limit a TTL. Data that may be out of date gets a short one."""
        return min(ttl_s, STALE_TTL_S if self.snapshot.store_down else TTL_S_MAX)

    def _ttl_s(self, service: Service) -> int:
        written_s, now_s = service.value.ttl, self.snapshot.now_s
        if service.expires_at is None:
            return written_s or self.config.ttl_s
        if now_s > service.expires_at + EXPIRY_GRACE_S:
            return min(written_s or STALE_TTL_S, STALE_TTL_S)
        self.volatile = True
        left_s = max(1, int(service.expires_at - now_s))
        return min(written_s or left_s, left_s)

    def _note_services(self, name: Name, services: Services) -> None:
        self.note(f"lookup: {text(name)} has {len(services.found)} services")
        for service in services.found:
            self.note(f"key: {service.key} index {service.index}, {self._age_and_life(service)}")
        for invalid in self.snapshot.zone.invalid_below(split(name)[0]):
            self.note(f"skip: {invalid.key}: {invalid.reason}")
        if services.too_many:
            self.note(f"skip: all services, because there are more than {SERVICES_MAX}")

    def _age_and_life(self, service: Service) -> str:
        now_s = self.snapshot.now_s
        age = "older than this server's copy"
        if service.since_s is not None:
            age = f"written {max(0.0, now_s - service.since_s):.0f} s ago"
        if service.expires_at is None:
            return age
        return f"{age}, expires in {service.expires_at - now_s:.0f} s"

    def _note_ttl(
        self, name: Name, rtype: RRType, data: Sequence[tuple[Service, Rdata]], ttl_s: int
    ) -> None:
        least = min((service for service, _ in data), key=self._ttl_s)
        source = f"the ttl of {least.key}" if least.value.ttl else f"--ttl, as {least.key} has none"
        if least.expires_at is not None and self._ttl_s(least) != least.value.ttl:
            source = f"the time left of {least.key}"
        lowered = "" if ttl_s == self._ttl_s(least) else f", lowered from {self._ttl_s(least)}"
        self.note(f"ttl: {text(name)} {rtype.name} {ttl_s}: {source}{lowered}")
