"""The options of fleetd as one value, and the settings of its two roles."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from daemonkit.options import IdentityFiles

if TYPE_CHECKING:
    from coordinator.client import Store
    from daemonkit.http.tls import TlsFiles
    from fleet.core.model import Facts

ENDPOINTS = "http://127.0.0.1:2379"
STATE_DIR = Path("/var/lib/fleet")
# The TTL of a host's status key. The TTL of the scheduler's lease is half of it.
AGENT_TTL_S, AGENT_TTL_MIN_S, AGENT_TTL_MAX_S = 30, 5, 3600
GRACE_S = 60.0
LEASE_S = 15


class DriverName(Enum):
    """How the agent talks to systemd."""

    DBUS = "dbus"
    SYSTEMCTL = "systemctl"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the store is, and how to reach it."""

    endpoints: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def connect(self, *, patience_s: float = 0.0) -> "Store":
        """Return the store. Nothing is sent to it yet."""
        from coordinator.client import Tls, connect

        files = (self.ca_file, self.cert_file, self.key_file)
        tls = Tls(*(str(path or "") for path in files))
        urls = [url.strip() for url in self.endpoints.split(",")]
        return connect(urls, tls=tls, patience_s=patience_s)


@dataclass(frozen=True, slots=True)
class FleetdSettings:
    """The options of fleetd."""

    store: StoreSettings
    has_agent: bool
    has_scheduler: bool
    labels: dict[str, str]
    public_ip: str
    driver: DriverName
    trusted_keys: Path | None
    may_exec: bool
    agent_ttl_s: int
    grace_s: float
    state_dir: Path
    status_addr: str
    status_tls: IdentityFiles | None


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """The settings of a scheduler."""

    holder: str
    ttl_s: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The settings of an agent."""

    own: "Facts"
    boot_id: str
    state_dir: Path
    ttl_s: int
    trusted_keys: Path | None = None
    may_exec: bool = True
    certificate: "TlsFiles | None" = None  # of the host, for checks with TLS
