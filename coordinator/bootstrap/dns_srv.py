"""Finds the founders in DNS: the SRV records of `_etcd-server[-ssl]._tcp.DOMAIN`."""

from pathlib import Path

import dnslib

QUERY_S = 3.0
RESOLV_CONF = Path("/etc/resolv.conf")


class SrvLookupError(Exception):
    """The domain has no SRV records, or they do not include this member."""


def members(domain: str, own: tuple[str, ...], name: str, *, secure: bool) -> dict[str, list[str]]:
    """Return the founders' peer URLs by name. Members other than `own` get numbers as names."""
    service = f"_etcd-server{'-ssl' if secure else ''}._tcp.{domain}"
    scheme = "https" if secure else "http"
    found: dict[str, list[str]] = {}
    for position, (host, port) in enumerate(sorted(_lookup(service))):
        url = f"{scheme}://{host}:{port}"
        mine = [each for each in own if _same(each, host, port)]
        found[name if mine else str(position)] = mine or [url]
    if not any(each in own for urls in found.values() for each in urls):
        raise SrvLookupError(
            f"--discovery-srv {domain}: none of the {len(found)} targets of {service} is "
            f"{', '.join(own)} (--initial-advertise-peer-urls)"
        )
    return found


def _same(url: str, host: str, port: int) -> bool:
    return url.partition("://")[2] == f"{host}:{port}"


def _lookup(service: str) -> list[tuple[str, int]]:
    question = dnslib.DNSRecord.question(service, "SRV")
    reason = "there is no nameserver in /etc/resolv.conf"
    for server in _nameservers():
        try:
            answer = dnslib.DNSRecord.parse(
                question.send(server, 53, timeout=QUERY_S, ipv6=":" in server)
            )
        except (TimeoutError, OSError, dnslib.DNSError) as error:
            reason = f"{server}: {error}"
            continue
        targets = [
            (str(record.rdata.target).rstrip("."), int(record.rdata.port))
            for record in answer.rr
            if record.rtype == dnslib.QTYPE.SRV
        ]
        if targets:
            return targets
        reason = f"{server} has no SRV records for it"
    raise SrvLookupError(f"{service}: {reason}")


def _nameservers() -> list[str]:
    lines = RESOLV_CONF.read_text().splitlines() if RESOLV_CONF.exists() else []
    return [line.split()[1] for line in lines if line.startswith("nameserver ")]
