"""Bootstrap by DNS: the founders are the SRV records of `_etcd-server[-ssl]._tcp.DOMAIN`."""

from pathlib import Path

import dnslib

ASK_S = 3.0
RESOLV_CONF = Path("/etc/resolv.conf")


class CannotResolve(Exception):  # noqa: N818 - states a fact
    """The domain's SRV records do not tell a cluster that has this member."""


def peers(domain: str, own: tuple[str, ...], name: str, *, secure: bool) -> dict[str, list[str]]:
    """Return the founders' peer URLs by name; the ones that are not `own` get numbers as names."""
    service = f"_etcd-server{'-ssl' if secure else ''}._tcp.{domain}"
    scheme = "https" if secure else "http"
    found: dict[str, list[str]] = {}
    for position, (host, port) in enumerate(sorted(_lookup(service))):
        url = f"{scheme}://{host}:{port}"
        mine = [each for each in own if _same(each, host, port)]
        found[name if mine else str(position)] = mine or [url]
    if not any(each in own for urls in found.values() for each in urls):
        raise CannotResolve(
            f"--discovery-srv {domain}: none of the {len(found)} targets of {service} is "
            f"{', '.join(own)} (--initial-advertise-peer-urls)"
        )
    return found


def _same(url: str, host: str, port: int) -> bool:
    return url.partition("://")[2] == f"{host}:{port}"


def _lookup(service: str) -> list[tuple[str, int]]:
    question = dnslib.DNSRecord.question(service, "SRV")
    why = "no nameserver in /etc/resolv.conf"
    for server in _nameservers():
        try:
            answer = dnslib.DNSRecord.parse(
                question.send(server, 53, timeout=ASK_S, ipv6=":" in server)
            )
        except (TimeoutError, OSError, dnslib.DNSError) as error:
            why = f"{server}: {error}"
            continue
        targets = [
            (str(record.rdata.target).rstrip("."), int(record.rdata.port))
            for record in answer.rr
            if record.rtype == dnslib.QTYPE.SRV
        ]
        if targets:
            return targets
        why = f"{server} knows no SRV records"
    raise CannotResolve(f"{service}: {why}")


def _nameservers() -> list[str]:
    lines = RESOLV_CONF.read_text().splitlines() if RESOLV_CONF.exists() else []
    return [line.split()[1] for line in lines if line.startswith("nameserver ")]
