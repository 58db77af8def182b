"""How a leader brings its log to the followers: entries, or a snapshot, and the commit index."""

from coordinator.core.raft import quorum
from coordinator.core.raft.log import ENTRY_OVERHEAD_BYTES, Log
from coordinator.core.raft.membership import Configuration
from coordinator.core.raft.messages import (
    AppendEntries,
    AppendReject,
    Commit,
    SnapshotReply,
)
from coordinator.core.raft.progress import FollowerProgress, ProgressState
from coordinator.core.raft.ready import Outbox
from coordinator.core.raft.snapshot_transfer import RaftSnapshot, chunk

APPEND_BYTES_MAX = 1 << 20


class Replication:
    """One leader's followers in one term."""

    def __init__(
        self, address: tuple[int, int], log: Log, outbox: Outbox, chunk_timeout_ticks: int
    ) -> None:
        self.progress: dict[int, FollowerProgress] = {}
        self.snapshot: RaftSnapshot | None = None
        self.wants_snapshot = False
        self._me, self._term = address
        self._chunk_timeout_ticks = chunk_timeout_ticks
        self._log = log
        self._outbox = outbox
        self._send = outbox.send_as_leader

    def configure(self, configuration: Configuration) -> None:
        """Follow the members of a configuration, and no others."""
        for member in configuration.members - {self._me}:
            if member not in self.progress:
                self.progress[member] = FollowerProgress(self._log.last + 1)
        for member in self.progress.keys() - configuration.members:
            del self.progress[member]

    def replicate(self) -> None:
        """Send every follower what it may be sent."""
        for member, progress in self.progress.items():
            self._replicate_to(member, progress)

    def announce_commit(self, *, urgently: bool) -> None:
        """Send the commit index to the followers that have it all and get nothing else.

        `urgently` sends it only to those that wait for an entry; the others get it with the next
        AppendEntries, or by a later call.
        """
        for member, progress in self.progress.items():
            if self._is_news(progress) and (
                not urgently or progress.forwarded_index > progress.commit_sent
            ):
                self._send_commit(member, progress)

    @property
    def has_unannounced_commit(self) -> bool:
        """Whether `announce_commit` would send anything."""
        return any(map(self._is_news, self.progress.values()))

    def tick(self) -> None:
        """Note that one tick of time has passed."""
        for progress in self.progress.values():
            progress.tick(self._outbox.batch)

    def heard(self, member: int) -> None:
        """Note that the follower is alive; called once per heartbeat."""
        progress = self.progress[member]
        # A lost answer would block a probe forever.
        progress.waiting = False
        if progress.match < self._log.last:
            if progress.state is ProgressState.REPLICATE and not progress.can_send:
                progress.lost(self._outbox.batch)
            self._replicate_to(member, progress, probe=True)

    def matched(self, member: int, index: int) -> bool:
        """Note how far a follower's log is right; say whether that is news."""
        progress = self.progress[member]
        progress.active = True
        news = progress.matched(index)
        self._replicate_to(member, progress)
        if progress.forwarded_index > progress.commit_sent and self._is_news(progress):
            self._send_commit(member, progress)  # it was not in the majority that decided
        return news

    def rejected(self, message: AppendReject) -> None:
        """Look for an earlier place where the logs agree."""
        progress = self.progress[message.sender]
        progress.active = True
        hint, _ = self._log.conflict_hint(message.hint, message.hint_term)
        if progress.rejected(message.rejected, hint + 1):
            self._replicate_to(message.sender, progress, probe=True)

    def snapshot_replied(self, message: SnapshotReply) -> None:
        """Send the next chunk from where the follower is."""
        progress, snapshot = self.progress[message.sender], self.snapshot
        progress.active = True
        is_of_now = (
            progress.state is ProgressState.SNAPSHOT
            and progress.snapshot_index == message.index
            and snapshot is not None
            and message.offset <= len(snapshot.data)  # nobody can have more of it than there is
        )
        if is_of_now and progress.chunk_answered(message.offset):
            self._send_chunk(message.sender, progress)

    def committed(self, configuration: Configuration) -> int:
        """Return the last index of this term that a majority has on disk, else the old commit."""
        log = self._log

        def match(member: int) -> int:
            if member == self._me:
                return log.stable
            progress = self.progress.get(member)
            return progress.match if progress else 0

        index = quorum.reached(configuration.voters, match)
        # Raft, 5.4.2: counting copies commits only entries of the own term.
        is_new = index > log.committed and log.term(index) == self._term
        return index if is_new else log.committed

    def has_quorum(self, configuration: Configuration) -> bool:
        """Return whether a majority was heard since the last call."""
        active = {member for member, p in self.progress.items() if p.active} | {self._me}
        for progress in self.progress.values():
            progress.was_active, progress.active = progress.active, False
        return quorum.has_majority(configuration.voters, active)

    def offer(self, snapshot: RaftSnapshot) -> None:
        """Take a snapshot of the present state for those who need one."""
        self.snapshot, self.wants_snapshot = snapshot, False
        self.replicate()

    def lost(self, member: int) -> None:
        """Note that messages to a member were dropped on the way."""
        if (progress := self.progress.get(member)) is not None:
            progress.lost(self._outbox.batch)

    def _replicate_to(
        self, member: int, progress: FollowerProgress, *, probe: bool = False
    ) -> None:
        """Send one follower entries or a chunk; with `probe` a message even without entries."""
        while progress.can_send and (progress.next <= self._log.last or probe):
            if progress.next <= self._log.base:
                self._begin_snapshot(progress)
                break
            self._append_to(member, progress)
            probe = False
        if progress.state is ProgressState.SNAPSHOT:
            self._send_chunk(member, progress)

    def _append_to(self, member: int, progress: FollowerProgress) -> None:
        log, previous = self._log, progress.next - 1
        term = log.term(previous)
        assert term is not None
        entries = log.entries(progress.next, APPEND_BYTES_MAX)
        self._send(
            AppendEntries(
                sender=self._me,
                receiver=member,
                term=self._term,
                prev_index=previous,
                prev_term=term,
                commit=log.committed,
                entries=entries,
            )
        )
        commit = min(log.committed, previous + len(entries))
        progress.commit_sent = max(progress.commit_sent, commit)
        if entries:
            size = sum(len(entry.data) + ENTRY_OVERHEAD_BYTES for entry in entries)
            progress.sent(entries[-1].index, size)
        elif progress.state is ProgressState.PROBE:
            progress.waiting = True

    def _is_news(self, progress: FollowerProgress) -> bool:
        return (
            progress.match >= self._log.committed > progress.commit_sent
            and progress.next > self._log.last
        )

    def _send_commit(self, member: int, progress: FollowerProgress) -> None:
        commit = progress.commit_sent = self._log.committed
        self._send(Commit(sender=self._me, receiver=member, term=self._term, commit=commit))

    def _begin_snapshot(self, progress: FollowerProgress) -> None:
        if self.snapshot is None or self.snapshot.index < self._log.base:
            self.wants_snapshot = True
            return
        progress.needs_snapshot(self.snapshot.index)

    def _send_chunk(self, member: int, progress: FollowerProgress) -> None:
        snapshot = self.snapshot
        if progress.is_chunk_on_its_way or snapshot is None:
            return
        if snapshot.index != progress.snapshot_index:
            progress.needs_snapshot(snapshot.index)
        progress.chunk_sent(self._chunk_timeout_ticks, self._outbox.batch)
        offset = min(progress.snapshot_offset, len(snapshot.data))
        self._send(chunk(snapshot, offset, (self._me, member, self._term)))
