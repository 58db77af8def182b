"""Template functions that ask the host: DNS, network interfaces, whether a file exists."""

import ipaddress
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from confd.core.templates import functions
from confd.core.templates.functions import Function, FunctionError

# The time for one query to a resolver, because rendering waits for the answer.
DNS_TIMEOUT_S = 3.0
_RESOLV_CONF = Path("/etc/resolv.conf")
_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record."""

    Target: str
    Port: int
    Priority: int
    Weight: int


def all_functions(variables: Mapping[str, str]) -> dict[str, Function]:
    """Return the functions that read the environment, the clock and the host."""
    return {**functions.environment_functions(variables, time.time), **HOST}


def lookup_ip(name: str) -> list[str]:
    """Return the addresses of a host, sorted."""
    return _addresses(name, socket.AF_UNSPEC)


def lookup_ipv4(name: str) -> list[str]:
    """Return the IPv4 addresses of a host, sorted."""
    return _addresses(name, socket.AF_INET)


def lookup_ipv6(name: str) -> list[str]:
    """Return the IPv6 addresses of a host, sorted."""
    return _addresses(name, socket.AF_INET6)


def _addresses(name: str, family: socket.AddressFamily) -> list[str]:
    # A failure keeps the last good file. An empty list would render an upstream without servers.
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FunctionError("the name could not be resolved: the file stays as it is") from None
    return sorted({str(address[4][0]) for address in found})


def lookup_srv(service: str, protocol: str, name: str) -> list[Service]:
    """Return the SRV records of `_service._protocol.name`, sorted."""
    import dnslib  # takes 20 ms, and few templates need it

    labels = [f"_{service}", f"_{protocol}"] if service or protocol else []
    try:
        question = dnslib.DNSRecord.question(".".join([*labels, name]), "SRV")
        data = question.send(_resolver(), _DNS_PORT, timeout=DNS_TIMEOUT_S)
        reply = dnslib.DNSRecord.parse(data)
        if reply.header.tc:
            data = question.send(_resolver(), _DNS_PORT, tcp=True, timeout=DNS_TIMEOUT_S)
            reply = dnslib.DNSRecord.parse(data)
    except (OSError, dnslib.DNSError, UnicodeError, ValueError):
        raise FunctionError("the service could not be resolved: the file stays as it is") from None
    found = [
        Service(str(each.rdata.target), each.rdata.port, each.rdata.priority, each.rdata.weight)
        for each in reply.rr
        if each.rtype == dnslib.QTYPE.SRV
    ]
    if reply.header.rcode or not found:
        raise FunctionError("the service has no records: the file stays as it is")
    return sorted(found, key=lambda each: f"{each.Target}{each.Port}{each.Priority}{each.Weight}")


def _resolver() -> str:
    for line in _RESOLV_CONF.read_text().splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                return address
    return "127.0.0.1"


def lookup_iface_ipv4(name: str) -> str:
    """Return the first IPv4 address of an interface."""
    return _of_interface(name, socket.AF_INET)


def lookup_iface_ipv6(name: str) -> str:
    """Return the first IPv6 address of an interface, preferring a global one."""
    return _of_interface(name, socket.AF_INET6)


def _of_interface(name: str, family: socket.AddressFamily) -> str:
    import psutil  # takes 25 ms, and few templates need it

    found: list[str] = [
        each.address.partition("%")[0]
        for each in psutil.net_if_addrs().get(name, ())
        if each.family == family
    ]
    if not found:
        raise FunctionError("the interface has no such address")
    return min(found, key=lambda text: (ipaddress.ip_address(text).is_link_local, text))


def file_exists(path: str) -> bool:
    """Return whether a path exists."""
    return Path(path).exists() if path and "\0" not in path else False


HOST: Mapping[str, Function] = {
    "lookupIP": lookup_ip,
    "lookupIPV4": lookup_ipv4,
    "lookupIPV6": lookup_ipv6,
    "lookupSRV": lookup_srv,
    "lookupIfaceIPV4": lookup_iface_ipv4,
    "lookupIfaceIPV6": lookup_iface_ipv6,
    "fileExists": file_exists,
    "hostname": lambda: os.uname().nodename,
}
