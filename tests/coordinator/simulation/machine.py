"""One member's machine: its disk, its clocks, and a process that drives the production replica.

The process is blocked while it saves and while it is paused; what comes meanwhile waits. It
does what coordinator.server.server does, in the same order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coordinator.core.cluster import members
from coordinator.core.peer import peer_messages
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.raft_node import FOUNDING_TERM
from coordinator.core.raft.ready import Ready
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.start_state import StartState
from coordinator.core.store.watcher_hub import Watcher, WatchFilter

if TYPE_CHECKING:
    from tests.coordinator.simulation.clients import ClientRequest
    from tests.coordinator.simulation.world import World

TICK_NS = 100_000_000
RATE_UNIT = 100
EVERYTHING = WatchFilter(b"/", recursive=True, hidden=True)


@dataclass
class SimDisk:
    """What survives the process."""

    state: HardState = field(default_factory=HardState)
    entries: list[LogEntry] = field(default_factory=list)
    snapshot: tuple[int, int, bytes] | None = None

    @classmethod
    def founded(cls, founders: list[bytes]) -> "SimDisk":
        """Return a founder's: each begins with the same entries."""
        entries = [LogEntry(FOUNDING_TERM, n, data) for n, data in enumerate(founders, 1)]
        return cls(HardState(FOUNDING_TERM, 0, len(entries)), entries)

    @property
    def base(self) -> int:
        return self.snapshot[0] if self.snapshot else 0

    def save(self, ready: Ready, records: int) -> None:
        """Write the first `records` of what is to be saved, in the order of the real log."""
        if ready.snapshot is not None:
            if records == 0:
                return
            image = ready.snapshot
            self.snapshot, self.entries = (image.index, image.term, image.data), []
            records -= 1
        for entry in ready.entries[:records]:
            self.entries[entry.index - self.base - 1 :] = [entry]
        if ready.state is not None and records > len(ready.entries):
            self.state = ready.state

    def mark(self, index: int, term: int, data: bytes) -> None:
        """Begin with this snapshot from now on."""
        del self.entries[: index - self.base]
        self.snapshot = (index, term, data)


def records_of(ready: Ready) -> int:
    """Return how many records a save has."""
    return len(ready.entries) + (ready.snapshot is not None) + (ready.state is not None)


