"""The values of the keys, as JSON."""

import hashlib
from enum import Enum
from typing import TypeVar

import msgspec

T = TypeVar("T")
# Who writes a record that takes a job back to its last stable version.
REVERTS = "the scheduler"


class Target(Enum):
    """What should become of a job, in fleet's words."""

    INACTIVE = "inactive"  # known
    LOADED = "loaded"  # placed, and known to systemd
    LAUNCHED = "launched"
    DESTROYED = "destroyed"  # to be stopped, then forgotten: an absent key orders nothing


class Want(Enum):
    """What a host shall do with an instance."""

    RUN = "run"
    LOAD = "load"
    STOP = "stop"


class Phase(Enum):
    """How far an instance is."""

    WAITING = "waiting"  # for its unit, its predecessor or the end of a back-off
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    LEAVING = "leaving"  # out of DNS and the proxy, still running
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOADED = "loaded"
    FAILED = "failed"
    ORPHAN = "orphan"  # runs here and is in no plan


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What should run. `rev` grows with each change, and over the life of the name."""

    name: str
    version: int
    rev: int
    unit: str
    target: Target
    count: int | None = None  # over the unit's own
    paused: bool = False
    by: str = ""
    at: str = ""
    note: str = ""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a job."""

    number: int
    unit: str
    by: str = ""
    at: str = ""
    note: str = ""


class HasUnit(msgspec.Struct, frozen=True):
    """What a record, a version and a rollout have in common: the unit that they name."""

    unit: str = ""
    stable_unit: str = ""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest version does. Times are the writing scheduler's clock."""

    version: int
    began_s: float
    progress_s: float
    settled: int = 0
    stable: int = 0  # the last version of which all instances were ready
    stable_unit: str = ""
    state: str = "rolling"
    bad: tuple[str, ...] = ()
    note: str = ""


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """A service that an instance serves once it is ready."""

    service: str
    port: int
    ttl_s: int = 5
    check: str = ""  # beside the job's own: tcp, or http:/path at this port


class Order(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One instance on one host."""

    job: str
    index: int
    version: int
    unit: str
    rev: int
    name: str  # of the unit in systemd
    want: Want = Want.RUN
    port: int = 0
    exclusive: bool = False
    check: str = "active"
    ready_s: float = 1.0
    endpoints: tuple[Endpoint, ...] = ()
    failures: int = 0
    why: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """What it is on its host."""
        return self.job, self.index, self.version


class Plan(msgspec.Struct, frozen=True):
    """All that a host shall do. A later (epoch, gen) wins."""

    epoch: int = 0
    gen: int = 0
    orders: tuple[Order, ...] = ()

    @property
    def mark(self) -> tuple[int, int]:
        """Its place in the order of plans."""
        return self.epoch, self.gen


class Report(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What became of an order, and the order itself: enough to order the same again."""

    order: Order
    phase: Phase
    settled: bool = False  # ready for as long as the job asks
    failures: int = 0
    load: str = ""
    active: str = ""
    sub: str = ""
    note: str = ""
    unserved: tuple[str, ...] = ()  # services whose own check it does not pass

    @property
    def key(self) -> tuple[str, int, int]:
        """What it is on its host."""
        return self.order.key


class Load(msgspec.Struct, frozen=True):
    """How busy a host is: load average per processor, pressure and memory as shares."""

    load: float = 0.0
    pressure: float = 0.0
    memory: float = 0.0


class Status(msgspec.Struct, frozen=True):
    """What a host does; (epoch, gen) is the newest plan that it follows."""

    boot_id: str
    epoch: int = 0
    gen: int = 0
    reports: tuple[Report, ...] = ()
    load: Load = Load()
    note: str = ""

    @property
    def mark(self) -> tuple[int, int]:
        """The plan it follows."""
        return self.epoch, self.gen


class Facts(msgspec.Struct, frozen=True):
    """What a host is. `cpu` in thousandths of a processor, `memory` in bytes."""

    id: str
    hostname: str
    address: str
    cpu: int
    memory: int
    labels: dict[str, str] = {}
    version: str = ""


class Cordon(msgspec.Struct, frozen=True):
    """Why nothing new comes to a host."""

    by: str = ""
    at: str = ""
    reason: str = ""


class Drain(msgspec.Struct, frozen=True):
    """Why all goes from a host; after `deadline_s`, what could not move is stopped."""

    by: str = ""
    at: str = ""
    reason: str = ""
    deadline_s: float = 300.0
    reboot: bool = False
    boot_id: str = ""  # of the host when it was asked


class ServiceRecord(msgspec.Struct, frozen=True):
    """A name for what a selector finds. `port` 0: the job's own. `check` "": the job's alone."""

    selector: str
    port: int = 0
    ttl_s: int = 5
    proxy: bool = True
    check: str = ""


class Lease(msgspec.Struct, frozen=True):
    """Who schedules."""

    holder: str
    epoch: int = 0


class Ask(msgspec.Struct, frozen=True):
    """A question to a host: the journal of a unit, or a command to run there."""

    by: str
    logs: str = ""
    lines: int = 100
    cursor: str = ""
    command: tuple[str, ...] = ()
    unit: str = ""  # the command runs in this unit's surroundings


class Answer(msgspec.Struct, frozen=True):
    """What came of it."""

    code: int
    out: str = ""
    cursor: str = ""


class EventRecord(msgspec.Struct, frozen=True):
    """One decision and its reason."""

    at: str
    epoch: int
    text: str


class Damaged(ValueError):  # noqa: N818 - what is wrong with a key
    """A value that this version does not understand."""


def encode(value: msgspec.Struct) -> str:
    """Return a value's JSON."""
    return msgspec.json.encode(value).decode()


def decode(text: str, kind: type[T]) -> T:
    """Read a value. Raises Damaged."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise Damaged(str(error)) from None


def digest(text: str) -> str:
    """Return the name under which a unit's text is stored."""
    return hashlib.sha256(text.encode()).hexdigest()


def unit_name(name: str, index: int, unit: str, *, counted: bool) -> str:
    """Return what an instance is called in systemd.

    Counted instances get no `@`: systemd would go back to a template of that name.
    """
    if not counted:
        return name
    stem, _, kind = name.rpartition(".")
    return f"fleet-{stem.rstrip('@')}-{index}-{unit[:8]}.{kind}"
