"""The documents of the fleet's daemons, as far as the status shows them.

Each daemon owns its keys, and may write more fields than these. A value that is none of these
documents is a problem to show, never an error.
"""

from typing import Generic, TypeVar
from urllib.parse import unquote_plus

import msgspec

from coordinator.client.core.store_protocol import Entry

T = TypeVar("T")
SLASHETC = "/slashetc/v1"
HOSTS = f"{SLASHETC}/hosts"
ADMITTED = f"{SLASHETC}/admitted"
FLEET = f"{SLASHETC}/fleet"
EVICTED = f"{SLASHETC}/evicted"
AUTHORITY = f"{SLASHETC}/authority"
USERS = f"{SLASHETC}/users"
FLEETD_HOSTS = "/fleet/v1/hosts"
FLEETD_JOBS = "/fleet/v1/jobs"
FLEETD_UNITS = "/fleet/v1/units"
FLEETD_HEALTH = "/fleet/v1/health"
FLEETD_LEADER = "/fleet/v1/leader"
REBOOTS = "/coreos.com/updateengine/rebootlock"
RECORDS = "/skydns"
PROXIES = "/vulcand-status"
# What the status reads. What may be missing is left out of the screen.
PREFIXES = (
    HOSTS,
    ADMITTED,
    FLEET,
    EVICTED,
    AUTHORITY,
    USERS,
    FLEETD_HOSTS,
    FLEETD_JOBS,
    FLEETD_UNITS,
    FLEETD_HEALTH,
    FLEETD_LEADER,
    REBOOTS,
    RECORDS,
    PROXIES,
)


class Evicted(msgspec.Struct, frozen=True):
    """A host or user whose certificates are refused."""

    name: str
    before: float = 0.0
    by: str = ""
    user: bool = False


class Facts(msgspec.Struct, frozen=True):
    """A host, as its fleetd describes it."""

    id: str
    hostname: str
    address: str = ""
    version: str = ""


class Order(msgspec.Struct, frozen=True):
    """An instance of a job on a host."""

    job: str
    index: int = 0
    want: str = "run"


class Plan(msgspec.Struct, frozen=True):
    """What a host should run."""

    orders: tuple[Order, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """The state of an instance."""

    order: Order
    phase: str = ""
    note: str = ""


class HostStatus(msgspec.Struct, frozen=True):
    """What a host's fleetd reports."""

    boot_id: str = ""
    reports: tuple[Report, ...] = ()
    note: str = ""


class Reason(msgspec.Struct, frozen=True):
    """Why a host is cordoned or drained, or reboots are paused."""

    reason: str = ""
    by: str = ""
    author: str = ""
    until: str = ""


class FleetHealth(msgspec.Struct, frozen=True):
    """What the leading scheduler holds of the hosts that are not ready."""

    storm: bool = False
    hosts: dict[str, str] = {}


class JobRecord(msgspec.Struct, frozen=True):
    """What should run."""

    name: str
    unit: str = ""
    version: int = 0
    target: str = ""
    count: int | None = None
    paused: bool = False


class Rollout(msgspec.Struct, frozen=True):
    """The progress of the newest version of a job."""

    version: int = 0
    state: str = ""
    note: str = ""


class Semaphore(msgspec.Struct, frozen=True):
    """The slots of a group of hosts that reboot one after the other."""

    max: int | None = None
    holders: tuple[str, ...] | None = None


class Holder(msgspec.Struct, frozen=True):
    """A host that has a slot."""

    host: str
    boot_id: str = ""
    since: str = ""
    phase: str = ""
    deadline: str = ""
    detail: str = ""


class Heartbeat(msgspec.Struct, frozen=True):
    """A host whose locksmithd runs. `reasons` say why it needs a reboot."""

    hostname: str
    boot_id: str = ""
    group: str = ""
    version: str = ""
    reasons: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()


class Ticket(msgspec.Struct, frozen=True):
    """A host that waits for a slot."""

    host: str
    since: str = ""
    priority: int = 0


class Failure(msgspec.Struct, frozen=True):
    """A host that did not come back well from its reboot."""

    host: str
    at: str = ""
    reason: str = ""


class ServiceValue(msgspec.Struct, frozen=True):
    """A record of skydns."""

    host: str = ""
    port: int = 0
    priority: int = 0
    weight: int = 0
    text: str = ""
    mail: bool = False
    ttl: int = 0
    targetstrip: int = 0
    group: str = ""


class ProxyStatus(msgspec.Struct, frozen=True, rename="pascal"):
    """What one vulcand reports."""

    node: str
    index: int = 0
    changed: int = 0
    refused: int = 0
    store: str = ""
    version: str = ""


class Unreadable(ValueError):  # noqa: N818 - what is wrong with a key
    """The value of a key is not the document that belongs there."""


def decode(entry: Entry, kind: type[T]) -> T:
    """Return the document of a key. Raises Unreadable."""
    try:
        return msgspec.json.decode(entry.value, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Unreadable(f"{entry.key}: {error or type(error).__name__}") from None


class Documents(Generic[T]):
    """The documents of one kind by a name in their keys, and which keys hold none."""

    def __init__(self, kind: type[T]) -> None:
        self.by_name: dict[str, T] = {}
        self.unreadable: list[str] = []
        self._kind = kind

    def add(self, name: str, entry: Entry) -> None:
        """Read one key."""
        try:
            self.by_name[name] = decode(entry, self._kind)
        except Unreadable as error:
            self.unreadable.append(str(error))


def segments(key: str, prefix: str) -> list[str]:
    """Return the names below a prefix that lead to a key."""
    return [unquote_plus(each) for each in key.removeprefix(prefix).strip("/").split("/")]
