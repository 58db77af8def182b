"""What a replica starts from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.ready import Timing
from coordinator.core.store.commands import Note
from coordinator.core.store.space_quota import SpaceQuota


@dataclass(frozen=True, slots=True)
class StartState:
    """A member's id, what was recovered from its disk, and the notes that it publishes.

    `randrange(n)` returns a random number below n. Times are nanoseconds.
    """

    member: int
    state: HardState
    entries: Sequence[LogEntry]
    snapshot: tuple[int, int, bytes] | None  # index, term, state
    published: tuple[Note, ...]
    randrange: Callable[[int], int]
    now_ns: int
    wall_ns: int
    timing: Timing = field(default_factory=Timing)
    quota: SpaceQuota = field(default_factory=SpaceQuota)
