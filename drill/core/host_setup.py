"""The configuration of the hosts, as an operator writes it: addresses, options, hooks."""

from dataclasses import dataclass
from pathlib import PurePosixPath

DOMAIN = "example.com"
APP, WWW, NGINX = f"app.{DOMAIN}", f"www.{DOMAIN}", f"nginx.{DOMAIN}"
CLIENT_PORT, PEER_PORT = 2379, 2380
PROXY_PORT, NGINX_PORT = 80, 8080
# With five members two hosts may be down; with fewer, one.
FIVE_MEMBERS_HOSTS_MIN = 5
# Clients resolve again after a second, so all of them leave a host within two.
TTL_S = 1
# A silent host is suspected after this time, which is longer than an election takes.
AGENT_TTL_S = 10
UNITS = (
    "slashetc.target", "coordinator.service", "skydns.service", "skydns.socket", "confd.service",
    "vulcand.service", "vulcand.socket", "locksmithd.service", "locksmith-fleetlock.service",
    "fleetd.service", "nginx.service",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """One host: its name and its address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Site:
    """All hosts, in order. The first ones run a member of the store."""

    hosts: tuple[Member, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """The hosts that run a member of the store."""
        return self.hosts[
            : FIVE_MEMBERS_HOSTS_MIN if len(self.hosts) >= FIVE_MEMBERS_HOSTS_MIN else 3
        ]

    def endpoints(self, first: Member | None = None) -> str:
        """Return the store's client URLs, beginning with that of `first`."""
        urls = [_client_url(each) for each in self.members if each != first]
        if first in self.members:
            assert first is not None
            urls.insert(0, _client_url(first))
        return ",".join(urls)

    def files(self, host: Member, discovery: str) -> dict[str, str]:
        """Return the files of one host, by path."""
        endpoints = self.endpoints(host)
        found = {
            "skydns": {"endpoints": endpoints, "domain": DOMAIN},
            "confd": {"endpoints": endpoints},
            "vulcand": {"endpoints": endpoints, "status-addr": f"{host.address}:2385"},
            "fleetd": {"endpoints": endpoints, "agent-ttl": str(AGENT_TTL_S)},
            "locksmithd": {"endpoints": endpoints, "probe": "none", "settle": "2s"},
        }
        if host in self.members:
            found["coordinator"] = _member_options(host, discovery)
        files = {
            f"/etc/default/{daemon}": _environment(daemon, options)
            for daemon, options in found.items()
        }
        # The hooks of locksmithd call fleetctl.
        files["/etc/default/locksmithd"] += f"FLEETCTL_ENDPOINTS={endpoints}\n"
        drop_in = "/etc/systemd/system/skydns.socket.d/address.conf"
        return files | {drop_in: _socket(host.address)}


def names(count: int) -> list[str]:
    """Return the names of `count` hosts."""
    return [f"h{number}" for number in range(1, count + 1)]


def placed(names: list[str]) -> dict[str, str]:
    """Return the paths on a host of the files in `drill/files`, by name."""
    places = {
        "webapp.py": "/opt/webapp/webapp.py",
        "nginx.conf": "/etc/nginx/nginx.conf",
        "nginx.toml": "/etc/confd/conf.d/nginx.toml",
        "nginx.conf.j2": "/etc/confd/templates/nginx.conf.j2",
        "50-site.preset": "/etc/systemd/system-preset/50-site.preset",
    }
    return {name: places.get(PurePosixPath(name).name, f"/etc/jobs/{name}") for name in names}


def _member_options(host: Member, discovery: str) -> dict[str, str]:
    return {
        "name": host.name,
        "listen-client-urls": f"{_client_url(host)},http://127.0.0.1:{CLIENT_PORT}",
        "advertise-client-urls": _client_url(host),
        "initial-advertise-peer-urls": f"http://{host.address}:{PEER_PORT}",
        "discovery": discovery,
    }


def _client_url(host: Member) -> str:
    return f"http://{host.address}:{CLIENT_PORT}"


def _environment(daemon: str, options: dict[str, str]) -> str:
    prefix = daemon.upper().replace("-", "_")
    return "".join(
        f"{prefix}_{name.upper().replace('-', '_')}={value}\n" for name, value in options.items()
    )


def _socket(address: str) -> str:
    listens = "".join(f"Listen{kind}={address}:53\n" for kind in ("Datagram", "Stream"))
    return f"[Socket]\nListenDatagram=\nListenStream=\n{listens}"
