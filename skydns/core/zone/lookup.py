"""What one question looks up, and what a cache must know about the answer made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from skydns.core.config import Settings
from skydns.core.dns.name import Name, text
from skydns.core.dns.rr import Rdata, RRset, Soa, Type
from skydns.core.zone.service import Record
from skydns.core.zone.zone import SERVICES_MAX, Found, Zone, split

# Different orders of one answer: enough to spread clients, few enough to keep them all.
TURNS_MAX = 8
# A lease that was written as a TTL must not pin an answer in caches for years.
TTL_S_MAX = 86_400
# RFC 8767, 4: how long others may keep what may no longer be true.
STALE_TTL_S = 30
# The store removes an expired key within a second or so. A key that is still there later was
# refreshed without an event, and how long it lives now is not known.
EXPIRY_GRACE_S = 2.0
# SkyDNS counts in whole hours, so that servers side by side agree.
SERIAL_STEP_S = 3600

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """What an answer is made from. `blind` says that the store is away and data may be old."""

    zone: Zone
    settings: Settings
    now_s: float
    blind: bool = False


class ExcessError(Exception):
    """A name has more services than any message can hold."""


@dataclass(slots=True)
class Reading:
    """The look-ups of one question; `turn` chooses among its orders where it `rotates`.

    `names` are those whose subtrees the answer rests on. `turns` is how many orders it has.
    `passing` says that it changes with time alone, because a key is about to expire. `notes`
    are the steps so far, None when nobody asks for them.
    """

    world: World
    turn: int
    rotates: bool
    lookups: int = 0
    names: set[Name] = field(default_factory=set)
    turns: int = 1
    passing: bool = False
    notes: list[str] | None = None

    @property
    def settings(self) -> Settings:
        """What the operator decided."""
        return self.world.settings

    def note(self, *lines: str) -> None:
        """Say what was done and why, if anyone asks."""
        if self.notes is not None:
            self.notes.extend(lines)

    def priority(self, record: Record) -> int:
        """Return the priority of a service's SRV record and the preference of its MX record."""
        return record.service.priority or self.settings.priority

    def exists(self, name: Name) -> bool:
        """Say whether the name or one below it has a key."""
        self.names.add(split(name)[0])
        exists = self.world.zone.exists(name)
        self.note(f"name: {text(name)} {'exists' if exists else 'does not exist'}")
        return exists

    def at(self, name: Name) -> Record | None:
        """Return the service whose key is exactly this name."""
        self.names.add(name)
        return self.world.zone.at(name)

    def look(self, name: Name) -> Found:
        """Return all services of a name. ExcessError when no message can hold them."""
        self.lookups += 1
        self.names.add(split(name)[0])
        found = self.world.zone.below(name)
        if self.notes is not None:
            self._note_found(name, found)
        if found.excess:
            raise ExcessError
        return found

    def _note_found(self, name: Name, found: Found) -> None:
        self.note(f"look: {text(name)} has {len(found.records)} services")
        for record in found.records:
            left = "" if record.expires_at is None else f", lives {self._left_s(record):.0f} s"
            self.note(f"key: {record.key} index {record.index}, {self._age(record)}{left}")
        for bad in self.world.zone.bad_below(split(name)[0]):
            self.note(f"out: {bad.key}: {bad.reason}")
        if found.excess:
            self.note(f"out: all, for there are more than {SERVICES_MAX}")

    def in_turn(self, items: list[T]) -> list[T]:
        """Return the items beginning with the one whose turn it is."""
        if len(items) < 2 or not (self.rotates and self.settings.round_robin):
            return items
        turns = min(len(items), TURNS_MAX)
        self.turns = max(self.turns, turns)
        shift = self.turn % turns * len(items) // turns
        return items[shift:] + items[:shift]

    def rrset(
        self, name: Name, kind: Type, data: Sequence[tuple[Record, Rdata]]
    ) -> tuple[RRset, ...]:
        """Return one RRset without doubles under the least of its TTLs, or none without data."""
        if not data:
            return ()
        ttl_s = self.capped(min(self._ttl_s(record) for record, _ in data))
        if self.notes is not None:
            self._note_ttl(name, kind, data, ttl_s)
        return (RRset(name, kind, ttl_s, tuple(dict.fromkeys(rdata for _, rdata in data))),)

    def _age(self, record: Record) -> str:
        if record.since_s is None:
            return "older than this server's copy"
        return f"seen {max(0.0, self.world.now_s - record.since_s):.0f} s ago"

    def _note_ttl(
        self, name: Name, kind: Type, data: Sequence[tuple[Record, Rdata]], ttl_s: int
    ) -> None:
        least = min((record for record, _ in data), key=self._ttl_s)
        source = "the key's ttl" if least.service.ttl else "--ttl"
        if least.expires_at is not None and self._ttl_s(least) != least.service.ttl:
            source = "what is left of the key's life"
        capped = "" if ttl_s == self._ttl_s(least) else f", capped from {self._ttl_s(least)}"
        self.note(f"ttl: {text(name)} {kind.name} {ttl_s}: {source} of {least.key}{capped}")

    def _left_s(self, record: Record) -> float:
        return (record.expires_at or 0.0) - self.world.now_s

    def _ttl_s(self, record: Record) -> int:
        written_s, now_s = record.service.ttl, self.world.now_s
        if record.expires_at is None:
            return written_s or self.settings.ttl_s
        if now_s > record.expires_at + EXPIRY_GRACE_S:
            return min(written_s or STALE_TTL_S, STALE_TTL_S)
        self.passing = True
        left_s = max(1, int(record.expires_at - now_s))
        return min(written_s or left_s, left_s)

    def capped(self, ttl_s: int) -> int:
        """Return a TTL within what is sane, and within what old data may claim."""
        return min(ttl_s, STALE_TTL_S if self.world.blind else TTL_S_MAX)

    def soa(self, domain: Name, ttl_s: int) -> RRset:
        """Return the SOA record of a domain."""
        settings = self.settings
        soa = Soa(
            primary=(b"ns", b"dns", *domain),
            mailbox=settings.hostmaster or (b"hostmaster", *domain),
            serial=int(self.world.now_s) // SERIAL_STEP_S * SERIAL_STEP_S,
            minimum_s=settings.negative_ttl_s,
        )
        return RRset(domain, Type.SOA, self.capped(ttl_s), (soa,))
