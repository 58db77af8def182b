"""The status of the whole fleet, made from one reading."""

from dataclasses import dataclass

import msgspec

from slashetc.core.keys import FleetRecord
from slashetc.core.status import (
    documents,
    fleet_rows,
    identity_findings,
    reboot_rows,
    service_rows,
    store_rows,
)
from slashetc.core.status.documents import FLEET
from slashetc.core.status.finding import Finding, Severity, notice, problem
from slashetc.core.status.fleet_rows import HostRow, JobRow
from slashetc.core.status.reading import FORBIDDEN, Reading
from slashetc.core.status.reboot_rows import GroupRow
from slashetc.core.status.service_rows import DnsRow, ProxyRow
from slashetc.core.status.store_rows import HEALTH_COMMAND, MemberRow, of_certificate


@dataclass(frozen=True, slots=True)
class FleetView:
    """What one screen shows, in its order. `stale` says that there is no quorum."""

    fleet: str
    at: float
    stale: bool
    findings: tuple[Finding, ...]
    hosts: tuple[HostRow, ...]
    members: tuple[MemberRow, ...]
    reboots: tuple[GroupRow, ...]
    jobs: tuple[JobRow, ...]
    dns: DnsRow
    proxies: tuple[ProxyRow, ...]
    daemons: dict[str, str]

    @property
    def problems(self) -> int:
        """How many findings somebody must act on."""
        return sum(each.severity is Severity.PROBLEM for each in self.findings)


def view_of(reading: Reading) -> FleetView:
    """Return the status that a reading shows."""
    fleet, reboots = fleet_rows.read(reading), reboot_rows.read(reading)
    found = [
        *store_rows.findings(reading),
        *_of_here(reading),
        *fleet_rows.host_findings(fleet, reboots, reading),
        *reboot_rows.findings(reboots, reading),
        *fleet_rows.job_findings(fleet, reading),
        *service_rows.findings(reading),
        *identity_findings.findings(reading),
        *_unread(reading),
    ]
    return FleetView(
        _name(reading),
        reading.now_s,
        reading.stale,
        tuple(sorted(found, key=lambda each: each.severity is not Severity.PROBLEM)),
        tuple(fleet_rows.host_rows(fleet, reboots, reading)),
        tuple(store_rows.rows(reading)),
        tuple(reboot_rows.rows(reboots)),
        tuple(fleet_rows.job_rows(fleet, reading)),
        service_rows.dns(reading)[0],
        tuple(service_rows.proxies(reading)[0]),
        dict(reading.daemons),
    )


def _name(reading: Reading) -> str:
    for entry in reading.below(FLEET):
        try:
            return documents.decode(entry, FleetRecord).name
        except documents.Unreadable:
            continue
    return ""


def _of_here(reading: Reading) -> list[Finding]:
    """Return what is wrong with the daemons and the certificates of this host."""
    found = [
        problem(f"{daemon} of this host is not ready: {why}.", f"journalctl -u {daemon}")
        for daemon, why in sorted(reading.daemons.items())
        if why
    ]
    for path, until in sorted(reading.certificates.items()):
        found += of_certificate(f"The certificate {path}", until, reading)
    return found


def _unread(reading: Reading) -> list[Finding]:
    """Return which keys are not shown, and why."""
    if not reading.answered:
        return []
    by_reason: dict[str, list[str]] = {}
    for prefix, why in sorted(reading.refused.items()):
        by_reason.setdefault(why, []).append(prefix)
    return [
        notice(f"Not shown: {', '.join(prefixes)}: {why}.", "coordctl why-denied --help")
        if why == FORBIDDEN
        else problem(f"These keys were not read: {', '.join(prefixes)}: {why}.", HEALTH_COMMAND)
        for why, prefixes in by_reason.items()
    ]


def as_json(view: FleetView) -> str:
    """Return the status as one JSON document."""
    document = {
        "fleet": view.fleet,
        "at": view.at,
        "healthy": not view.problems,
        "stale": view.stale,
        "problems": [_finding(each) for each in view.findings if _is_problem(each)],
        "notices": [_finding(each) for each in view.findings if not _is_problem(each)],
        "hosts": view.hosts,
        "members": view.members,
        "reboots": view.reboots,
        "jobs": view.jobs,
        "dns": view.dns,
        "proxies": view.proxies,
        "daemons": view.daemons,
    }
    return msgspec.json.encode(document).decode()


def _is_problem(finding: Finding) -> bool:
    return finding.severity is Severity.PROBLEM


def _finding(finding: Finding) -> dict[str, str]:
    return {"text": finding.text, "command": finding.command}
