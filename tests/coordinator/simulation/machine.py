"""One member's machine: its disk, its clocks, and a process that runs the production driver.

The process is blocked while it saves and while it is paused; input waits meanwhile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coordinator.core.cluster.members import attributes_note
from coordinator.core.peer.frames import FrameReader
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.election import FOUNDING_TERM
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.ready import Ready
from coordinator.core.replica.driver import Driver, SnapshotPolicy
from coordinator.core.replica.pending import Outcome
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.start_state import StartState
from coordinator.core.store.api_errors import ClusterUnavailable
from coordinator.core.store.watcher_hub import Watcher, WatchFilter

if TYPE_CHECKING:
    from tests.coordinator.simulation.simulator import Simulator

RATE_UNIT = 100
SECOND = 1_000_000_000
ANNOUNCE_NS = 2_000_000
HANDOVER_NS = 1_000_000_000
EVERYTHING = WatchFilter(b"/", recursive=True, hidden=True)


@dataclass
class SimDisk:
    """The state that survives the process."""

    state: HardState = field(default_factory=HardState)
    entries: list[LogEntry] = field(default_factory=list)
    snapshot: tuple[int, int, bytes] | None = None

    @classmethod
    def founded(cls, founders: list[bytes]) -> "SimDisk":
        """Return the disk of a founder: all founders begin with the same entries."""
        entries = [LogEntry(FOUNDING_TERM, n, data) for n, data in enumerate(founders, 1)]
        return cls(HardState(FOUNDING_TERM, 0, len(entries)), entries)

    @property
    def base(self) -> int:
        return self.snapshot[0] if self.snapshot else 0

    def save(self, ready: Ready, records: int) -> None:
        """Write the first `records` records of a save, in the order of the real log."""
        if ready.snapshot is not None:
            if records == 0:
                return
            sent = ready.snapshot
            self.snapshot, self.entries = (sent.index, sent.term, sent.data), []
            records -= 1
        for entry in ready.entries[:records]:
            self.entries[entry.index - self.base - 1 :] = [entry]
        if ready.state is not None and records > len(ready.entries):
            self.state = ready.state

    def mark(self, index: int, term: int, data: bytes) -> None:
        """Set the snapshot that the next start uses."""
        del self.entries[: index - self.base]
        self.snapshot = (index, term, data)


def records_of(ready: Ready) -> int:
    """Return how many records a save has."""
    return len(ready.entries) + (ready.snapshot is not None) + (ready.state is not None)


class Handover:
    """Waits for the member that leads after one that stops."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._is_over = False

    def answer(self, outcome: Outcome) -> None:
        """Let the process end."""
        self._is_over = True
        self._machine.sim.invariants.handed_over(self._machine, outcome)
        self._machine._later(1, self._machine._end)

    def give_up(self) -> None:
        """Let the process end though no other member leads."""
        if not self._is_over:
            self.answer(ClusterUnavailable("nobody took over"))


