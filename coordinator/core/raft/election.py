"""Leader election: terms, votes and roles. (Raft, 5.2)"""

from collections.abc import Callable

import msgspec

from coordinator.core.raft import quorum
from coordinator.core.raft.entry import HardState
from coordinator.core.raft.leader import Leader
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import ConfigurationHistory
from coordinator.core.raft.messages import (
    AnyMessage,
    PreVote,
    PreVoteReply,
    RequestVote,
    VoteReply,
)
from coordinator.core.raft.quorum import VoteResult
from coordinator.core.raft.ready import MAY_BECOME, NotLeader, Outbox, Role, Timing

# The founders' entries are of this term; the first election is for the next one.
FOUNDING_TERM = 1


class Election:
    """One member's part in all elections. `randrange(n)` returns a random number below n."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        me: int,
        state: HardState,
        log: Log,
        configurations: ConfigurationHistory,
        outbox: Outbox,
        timing: Timing,
        randrange: Callable[[int], int],
    ) -> None:
        self.term, self.vote = state.term, state.vote
        self.role = Role.FOLLOWER
        self.leader = 0
        self.leading: Leader | None = None
        self.ticks = 0
        self._me = me
        self._log = log
        self._configurations = configurations
        self._outbox = outbox
        self._timing = timing
        self._randrange = randrange
        self._votes: dict[int, bool] = {}
        self._elapsed = 0
        self._timeout = 0
        self._suspects_leader = False
        # A member that took part in an election before may have promised a lease. (Thesis, 6.4.1)
        self._guard_until = timing.start_guard_ticks if state.term > FOUNDING_TERM else 0
        self.become(Role.FOLLOWER)

    # Time.

    def tick(self) -> None:
        """Note that one tick of time has passed."""
        self.ticks += 1
        self._elapsed += 1
        if self.leading is not None:
            if not self.leading.tick(self.ticks):
                self.become(Role.FOLLOWER)
        elif self._elapsed >= self._timeout and self._may_campaign:
            self._campaign(Role.PRE_CANDIDATE)

    def campaign(self) -> None:
        """Begin an election at once: for a single member, and for tests."""
        if self.leading is None and self._may_campaign:
            self._campaign(Role.PRE_CANDIDATE)

    def campaign_by_force(self) -> None:
        """Begin an election because the leader transfers leadership. (Thesis, 3.10)"""
        if self._me in self._configurations.latest.voters and self.role is Role.FOLLOWER:
            self._campaign(Role.CANDIDATE, forced=True)

    def suspect(self, leader: int) -> None:
        """Note a sign that this leader's process has ended: its connection was refused, say.

        A wrong sign costs an election and nothing else: guards and leases stay in force.
        """
        if self.leader == leader and self.leading is None:
            self._suspects_leader = True
            self._timeout = min(self._timeout, self._short_timeout())

    # Roles.

    def become(self, role: Role, leader: int = 0) -> None:
        """Take another role; only `_lead` makes a leader."""
        assert role in MAY_BECOME[self.role]
        self.role, self.leader = role, leader
        self.leading = None
        self._elapsed = 0
        if self._suspects_leader:
            self._timeout = self._short_timeout()
        else:
            election_ticks = self._timing.election_ticks
            self._timeout = election_ticks + self._randrange(election_ticks)

    def enter_term(self, term: int, leader: int) -> None:
        """Follow in a higher term, whose leader may be unknown (0)."""
        self.term, self.vote = term, 0
        self.become(Role.FOLLOWER, leader)

    def leader_heard(self, leader: int) -> None:
        """Note a message of this term's leader."""
        assert self.leading is None, "two leaders in one term"
        self._suspects_leader = False
        if self.role is not Role.FOLLOWER or self.leader != leader:
            self.become(Role.FOLLOWER, leader)
        self._elapsed = 0

    def leadership(self) -> Leader:
        """Return what only a leader has. Raises NotLeader."""
        if self.leading is None:
            raise NotLeader(self.leader)
        return self.leading

    # Votes.

    def is_disturbance(self, message: AnyMessage) -> bool:
        """Return whether to ignore a vote: a member that hears its leader stays out of elections.

        (Thesis, 4.2.3)
        """
        return isinstance(message, RequestVote) and not message.forced and self._hears_leader()

    def answer_vote_request(self, message: PreVote | RequestVote) -> None:
        """Vote, or refuse to."""
        current = self._log.is_current(message.last_index, message.last_term)
        if isinstance(message, PreVote):
            granted = message.term > self.term and current and not self._hears_leader()
            term = message.term if granted else self.term
            self.answer_pre_vote(message.sender, term, granted=granted)
            return
        free = self.vote == message.sender or (self.vote == 0 and self.leader == 0)
        granted = current and free
        if granted:
            self.vote = message.sender
            self._elapsed = 0
        self._outbox.after_save.append(
            VoteReply(sender=self._me, receiver=message.sender, term=self.term, granted=granted)
        )

    def answer_pre_vote(self, receiver: int, term: int, *, granted: bool) -> None:
        """Answer whether this member would vote."""
        self._outbox.after_save.append(
            PreVoteReply(sender=self._me, receiver=receiver, term=term, granted=granted)
        )

    def count_vote(self, message: PreVoteReply | VoteReply) -> None:
        """Count an answer to this member's request for a vote."""
        if isinstance(message, PreVoteReply):
            if self.role is not Role.PRE_CANDIDATE:
                return
            if message.granted and message.term != self.term + 1:
                return
        elif self.role is not Role.CANDIDATE:
            return
        self._votes.setdefault(message.sender, message.granted)
        self._tally()

    def _hears_leader(self) -> bool:
        if self.leading is not None or self.ticks < self._guard_until:
            return True
        timing = self._timing
        timeout = timing.guard_ticks if self._suspects_leader else timing.election_ticks
        return bool(self.leader) and self._elapsed < timeout

    def _short_timeout(self) -> int:
        """How long to wait for a leader that is gone; members that wait alike split the votes."""
        guard_ticks = self._timing.guard_ticks
        least = guard_ticks if self.leader else guard_ticks // 2
        return least + self._randrange(max(2, guard_ticks * 3 // 4))

    @property
    def _may_campaign(self) -> bool:
        """Whether it can lead; it can until its removal is committed. (Thesis, 4.2.2)"""
        configurations = self._configurations
        committed = configurations.at(self._log.committed)  # what the others can elect by
        return self._me in configurations.latest.voters | committed.voters

    def _campaign(self, role: Role, *, forced: bool = False) -> None:
        self.become(role)
        self._votes = {self._me: True}
        term = self.term + 1
        if role is Role.CANDIDATE:
            self.term, self.vote = term, self._me
        if self._tally():
            return
        for member in sorted(self._configurations.latest.voters - {self._me}):
            ask = PreVote if role is Role.PRE_CANDIDATE else RequestVote
            question = ask(
                sender=self._me,
                receiver=member,
                term=term,
                last_index=self._log.last,
                last_term=self._log.last_term,
            )
            # A vote for oneself is a vote: it is saved before anybody is asked for theirs.
            if isinstance(question, RequestVote):
                self._outbox.after_save.append(msgspec.structs.replace(question, forced=forced))
            else:
                self._outbox.before_save.append(question)

    def _tally(self) -> bool:
        """Act on the votes so far; say whether the campaign is decided."""
        match quorum.vote_result(self._configurations.latest.voters, self._votes):
            case VoteResult.OPEN:
                return False
            case VoteResult.LOST:
                self.become(Role.FOLLOWER)
            case VoteResult.WON if self.role is Role.PRE_CANDIDATE:
                self._campaign(Role.CANDIDATE)
            case VoteResult.WON:
                self._lead()
        return True

    def _lead(self) -> None:
        self._suspects_leader = False
        self.become(Role.LEADER, self._me)
        self.leading = Leader(
            (self._me, self.term), self._log, self._configurations, self._outbox, self._timing
        )
