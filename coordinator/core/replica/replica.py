"""One member's consensus and key space, and who waits for what. No clock, no disk, no asyncio.

The path of a write: `propose` numbers a command; `ready` puts all that has piled up into the
leader's log, here or at another member; `saved` applies what is committed. A waiter is answered
when its own member applies its entry, so a forwarded write needs no answer of its own, and one
that two leaders put into the log is applied once (see `sessions`).

Invariants:
 1. What has been answered is committed, and synced on a majority. (A lone member commits at the
    append in etcd's raft; answering then lost acknowledged writes, etcd issue 14370.)
 2. Entries are applied in index order, each once, and only from the log.
 3. A key expires only by the leader's time: the leader stamps every TTL and proposes every Sync.
 4. A member whose state differs from a majority's answers nothing any more.
"""

from coordinator.core.peer.peer_messages import (
    ForwardedChange,
    ForwardedCommands,
    ForwardedResult,
    ForwardedTransfer,
    PeerMessage,
    StateHash,
)
from coordinator.core.raft import membership
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import Configuration
from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.raft.ready import Ready, Role
from coordinator.core.raft.snapshot_transfer import RaftSnapshot
from coordinator.core.replica import (
    proposer,
    reconfiguration,
    request_checks,
    state_snapshot,
    version_gate,
)
from coordinator.core.replica.availability import Availability
from coordinator.core.replica.cluster_clock import ClusterClock
from coordinator.core.replica.corruption_check import CorruptionCheck
from coordinator.core.replica.leader_duties import LeaderDuties
from coordinator.core.replica.pending import (
    ANY_OTHER,
    LeaderRequest,
    Outcome,
    Outcomes,
    PendingProposals,
    ReadIndexQueue,
    Waiter,
)
from coordinator.core.replica.proposer import Proposer
from coordinator.core.replica.publication import Publication
from coordinator.core.replica.reconfiguration import ForwardedChanges
from coordinator.core.replica.sessions import Sessions
from coordinator.core.replica.start_state import StartState
from coordinator.core.store import keyspace_dump
from coordinator.core.store.api_errors import ApiError, ClusterUnavailable
from coordinator.core.store.commands import NO_TTL, Command, Sync
from coordinator.core.store.keyspace import EXPIRES_NS_MIN, KeySpace

CHECK_NS = 1_000_000_000
_ID_MASK = (1 << 63) - 1


