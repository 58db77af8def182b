"""The records in the store, as JSON.

Attributes have the terms of the field. Where the JSON of 0.1 has another word, `name=` keeps it.
The types of `fields` say what a value may be; `decode` refuses a record with another one.
"""

import hashlib
from enum import Enum
from typing import TypeVar

import msgspec

from fleet.core.fields import (
    Address,
    Argument,
    Check,
    Digest,
    DigestOrNone,
    Fqdn,
    HostName,
    Index,
    Number,
    Port,
    Reason,
    RunnableName,
    Seconds,
    Ttl,
    UnitName,
)

T = TypeVar("T")
# The author of a record that goes back to the last stable version.
AUTO_REVERT_AUTHOR = "the scheduler"


class TargetState(Enum):
    """What a user wants of a job. The values are the words of fleet."""

    INACTIVE = "inactive"  # in the store only
    LOADED = "loaded"  # placed on a host and loaded by systemd
    LAUNCHED = "launched"
    DESTROYED = "destroyed"  # to be stopped, then removed from the store


class DesiredState(Enum):
    """What an allocation asks of its host."""

    RUN = "run"
    LOAD = "load"
    STOP = "stop"


class Phase(Enum):
    """Where an instance is in its life, as its agent reports it."""

    WAITING = "waiting"  # for its unit file, for its predecessor or for the end of a back-off
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    LEAVING = "leaving"  # out of DNS and the proxy, still running
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOADED = "loaded"
    FAILED = "failed"
    ORPHAN = "orphan"  # runs here, and no plan mentions it


class HostHealth(Enum):
    """Whether the scheduler can count on a host."""

    READY = "ready"
    SUSPECT = "suspect"  # silent, within its grace
    LOST = "lost"  # its instances are started elsewhere
    FLAPPING = "flapping"  # alternates between silent and heard: gets no new instances for a while


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What should run. `rev` grows with each change and never restarts for the same name."""

    name: UnitName
    version: Number
    rev: Number
    unit: Digest
    target: TargetState
    count: Index | None = None  # overrides the unit's Count=
    paused: bool = False
    by: str = ""
    at: str = ""
    note: str = ""


class JobVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a job."""

    number: Number
    unit: Digest
    by: str = ""
    at: str = ""
    note: str = ""


class UnitReferences(msgspec.Struct, frozen=True):
    """The fields by which a record, a version or a rollout refers to units."""

    unit: str = ""
    stable_unit: str = ""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of the newest version. Its times are marks, of the scheduler that wrote it."""

    version: Number
    began_s: float
    progress_s: float
    available: Number = msgspec.field(default=0, name="settled")
    stable: Number = 0  # the last version of which all instances were ready
    stable_unit: DigestOrNone = ""
    state: str = "rolling"
    bad: tuple[str, ...] = ()
    note: str = ""


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """A service that an instance serves once it is ready."""

    service: Fqdn
    port: Port
    ttl_s: Ttl = 5
    check: Check = ""  # besides the job's own: tcp, http:/path or https:/path at this port


class Allocation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One instance of a job, assigned to a host."""

    job: UnitName
    index: Index
    version: Number
    unit: Digest
    rev: Number
    name: RunnableName  # of the unit in systemd
    desired_state: DesiredState = msgspec.field(default=DesiredState.RUN, name="want")
    port: Port = 0
    exclusive: bool = False
    check: Check = "active"
    ready_s: Seconds = 1.0
    endpoints: tuple[Endpoint, ...] = ()
    failures: Number = 0
    why: Reason = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """What identifies it on its host."""
        return self.job, self.index, self.version


class Plan(msgspec.Struct, frozen=True):
    """Everything a host should run. The plan with the higher (epoch, gen) wins."""

    epoch: Number = 0
    gen: Number = 0
    allocations: tuple[Allocation, ...] = msgspec.field(default=(), name="orders")

    @property
    def generation(self) -> tuple[int, int]:
        """The plan's place in the sequence of plans."""
        return self.epoch, self.gen


