"""What only a leader does: append, commit, prove that it leads, and transfer leadership."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.raft.entry import LogEntry
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import ConfigurationHistory
from coordinator.core.raft.messages import (
    AppendOk,
    AppendReject,
    HeartbeatOk,
    ReadIndexRequest,
    SnapshotReply,
    TimeoutNow,
)
from coordinator.core.raft.read_index import LEASE_NEVER, ReadIndex
from coordinator.core.raft.ready import Outbox, Timing
from coordinator.core.raft.replication import Replication

FromFollower = AppendOk | AppendReject | HeartbeatOk | SnapshotReply | ReadIndexRequest


@dataclass(slots=True)
class LeadershipTransfer:
    """Leadership on its way to `target`; given up after an election timeout."""

    target: int
    ticks_left: int
    timeout_now_sent: bool = False


class Leader:
    """The leader's part of a node, for one term."""

    def __init__(
        self,
        address: tuple[int, int],
        log: Log,
        configurations: ConfigurationHistory,
        outbox: Outbox,
        timing: Timing,
    ) -> None:
        self._me, self._term = address
        self.first_index = log.last + 1  # of the no-op that opens the term
        self.transfer: LeadershipTransfer | None = None
        self.replication = Replication(address, log, outbox, timing.election_ticks)
        self.read_index = ReadIndex(address, log, outbox, timing, self.first_index)
        self.progress = self.replication.progress
        self._log = log
        self._configurations = configurations
        self._outbox = outbox
        self._timing = timing
        self._heartbeat_elapsed = self._quorum_elapsed = 0
        self.replication.configure(configurations.latest)
        # 5.4.2 and 8: what earlier terms left is committed by an entry of this one.
        self.append([LogEntry(self._term, self.first_index)])

    def tick(self, ticks: int) -> bool:
        """Note that time has passed; False when no majority was heard for an election timeout."""
        timing = self._timing
        self.replication.tick()
        self._quorum_elapsed += 1
        if self._quorum_elapsed >= timing.election_ticks:
            self._quorum_elapsed = 0
            if not self.replication.has_quorum(self._configurations.latest):
                return False  # thesis, 6.2
        if self.transfer is not None:
            self.transfer.ticks_left -= 1
            if self.transfer.ticks_left <= 0:
                self.transfer = None
        self._heartbeat_elapsed += 1
        if self._heartbeat_elapsed >= timing.heartbeat_ticks:
            self._heartbeat_elapsed = 0
            self.read_index.heartbeat(ticks, self.progress)
        return True

    def append(self, entries: Sequence[LogEntry]) -> None:
        """Append entries of this leader, and send them."""
        configurations = self._configurations
        self._log.append(entries)
        before = configurations.changed_at
        configurations.note(entries)
        if configurations.changed_at != before:
            self.read_index.restart()
            self.replication.configure(configurations.latest)
        self.replication.replicate()

    def read(self, sender: int, context: int, ticks: int) -> None:
        """Take in a read of this member or of another one."""
        self.read_index.ask(sender, context)
        self.read_index.advance(self._configurations.latest, ticks, self.progress)

    def receive(self, message: FromFollower, ticks: int) -> bool:
        """Process a follower's message; return False when this member must step down."""
        if isinstance(message, ReadIndexRequest):
            self.read(message.sender, message.context, ticks)
            return True
        progress = self.progress.get(message.sender)
        if progress is None:
            return True
        stays = True
        match message:
            case AppendOk(match=match) if match > self._log.last:
                pass  # nobody can have what this leader does not have
            case AppendOk():
                if self.replication.matched(message.sender, message.match):
                    stays = self.advance_commit(ticks)
                    self._advance_transfer()
            case AppendReject():
                self.replication.rejected(message)
            case HeartbeatOk(round=round_) if round_ > self.read_index.round:
                pass  # nobody can answer what was not asked
            case HeartbeatOk():
                progress.active = True
                progress.read_round = max(progress.read_round, message.round)
                self.replication.heard(message.sender)
                self._confirm(message, ticks)
            case SnapshotReply():
                self.replication.snapshot_replied(message)
        return stays

    def advance_commit(self, ticks: int) -> bool:
        """Commit what a majority has on disk; False when that is the removal of this member."""
        configurations, log = self._configurations, self._log
        committed = self.replication.committed(configurations.latest)
        if committed <= log.committed:
            return True
        log.committed = committed
        self.replication.announce_commit(urgently=True)
        self.read_index.advance(configurations.latest, ticks, self.progress)
        is_voter = self._me in configurations.latest.voters
        # Thesis, 4.2.2: a leader leads until its removal is committed.
        return is_voter or configurations.changed_at > committed

    def begin_transfer(self, target: int) -> None:
        """Transfer leadership to another voter as soon as that has the whole log."""
        self.transfer = LeadershipTransfer(target, self._timing.election_ticks)
        # A forced election ignores the guards that a lease rests on.
        self.read_index.lease_until = LEASE_NEVER
        self._advance_transfer()

    def _confirm(self, answer: HeartbeatOk, ticks: int) -> None:
        configuration = self._configurations.latest
        self.read_index.release(configuration, self.progress)
        self.read_index.renew_lease(configuration, answer, ticks)

    def _advance_transfer(self) -> None:
        transfer = self.transfer
        if transfer is None or transfer.timeout_now_sent:
            return
        progress = self.progress.get(transfer.target)
        if progress is not None and progress.match == self._log.last:
            transfer.timeout_now_sent = True
            self._outbox.before_save.append(
                TimeoutNow(sender=self._me, receiver=transfer.target, term=self._term)
            )
