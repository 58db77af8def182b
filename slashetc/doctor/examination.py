"""Examines one host: reads everything that the rules judge. Each part takes a bounded time."""

import datetime as dt
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import slashetc
from coordinator.client.http.http_client import HttpClient
from daemonkit.core.tls.revocations import Revocations
from daemonkit.host import machine_id
from daemonkit.options import installed_version
from slashetc.core.doctor import certificate_rules, fleet_rules, host_rules
from slashetc.core.doctor.certificate_rules import CertificateFiles, HostIdentity
from slashetc.core.doctor.diagnosis import Diagnosis, fail, sorted_by_verdict
from slashetc.core.fleet_file import FleetFile, bracketed
from slashetc.core.host_files import JOIN_PORT
from slashetc.core.status import fleet_rows, reboot_rows
from slashetc.core.status.reading import Reading
from slashetc.doctor import certificate_files, disk_probe, dns_probe, port_probe
from slashetc.doctor.port_probe import NEEDED, NeededPort
from slashetc.host.places import NotInFleet, Places
from slashetc.status import local_host
from slashetc.status.fleet_reader import FleetReader, StoreAddress


@dataclass(frozen=True, slots=True)
class Examined:
    """Where to look. `user_directory` is an operator's.

    `credentials` says why the credentials for the store cannot be used; "" if they can.
    """

    store: StoreAddress
    timeout_s: float
    data_dir: Path
    directory: Path = local_host.DIRECTORY
    user_directory: Path | None = None
    status_ports: Mapping[str, int] = field(default_factory=lambda: local_host.STATUS_PORTS)
    needed_ports: Sequence[NeededPort] = NEEDED
    credentials: str = ""


def examine(given: Examined) -> list[Diagnosis]:
    """Return all diagnoses, failures first."""
    reader = FleetReader(
        given.store, given.timeout_s, directory=given.directory, ports=given.status_ports
    )
    try:
        reading = reader.read()
    finally:
        reader.close()
    found: list[Diagnosis] = []
    file, problem = _description(given.directory)
    found += problem
    if given.credentials:
        remedy = "name files that this user may read, or run it as root"
        found.append(fail(certificate_rules.SUBJECT, f"{given.credentials}.", remedy))
    found += host_rules.name(socket.gethostname(), _machine_id())
    found += _clock(reading)
    found += host_rules.disk(disk_probe.measure(given.data_dir))
    found += host_rules.ports(port_probe.look(given.needed_ports, _expected(file)))
    found += _certificates(given, file)
    found.append(fleet_rules.quorum(reading, in_fleet=file is not None))
    found.append(_versions(reading))
    found += _reachable(given, reading, file)
    found += _dns(given, file)
    return sorted_by_verdict(found)


def _description(directory: Path) -> tuple[FleetFile | None, list[Diagnosis]]:
    try:
        return Places(directory).read(), []
    except NotInFleet as error:
        if not Places(directory).fleet_file.exists():
            return None, []
        text, remedy = f"{error}.", f"look at {Places(directory).fleet_file}"
        return None, [fail("fleet", text, remedy)]


def _machine_id() -> str:
    try:
        return machine_id.read()
    except machine_id.NoMachineId:
        return ""


def _expected(file: FleetFile | None) -> frozenset[str]:
    if file is None:
        return frozenset()
    of_member = ("coordinator", "slashetc-agent") if file.member else ()
    return frozenset((*file.daemons, *of_member))


def _clock(reading: Reading) -> list[Diagnosis]:
    offsets = {each.shown: each.clock for each in reading.members if each.clock is not None}
    installed_s = Path(slashetc.__file__).stat().st_mtime
    return host_rules.clock(offsets, time.time(), installed_s)


def _versions(reading: Reading) -> Diagnosis:
    hosts = fleet_rows.host_rows(fleet_rows.read(reading), reboot_rows.read(reading), reading)
    return fleet_rules.versions(reading, hosts, installed_version())


def _certificates(given: Examined, file: FleetFile | None) -> Iterator[Diagnosis]:
    pki, now = given.directory / "pki", dt.datetime.now(dt.UTC)
    try:
        revoked = certificate_files.revoked(pki / "revoked.json")
    except ValueError as error:
        revoked = Revocations()
        remedy = "systemctl restart slashetc-agent, which writes it again"
        yield fail(certificate_rules.SUBJECT, f"{error}.", remedy)
    files = certificate_files.read(pki, given.directory / "trusted-keys")
    expected = HostIdentity(file.fleet, file.host, file.address) if file else HostIdentity()
    yield from certificate_rules.judge(CertificateFiles(files, expected, revoked), now)
    if given.user_directory is not None:
        own = certificate_files.read(given.user_directory)
        yield from certificate_rules.judge(CertificateFiles(own, revoked=revoked), now)


def _reachable(given: Examined, reading: Reading, file: FleetFile | None) -> list[Diagnosis]:
    targets: dict[str, str] = {}
    for member in reading.members:
        for url in member.urls:
            targets[f"The client port of {member.shown}, {url},"] = url
            host = urlsplit(url).hostname
            if file and host:
                join = f"https://{bracketed(host)}:{JOIN_PORT}"
                targets[f"The join endpoint of {member.shown}, {join},"] = join
        # Only members need to reach each other there.
        for url in member.peer_urls if file and file.member else ():
            targets[f"The peer port of {member.shown}, {url},"] = url
    return fleet_rules.reachable(port_probe.unreached(targets, given.timeout_s), len(targets))


def _dns(given: Examined, file: FleetFile | None) -> Iterator[Diagnosis]:
    client = HttpClient(given.store.tls)
    try:
        is_expected = file is not None and "skydns" in file.daemons
        facts = dns_probe.ask(given.status_ports["skydns"], client, is_expected=is_expected)
    finally:
        client.close()
    yield from fleet_rules.dns(facts)
