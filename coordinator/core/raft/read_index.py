"""Proof that a leader still leads, by rounds of heartbeats: reads and the lease rest on it.

A read gets the commit index as its read index, and is released once a majority has answered a
round that began after it. (Thesis, 6.4) Answers also give a lease, within which reads need no extra
round. (Thesis, 6.4.1) Each answer says for how long its sender elects nobody else; the lease ends
when fewer than a majority are bound. A member that does not say it counts as not bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.core.raft import quorum
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import Configuration
from coordinator.core.raft.messages import Heartbeat, HeartbeatOk, ReadIndexReply
from coordinator.core.raft.progress import FollowerProgress
from coordinator.core.raft.ready import LEASE_MS_MAX, Outbox, Timing

READS_MAX = 10_000
LEASE_NEVER = -1


@dataclass(slots=True)
class PendingReadIndex:
    """A read that waits for proof that this leader still leads."""

    sender: int
    context: int
    index: int = -1  # -1: waits for the first commit of the term
    round: int = 0


class ReadIndex:
    """The heartbeats of one leader, the reads that wait for their answers, and the lease."""

    def __init__(
        self,
        address: tuple[int, int],
        log: Log,
        outbox: Outbox,
        timing: Timing,
        first_index: int,
    ) -> None:
        self.lease_until = 0  # in the node's ticks
        self._me, self._term = address
        self._log = log
        self._outbox = outbox
        self._timing = timing
        self._first_index = first_index
        self._reads: list[PendingReadIndex] = []
        self._round = 0
        self._round_ticks: dict[int, int] = {}  # when each round was begun
        self._bound_until: dict[int, int] = {}  # until when a member elects nobody else

    @property
    def round(self) -> int:
        """The last round that was begun."""
        return self._round

    def restart(self) -> None:
        """Note another configuration: what members of the old one promised ends."""
        self._round_ticks.clear()
        self._bound_until.clear()
        self.lease_until = min(self.lease_until, 0)

    def has_lease(self, ticks: int) -> bool:
        """Whether reads may be served without asking anybody."""
        return ticks < self.lease_until and self._log.committed >= self._first_index

    def ask(self, sender: int, context: int) -> None:
        """Take in a read; `release` answers it when leadership is proved."""
        if len(self._reads) < READS_MAX:
            self._reads.append(PendingReadIndex(sender, context))

    def heartbeat(self, ticks: int, progress: Mapping[int, FollowerProgress]) -> None:
        """Begin a round; the answers to it prove leadership as of now."""
        self._start_reads()
        self._begin_round(ticks, progress)

    def advance(
        self, configuration: Configuration, ticks: int, progress: Mapping[int, FollowerProgress]
    ) -> None:
        """Begin a round if a read needs one, and release what is proved already."""
        if self._start_reads():
            self._begin_round(ticks, progress)
        self.release(configuration, progress)

    def release(
        self, configuration: Configuration, progress: Mapping[int, FollowerProgress]
    ) -> None:
        """Answer the reads that a majority has confirmed."""
        proved = self._proved(configuration, progress)
        ready = [read for read in self._reads if read.index >= 0 and read.round <= proved]
        self._reads = [read for read in self._reads if read.index < 0 or read.round > proved]
        for read in ready:
            if read.sender == self._me:
                self._outbox.reads.append((read.context, read.index))
                continue
            reply = ReadIndexReply(
                sender=self._me,
                receiver=read.sender,
                term=self._term,
                context=read.context,
                index=read.index,
            )
            self._outbox.send_as_leader(reply)

    def renew_lease(self, configuration: Configuration, answer: HeartbeatOk, ticks: int) -> None:
        """Extend the lease by what one member's answer promises.

        A lease that a transfer has ended stays ended.
        """
        timing, bound_until = self._timing, self._bound_until
        if (began := self._round_ticks.get(answer.round)) is not None:
            until = began + timing.lease_ticks(answer.guard_ms)
            bound_until[answer.sender] = max(until, bound_until.get(answer.sender, 0))
        bound_until[self._me] = ticks + timing.lease_ticks(timing.guard_ms)
        if self.lease_until > LEASE_NEVER:
            self.lease_until = quorum.reached(
                configuration.voters, lambda member: bound_until.get(member, 0)
            )

    def _start_reads(self) -> bool:
        """Give waiting reads their index and round; say whether a new round must begin."""
        if self._log.committed < self._first_index:
            return False  # what the term before committed is not known yet
        waiting = [read for read in self._reads if read.index < 0]
        for read in waiting:
            read.index, read.round = self._log.committed, self._round + 1
        return bool(waiting)

    def _begin_round(self, ticks: int, progress: Mapping[int, FollowerProgress]) -> None:
        self._round += 1
        rounds, oldest = self._round_ticks, ticks - LEASE_MS_MAX // self._timing.tick_ms
        while rounds and rounds[first := next(iter(rounds))] < oldest:
            del rounds[first]  # its answers cannot extend the lease any more
        rounds[self._round] = ticks
        for member, each in progress.items():
            heartbeat = Heartbeat(
                sender=self._me,
                receiver=member,
                term=self._term,
                commit=min(each.match, self._log.committed),
                round=self._round,
            )
            self._outbox.send_as_leader(heartbeat)

    def _proved(
        self, configuration: Configuration, progress: Mapping[int, FollowerProgress]
    ) -> int:
        def confirmed(member: int) -> int:
            if member == self._me:
                return self._round
            each = progress.get(member)
            return each.read_round if each else 0

        return quorum.reached(configuration.voters, confirmed)
