"""Services in DNS and in the proxy: the records of ready endpoints, and the front of a service.

The agent of a host writes the records of what is ready there, with the TTL of its own status: a
host that falls silent leaves both. Records go before their instance stops.
"""

import re
from collections.abc import Iterable

import msgspec

from fleet.core import keys
from fleet.core.model import Order, Phase, Report, ServiceRecord, Want

DNS_PRIORITY, DNS_WEIGHT = 10, 100
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def records(reports: Iterable[Report], address: str, host: str) -> dict[str, str]:
    """Return the keys and values of what is ready on a host."""
    found: dict[str, str] = {}
    for report in reports:
        order = report.order
        if report.phase is not Phase.READY or order.want is not Want.RUN:
            continue
        for endpoint in order.endpoints:
            if endpoint.service in report.unserved:
                continue
            port, label = endpoint.port or order.port, label_of(order, host)
            record = {
                "host": address,
                "port": port,
                "priority": DNS_PRIORITY,
                "weight": DNS_WEIGHT,
                "ttl": endpoint.ttl_s,
            }
            found[keys.dns(endpoint.service, label)] = _json(record)
            found[keys.server(endpoint.service, label)] = _json({"URL": _url(address, port)})
    return found


def front(fqdn: str, record: ServiceRecord) -> dict[str, str]:
    """Return what the proxy needs beside servers: a backend, and a route by host name."""
    if not record.proxy:
        return {}
    route = {"Type": "http", "BackendId": fqdn, "Route": f'Host("{fqdn}")'}
    return {
        keys.backend(fqdn): _json({"Type": "http"}),
        keys.frontend(fqdn): _json(route),
    }


def label_of(order: Order, host: str) -> str:
    """Return a DNS label of its own for an instance: the job, its number, its host."""
    stem = order.job.rpartition(".")[0].lower()
    plain = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40] or "job"
    return f"{plain}-{order.index}-{host[:8].lower()}"


def checked_name(fqdn: str) -> str:
    """Return a service's name if DNS can have it. Raises ValueError."""
    labels = fqdn.rstrip(".").lower().split(".")
    if len(fqdn) > 200 or not all(map(_NAME.fullmatch, labels)):
        raise ValueError(f"{fqdn!r} is no name for a service: write app.example.com")
    return ".".join(labels)


def _url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
