"""The fleet's records as they are in the store; one that cannot be read counts as absent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from cryptography import x509

from slashetc.core import certificates, fleet_file, keys
from slashetc.core.admission import KnownFleet
from slashetc.core.keys import AdmittedHost, Eviction, FleetRecord


@dataclass(slots=True)
class Records:
    """All records, parsed."""

    fleet: FleetRecord | None = None
    authority: str = ""
    hosts: dict[str, AdmittedHost] = field(default_factory=dict)
    evicted_hosts: dict[str, Eviction] = field(default_factory=dict)
    evicted_users: dict[str, Eviction] = field(default_factory=dict)
    signers: dict[str, str] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def evictions(self) -> list[Eviction]:
        """Everybody whose certificates are refused."""
        return [*self.evicted_hosts.values(), *self.evicted_users.values()]

    @property
    def endpoints(self) -> list[str]:
        """The client URLs of the store's members."""
        members = sorted((each.host, each.address) for each in self.hosts.values() if each.member)
        return [f"https://{fleet_file.bracketed(address)}:2379" for _, address in members]

    def authorities(self) -> tuple[x509.Certificate, ...]:
        """Return the certificates of the authority's bundle; nobody has checked them."""
        try:
            return certificates.bundle(self.authority) if self.authority else ()
        except ValueError:
            return ()

    def known(
        self, name: str, trusted: tuple[x509.Certificate, ...], used: Mapping[str, str]
    ) -> KnownFleet:
        """Return what an authority decides by."""
        return KnownFleet(
            name=name,
            trusted=trusted,
            hosts=self.hosts,
            evicted_hosts=self.evicted_hosts,
            evicted_users=self.evicted_users,
            signers=self.signers,
            used=used,
        )


def parse(values: Mapping[str, str]) -> Records:
    """Parse the values of keys below /slashetc/v1."""
    found = Records()
    for key, text in values.items():
        try:
            _parse_one(found, key, text)
        except msgspec.MsgspecError as error:
            found.unreadable[key] = str(error)
    return found


def _parse_one(found: Records, key: str, text: str) -> None:
    directory, _, name = key.rpartition("/")
    match directory:
        case keys.ADMITTED:
            found.hosts[name] = msgspec.json.decode(text, type=AdmittedHost)
        case keys.EVICTED:
            eviction = msgspec.json.decode(text, type=Eviction)
            people_or_hosts = found.evicted_users if eviction.user else found.evicted_hosts
            people_or_hosts[eviction.name] = eviction
        case keys.SIGNERS:
            found.signers[name] = text
        case keys.REQUESTS:
            found.requests[name] = text
        case keys.ANSWERS:
            found.answers[name] = text
        case keys.PREFIX if key == keys.AUTHORITY:
            found.authority = text
        case keys.PREFIX if key == keys.FLEET:
            found.fleet = msgspec.json.decode(text, type=FleetRecord)
