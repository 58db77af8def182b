"""The files of a host that follow from what it is: options of daemons, and where they listen.

Each program finds the store by /etc/slashetc/options.toml. What is only one daemon's is in its file
below /etc/slashetc/environment, which its unit reads before /etc/default, so that an operator's
lines win. The agent makes the files again when the members of the store have changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from slashetc.core import fleet_file
from slashetc.core.fleet_file import FleetFile
from slashetc.core.requests import Name

LOCAL_SOCKET = "/run/coordinator/coordinator.sock"
SOCKET_DROP_IN = "/etc/systemd/system/skydns.socket.d/50-slashetc.conf"
# The user that reads the key of each certificate.
OWNERS: Mapping[Name, str] = {
    "host": "root", "member": "coordinator", "skydns": "skydns", "vulcand": "vulcand",
}  # fmt: skip
JOIN_PORT, CLIENT_PORT, PEER_PORT, DNS_PORT, PROXY_PORT = 2378, 2379, 2380, 53, 80
API_PORT = 8182
_UNITS = {
    "skydns": ("skydns.socket", "skydns.service"),
    "vulcand": ("vulcand.socket", "vulcand.service"),
}


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file: its content, and who may read it."""

    path: str
    content: str
    mode: int = 0o644


def files(file: FleetFile, directory: PurePosixPath) -> list[HostFile]:
    """Return all files that follow from what the host is."""
    found = [
        HostFile(str(directory / "fleet.toml"), fleet_file.text_of(file)),
        HostFile(str(directory / "options.toml"), _options(file, directory)),
    ]
    for daemon, options in _environments(file, directory).items():
        path = directory / "environment" / daemon
        found.append(HostFile(str(path), environment(daemon, options), 0o600))
    if "skydns" in file.daemons:
        found.append(HostFile(SOCKET_DROP_IN, _dns_socket(file)))
    return found


def units(file: FleetFile) -> list[str]:
    """Return the units to enable and start, in order: the member of the store comes first."""
    found = ["coordinator.service"] if file.member else []
    found.append("slashetc-agent.service")
    for daemon in file.daemons:
        found += _UNITS.get(daemon, (f"{daemon}.service",))
    return [*found, "slashetc.target"]


def ports(file: FleetFile) -> Iterator[tuple[str, int, str]]:
    """Yield the addresses, ports and daemons that listen beyond loopback."""
    if file.member:
        yield file.address, CLIENT_PORT, "coordinator"
        yield file.address, PEER_PORT, "coordinator"
        yield file.address, JOIN_PORT, "slashetc-agent"
    if "skydns" in file.daemons:
        yield file.address, DNS_PORT, "skydns"
    if "vulcand" in file.daemons:
        yield "0.0.0.0", PROXY_PORT, "vulcand"


def environment(daemon: str, options: Mapping[str, str]) -> str:
    """Return the options of a daemon as variables of its environment."""
    prefix = daemon.upper().replace("-", "_")
    lines = (f"{prefix}_{name.upper().replace('-', '_')}={text}" for name, text in options.items())
    return "".join(f"{line}\n" for line in ("# Written by slashetc.", *lines))


def _environments(file: FleetFile, directory: PurePosixPath) -> dict[str, dict[str, str]]:
    pki = directory / "pki"
    found: dict[str, dict[str, str]] = {
        "fleetd": {
            "agent": "true",
            "trusted-keys": str(directory / "trusted-keys"),
            "public-ip": file.address,
            **({"scheduler": "true"} if file.member else {}),
        },
        "skydns": {**_pair(pki, "skydns"), "domain": file.domain},
        "vulcand": {**_pair(pki, "vulcand"), "node": file.host, "api-tls": "require"},
        "slashetc-agent": {},
    }
    if file.member:
        found["coordinator"] = _member(file, pki)
    return found


def _member(file: FleetFile, pki: PurePosixPath) -> dict[str, str]:
    cert, key, ca = str(pki / "member.pem"), str(pki / "member.key"), str(pki / "ca.pem")
    cluster = file.cluster or {file.host: [file.peer_url]}
    return {
        "name": file.host,
        "listen-client-urls": file.client_url,
        "advertise-client-urls": file.client_url,
        "listen-peer-urls": file.peer_url,
        "initial-advertise-peer-urls": file.peer_url,
        "initial-cluster": ",".join(
            f"{name}={url}" for name, urls in cluster.items() for url in urls
        ),
        "initial-cluster-state": "new" if file.first else "existing",
        "initial-cluster-token": file.fleet,
        "listen-local": LOCAL_SOCKET,
        "cert-file": cert,
        "key-file": key,
        "trusted-ca-file": ca,
        "peer-cert-file": cert,
        "peer-key-file": key,
        "peer-trusted-ca-file": ca,
        "peer-client-cert-auth": "true",
        "revoked-file": str(pki / "revoked.json"),
        "tls": "require",
        "status-tls": "require",
        "require-tls": "true",
    }


def _pair(pki: PurePosixPath, name: str) -> dict[str, str]:
    return {"cert-file": str(pki / f"{name}.pem"), "key-file": str(pki / f"{name}.key")}


def _options(file: FleetFile, directory: PurePosixPath) -> str:
    pki = directory / "pki"
    # The member of this host first: it is the nearest.
    own = [file.client_url] if file.client_url in file.endpoints else []
    endpoints = [*own, *(each for each in file.endpoints if each not in own)]
    values = {
        "endpoints": ",".join(endpoints),
        "ca-file": str(pki / "ca.pem"),
        **_pair(pki, "host"),
        "revoked-file": str(pki / "revoked.json"),
        "status-tls": "require",
        "vulcan": f"https://127.0.0.1:{API_PORT}",
    }
    lines = [f'{name} = "{value}"\n' for name, value in values.items()]
    return "".join(["# Written by slashetc.\n", *lines, "require-tls = true\n"])


def _dns_socket(file: FleetFile) -> str:
    address = fleet_file.bracketed(file.address)
    listens = "".join(
        f"Listen{kind}={each}:{DNS_PORT}\n"
        for each in (address, "127.0.0.1")
        for kind in ("Datagram", "Stream")
    )
    return f"# Written by slashetc.\n[Socket]\nListenDatagram=\nListenStream=\n{listens}"
