"""One member's consensus: time, messages and proposals in; what to save, send and apply out.

Sans-IO. `tick` is told of time, `step` of messages, `propose` of commands; `ready` says what to
do, `saved` that it is on the disk. Randomness is given. Paragraphs are of "In Search of an
Understandable Consensus Algorithm" (Raft) and of its author's thesis.

Invariants:
 1. At most one leader a term (5.2): a vote leaves only after the term and the vote are saved.
 2. A leader only adds to its log (5.3); a member acknowledges only what is saved.
 3. A leader commits by counting only entries of its own term (5.4.2), and counts itself only
    for what is on its own disk.
 4. PreVote and CheckQuorum together (thesis 6.2, 9.6): who was cut off does not depose a healthy
    leader, and a leader without a quorum steps down within an election timeout.
 5. The configuration is the last one in the log, committed or not (thesis 4.1).
"""

from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec

from coordinator.core.raft import membership, quorum
from coordinator.core.raft.configuration_history import ConfigurationHistory
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.follower import Follower
from coordinator.core.raft.leader import Leader, LeadershipTransfer
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import ChangeRefused, ConfChange, Configuration
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
from coordinator.core.raft.quorum import VoteResult
from coordinator.core.raft.ready import MAY_BECOME, NotLeader, Ready, Role, Timing

