"""The `ipallow` middleware: which client addresses may send requests."""

import ipaddress
from collections.abc import Sequence

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str]) -> tuple[IpNetwork, ...]:
    """Parse networks and addresses. ValueError names the wrong one."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def allowed(peer: str, allow: Sequence[IpNetwork], deny: Sequence[IpNetwork]) -> bool:
    """Whether a client may send requests: `deny` goes before `allow`, and no `allow` means all."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return not allow  # the client of a unix socket has no address
    if any(address in network for network in deny):
        return False
    return not allow or any(address in network for network in allow)
