"""What was read for one status: the answers of the members of the store, and the keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.client.core.store_protocol import Entry

DAY_S = 86_400.0
FORBIDDEN = "your role may not read these keys"
# Certificates of hosts last 30 days and are renewed after 20, which may take a while.
EXPIRES_SOON_S = 10 * DAY_S - 3_600.0


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far another clock is ahead of ours, in seconds: somewhere from `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MemberReading:
    """What one member of the store said. `error` says why it said nothing."""

    id: str
    name: str
    urls: tuple[str, ...] = ()
    peer_urls: tuple[str, ...] = ()
    learner: bool = False
    error: str = ""
    healthy: bool = False
    reason: str = ""
    role: str = ""
    leader: str = ""
    index: int = 0
    version: str = ""
    cluster_version: str = ""
    certificates: Mapping[str, float] = field(default_factory=dict[str, float])
    clock: ClockOffset | None = None

    @property
    def shown(self) -> str:
        """Its name; a member that never started has none."""
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that a status is made from. Times are Unix seconds.

    `errors` say why each endpoint did not answer, `refused` which keys may not be read. `stale`
    says that the keys are those of one member without a quorum. `daemons` are those of this host.
    """

    now_s: float
    endpoints: tuple[str, ...]
    errors: Mapping[str, str] = field(default_factory=dict[str, str])
    members: tuple[MemberReading, ...] = ()
    entries: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict[str, tuple[Entry, ...]])
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    stale: bool = False
    daemons: Mapping[str, str] = field(default_factory=dict[str, str])
    certificates: Mapping[str, float] = field(default_factory=dict[str, float])

    def below(self, prefix: str) -> tuple[Entry, ...]:
        """Return the keys at and below a prefix; none if they could not be read."""
        return self.entries.get(prefix, ())

    @property
    def is_partial(self) -> bool:
        """Whether the caller may read only some keys: then a key that is not there says nothing."""
        return FORBIDDEN in self.refused.values()

    @property
    def forbidden(self) -> bool:
        """Whether the store answers, but shows the caller nothing."""
        return any(why.startswith("answers 401") for why in self.errors.values())

    @property
    def answered(self) -> bool:
        """Whether any member of the store answered."""
        return any(not each.error for each in self.members)

    @property
    def voters(self) -> int:
        """How many members vote."""
        return sum(not each.learner for each in self.members)

    @property
    def quorum(self) -> bool:
        """Whether a member proved that it reaches a majority."""
        return any(each.healthy or "ALARM" in each.reason for each in self.members)