class Machine:
    """A member that starts, ends, sleeps and starts again."""

    def __init__(self, world: "World", me: int, disk: SimDisk) -> None:
        self.world = world
        self.me = me
        self.disk = disk
        rng = world.rng
        self.rate = rng.choice(world.options.rates)  # hundredths: 80 is slow, 125 is fast
        self._offset_ns = rng.randrange(10**15)
        # Up to a day wrong, and it need not go at any rate that means something.
        self.wall_ns = 1_700_000_000 * 10**9 + rng.randrange(-86_400, 86_400) * 10**9
        self.replica: Replica[ClientRequest] | None = None
        self.lives = 0
        self.is_gone = False  # removed for ever, or its disk is damaged
        self.is_paused = False
        self.saving: Ready | None = None
        self.slow_until = 0
        self.snapshot_index = 0
        self.seen_applied = self.seen_commit = 0
        self.recorder: Watcher
        self._backlog: list[Callable[[], None]] = []
        self._catching_up = self._turn_is_due = False

    def clock_ns(self) -> int:
        """Return its monotonic time."""
        return self._offset_ns + self.world.now_ns * self.rate // RATE_UNIT

    @property
    def blocked(self) -> bool:
        """Whether the process does nothing now."""
        return self.is_paused or self.saving is not None

    def start(self) -> None:
        """Start the process from what the disk kept."""
        world, disk = self.world, self.disk
        self.lives += 1
        self.saving, self.is_paused, self._backlog = None, False, []
        self._catching_up = self._turn_is_due = False
        birth = StartState(
            member=self.me,
            state=disk.state,
            entries=list(disk.entries),
            snapshot=disk.snapshot,
            published=(members.attributes_note(self.me, f"m{self.me}", ("http://c",)),),
            randrange=world.rng.randrange,
            now_ns=self.clock_ns(),
            wall_ns=self.wall_ns,
            tick_ns=TICK_NS,
        )
        self.replica = replica = Replica(birth)
        self.snapshot_index = disk.base
        self.seen_applied = self.seen_commit = disk.base
        keyspace = replica.keyspace
        known = min(keyspace.index, world.ledger.top)
        self.recorder = keyspace.hub.watch(EVERYTHING, known, lambda: None)
        world.note(f"{self.me} starts: term={replica.term} applied={replica.applied}")
        self._tick(self.lives)

    def crash(self, how: str) -> None:
        """End the process at once; of what it was saving a beginning survives."""
        ready, world = self.saving, self.world
        if ready is not None:
            self.disk.save(ready, world.rng.randrange(records_of(ready)))
        world.note(f"{self.me} {how}")
        self.replica, self.saving, self._backlog = None, None, []

    def do(self, work: Callable[[], None]) -> None:
        """Let the process do this when it can; nothing when it is down."""
        if self.replica is None:
            return
        if self.blocked:
            self._backlog.append(work)
        else:
            work()

    def pause(self, for_ns: int) -> None:
        """Stop the process for a while; its clock goes on."""
        life = self.lives
        self.is_paused = True

        def resume() -> None:
            if self.lives == life:
                self.is_paused = False
                self._catch_up()

        self.world.after(for_ns, resume)

    def receive(self, frame: bytes) -> None:
        """Take what came on a link."""
        replica = self.replica
        assert replica is not None
        replica.advance_time(self.clock_ns())
        for message in peer_messages.decode(frame):
            self.world.say(message)
            replica.receive(message)
        self.drive()

    def drive(self) -> None:
        """Send, save, apply and answer what has piled up."""
        replica = self.replica
        assert replica is not None
        if self._catching_up:
            return
        replica.advance_time(self.clock_ns())
        self._drive_on(replica)

    def _drive_on(self, replica: "Replica[ClientRequest]") -> None:
        while True:
            ready = replica.ready()
            self._send(replica.take_messages())
            if ready is None:
                break
            self._send(ready.before_save)
            if (ready.entries or ready.state or ready.snapshot) and self._is_held_up(ready):
                return
            self._saved(replica, ready)
        for ask, outcome in replica.take_outcomes():
            self.world.clients.answer(self, ask, outcome)
        self.world.ledger.look(self)

    def _is_held_up(self, ready: Ready) -> bool:
        """Let the save take its time, or fail."""
        world, options = self.world, self.world.options
        chance = world.rng.random()
        if chance < options.fail_save and world.faulty:
            self.saving = ready
            world.fell(self, "loses its disk in the middle of a save")
            return True
        slow = world.now_ns < self.slow_until or chance > 1 - options.slow_save
        if not slow:
            return False
        self.saving, life = ready, self.lives

        def done() -> None:
            if self.lives == life and self.replica is not None and self.saving is ready:
                self.saving = None
                self._saved(self.replica, ready)
                self._drive_on(self.replica)
                self._catch_up()

        world.after(world.some(options.slow_save_ns), done)
        return True

    def _saved(self, replica: "Replica[ClientRequest]", ready: Ready) -> None:
        self.disk.save(ready, records_of(ready))
        self.world.ledger.saved(self, ready)
        if ready.snapshot is not None:
            self.snapshot_index = ready.snapshot.index
            self.world.note(f"{self.me} installs the snapshot at {ready.snapshot.index}")
        self._send(ready.after_save)
        replica.saved(ready)
        if ready.state is not None and replica.node.vote not in {0, self.me}:
            self.world.nemesis.voted(self)

    def _catch_up(self) -> None:
        """Take all that came meanwhile in one turn of the loop: sockets, the log, then timers."""
        if self.blocked or self.replica is None:
            return
        self._catching_up = True
        backlog, self._backlog = self._backlog, []
        for work in backlog:
            work()
        self._catching_up = False
        if backlog:
            self.drive()
        if self._turn_is_due and not self.blocked and self.replica is not None:
            self._turn_is_due = False
            self._turn()

    def _send(self, outgoing: list[PeerMessage]) -> None:
        if outgoing:
            self.world.network.send(self, outgoing)

    def _tick(self, life: int) -> None:
        if life != self.lives or self.replica is None:
            return
        self.world.after(TICK_NS * RATE_UNIT // self.rate, lambda: self._tick(life))
        if self.blocked:
            self._turn_is_due = True
        else:
            self._turn()

    def _turn(self) -> None:
        replica = self.replica
        assert replica is not None
        self.drive()
        if self.blocked or self.replica is None:
            return
        if replica.is_removed:
            self.world.dismiss(self)
            return
        if replica.applied - self.snapshot_index >= self.world.options.snapshot_count:
            self._snapshot(replica)
        if replica.wants_snapshot and self.disk.snapshot is not None:
            snapshot = self.disk.snapshot
            replica.offer_snapshot(*snapshot)
            self.drive()

    def _snapshot(self, replica: "Replica[ClientRequest]") -> None:
        index, data, life = replica.applied, replica.dump(), self.lives
        term = replica.node.log.term(index)
        assert term is not None
        self.snapshot_index = index

        def written() -> None:
            if self.lives != life or self.replica is None or index < replica.node.log.base:
                return
            self.disk.mark(index, term, data)
            replica.compact(max(0, index - self.world.options.entries_kept))
            self.world.note(f"{self.me} has a snapshot at {index}")

        self.world.after(self.world.some(50_000_000), lambda: self.do(written))
