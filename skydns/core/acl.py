"""Access lists: which client networks may ask."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

# The number of clients whose result is cached.
KNOWN_MAX = 10_000
V4_MAPPED = bytes(10) + b"\xff\xff"

Network = IPv4Network | IPv6Network


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks as operators write them; ValueError names the text."""
    try:
        return tuple(ip_network(text.strip()) for text in texts)
    except ValueError as error:
        raise ValueError(f"{error}: write a network, such as 10.0.0.0/8 or ::1/128") from None


class NetworkList:
    """A list of networks. `client in networks` takes a client's address in 4 or 16 octets."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = networks(texts)
        self._known: dict[bytes, bool] = {}

    def __contains__(self, client: bytes) -> bool:
        known = self._known.get(client)
        if known is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[client] = self._find(client)
        return known

    def _find(self, client: bytes) -> bool:
        if len(client) not in {4, 16}:
            return False
        plain = client[12:] if client.startswith(V4_MAPPED) and len(client) == 16 else client
        address = ip_address(plain)
        return any(address in network for network in self._networks)
