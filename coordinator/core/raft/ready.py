"""The roles of a member, its timing, and what it hands out."""

from dataclasses import dataclass, field
from enum import Enum, auto

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.messages import AnyMessage
from coordinator.core.raft.snapshot_transfer import RaftSnapshot


class Role(Enum):
    """What a member is in its term."""

    FOLLOWER = auto()
    PRE_CANDIDATE = auto()
    CANDIDATE = auto()
    LEADER = auto()


MAY_BECOME = {
    Role.FOLLOWER: {Role.FOLLOWER, Role.PRE_CANDIDATE, Role.CANDIDATE},
    Role.PRE_CANDIDATE: {Role.FOLLOWER, Role.PRE_CANDIDATE, Role.CANDIDATE},
    Role.CANDIDATE: {Role.FOLLOWER, Role.PRE_CANDIDATE, Role.LEADER},
    Role.LEADER: {Role.FOLLOWER},
}


class NotLeader(Exception):  # noqa: N818
    """Only a leader can do this. `leader` is the member to ask, 0 if it is unknown."""

    def __init__(self, leader: int, why: str = "this member is not the leader") -> None:
        super().__init__(why)
        self.leader = leader


# No lease is longer. Every member keeps silent for as long after its start, because it may have
# promised that to a leader before it ended, and its timing may be another one now.
LEASE_MS_MAX = 500
# A lease ends before the guards that it rests on, also when clocks run at rates 1.6 to 1 apart.
CLOCK_RATES = (5, 8)


@dataclass(frozen=True, slots=True)
class Timing:
    """One member's ticks of an election timeout and between heartbeats (etcd's ratio).

    Members may have different ones, and a member may start again with another one.
    """

    election_ticks: int = 10
    heartbeat_ticks: int = 1
    tick_ms: int = 100

    @property
    def election_ns(self) -> int:
        """How long an election timeout is."""
        return self.election_ticks * self.tick_ns

    @property
    def tick_ns(self) -> int:
        """How long a tick is."""
        return self.tick_ms * 1_000_000

    @property
    def guard_ticks(self) -> int:
        """How long a member does not vote after it has heard from a leader.

        Half an election timeout at least: the first tick may come at once, and does not count.
        """
        return self.election_ticks // 2 + 1

    @property
    def guard_ms(self) -> int:
        """How long the guard is at the least. The leader learns it from each HeartbeatOk."""
        return (self.guard_ticks - 1) * self.tick_ms

    @property
    def start_guard_ticks(self) -> int:
        """How long a member does not vote after its start."""
        slow, fast = CLOCK_RATES
        longest_ms = LEASE_MS_MAX * fast // slow
        return max(self.guard_ticks, -(-longest_ms // self.tick_ms) + 1)

    def lease_ticks(self, guard_ms: int) -> int:
        """How long after a heartbeat its answer lets this leader serve reads without asking.

        `guard_ms` is the guard of the member that answered, which may have another timing.
        """
        slow, fast = CLOCK_RATES
        return min(guard_ms * slow // fast, LEASE_MS_MAX) // self.tick_ms


@dataclass(slots=True)
class Ready:
    """What to do now: send `before_save`, save, then send `after_save`. Then call `saved`.

    `snapshot` is a snapshot to save and to load in place of the state. `reads` are contexts whose
    reads may be served once the index is applied.
    """

    entries: tuple[LogEntry, ...] = ()
    state: HardState | None = None
    snapshot: RaftSnapshot | None = None
    before_save: list[AnyMessage] = field(default_factory=list)
    after_save: list[AnyMessage] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def must_save(self) -> bool:
        """Whether there is anything to write and sync."""
        return bool(self.entries) or self.state is not None or self.snapshot is not None

    @property
    def is_due(self) -> bool:
        """Whether there is anything to do."""
        return bool(
            self.entries
            or self.before_save
            or self.after_save
            or self.reads
            or self.state
            or self.snapshot
        )


class Outbox:
    """The messages of one round.

    `before_save` need no disk; `after_save` promise something that must be on the disk first.
    `reads` are contexts whose reads may be served once the index is applied.
    """

    def __init__(self, saved_term: int) -> None:
        self.saved_term = saved_term  # the term on the disk, or on its way there
        self.batch = 0  # the number of this round: the messages of earlier ones have left
        self.before_save: list[AnyMessage] = []
        self.after_save: list[AnyMessage] = []
        self.reads: list[tuple[int, int]] = []

    def send_as_leader(self, message: AnyMessage) -> None:
        """Send a message that needs nothing on the disk but the leader's term."""
        # A single voter becomes leader before its term is saved, and could begin the same term
        # again.
        is_saved = self.saved_term == message.term
        (self.before_save if is_saved else self.after_save).append(message)

    def clear(self) -> None:
        """Begin a new round."""
        self.before_save, self.after_save, self.reads = [], [], []
        self.batch += 1