FromLeader = AppendEntries | Heartbeat | Commit | InstallSnapshot
# The founders' entries are of this term; the first election is for the next one.
FOUNDING_TERM = 1
LEASE_NEVER = -1


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
        self.term, self.vote = state.term, state.vote
        log.committed = max(state.commit, log.base)
        self.role = Role.FOLLOWER
        self.leader = 0
        self.leading: Leader | None = None
        self.timing = timing or Timing()
        self._randrange = randrange
        self._configurations = ConfigurationHistory(log.base, configuration)
        self._configurations.note(log.between(log.base, log.last))
        self._votes: dict[int, bool] = {}
        self._election_elapsed = 0
        self._election_timeout = 0
        self._saved_state = state
        self._before_save: list[AnyMessage] = []
        self._after_save: list[AnyMessage] = []
        self._reads: list[tuple[int, int]] = []
        self._follower = Follower(me, log, self._configurations, self._send_after_save)
        self._suspects_leader = False
        self._ticks = 0
        # Who was in an election before may have promised a leader its lease. (Thesis, 6.4.1)
        self._vote_guard_until = self.timing.guard_ticks if state.term > FOUNDING_TERM else 0
        self._become(Role.FOLLOWER)

    @property
    def configuration(self) -> Configuration:
        """The members by the last word of the log."""
        return self._configurations.latest

    # Inputs.

    def tick(self) -> None:
        """Note that one tick of time has passed."""
        self._ticks += 1
        self._election_elapsed += 1
        if self.leading is not None:
            self._tick_leader(self.leading)
        elif self._election_elapsed >= self._election_timeout and self._may_campaign:
            self._campaign(Role.PRE_CANDIDATE)

    def campaign(self) -> None:
        """Begin an election at once: for a member alone, and for tests."""
        if self.leading is None and self._may_campaign:
            self._campaign(Role.PRE_CANDIDATE)

    def propose(self, commands: Sequence[bytes]) -> int:
        """Append commands to the log; return the first one's index. Raises NotLeader."""
        leading = self._must_lead()
        if leading.transfer is not None:
            raise NotLeader(leading.transfer.target, "leadership is being handed over")
        first = self.log.last + 1
        entries = [LogEntry(self.term, first + n, data) for n, data in enumerate(commands)]
        self._append_own(leading, entries)
        return first

    def change(self, change: ConfChange) -> int:
        """Append a change of membership; return its index. Raises NotLeader, ChangeRefused."""
        leading = self._must_lead()
        if self._configurations.changed_at > self.log.committed:
            raise ChangeRefused("another change of membership is under way")
        if self.log.committed < leading.first_index:
            raise ChangeRefused("this leader has not committed an entry of its term yet")
        membership.changed(self.configuration, change)
        return self.propose([membership.encode(change)])

    def read(self, context: int) -> None:
        """Ask for a read index; `Ready.reads` has it when it is known. Raises NotLeader."""
        if self.leading is not None and self.has_lease:
            self._reads.append((context, self.log.committed))
        elif self.leading is not None:
            self.leading.ask(self.me, context)
            self._reads += self.leading.advance_reads(self.configuration, self._ticks)
        elif self.leader:
            self._before_save.append(
                ReadIndexRequest(
                    sender=self.me, receiver=self.leader, term=self.term, context=context
                )
            )
        else:
            raise NotLeader(0, "no leader is known")

    def transfer(self, target: int) -> None:
        """Hand leadership to a voter. Raises NotLeader, ChangeRefused."""
        leading = self._must_lead()
        if target not in self.configuration.voters or target == self.me:
            raise ChangeRefused(f"member {target:x} is no other voter")
        leading.transfer = LeadershipTransfer(target, self.timing.election_ticks)
        # A forced election passes over the guards that a lease rests on.
        leading.lease_until = LEASE_NEVER
        self._advance_transfer(leading)

    def step(self, message: AnyMessage) -> None:
        """Take a message of another member."""
        if message.term > self.term and self._is_disturbance(message):
            return
        if message.term > self.term and not self._keeps_term(message):
            leads = isinstance(message, FromLeader)
            self._enter_term(message.term, message.sender if leads else 0)
        if message.term < self.term and not isinstance(message, PreVoteReply):
            self._answer_old_term(message)
            return
        self._dispatch(message)

    def suspect(self, leader: int) -> None:
        """Note a sign that this leader's process has ended: its connection was refused, say.

        A wrong sign costs an election and nothing else: guards and leases stay in force.
        """
        if self.leader == leader and self.leading is None:
            self._suspects_leader = True
            self._election_timeout = min(self._election_timeout, self._short_election_timeout())

    def lost(self, member: int) -> None:
        """Note that messages to a member were dropped on their way."""
        if self.leading is not None:
            self.leading.lost([member])

    @property
    def has_lease(self) -> bool:
        """Whether reads may be served without asking anybody. (Thesis, 6.4.1)"""
        leading = self.leading
        return (
            leading is not None
            and self._ticks < leading.lease_until
            and self.log.committed >= leading.first_index
        )

    # Outputs.

    def ready(self) -> Ready:
        """Take what is to be done; `saved` must follow before the next call."""
        ready = Ready(
            entries=self.log.between(self.log.stable, self.log.last),
            snapshot=self._follower.snapshot,
            before_save=self._before_save,
            after_save=self._after_save,
            reads=self._reads,
        )
        state, saved = HardState(self.term, self.vote, self.log.committed), self._saved_state
        # The commit index is found again after a crash: it is saved beside what must be.
        if (state.term, state.vote) != (saved.term, saved.vote) or (
            (ready.entries or ready.snapshot) and state != saved
        ):
            ready.state = self._saved_state = state
        self._before_save, self._after_save, self._reads = [], [], []
        self._follower.snapshot = None
        return ready

    def saved(self, ready: Ready) -> None:
        """Note that what `ready` handed out is on the disk."""
        if ready.entries and self.log.term(ready.entries[-1].index) == ready.entries[-1].term:
            self.log.stable = max(self.log.stable, ready.entries[-1].index)
        if self.leading is not None:
            self._advance_commit(self.leading)

    def to_apply(self) -> tuple[LogEntry, ...]:
        """Return committed entries that are on this disk and not applied yet.

        None while a snapshot waits in `ready`: they follow on its state.
        """
        if self._follower.snapshot is not None:
            return ()
        upto = min(self.log.committed, self.log.stable)
        return self.log.between(self.log.applied, upto) if upto > self.log.applied else ()

    @property
    def has_to_apply(self) -> bool:
        """Whether `to_apply` would return something."""
        return self.log.applied < min(self.log.committed, self.log.stable)

    def compact(self, index: int) -> None:
        """Let go of the log up to an applied index."""
        assert index <= self.log.applied
        self._configurations.compact(index)
        self.log.compact(index)

    def configuration_at(self, index: int) -> Configuration:
        """Return the configuration as of an index that is not compacted."""
        return self._configurations.at(index)

    # Terms and roles.

    def _keeps_term(self, message: AnyMessage) -> bool:
        """Say whether a higher term in this message does not concern this member's term."""
        match message:
            case PreVote():
                return True
            case PreVoteReply(granted=granted):
                return granted
            case _:
                return False

    def _is_disturbance(self, message: AnyMessage) -> bool:
        """Say whether to pass over a vote: who hears its leader is not drawn into an election.

        (Thesis, 4.2.3)
        """
        return isinstance(message, RequestVote) and not message.forced and self._hears_leader()

    def _hears_leader(self) -> bool:
        if self.leading is not None or self._ticks < self._vote_guard_until:
            return True
        timing = self.timing
        timeout = timing.guard_ticks if self._suspects_leader else timing.election_ticks
        return bool(self.leader) and self._election_elapsed < timeout

    def _short_election_timeout(self) -> int:
        """How long to wait for a leader that is gone; members that wait alike split the votes."""
        timing = self.timing
        least = timing.guard_ticks if self.leader else timing.guard_ticks // 2
        return least + self._randrange(max(2, timing.guard_ticks * 3 // 4))

    def _enter_term(self, term: int, leader: int) -> None:
        self.term, self.vote = term, 0
        self._become(Role.FOLLOWER, leader)

    def _become(self, role: Role, leader: int = 0) -> None:
        assert role in MAY_BECOME[self.role]
        self.role, self.leader = role, leader
        self.leading = None
        self._election_elapsed = 0
        if self._suspects_leader:
            self._election_timeout = self._short_election_timeout()
        else:
            self._election_timeout = self.timing.election_ticks + self._randrange(
                self.timing.election_ticks
            )

    @property
    def _may_campaign(self) -> bool:
        """Whether it can lead, also with its removal in its log, uncommitted. (Thesis, 4.2.2)"""
        committed = self._configurations.at(self.log.committed)  # what the others can elect by
        return self.me in self.configuration.voters | committed.voters

    def _campaign(self, role: Role, *, forced: bool = False) -> None:
        self._become(role)
        self._votes = {self.me: True}
        term = self.term + 1
        if role is Role.CANDIDATE:
            self.term, self.vote = term, self.me
        if self._tally():
            return
        for member in sorted(self.configuration.voters - {self.me}):
            ask = PreVote if role is Role.PRE_CANDIDATE else RequestVote
            question = ask(
                sender=self.me,
                receiver=member,
                term=term,
                last_index=self.log.last,
                last_term=self.log.last_term,
            )
            # A vote for oneself is a vote: it is saved before anybody is asked for theirs.
            if isinstance(question, RequestVote):
                self._after_save.append(msgspec.structs.replace(question, forced=forced))
            else:
                self._before_save.append(question)

    def _tally(self) -> bool:
        """Act on the votes so far; say whether the campaign is decided."""
        match quorum.vote_result(self.configuration.voters, self._votes):
            case VoteResult.OPEN:
                return False
            case VoteResult.LOST:
                self._become(Role.FOLLOWER)
            case VoteResult.WON if self.role is Role.PRE_CANDIDATE:
                self._campaign(Role.CANDIDATE)
            case VoteResult.WON:
                self._lead()
        return True

    def _lead(self) -> None:
        self._suspects_leader = False
        self._become(Role.LEADER, self.me)
        self.leading = leading = Leader(self.me, self.term, self.log, self._emit, self.log.last + 1)
        leading.configure(self.configuration)
        # 5.4.2 and 8: what earlier terms left is committed by an entry of this one.
        self._append_own(leading, [LogEntry(self.term, self.log.last + 1)])

    def _emit(self, message: AnyMessage) -> None:
        # A voter alone leads before its term is saved, and could begin the same term again.
        is_saved = self._saved_state.term == self.term
        (self._before_save if is_saved else self._after_save).append(message)

    def _send_after_save(self, message: AnyMessage) -> None:
        self._after_save.append(message)

    def _must_lead(self) -> Leader:
        if self.leading is None:
            raise NotLeader(self.leader)
        return self.leading

    # Dispatch.

    def _dispatch(self, message: AnyMessage) -> None:
        match message:
            case PreVote() | RequestVote():
                self._answer_vote_request(message)
            case PreVoteReply() | VoteReply():
                self._count_vote(message)
            case AppendEntries() | Heartbeat() | Commit() | InstallSnapshot():
                self._follow(message)
            case TimeoutNow():
                if self.me in self.configuration.voters and self.role is Role.FOLLOWER:
                    self._campaign(Role.CANDIDATE, forced=True)
            case ReadIndexReply(context=context, index=index):
                self._reads.append((context, index))
            case AppendOk() | AppendReject() | HeartbeatOk() | SnapshotReply() | ReadIndexRequest():
                if self.leading is not None:
                    self._handle_follower(self.leading, message)
            case _:
                assert_never(message)

    def _answer_old_term(self, message: AnyMessage) -> None:
        """Tell a sender that its term is over; else a leader cut off would never learn it."""
        if isinstance(message, PreVote):
            self._after_save.append(self._pre_vote_reply(message.sender, self.term, granted=False))
        elif isinstance(message, FromLeader):
            reply = HeartbeatOk(sender=self.me, receiver=message.sender, term=self.term, round=0)
            self._after_save.append(reply)

    def _answer_vote_request(self, message: PreVote | RequestVote) -> None:
        current = self.log.is_current(message.last_index, message.last_term)
        if isinstance(message, PreVote):
            granted = message.term > self.term and current and not self._hears_leader()
            term = message.term if granted else self.term
            self._after_save.append(self._pre_vote_reply(message.sender, term, granted=granted))
            return
        free = self.vote == message.sender or (self.vote == 0 and self.leader == 0)
        if current and free:
            self.vote = message.sender
            self._election_elapsed = 0
        granted = current and free
        reply = VoteReply(sender=self.me, receiver=message.sender, term=self.term, granted=granted)
        self._after_save.append(reply)

    def _pre_vote_reply(self, receiver: int, term: int, *, granted: bool) -> PreVoteReply:
        return PreVoteReply(sender=self.me, receiver=receiver, term=term, granted=granted)

    def _count_vote(self, message: PreVoteReply | VoteReply) -> None:
        if isinstance(message, PreVoteReply):
            if self.role is not Role.PRE_CANDIDATE:
                return
            if message.granted and message.term != self.term + 1:
                return
        elif self.role is not Role.CANDIDATE:
            return
        self._votes.setdefault(message.sender, message.granted)
        self._tally()

    # Following.

    def _follow(self, message: FromLeader) -> None:
        assert self.leading is None, "two leaders in one term"
        self._suspects_leader = False
        if self.role is not Role.FOLLOWER or self.leader != message.sender:
            self._become(Role.FOLLOWER, message.sender)
        self._election_elapsed = 0
        self._follower.take(message)

    # Leading.

    def _tick_leader(self, leading: Leader) -> None:
        leading.quorum_elapsed += 1
        if leading.quorum_elapsed >= self.timing.election_ticks:
            leading.quorum_elapsed = 0
            if not leading.has_quorum(self.configuration):
                self._become(Role.FOLLOWER)  # thesis, 6.2
                return
        leading.tick(self._ticks, self.timing.heartbeat_ticks)

    def _handle_follower(
        self,
        leading: Leader,
        message: AppendOk | AppendReject | HeartbeatOk | SnapshotReply | ReadIndexRequest,
    ) -> None:
        if isinstance(message, ReadIndexRequest):
            leading.ask(message.sender, message.context)
            self._reads += leading.advance_reads(self.configuration, self._ticks)
            return
        if message.sender not in leading.progress:
            return
        match message:
            case AppendOk():
                if leading.matched(message.sender, message.match):
                    self._advance_commit(leading)
                    self._advance_transfer(leading)
            case AppendReject():
                leading.rejected(message)
            case HeartbeatOk():
                leading.heard(message.sender, message.round)
                self._reads += leading.release_reads(self.configuration)
                leading.renew_lease(self.configuration, self.timing.lease_ticks)
            case SnapshotReply():
                leading.snapshot_replied(message)

    def _append_own(self, leading: Leader, entries: Sequence[LogEntry]) -> None:
        self.log.append(entries)
        before = self._configurations.changed_at
        self._configurations.note(entries)
        if self._configurations.changed_at != before:
            leading.configure(self.configuration)
        leading.replicate()

    def _advance_commit(self, leading: Leader) -> None:
        reached = leading.reached(self.configuration)
        if reached <= self.log.committed:
            return
        self.log.committed = reached
        leading.announce_commit(urgently=True)
        self._reads += leading.advance_reads(self.configuration, self._ticks)
        if self.me not in self.configuration.voters and self._configurations.changed_at <= reached:
            self._become(Role.FOLLOWER)  # thesis, 4.2.2: it led until its removal was committed

    def _advance_transfer(self, leading: Leader) -> None:
        transfer = leading.transfer
        if transfer is None or transfer.timeout_now_sent:
            return
        progress = leading.progress.get(transfer.target)
        if progress is not None and progress.match == self.log.last:
            transfer.timeout_now_sent = True
            self._before_save.append(
                TimeoutNow(sender=self.me, receiver=transfer.target, term=self.term)
            )
