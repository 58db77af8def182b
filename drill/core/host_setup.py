"""The configuration of the hosts: what an operator changes, and what `slashetc` is told."""

from dataclasses import dataclass
from pathlib import PurePosixPath

DOMAIN = "example.com"
APP, WWW, NGINX = f"app.{DOMAIN}", f"www.{DOMAIN}", f"nginx.{DOMAIN}"
CLIENT_PORT, STATUS_PORT = 2379, 2385
PROXY_PORT, NGINX_PORT = 80, 8080
# With five members two hosts may be down; with fewer, one.
FIVE_MEMBERS_HOSTS_MIN = 5
# Clients resolve again after a second, so all of them leave a host within two.
TTL_S = 1
# A silent host is suspected after this time, which is longer than an election takes.
AGENT_TTL_S = 10
# Where the credentials are that `slashetc init` makes for who administers the fleet.
OPERATOR = "/root/.config/slashetc"


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

    def endpoints(self) -> str:
        """Return the store's client URLs."""
        return ",".join(f"https://{each.address}:{CLIENT_PORT}" for each in self.members)

    def init(self) -> list[str]:
        """Return the command that makes the fleet on the first host."""
        return ["slashetc", "init", "--domain", DOMAIN]

    def token(self, host: Member) -> list[str]:
        """Return the command that prints how a host joins."""
        role = "--member" if host in self.members else "--no-member"
        return ["slashetc", "token", "--host", host.name, role]


def files(host: Member) -> dict[str, str]:
    """Return the options that differ from those of `slashetc init`, by path of their file."""
    options = {
        "vulcand": {"status-addr": f"{host.address}:{STATUS_PORT}", "status-tls": "require"},
        "fleetd": {"agent-ttl": str(AGENT_TTL_S)},
        "locksmithd": {"probe": "none", "settle": "2s"},
    }
    return {
        f"/etc/default/{daemon}": _environment(daemon, given) for daemon, given in options.items()
    }


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
    }
    return {name: places.get(PurePosixPath(name).name, f"/etc/jobs/{name}") for name in names}


def _environment(daemon: str, options: dict[str, str]) -> str:
    prefix = daemon.upper().replace("-", "_")
    return "".join(
        f"{prefix}_{name.upper().replace('-', '_')}={value}\n" for name, value in options.items()
    )
