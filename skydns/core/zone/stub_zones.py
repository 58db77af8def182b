"""Stub zones: names that are forwarded to the servers at `NAME.stub.dns.DOMAIN`.

The key `/skydns/local/skydns/dns/stub/org/example/ns1`, with an address as host, names a server of
`example.org.`
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from skydns.core.config import ServerAddress
from skydns.core.dns.name import Name
from skydns.core.keys import STUB_ZONES
from skydns.core.zone.zone import Zone

PORT = 53


def stub_zones(zone: Zone, domains: Iterable[Name]) -> Mapping[Name, tuple[ServerAddress, ...]]:
    """Return the servers of each stub zone."""
    found: dict[Name, list[ServerAddress]] = {}
    for domain in domains:
        above = (*STUB_ZONES, *domain)
        for service in zone.below(above).found:
            name = service.name[1 : -len(above)]
            if service.address and name:
                server = (str(ip_address(service.address)), service.value.port or PORT)
                found.setdefault(name, []).append(server)
    return {name: tuple(servers) for name, servers in found.items()}