class Machine:
    """A member that starts, ends, pauses and starts again: the environment of its driver."""

    def __init__(self, sim: "Simulator", me: int, disk: SimDisk) -> None:
        self.sim = sim
        self.me = me
        self.disk = disk
        rng = sim.rng
        self.rate = rng.choice(sim.options.rates)  # hundredths: 80 is slow, 125 is fast
        self.timing = rng.choice(sim.options.timings)
        self.is_old = rng.random() < sim.options.old  # of a version that lacks later fields
        self._offset_ns = rng.randrange(10**15)
        # The wall clock is up to a day wrong, or was never set; and it jumps.
        self.wall_offset_ns = rng.randrange(-86_400, 86_400) * SECOND
        if rng.random() < 0.9:
            self.wall_offset_ns += 1_700_000_000 * SECOND
        self.replica: Replica | None = None
        self.driver: Driver
        self.lives = 0
        self.is_gone = False  # removed forever, or its disk is damaged
        self.is_paused = self.is_stopping = False
        self.saving: Ready | None = None
        self.slow_until = 0
        self.seen_applied = self.seen_commit = 0
        self.recorder: Watcher
        self._backlog: list[Callable[[], None]] = []
        self._catching_up = self._tick_is_due = self._is_writing_snapshot = False

    def clock_ns(self) -> int:
        """Return its monotonic time."""
        return self._offset_ns + self.sim.now_ns * self.rate // RATE_UNIT

    def wall_ns(self) -> int:
        """Return what its wall clock shows."""
        return max(0, self.wall_offset_ns + self.sim.now_ns)

    @property
    def blocked(self) -> bool:
        """Whether the process is down, paused or saving."""
        return self.is_paused or self.saving is not None

    # The process.

    def start(self) -> None:
        """Start the process from the state on the disk."""
        sim, disk, options = self.sim, self.disk, self.sim.options
        self.lives += 1
        if sim.rng.random() < options.retimed:
            self.timing = sim.rng.choice(options.new_timings)
        self.saving, self._backlog = None, []
        self.is_paused = self.is_stopping = False
        self._catching_up = self._tick_is_due = self._is_writing_snapshot = False
        start = StartState(
            member=self.me,
            state=disk.state,
            entries=list(disk.entries),
            snapshot=disk.snapshot,
            published=(attributes_note(self.me, f"m{self.me}", ("http://c",)),),
            randrange=sim.rng.randrange,
            now_ns=self.clock_ns(),
            wall_ns=self.wall_ns(),
            timing=self.timing,
        )
        self.replica = replica = Replica(start)
        policy = SnapshotPolicy(options.snapshot_count, entries_kept=options.entries_kept)
        self.driver = Driver(replica, self, policy)
        self.seen_applied = self.seen_commit = disk.base
        keyspace = replica.keyspace
        known = min(keyspace.index, sim.invariants.top)
        self.recorder = keyspace.hub.watch(EVERYTHING, known, lambda: None)
        applied = replica.node.log.applied
        sim.note(f"{self.me} starts: term={replica.node.term} applied={applied}")
        self._tick(self.lives)

    def crash(self, how: str) -> None:
        """End the process at once; a part of its last save survives."""
        ready, sim = self.saving, self.sim
        if ready is not None:
            self.disk.save(ready, sim.rng.randrange(records_of(ready)))
        sim.note(f"{self.me} {how}")
        self.replica, self.saving, self._backlog = None, None, []

    def stop(self) -> None:
        """End the process as SIGTERM does: it hands over first, if it leads and another can."""
        replica = self.replica
        assert replica is not None
        self.sim.note(f"{self.me} is told to stop")
        self.is_stopping = True
        replica.advance_time(self.clock_ns())
        handover = Handover(self)
        if replica.retire(handover):
            self.sim.invariants.leader_stops += 1
            self._later(HANDOVER_NS, handover.give_up)
            self.drive()
        else:
            self._end()

    def _end(self) -> None:
        self.do(lambda: self.sim.fell(self, "stops", seen=1.0))

    def do(self, work: Callable[[], None]) -> None:
        """Let the process do this when it is not blocked; do nothing when it is down."""
        if self.replica is None:
            return
        if self.blocked:
            self._backlog.append(work)
        else:
            work()

    def pause(self, for_ns: int) -> None:
        """Stop the process for a while; its clock continues."""
        self.is_paused = True

        def resume() -> None:
            self.is_paused = False
            self._catch_up()

        self._later(for_ns, resume)

    def receive(self, sender: int, data: bytes) -> None:
        """Receive frames from a link. That one is refused is a failure of the simulation."""
        replica = self.replica
        assert replica is not None
        replica.advance_time(self.clock_ns())
        for messages in FrameReader(sender, self.me).feed(data):
            for message in messages:
                self.sim.say(message)
                replica.receive(message)
        self.drive()

    def lost(self, member: int) -> None:
        """Learn that messages to a member were lost."""
        assert self.replica is not None
        self.sim.invariants.lost(self, member)
        self.replica.lost(member)
        self.drive()

    def drive(self) -> None:
        """Drive the replica, at the end of this iteration of the loop."""
        if not self._catching_up:
            self.driver.drive(self.clock_ns())
            self._look()

    # The driver's environment.

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Put messages on the links."""
        if messages:
            self.sim.network.send(self, messages)

    def save(self, ready: Ready) -> bool:
        """Save at once, or later, or fail."""
        if self._is_held_up(ready):
            return False
        self._write(ready)
        return True

    def begin_snapshot(self, index: int, term: int) -> bool:
        """Write a snapshot in the background, one at a time."""
        if self._is_writing_snapshot:
            return False
        self._is_writing_snapshot = True
        assert self.replica is not None
        data = self.replica.dump()

        def written() -> None:
            self._is_writing_snapshot = False
            if self.driver.is_current(index):
                self.disk.mark(index, term, data)
                self.driver.compact(index)
                self.sim.note(f"{self.me} has a snapshot at {index}")

        self._later(self.sim.some(50_000_000), lambda: self.do(written))
        return True

    def read_snapshot(self) -> None:
        """Pass the disk's snapshot to the leader."""
        self.driver.snapshot_read(self.disk.snapshot)
        self.drive()

    def announce_soon(self) -> None:
        """Send the commit index to the followers in a moment."""

        def announce() -> None:
            self.driver.announce_commit()
            self.drive()

        self._later(ANNOUNCE_NS, lambda: self.do(announce))

    def leader_changed(self, leader: int) -> None:
        """Do nothing: the invariants check every leader."""

    def removed(self) -> None:
        """End the process forever."""
        self.sim.dismiss(self)

    def _later(self, delay_ns: int, work: Callable[[], None]) -> None:
        """Do something in a while, unless the process has ended by then."""
        life = self.lives

        def due() -> None:
            if self.lives == life and self.replica is not None:
                work()

        self.sim.after(delay_ns, due)

    def _is_held_up(self, ready: Ready) -> bool:
        sim, options = self.sim, self.sim.options
        chance = sim.rng.random()
        if chance < options.fail_save and sim.faulty:
            self.saving = ready
            sim.fell(self, "loses its disk in the middle of a save")
            return True
        slow = sim.now_ns < self.slow_until or chance > 1 - options.slow_save
        if not slow:
            return False
        self.saving = ready

        def done() -> None:
            self.saving = None
            self._write(ready)
            self.driver.saved()
            self._look()
            self._catch_up()

        self._later(sim.some(options.slow_save_ns), done)
        return True

    def _write(self, ready: Ready) -> None:
        assert self.replica is not None
        self.disk.save(ready, records_of(ready))
        self.sim.invariants.saved(self, ready)
        if ready.snapshot is not None:
            self.sim.note(f"{self.me} installs the snapshot at {ready.snapshot.index}")
        if ready.state is not None and self.replica.node.election.vote not in {0, self.me}:
            self.sim.nemesis.voted(self)

    def _look(self) -> None:
        if self.replica is not None and self.saving is None:
            self.sim.invariants.look(self)

    def _catch_up(self) -> None:
        """Process all input that waited in one iteration of the loop: sockets, the log, then
        timers."""
        if self.blocked or self.replica is None:
            return
        self._catching_up = True
        backlog, self._backlog = self._backlog, []
        for work in backlog:
            if self.replica is not None:  # it may have been told to stop
                work()
        self._catching_up = False
        if backlog and self.replica is not None:
            self.drive()
        if self._tick_is_due and not self.blocked and self.replica is not None:
            self._tick_is_due = False
            self._tick_now()

    def _tick(self, life: int) -> None:
        if life != self.lives or self.replica is None:
            return
        self.sim.after(self.timing.tick_ns * RATE_UNIT // self.rate, lambda: self._tick(life))
        if self.blocked:
            self._tick_is_due = True
        else:
            self._tick_now()

    def _tick_now(self) -> None:
        self.driver.tick(self.clock_ns())
        if self.replica is not None:
            self.replica.clock.follow_utc(self.wall_ns())
            self.sim.invariants.shows_expiries(self)
        self._look()
