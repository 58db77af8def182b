"""What only a leader has: its followers' progress, reads in waiting, a transfer under way."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from coordinator.core.raft import quorum
from coordinator.core.raft.log import ENTRY_OVERHEAD_BYTES, Log
from coordinator.core.raft.membership import Configuration
from coordinator.core.raft.messages import (
    AnyMessage,
    AppendEntries,
    AppendReject,
    Commit,
    Heartbeat,
    ReadIndexReply,
    SnapshotReply,
)
from coordinator.core.raft.progress import FollowerProgress, ProgressState
from coordinator.core.raft.snapshot_transfer import RaftSnapshot, chunk

APPEND_BYTES_MAX = 1 << 20
READS_MAX = 10_000


@dataclass(slots=True)
class PendingReadIndex:
    """A read that waits for proof that this leader still leads. (Thesis, 6.4)"""

    sender: int
    context: int
    index: int = -1  # -1: waits for the first commit of the term
    round: int = 0


@dataclass(slots=True)
class LeadershipTransfer:
    """Leadership on its way to `target`; given up after an election timeout."""

    target: int
    ticks_left: int
    timeout_now_sent: bool = False


@dataclass(slots=True)
class Leader:
    """The leader's part of a node. `send` puts a message in the node's outbox."""

    me: int
    term: int
    log: Log
    send: Callable[[AnyMessage], None]
    first_index: int  # of the no-op that opens the term
    progress: dict[int, FollowerProgress] = field(default_factory=dict)
    reads: list[PendingReadIndex] = field(default_factory=list)
    round: int = 0
    transfer: LeadershipTransfer | None = None
    snapshot: RaftSnapshot | None = None
    wants_snapshot: bool = False
    lease_until: int = 0  # in the node's ticks
    heartbeat_elapsed: int = 0
    quorum_elapsed: int = 0
    _round_ticks: dict[int, int] = field(default_factory=dict)  # when each round was begun

    def configure(self, configuration: Configuration) -> None:
        """Follow the members of a configuration, and no others; what old ones promised ends."""
        self._round_ticks.clear()
        self.lease_until = min(self.lease_until, 0)
        for member in configuration.members - {self.me}:
            if member not in self.progress:
                self.progress[member] = FollowerProgress(self.log.last + 1)
        for member in self.progress.keys() - configuration.members:
            del self.progress[member]

    def tick(self, ticks: int, heartbeat_ticks: int) -> None:
        """Note that time has passed: give a transfer up, send a heartbeat."""
        if self.transfer is not None:
            self.transfer.ticks_left -= 1
            if self.transfer.ticks_left <= 0:
                self.transfer = None
        self.heartbeat_elapsed += 1
        if self.heartbeat_elapsed >= heartbeat_ticks:
            self.heartbeat_elapsed = 0
            self.start_reads()
            self.heartbeat(ticks)

    def replicate(self) -> None:
        """Send every follower what it may be sent."""
        for member, progress in self.progress.items():
            self.replicate_to(member, progress)

    def replicate_to(self, member: int, progress: FollowerProgress, *, probe: bool = False) -> None:
        """Send one follower entries or a chunk; with `probe` an Append even without entries."""
        while progress.can_send and (progress.next <= self.log.last or probe):
            if progress.next <= self.log.base:
                self._begin_snapshot(progress)
                break
            self._append_to(member, progress)
            probe = False
        if progress.state is ProgressState.SNAPSHOT:
            self._send_chunk(member, progress)

    def announce_commit(self, *, urgently: bool) -> None:
        """Tell the followers that have it all and nothing else coming how far the commit is.

        `urgently` tells only those that wait for an entry; to the others the next Append brings
        it, or a later call.
        """
        for member, progress in self.progress.items():
            if self._is_news(progress) and (
                not urgently or progress.forwarded_index > progress.commit_sent
            ):
                self._tell_commit(member, progress)

    @property
    def has_unannounced_commit(self) -> bool:
        """Whether `announce_commit` would tell anybody."""
        return any(map(self._is_news, self.progress.values()))

    def _is_news(self, progress: FollowerProgress) -> bool:
        return (
            progress.match >= self.log.committed > progress.commit_sent
            and progress.next > self.log.last
        )

    def _tell_commit(self, member: int, progress: FollowerProgress) -> None:
        progress.commit_sent = self.log.committed
        self.send(
            Commit(sender=self.me, receiver=member, term=self.term, commit=self.log.committed)
        )

    def heartbeat(self, ticks: int) -> None:
        """Assert leadership to all at a time; its answers prove it as of then."""
        self.round += 1
        self._round_ticks[self.round] = ticks
        for member, progress in self.progress.items():
            commit = min(progress.match, self.log.committed)
            self.send(
                Heartbeat(
                    sender=self.me,
                    receiver=member,
                    term=self.term,
                    commit=commit,
                    round=self.round,
                )
            )

    def heard(self, member: int, round_: int) -> None:
        """Note a follower's answer to a heartbeat."""
        progress = self.progress[member]
        progress.active = True
        progress.read_round = max(progress.read_round, round_)
        # An answer that got lost would block a probe for ever.
        progress.waiting = progress.snapshot_waiting = False
        if progress.match < self.log.last:
            if progress.state is ProgressState.REPLICATE and not progress.can_send:
                progress.lost()
            self.replicate_to(member, progress, probe=True)

    def matched(self, member: int, index: int) -> bool:
        """Note how far a follower's log is right; say whether that is news."""
        progress = self.progress[member]
        progress.active = True
        news = progress.matched(index)
        self.replicate_to(member, progress)
        if progress.forwarded_index > progress.commit_sent and self._is_news(progress):
            self._tell_commit(member, progress)  # it was not in the majority that decided
        return news

    def rejected(self, message: AppendReject) -> None:
        """Look for an earlier place where the logs agree."""
        progress = self.progress[message.sender]
        progress.active = True
        hint, _ = self.log.conflict_hint(message.hint, message.hint_term)
        if progress.rejected(message.rejected, hint + 1):
            self.replicate_to(message.sender, progress, probe=True)

    def snapshot_replied(self, message: SnapshotReply) -> None:
        """Send the next chunk from where the follower is."""
        progress = self.progress[message.sender]
        progress.active = True
        if progress.state is ProgressState.SNAPSHOT and progress.snapshot_index == message.index:
            progress.snapshot_offset = message.offset
            progress.snapshot_waiting = False
            self._send_chunk(message.sender, progress)

    def reached(self, configuration: Configuration) -> int:
        """Return the last index of this term that a majority has on disk, else the old commit."""

        def match(member: int) -> int:
            if member == self.me:
                return self.log.stable
            progress = self.progress.get(member)
            return progress.match if progress else 0

        index = quorum.reached(configuration.voters, match)
        # Raft, 5.4.2: counting copies commits only entries of the own term.
        return (
            index
            if index > self.log.committed and self.log.term(index) == self.term
            else self.log.committed
        )

    def has_quorum(self, configuration: Configuration) -> bool:
        """Say whether a majority was heard since the last time this was asked."""
        active = {member for member, p in self.progress.items() if p.active} | {self.me}
        for progress in self.progress.values():
            progress.was_active, progress.active = progress.active, False
        return quorum.has_majority(configuration.voters, active)

    def ask(self, sender: int, context: int) -> None:
        """Take in a read; `release_reads` answers it when leadership is proved."""
        if len(self.reads) < READS_MAX:
            self.reads.append(PendingReadIndex(sender, context))

    def start_reads(self) -> bool:
        """Give waiting reads their index and round; say whether a new round must begin."""
        if self.log.committed < self.first_index:
            return False  # what the term before committed is not known yet
        waiting = [read for read in self.reads if read.index < 0]
        for read in waiting:
            read.index, read.round = self.log.committed, self.round + 1
        return bool(waiting)

    def advance_reads(self, configuration: Configuration, ticks: int) -> list[tuple[int, int]]:
        """Begin to prove leadership for new reads; return as `release_reads` does."""
        if self.start_reads():
            self.heartbeat(ticks)
        return self.release_reads(configuration)

    def renew_lease(self, configuration: Configuration, lease_ticks: int) -> None:
        """Extend the lease by the last heartbeat that a majority has answered."""
        proved = self._proved(configuration)
        while self._round_ticks and next(iter(self._round_ticks)) <= proved:
            at = self._round_ticks.pop(next(iter(self._round_ticks)))
            if self.transfer is None and self.lease_until >= 0:
                self.lease_until = at + lease_ticks

    def release_reads(self, configuration: Configuration) -> list[tuple[int, int]]:
        """Answer the reads that a majority has confirmed; return (context, index) of our own."""
        own = []
        for read in self._released(configuration):
            if read.sender == self.me:
                own.append((read.context, read.index))
            else:
                self.send(
                    ReadIndexReply(
                        sender=self.me,
                        receiver=read.sender,
                        term=self.term,
                        context=read.context,
                        index=read.index,
                    )
                )
        return own

    def _proved(self, configuration: Configuration) -> int:
        def confirmed(member: int) -> int:
            if member == self.me:
                return self.round
            progress = self.progress.get(member)
            return progress.read_round if progress else 0

        return quorum.reached(configuration.voters, confirmed)

    def _released(self, configuration: Configuration) -> list[PendingReadIndex]:
        proved = self._proved(configuration)
        ready = [read for read in self.reads if read.index >= 0 and read.round <= proved]
        self.reads = [read for read in self.reads if read.index < 0 or read.round > proved]
        return ready

    def offer(self, snapshot: RaftSnapshot) -> None:
        """Take a snapshot of the present state for those who need one."""
        self.snapshot, self.wants_snapshot = snapshot, False
        self.replicate()

    def lost(self, members: Iterable[int]) -> None:
        """Note that messages to these members were dropped on the way."""
        for member in members:
            if (progress := self.progress.get(member)) is not None:
                progress.lost()

    def _append_to(self, member: int, progress: FollowerProgress) -> None:
        previous = progress.next - 1
        term = self.log.term(previous)
        assert term is not None
        entries = self.log.entries(progress.next, APPEND_BYTES_MAX)
        self.send(
            AppendEntries(
                sender=self.me,
                receiver=member,
                term=self.term,
                prev_index=previous,
                prev_term=term,
                commit=self.log.committed,
                entries=entries,
            )
        )
        progress.commit_sent = max(
            progress.commit_sent, min(self.log.committed, previous + len(entries))
        )
        if entries:
            size = sum(len(entry.data) + ENTRY_OVERHEAD_BYTES for entry in entries)
            progress.sent(entries[-1].index, size)
        elif progress.state is ProgressState.PROBE:
            progress.waiting = True

    def _begin_snapshot(self, progress: FollowerProgress) -> None:
        if self.snapshot is None or self.snapshot.index < self.log.base:
            self.wants_snapshot = True
            return
        progress.needs_snapshot(self.snapshot.index)

    def _send_chunk(self, member: int, progress: FollowerProgress) -> None:
        snapshot = self.snapshot
        if progress.snapshot_waiting or snapshot is None:
            return
        if snapshot.index != progress.snapshot_index:
            progress.needs_snapshot(snapshot.index)
        progress.snapshot_waiting = True
        address = (self.me, member, self.term)
        self.send(chunk(snapshot, min(progress.snapshot_offset, len(snapshot.data)), address))
