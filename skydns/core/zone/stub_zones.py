"""Stub zones: names whose servers are written as services below `stub.dns` of a domain.

`/skydns/local/skydns/dns/stub/org/example/ns1` with an address as host serves `example.org.`
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from skydns.core.config import Address
from skydns.core.dns.name import Name
from skydns.core.zone.zone import Zone

LABEL = b"stub"
PORT = 53


def stubs(zone: Zone, domains: Iterable[Name]) -> Mapping[Name, tuple[Address, ...]]:
    """Return the servers of each stub zone."""
    found: dict[Name, list[Address]] = {}
    for domain in domains:
        above = (LABEL, b"dns", *domain)
        for record in zone.below(above).records:
            name = record.name[1 : -len(above)]
            if record.address and name:
                server = (str(ip_address(record.address)), record.service.port or PORT)
                found.setdefault(name, []).append(server)
    return {name: tuple(servers) for name, servers in found.items()}
