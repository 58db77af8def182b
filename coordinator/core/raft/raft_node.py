"""One member's consensus: time, messages and proposals in; what to save, send and apply out.

Sans-IO. `tick` is called for time, `step` for messages, `propose` for commands; `ready` says what
to do, `saved` that it is on the disk. Randomness is given. Paragraphs are of "In Search of an
Understandable Consensus Algorithm" (Raft) and of its author's thesis.

Invariants:
 1. At most one leader a term (5.2): a vote leaves only after the term and the vote are saved.
 2. A leader only adds to its log (5.3); a member acknowledges only what is saved.
 3. A leader commits by counting only entries of its own term (5.4.2), and counts itself only
    for what is on its own disk.
 4. PreVote and CheckQuorum together (thesis 6.2, 9.6): a member that was cut off does not depose
    a healthy leader, and a leader without a quorum steps down within an election timeout.
 5. The configuration is the last one in the log, committed or not (thesis 4.1).
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from coordinator.core.raft import membership
from coordinator.core.raft.election import Election
from coordinator.core.raft.entry import HONEST_TERM_MAX, TERM_STEP_MAX, HardState, LogEntry
from coordinator.core.raft.follower import Follower
from coordinator.core.raft.leader import Leader
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import (
    ChangeRefused,
    ConfChange,
    Configuration,
    ConfigurationHistory,
)
from coordinator.core.raft.messages import (
    AnyMessage,
    AppendEntries,
    AppendOk,
    AppendReject,
    Commit,
    Heartbeat,
    HeartbeatOk,
    InstallSnapshot,
    PreVote,
    PreVoteReply,
    ReadIndexReply,
    ReadIndexRequest,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from coordinator.core.raft.ready import NotLeader, Outbox, Ready, Role, Timing

FromLeader = AppendEntries | Heartbeat | Commit | InstallSnapshot


class RaftNode:
    """A member of a cluster. `randrange(n)` returns a random number below n."""

    def __init__(  # noqa: PLR0913
        self,
        me: int,
        configuration: Configuration,
        log: Log,
        state: HardState,
        *,
        randrange: Callable[[int], int],
        timing: Timing | None = None,
    ) -> None:
        self.me = me
        self.log = log
        log.committed = max(state.commit, log.base)
        self.configurations = ConfigurationHistory(log.base, configuration)
        self.configurations.note(log.between(log.base, log.last))
        self._saved_state = state
        self._outbox = Outbox(state.term)
        timing = timing or Timing()
        self._follower = Follower(me, log, self.configurations, self._outbox, timing.guard_ms)
        self.election = Election(
            me, state, log, self.configurations, self._outbox, timing, randrange
        )

    @property
    def term(self) -> int:
        """The current term."""
        return self.election.term

    @property
    def leader(self) -> int:
        """The leader of this term, 0 while it is unknown."""
        return self.election.leader

    @property
    def leading(self) -> Leader | None:
        """What only a leader has; None on every other member."""
        return self.election.leading

    @property
    def configuration(self) -> Configuration:
        """The members by the last configuration in the log."""
        return self.configurations.latest

    # Inputs.

    def tick(self) -> None:
        """Note that one tick of time has passed."""
        self.election.tick()

    def propose(self, commands: Sequence[bytes]) -> int:
        """Append commands to the log; return the first one's index. Raises NotLeader."""
        leading = self.election.leadership()
        if leading.transfer is not None:
            raise NotLeader(leading.transfer.target, "leadership is being transferred")
        first, term = self.log.last + 1, self.election.term
        leading.append([LogEntry(term, first + n, data) for n, data in enumerate(commands)])
        return first

    def change(self, change: ConfChange) -> int:
        """Append a change of membership; return its index. Raises NotLeader, ChangeRefused."""
        leading = self.election.leadership()
        if self.configurations.changed_at > self.log.committed:
            raise ChangeRefused("another change of membership is under way")
        if self.log.committed < leading.first_index:
            raise ChangeRefused("this leader has not committed an entry of its term yet")
        membership.changed(self.configuration, change)
        return self.propose([membership.encode(change)])

    def read(self, context: int) -> None:
        """Ask for a read index; `Ready.reads` has it when it is known. Raises NotLeader."""
        election, outbox = self.election, self._outbox
        if election.leading is not None and self.has_lease:
            outbox.reads.append((context, self.log.committed))
        elif election.leading is not None:
            election.leading.read(self.me, context, election.ticks)
        elif leader := election.leader:
            outbox.before_save.append(
                ReadIndexRequest(
                    sender=self.me, receiver=leader, term=election.term, context=context
                )
            )
        else:
            raise NotLeader(0, "no leader is known")

    def transfer(self, target: int) -> None:
        """Transfer leadership to a voter. Raises NotLeader, ChangeRefused."""
        leading = self.election.leadership()
        if target not in self.configuration.voters or target == self.me:
            raise ChangeRefused(f"member {target:x} is not another voter")
        leading.begin_transfer(target)

    def step(self, message: AnyMessage) -> None:
        """Take a message of another member. One with a term that no member can have is dropped."""
        election = self.election
        if message.term > max(election.term, HONEST_TERM_MAX) + TERM_STEP_MAX:
            return
        if message.term > election.term and election.is_disturbance(message):
            return
        if message.term > election.term and not _keeps_term(message):
            leads = isinstance(message, FromLeader)
            election.enter_term(message.term, message.sender if leads else 0)
        if message.term < election.term and not isinstance(message, PreVoteReply):
            self._answer_old_term(message)
            return
        self._dispatch(message)

    @property
    def has_lease(self) -> bool:
        """Whether reads may be served without asking anybody. (Thesis, 6.4.1)"""
        leading = self.election.leading
        return leading is not None and leading.read_index.has_lease(self.election.ticks)

    # Outputs.

    def ready(self) -> Ready:
        """Take what is to be done; `saved` must follow before the next call."""
        log, outbox = self.log, self._outbox
        ready = Ready(
            entries=log.between(log.stable, log.last),
            snapshot=self._follower.snapshot,
            before_save=outbox.before_save,
            after_save=outbox.after_save,
            reads=outbox.reads,
        )
        state = HardState(self.election.term, self.election.vote, log.committed)
        saved = self._saved_state
        # The commit index can be found again after a crash, so it is only saved together with other
        # state.
        if (state.term, state.vote) != (saved.term, saved.vote) or (
            (ready.entries or ready.snapshot) and state != saved
        ):
            ready.state = self._saved_state = state
            outbox.saved_term = state.term
        outbox.clear()
        self._follower.snapshot = None
        return ready

    def saved(self, ready: Ready) -> None:
        """Note that what `ready` handed out is on the disk."""
        log, leading = self.log, self.election.leading
        if ready.entries and log.term(ready.entries[-1].index) == ready.entries[-1].term:
            log.stable = max(log.stable, ready.entries[-1].index)
        if leading is not None and not leading.advance_commit(self.election.ticks):
            self.election.become(Role.FOLLOWER)

    def to_apply(self) -> tuple[LogEntry, ...]:
        """Return committed entries that are on this disk and not applied yet.

        None while a snapshot waits in `ready`: they follow on its state.
        """
        log = self.log
        upto = min(log.committed, log.stable)
        if upto <= log.applied or self._follower.snapshot is not None:
            return ()
        return log.between(log.applied, upto)

    def compact(self, index: int) -> None:
        """Drop the log up to an applied index."""
        assert index <= self.log.applied
        self.configurations.compact(index)
        self.log.compact(index)

    # Messages.

    def _dispatch(self, message: AnyMessage) -> None:
        election = self.election
        match message:
            case PreVote() | RequestVote():
                election.answer_vote_request(message)
            case PreVoteReply() | VoteReply():
                election.count_vote(message)
            case AppendEntries() | Heartbeat() | Commit() | InstallSnapshot():
                # This term's leader has no other leader. (Raft, 5.2) One that says so is wrong.
                if election.leading is None:
                    election.leader_heard(message.sender)
                    self._follower.take(message)
            case TimeoutNow():
                election.campaign_by_force()
            case ReadIndexReply(context=context, index=index):
                self._outbox.reads.append((context, index))
            case AppendOk() | AppendReject() | HeartbeatOk() | SnapshotReply() | ReadIndexRequest():
                leading = election.leading
                if leading is not None and not leading.receive(message, election.ticks):
                    election.become(Role.FOLLOWER)
            case _:
                assert_never(message)

    def _answer_old_term(self, message: AnyMessage) -> None:
        """Tell a sender that its term is over; else a leader cut off would never learn it."""
        term = self.election.term
        if isinstance(message, PreVote):
            self.election.answer_pre_vote(message.sender, term, granted=False)
        elif isinstance(message, FromLeader):
            reply = HeartbeatOk(sender=self.me, receiver=message.sender, term=term, round=0)
            self._outbox.after_save.append(reply)


def _keeps_term(message: AnyMessage) -> bool:
    """Return whether a higher term in this message does not concern the receiver's term."""
    match message:
        case PreVote():
            return True
        case PreVoteReply(granted=granted):
            return granted
        case _:
            return False
