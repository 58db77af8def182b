"""Services in DNS and in the proxy: the records of ready endpoints, and a service's frontend.

The agent of a host writes the records of the instances that are ready there. When the host falls
silent, the scheduler removes them. The records of an instance are removed before it stops.
"""

import re
from collections.abc import Iterable

import msgspec

from fleet.core import keys
from fleet.core.model import Allocation, DesiredState, Phase, Report, ServiceRecord

DNS_PRIORITY, DNS_WEIGHT = 10, 100
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def endpoint_records(reports: Iterable[Report], address: str, host: str) -> dict[str, str]:
    """Return the keys and values of the endpoints that are ready on a host."""
    found: dict[str, str] = {}
    for report in reports:
        allocation = report.allocation
        if report.phase is not Phase.READY or allocation.desired_state is not DesiredState.RUN:
            continue
        for endpoint in allocation.endpoints:
            if endpoint.service in report.unserved:
                continue
            port, label = endpoint.port or allocation.port, label_of(allocation, host)
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


def proxy_records(fqdn: str, record: ServiceRecord) -> dict[str, str]:
    """Return what the proxy needs besides servers: a backend, and a frontend by host name."""
    if not record.proxy:
        return {}
    route = {"Type": "http", "BackendId": fqdn, "Route": f'Host("{fqdn}")'}
    return {
        keys.backend(fqdn): _json({"Type": "http"}),
        keys.frontend(fqdn): _json(route),
    }


def label_of(allocation: Allocation, host: str) -> str:
    """Return an instance's own label in DNS: the job, the index, the start of the host's id."""
    stem = allocation.job.rpartition(".")[0].lower()
    plain = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40] or "job"
    return f"{plain}-{allocation.index}-{host[:8].lower()}"


def is_endpoint_of(key: str, host: str) -> bool:
    """Return whether a key is one that `endpoint_records` makes for this host."""
    match key.split("/"):
        case ["", "skydns", *names, label]:
            is_record = bool(names)
        case ["", "vulcand", "backends", _, "servers", label]:
            is_record = True
        case _:
            return False
    return is_record and label.endswith(f"-{host[:8].lower()}")


def checked_fqdn(fqdn: str) -> str:
    """Return a service's name in lower case if it is valid in DNS. Raises ValueError."""
    labels = fqdn.rstrip(".").lower().split(".")
    if len(fqdn) > 200 or not all(map(_NAME.fullmatch, labels)):
        raise ValueError(
            f"{fqdn!r} is not a valid service name: write a DNS name such as app.example.com"
        )
    return ".".join(labels)


def _url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