class Report(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The state of an allocation, with the allocation itself: the plan can be rebuilt from it."""

    allocation: Allocation = msgspec.field(name="order")
    phase: Phase
    available: bool = msgspec.field(default=False, name="settled")  # ready for UpdateReady=
    failures: Number = 0
    load: str = ""
    active: str = ""
    sub: str = ""
    note: Reason = ""
    unserved: tuple[str, ...] = ()  # services whose own check fails

    @property
    def key(self) -> tuple[str, int, int]:
        """What identifies it on its host."""
        return self.allocation.key


class HostLoad(msgspec.Struct, frozen=True):
    """The load of a host: load average per processor; CPU pressure and memory as shares."""

    load: float = 0.0
    pressure: float = 0.0
    memory: float = 0.0


class HostStatus(msgspec.Struct, frozen=True):
    """What an agent reports. (epoch, gen) is the newest plan that it follows."""

    boot_id: str
    epoch: Number = 0
    gen: Number = 0
    reports: tuple[Report, ...] = ()
    load: HostLoad = HostLoad()
    note: Reason = ""

    @property
    def generation(self) -> tuple[int, int]:
        """The plan that the agent follows."""
        return self.epoch, self.gen


class Facts(msgspec.Struct, frozen=True):
    """A host's resources and labels. `cpu` is in thousandths of a processor, `memory` in bytes."""

    id: str
    hostname: HostName
    address: Address
    cpu: Number
    memory: Number
    labels: dict[str, str] = {}
    version: str = ""


class Cordon(msgspec.Struct, frozen=True):
    """A host that takes no new instances, and why."""

    by: str = ""
    at: str = ""
    reason: str = ""


class Drain(msgspec.Struct, frozen=True):
    """A host that all instances leave, and why. After `deadline_s` the rest is stopped."""

    by: str = ""
    at: str = ""
    reason: str = ""
    deadline_s: float = 300.0
    reboot: bool = False
    boot_id: str = ""  # of the host when the drain began


class ServiceRecord(msgspec.Struct, frozen=True):
    """A DNS name for the jobs that a selector matches.

    `port` 0 is the job's own port, `check` "" the job's own check.
    """

    selector: str
    port: Port = 0
    ttl_s: Ttl = 5
    proxy: bool = True
    check: Check = ""


class EndpointList(msgspec.Struct, frozen=True):
    """The keys of a host's endpoints in DNS and the proxy."""

    endpoints: tuple[str, ...] = ()


class LeaderLease(msgspec.Struct, frozen=True):
    """Which scheduler is the leader."""

    holder: str
    epoch: Number = 0
    removes_endpoints: bool = False  # of silent hosts; a scheduler of 0.1 does not


class FleetHealth(msgspec.Struct, frozen=True):
    """What the leader of an epoch holds of the hosts that are not ready, by their ids.

    In a storm so many hosts fell silent at once that the network or the store may be at fault.
    """

    epoch: Number = 0
    storm: bool = False
    hosts: dict[str, HostHealth] = {}


class RemoteRequest(msgspec.Struct, frozen=True):
    """A request to an agent: for the logs of a unit, or to run a command."""

    by: str
    logs: str = ""
    lines: Index = 100
    cursor: Argument = ""
    command: tuple[Argument, ...] = ()
    unit: str = ""  # the command runs in this unit's surroundings
    wait_s: Seconds = 0.0  # for a line after the cursor
    reply_key: str = ""  # the caller's X25519 public key, as base64: nobody else reads the response
    signed: str = ""  # the text that was signed, which contains the request once more
    signature: str = ""


class RemoteResponse(msgspec.Struct, frozen=True):
    """The agent's response: exit code and output."""

    code: int
    out: str = ""
    cursor: str = ""
    sealed: str = ""  # another response, sealed for the key of the request, as base64
    refused: str = ""  # why nothing was done


class EventRecord(msgspec.Struct, frozen=True):
    """The decisions of one pass of the scheduler, with their reasons."""

    at: str
    epoch: Number
    text: str


class InvalidRecord(ValueError):  # noqa: N818 - what is wrong with a key
    """A value in the store that this version cannot read."""


def encode(value: msgspec.Struct) -> str:
    """Return a record as JSON."""
    return msgspec.json.encode(value).decode()


def decode(text: str | bytes, kind: type[T]) -> T:
    """Read a record. Raises InvalidRecord."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidRecord(str(error)) from None
    except RecursionError:
        raise InvalidRecord("the JSON is nested too deeply") from None


def digest(text: str) -> str:
    """Return the name under which a unit's text is stored."""
    return hashlib.sha256(text.encode()).hexdigest()


def unit_name(name: str, index: int, unit: str, *, counted: bool) -> str:
    """Return the name of an instance's unit in systemd.

    Instances of a job with Count= get no `@`: systemd would fall back to a template of that name.
    """
    if not counted:
        return name
    stem, _, kind = name.rpartition(".")
    return f"fleet-{stem.rstrip('@')}-{index}-{unit[:8]}.{kind}"