class Replica:
    """A member of a cluster of one or more."""

    def __init__(self, start: StartState) -> None:
        self.me = start.member
        base, term, cluster_ns = 0, 0, 0
        configuration = Configuration(frozenset())
        self.keyspace, self.sessions = KeySpace(), Sessions()
        if start.snapshot is not None:
            base, term, data = start.snapshot
            loaded = state_snapshot.load(data)
            configuration, cluster_ns = loaded.configuration, loaded.clock_ns
            self.keyspace, self.sessions = keyspace_dump.load(loaded.keys), Sessions(loaded.applied)
        self.clock = ClusterClock(cluster_ns, start.now_ns)
        self.node = RaftNode(
            start.member,
            configuration,
            Log(base, term, start.entries),
            start.state,
            randrange=start.randrange,
            timing=start.timing,
        )
        # A new origin with each start: the sequence numbers begin at 1.
        self.origin = start.randrange(_ID_MASK) + 1
        self.publication = Publication(start.member, start.published)
        self.corruption_check = CorruptionCheck()
        self.quota = start.quota
        self.availability = Availability(self.node, self.clock, start.timing.election_ns)
        self._timing = start.timing
        self._ticked_ns = self._checked_ns = start.now_ns
        self._outcomes: Outcomes = []
        self._outgoing: list[PeerMessage] = []
        self.proposals = PendingProposals(self._outcomes)
        self._reads = ReadIndexQueue(start.randrange(_ID_MASK), self._outcomes)
        self._forwarded: list[ForwardedCommands] = []
        self.refused_forwards = 0  # commands of other members that are no commands
        self._forwarded_changes = ForwardedChanges(self.node, self._outgoing)
        self._proposer = Proposer(self.node, self.origin)
        self._duties = LeaderDuties(self.node, self._proposer, self.clock)
        self._seen = (0, 0)
        self._apply_committed()
        if self.keyspace.next_expiry_ns is None:
            # A wall clock that is not set yet would give expiries that count as none.
            self.clock.set(max(start.wall_ns, EXPIRES_NS_MIN))
        self.clock.follow_utc(start.wall_ns)
        if self.node.configuration.voters == {self.me}:
            self.node.election.campaign()

    # Inputs.

    def advance_time(self, now_ns: int) -> None:
        """Take the monotonic time; call this before anything that depends on it."""
        self.clock.advance(now_ns)
        tick_ns = self._timing.tick_ns
        owed = (now_ns - self._ticked_ns) // tick_ns
        if owed <= 0:
            return
        self._ticked_ns += owed * tick_ns
        # A process that slept for long need not live through all of it.
        for _ in range(min(owed, 3 * self._timing.election_ticks)):
            self.node.tick()
        self._tick()

    def receive(self, message: PeerMessage) -> None:
        """Take what another member sent."""
        match message:
            case ForwardedCommands():
                # If this member is no longer the leader, the sender finds the next one by itself.
                if self.node.election.role is Role.LEADER:
                    self._take_forwarded(message)
            case ForwardedChange() | ForwardedTransfer():
                self._forwarded_changes.take(message, self.keyspace)
            case ForwardedResult(sequence=sequence, reason=reason):
                self.proposals.finish(sequence, ClusterUnavailable(reason) if reason else None)
            case StateHash(sender=sender, index=index, digest=digest):
                self.corruption_check.heard(sender, index, digest)
            case _:
                self.node.step(message)

    def propose(
        self, request: LeaderRequest, waiter: Waiter | None = None, ttl_ns: int = NO_TTL
    ) -> None:
        """Send a request to the leader: a command, a change of membership, or a transfer.

        A command's time to live counts from when the leader has it. Raises ClusterUnavailable
        when nobody could decide, and OutOfSpace when the keys take too much.
        """
        self.availability.check()
        self.quota.check(self.keyspace, request)
        before = version_gate.admit(type(request), self.keyspace.notes, self.node.configuration)
        if before is not None:
            self.proposals.add(before, None, self.clock.monotonic_ns)
        if self.proposals.is_full:
            waiting = len(self.proposals.by_sequence)
            raise ClusterUnavailable(f"{waiting} writes are already waiting for the leader")
        self.proposals.add(request, waiter, self.clock.monotonic_ns, ttl_ns)

    def read(self, waiter: Waiter) -> None:
        """Give the waiter the outcome None once a read here shows all that was acknowledged.

        Raises ClusterUnavailable.
        """
        self.availability.check()
        if self.node.has_lease and self.node.log.applied >= self.node.log.committed:
            self._outcomes.append((waiter, None))
        else:
            self._reads.waiting.append((waiter, self.clock.monotonic_ns))

    def retire(self, waiter: Waiter) -> bool:
        """Hand leadership over, because this member stops; the waiter learns what came of it.

        False if there is nothing to hand over: another member leads, or there is no other.
        """
        node = self.node
        if node.leading is None or node.configuration.voters <= {self.me}:
            return False
        try:
            self.propose(ANY_OTHER, waiter)
        except ClusterUnavailable:
            return False  # the others find out by themselves
        return True

    def lost(self, member: int) -> None:
        """Note that messages to a member were dropped on their way."""
        if (leading := self.node.leading) is not None:
            leading.replication.lost(member)
        if member == self.node.leader:
            self.proposals.send_again()
            self._reads.ask_again()

    # Outputs.

    def ready(self) -> Ready | None:
        """Take what is to be sent and saved; None when there is nothing. `saved` must follow.

        `take_messages` has more that is to be sent, in either case.
        """
        node = self.node
        if (node.term, node.leader) != self._seen:
            self._follow_new_leader()
        if self.proposals.unsent or self._forwarded:
            self._submit_pending()
        if self._reads.waiting and node.leader:
            node.read(self._reads.ask())
        ready = node.ready()
        return ready if ready.is_due or node.to_apply() else None

    def saved(self, ready: Ready) -> None:
        """Note that it is on the disk, and apply what is committed."""
        if ready.snapshot is not None:
            self._install(ready.snapshot)
        self.node.saved(ready)
        self._apply_committed()
        for context, index in ready.reads:
            self._reads.answered(context, index)
        self._reads.release(self.node.log.applied)

    def take_messages(self) -> list[PeerMessage]:
        """Take the messages to send besides those of Raft."""
        messages = self._outgoing.copy()
        self._outgoing.clear()
        return messages

    def take_outcomes(self) -> Outcomes:
        """Take the waiters whose outcome is known."""
        outcomes = self._outcomes.copy()
        self._outcomes.clear()
        return outcomes

    def dump(self) -> bytes:
        """Return the state as of the last applied entry, for a snapshot."""
        configuration = self.node.configurations.at(self.node.log.applied)
        return state_snapshot.dump(configuration, self.sessions, self.clock.now_ns(), self.keyspace)

    # On the way to the log.

    def _follow_new_leader(self) -> None:
        """Send everything undecided to a new leader."""
        node = self.node
        if not node.leader:
            return
        if node.leader != self._seen[1]:
            self.proposals.finish_transfers()
        self._seen = (node.term, node.leader)
        self.availability.leader_seen()
        self._forwarded.clear()
        self._proposer.forget()
        self.proposals.send_again()
        self._reads.ask_again()
        self._publish()

    def _take_forwarded(self, message: ForwardedCommands) -> None:
        notes, configuration = self.keyspace.notes, self.node.configuration
        valid, refused = request_checks.split(message, notes, configuration)
        self._forwarded.append(valid)
        self.refused_forwards += len(refused)
        self._outgoing += [
            ForwardedResult(
                sender=self.me,
                receiver=message.sender,
                term=self.node.term,
                sequence=each.sequence,
                reason=why,
            )
            for each, why in refused
        ]

    def _submit_pending(self) -> None:
        node = self.node
        if node.leading is None and node.leader:
            self._outgoing += proposer.forwarded(self.proposals, self.origin, node)
        elif self._proposer.is_open:
            arrived, self._forwarded = self._forwarded, []
            requests = self._proposer.put(self.proposals, arrived, self.clock.now_ns())
            # Last: once leadership is on its way to another member, nothing is appended.
            for sequence, request in requests:
                if reason := reconfiguration.start(request, node, self.keyspace):
                    self.proposals.finish(sequence, ClusterUnavailable(reason))

    def _publish(self) -> None:
        if self.availability.diverged:
            return
        notes, is_leader = self.keyspace.notes, self.node.election.role is Role.LEADER
        for note in self.publication.missing(notes, self.proposals, is_leader=is_leader):
            self.propose(note)

    # From the log.

    def _apply_committed(self) -> None:
        node = self.node
        entries = node.to_apply()
        if not entries:
            return
        read, mine, outcomes = self._proposer.read, self.origin, self._outcomes
        keyspace, is_new, decided = self.keyspace, self.sessions.is_new, self.proposals.decided
        record = self.corruption_check.record
        # A leader's own time advances by itself, from the time of earlier leaders.
        own_time_from = node.log.last + 1 if node.leading is None else node.leading.first_index
        for entry in entries:
            data = entry.data
            if not data or data[0] == membership.MARK[0]:
                if data:
                    self._apply_change(data)
                continue
            proposal = read(entry.index, data)
            origin = proposal.origin
            if origin and not is_new(origin, proposal.sequence):
                continue
            outcome: Outcome
            command: Command = proposal.command
            try:
                outcome = keyspace.apply(command)
            except ApiError as refusal:
                outcome = refusal
            record(entry.index, keyspace.digest)
            if origin == mine:
                waiting = decided(proposal.sequence)
                if waiting is not None and waiting.waiter is not None:
                    outcomes.append((waiting.waiter, outcome))
            elif isinstance(command, Sync) and entry.index < own_time_from:
                self.clock.set(command.now_ns)
        node.log.applied = entries[-1].index

    def _apply_change(self, data: bytes) -> None:
        origin, sequence = reconfiguration.record_committed(data, self.keyspace)
        if origin == self.origin:
            self.proposals.finish(sequence, None)
        self._forwarded_changes.answer_removed()

    def _install(self, snapshot: RaftSnapshot) -> None:
        loaded = state_snapshot.load(snapshot.data)
        before, self.keyspace = self.keyspace, keyspace_dump.load(loaded.keys)
        self.keyspace.hub.take_over(before.hub)
        self.sessions = Sessions(loaded.applied)
        self.clock.set(loaded.clock_ns)
        # What the leader put into the log meanwhile is in the snapshot, and its outcome is lost.
        lost = ClusterUnavailable(
            "this member fell behind: the write took effect, but its result is lost"
        )
        for sequence in list(self.proposals.by_sequence):
            if self.sessions.has(self.origin, sequence):
                self.proposals.finish(sequence, lost)

    # Time.

    def _tick(self) -> None:
        node, now_ns = self.node, self.clock.monotonic_ns
        if node.leader:
            self.availability.leader_seen()
            self._publish()
        before_ns, why = self.availability.overdue()
        unknown = ClusterUnavailable(f"{why}; the request may still take effect")
        self.proposals.expire(before_ns, unknown)
        self._reads.expire(before_ns, ClusterUnavailable(why))
        self._duties.tick(self.keyspace)
        if now_ns - self._checked_ns >= CHECK_NS:
            self._checked_ns = now_ns
            configuration, check = node.configuration, self.corruption_check
            self._outgoing += check.hashes(self.me, configuration.members - {self.me})
            self.availability.diverged = self.availability.diverged or check.verdict(
                configuration.voters, node.leader
            )
