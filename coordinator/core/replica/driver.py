"""The loop that drives a replica. The server and the simulator both run this one.

What piles up while the disk syncs is the next batch, and goes to the log with one write and one
sync. The order of each round:

1. Messages that need no disk leave. The appends of a leader are among them, so the disks of all
   members work at the same time.
2. Entries, hard state and snapshot are written and synced.
3. Messages that promise something leave: votes, and answers to appends. (Raft, figure 2)
4. What is committed is applied, which wakes the watchers.

When nothing is left to do, the waiters whose outcome is known are answered. So nothing is
answered before a majority has synced it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from coordinator.core.cluster.members import is_removed
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.ready import Ready
from coordinator.core.raft.snapshot_transfer import RaftSnapshot
from coordinator.core.replica import state_snapshot
from coordinator.core.replica.replica import Replica


class Environment(Protocol):
    """What a driver needs of the process around it."""

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Send messages to their receivers, now."""
        ...

    def save(self, ready: Ready) -> bool:
        """Write and sync `snapshot`, `entries` and `state`, in this order.

        False stops the loop here: it continues only after `Driver.saved`.
        """
        ...

    def begin_snapshot(self, index: int, term: int) -> bool:
        """Begin to write a snapshot of the present state; False when one is being written."""
        ...

    def read_snapshot(self) -> None:
        """Read the last snapshot and pass it to `Driver.snapshot_read`, now or later."""
        ...

    def announce_soon(self) -> None:
        """Call `Driver.announce_commit` in a moment."""
        ...

    def leader_changed(self, leader: int) -> None:
        """Note that the cluster has another leader, 0 for none."""
        ...

    def removed(self) -> None:
        """End: this member is no longer in the cluster."""
        ...


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """How many entries are between two snapshots, and how many stay in memory after one.

    Their bytes count too. A snapshot is as large as the keys, so there may be as many bytes of
    entries as of keys before the next one, and at least `interval_bytes`. The entries that stay are
    for members that are a little behind.
    """

    interval: int = 100_000
    interval_bytes: int = 64 << 20
    entries_kept: int = 5000
    kept_bytes: int = 16 << 20


class Driver:
    """Drives one member's replica."""

    def __init__(self, replica: Replica, environment: Environment, policy: SnapshotPolicy) -> None:
        self.replica = replica
        self.snapshot_index = replica.node.log.base
        self._snapshot_bytes = 0  # of the log, when the last snapshot began
        self._environment = environment
        self._policy = policy
        self._leader = 0
        self._saving: Ready | None = None
        self._announcing = False
        self._reading_snapshot = False

    def drive(self, now_ns: int) -> None:
        """Send, save, apply and answer what has piled up. `now_ns` is the monotonic time."""
        assert self._saving is None, "driven in the middle of a save"
        self.replica.advance_time(now_ns)
        self._run()

    def saved(self) -> None:
        """Go on after a save that took a while."""
        ready, self._saving = self._saving, None
        assert ready is not None
        self._finish(ready)
        self._run()

    def tick(self, now_ns: int) -> None:
        """Drive, and check what changes with time. Call it once a heartbeat interval."""
        self.drive(now_ns)
        if self._saving is not None:
            return
        replica = self.replica
        if is_removed(replica.keyspace.notes, replica.me):
            self._environment.removed()
            return
        leading = replica.node.leading
        if (
            leading is not None
            and leading.replication.wants_snapshot
            and not self._reading_snapshot
        ):
            self._reading_snapshot = True
            self._environment.read_snapshot()

    def announce_commit(self) -> None:
        """Send the commit index to the followers, unless an AppendEntries has sent it."""
        self._announcing = False
        if (leading := self.replica.node.leading) is not None:
            leading.replication.announce_commit(urgently=False)

    def snapshot_read(self, found: tuple[int, int, bytes] | None) -> None:
        """Take the last snapshot (index, term, state) for members whose entries are gone."""
        self._reading_snapshot = False
        leading = self.replica.node.leading
        if found is not None and leading is not None:
            index, term, data = found
            configuration = state_snapshot.load(data).configuration
            leading.replication.offer(RaftSnapshot(index, term, configuration, data).sealed())

    def is_current(self, index: int) -> bool:
        """Whether a snapshot that was written still counts: the leader may have sent a newer."""
        return index >= self.replica.node.log.base

    def compact(self, index: int) -> None:
        """Drop the log up to the snapshot at `index`, but for the last `entries_kept` entries."""
        log, policy = self.replica.node.log, self._policy
        first = log.before(index, policy.entries_kept, policy.kept_bytes)
        if first > log.base:
            self.replica.node.compact(first)

    def _run(self) -> None:
        replica, environment = self.replica, self._environment
        while True:
            ready = replica.ready()
            environment.send(replica.take_messages())
            if ready is None:
                break
            environment.send(ready.before_save)
            if ready.must_save and not environment.save(ready):
                self._saving = ready
                return
            self._finish(ready)
        for waiter, outcome in replica.take_outcomes():
            waiter.answer(outcome)
        self._look_around()

    def _finish(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.snapshot_index = ready.snapshot.index
        self._environment.send(ready.after_save)
        self.replica.saved(ready)

    def _look_around(self) -> None:
        """Do what follows from the new state."""
        node, environment = self.replica.node, self._environment
        leading = node.leading
        if (
            leading is not None
            and leading.replication.has_unannounced_commit
            and not self._announcing
        ):
            self._announcing = True
            environment.announce_soon()
        if node.leader != self._leader:
            self._leader = node.leader
            environment.leader_changed(node.leader)
        index = node.log.applied
        if self._is_snapshot_due(index):
            term = node.log.term(index)
            assert term is not None
            if environment.begin_snapshot(index, term):
                self.snapshot_index = index
                self._snapshot_bytes = node.log.taken_bytes

    def _is_snapshot_due(self, index: int) -> bool:
        replica, policy = self.replica, self._policy
        if index - self.snapshot_index >= policy.interval:
            return True
        log_bytes = replica.node.log.taken_bytes - self._snapshot_bytes
        bytes_max = max(policy.interval_bytes, replica.keyspace.tree.size_bytes)
        return log_bytes > bytes_max and index > self.snapshot_index
