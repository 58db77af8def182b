"""One member's consensus and key space, and who waits for what. No clock, no disk, no asyncio.

The path of a write: `propose` numbers a command; `ready` puts all that has piled up in the
leader's log, here or at another member; `saved` applies what is committed. A waiter is answered
when its own member applies its entry, so a forwarded write needs no answer of its own, and one
that two leaders put in the log is applied once (coordinator.core.replica.sessions).

Invariants:
 1. What has been answered is committed, and synced on a majority. (A lone member commits at the
    append in etcd's raft; answering then lost acknowledged writes, etcd issue 14370.)
 2. Entries are applied in index order, each once, and only from the log.
 3. A key ends by the leader's time alone: it stamps every TTL and proposes every Sync.
 4. A member whose state differs from a majority's answers nothing any more.
"""

from typing import Generic, TypeVar

from coordinator.core.cluster import members as cluster
from coordinator.core.peer.peer_messages import (
    NO_TTL,
    ForwardedChange,
    ForwardedCommands,
    ForwardedResult,
    ForwardedTransfer,
    PeerMessage,
    StateHash,
)
from coordinator.core.raft import membership
from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import ConfChange, Configuration, Remove
from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.raft.ready import Ready, Role
from coordinator.core.raft.snapshot_transfer import RaftSnapshot
from coordinator.core.replica import proposer, reconfiguration, state_snapshot
from coordinator.core.replica.cluster_clock import ClusterClock
from coordinator.core.replica.corruption_check import CorruptionCheck
from coordinator.core.replica.pending import (
    LeaderRequest,
    LeaderTimeout,
    PendingProposals,
    ReadIndexQueue,
)
from coordinator.core.replica.proposer import Proposer
from coordinator.core.replica.sessions import Sessions
from coordinator.core.replica.start_state import StartState
from coordinator.core.store.api_errors import ApiError, ClusterUnavailable
from coordinator.core.store.commands import Command, CreateInOrder, Put, Sync
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.keyspace import KeySpace

Waiter = TypeVar("Waiter")
Outcome = KeyEvent | ApiError | None
# Election timeouts without a leader after which nobody is kept waiting any longer.
PATIENCE_TIMEOUTS = 2
# A request that no leader was able to decide in so long is told so.
REQUEST_NS = 5_000_000_000
SYNC_NS = 500_000_000
CHECK_NS = 1_000_000_000
_ID_MASK = (1 << 63) - 1


class Replica(Generic[Waiter]):
    """A member of a cluster of one or more."""

    def __init__(self, start: StartState) -> None:
        self.me = start.member
        self._start = start
        base, term = 0, 0
        configuration = Configuration(frozenset())
        self.keyspace, self._sessions, cluster_ns = KeySpace(), Sessions(), 0
        if start.snapshot is not None:
            base, term, data = start.snapshot
            loaded = state_snapshot.load(data)
            configuration, cluster_ns = loaded.configuration, loaded.clock_ns
            self.keyspace = KeySpace.load(loaded.keys)
            self._sessions = Sessions(loaded.applied)
        self.clock = ClusterClock(cluster_ns, start.now_ns)
        self.node = RaftNode(
            start.member,
            configuration,
            Log(base, term, start.entries),
            start.state,
            randrange=start.randrange,
            timing=start.timing,
        )
        # A new origin with each start: the numbers begin at 1.
        self.origin = start.randrange(_ID_MASK) + 1
        self.done: list[tuple[Waiter, Outcome]] = []
        self.diverged = ""
        self.corruption_check = CorruptionCheck()
        self._now_ns = self._ticked_ns = start.now_ns
        self._proposals: PendingProposals[Waiter] = PendingProposals()
        self._forwarded: list[ForwardedCommands] = []
        self._proposer = Proposer(self.node, self.origin)
        self._outgoing: list[PeerMessage] = []
        self._read_indexes: ReadIndexQueue[Waiter] = ReadIndexQueue(start.randrange(_ID_MASK))
        self._seen = (0, 0)
        election_ns = start.timing.election_ticks * start.tick_ns
        self._leader_timeout = LeaderTimeout(PATIENCE_TIMEOUTS * election_ns, start.now_ns)
        self._synced_ns = self._checked_ns = start.now_ns
        self._leaving: dict[int, int] = {}  # members that asked for their own removal
        self._apply_committed()
        if self.keyspace.next_expiry_ns is None:
            self.clock.set(start.wall_ns, start.now_ns)
        if self.node.configuration.voters == {self.me}:
            self.node.campaign()

    # How it stands.

    @property
    def term(self) -> int:
        """The current term."""
        return self.node.term

    @property
    def applied(self) -> int:
        """The index of the last entry that the key space has."""
        return self.node.log.applied

    @property
    def is_leader(self) -> bool:
        """Whether this member is the leader, as far as it knows."""
        return self.node.role is Role.LEADER

    @property
    def is_removed(self) -> bool:
        """Whether the cluster has let this member go."""
        return cluster.is_removed(self.keyspace.notes, self.me)

    @property
    def members(self) -> tuple[cluster.Member, ...]:
        """The members of the cluster, by id."""
        return cluster.members_in(self.keyspace.notes, self.node.configuration)

    @property
    def is_published(self) -> bool:
        """Whether the cluster knows what this member tells of itself."""
        notes = self.keyspace.notes
        return all(notes.get(fact.kind) == fact.data for fact in self._start.published)

    def cluster_ns(self) -> int:
        """Return the time that the ends of keys are measured in."""
        return self.clock.at(self._now_ns)

    def without_leader_s(self) -> float:
        """Return for how long no leader has been known, 0.0 while one is."""
        return 0.0 if self.node.leader else self._leader_timeout.waited_ns(self._now_ns) / 1e9

    # Inputs.

    def advance_time(self, now_ns: int) -> None:
        """Tell the monotonic time; it is told before anything that depends on it."""
        tick_ns = self._start.tick_ns
        self._now_ns = now_ns
        owed = (now_ns - self._ticked_ns) // tick_ns
        if owed <= 0:
            return
        self._ticked_ns += owed * tick_ns
        # Who slept for long need not live through all of it.
        for _ in range(min(owed, 3 * self._start.timing.election_ticks)):
            self.node.tick()
        self._every_tick()

    def receive(self, message: PeerMessage) -> None:
        """Take what another member sent."""
        match message:
            case ForwardedCommands():
                # Not the leader any more: their member sends them to the next one by itself.
                if self.is_leader:
                    self._forwarded.append(message)
            case ForwardedChange() | ForwardedTransfer():
                self._asked(message)
            case ForwardedResult(sequence=sequence, reason=reason):
                self._finish(sequence, ClusterUnavailable(reason) if reason else None)
            case StateHash(sender=sender, index=index, digest=digest):
                self.corruption_check.heard(sender, index, digest)
            case _:
                self.node.step(message)

    def propose(self, command: Command, waiter: Waiter | None = None) -> None:
        """Send a command to the log. An end is one by this member's `cluster_ns`.

        Raises Unavailable when nobody could decide.
        """
        ttl_ns = NO_TTL
        if isinstance(command, Put | CreateInOrder) and command.expires_ns:
            ttl_ns = max(0, command.expires_ns - self.cluster_ns())
        self._send(command, waiter, ttl_ns)

    def ask(self, ask: ConfChange | int, waiter: Waiter | None) -> None:
        """Change the membership, or hand leadership to a voter (0: any other one).

        Raises Unavailable when nobody could decide.
        """
        self._send(ask, waiter)

    def read(self, waiter: Waiter) -> None:
        """Let the waiter know, by an outcome None, when a read is of now. Raises Unavailable."""
        self._check_available()
        if self.node.has_lease and self.node.log.applied >= self.node.log.committed:
            self.done.append((waiter, None))
        else:
            self._read_indexes.waiting.append((waiter, self._now_ns))

    def suspect(self, member: int) -> None:
        """Note a sign that a member's process has ended."""
        self.node.suspect(member)

    def lost(self, member: int) -> None:
        """Note that messages to a member were dropped on their way."""
        self.node.lost(member)
        if member == self.node.leader:
            self._proposals.send_again()
            self._read_indexes.ask_again()

    def offer_snapshot(self, index: int, term: int, data: bytes) -> None:
        """Give the leader a snapshot to send to those whose entries are gone."""
        if self.node.leading is not None:
            configuration = state_snapshot.load(data).configuration
            self.node.leading.offer(RaftSnapshot(index, term, configuration, data).sealed())

    @property
    def wants_snapshot(self) -> bool:
        """Whether `offer_snapshot` is waited for."""
        return self.node.leading is not None and self.node.leading.wants_snapshot

    @property
    def has_unannounced_commit(self) -> bool:
        """Whether followers do not know yet what is committed; `announce` tells them."""
        return self.node.leading is not None and self.node.leading.has_unannounced_commit

    def announce_commit(self) -> None:
        """Tell the followers what is committed, where no Append will in a moment."""
        if self.node.leading is not None:
            self.node.leading.announce_commit(urgently=False)

    # Outputs.

    def ready(self) -> Ready | None:
        """Take what is to be sent and saved; None when there is nothing. `saved` must follow.

        `take_messages` has more that is to be sent, in either case.
        """
        node = self.node
        if (node.term, node.leader) != self._seen:
            self._follow_new_leader()
        if self._proposals.unsent or self._forwarded:
            self._submit_pending()
        if self._read_indexes.waiting and node.leader:
            node.read(self._read_indexes.ask())
        ready = node.ready()
        return ready if ready.is_due or node.has_to_apply else None

    def saved(self, ready: Ready) -> None:
        """Note that it is on the disk; apply what is committed; fill `done`."""
        if ready.snapshot is not None:
            self._install(ready.snapshot)
        self.node.saved(ready)
        self._apply_committed()
        for context, index in ready.reads:
            self._read_indexes.answered(context, index)
        self.done += [
            (waiter, None) for waiter in self._read_indexes.released(self.node.log.applied)
        ]

    def take_messages(self) -> list[PeerMessage]:
        """Take what is to be sent beside consensus."""
        messages, self._outgoing = self._outgoing, []
        return messages

    def take_outcomes(self) -> list[tuple[Waiter, Outcome]]:
        """Take the waiters whose outcome is known."""
        done, self.done = self.done, []
        return done

    def dump(self) -> bytes:
        """Return the state as of `applied`, for a snapshot."""
        configuration = self.node.configuration_at(self.node.log.applied)
        return state_snapshot.dump(configuration, self._sessions, self.cluster_ns(), self.keyspace)

    def compact(self, index: int) -> None:
        """Let go of the log up to an applied index."""
        if index > self.node.log.base:
            self.node.compact(index)

    # On the way to the log.

    def _send(self, ask: LeaderRequest, waiter: Waiter | None, ttl_ns: int = NO_TTL) -> None:
        self._check_available()
        if self._proposals.is_full:
            raise ClusterUnavailable(
                f"{len(self._proposals.pending)} writes wait for the leader already"
            )
        self._proposals.add(ask, waiter, self._now_ns, ttl_ns)

    def _check_available(self) -> None:
        if self.diverged:
            raise ClusterUnavailable(self.diverged)
        if not self.node.leader and self._leader_timeout.is_over(self._now_ns):
            raise ClusterUnavailable(self._why_unavailable())

    def _why_unavailable(self) -> str:
        voters = len(self.node.configuration.voters)
        return (
            f"no leader for {self.without_leader_s():.1f} s: a majority of the {voters} voting "
            "members must be up and reach each other"
        )

    def _follow_new_leader(self) -> None:
        """Send to a new leader all that no leader has been seen to decide."""
        node = self.node
        if not node.leader:
            return
        if node.leader != self._seen[1]:
            pending = self._proposals.pending
            for sequence in [s for s, each in pending.items() if isinstance(each.ask, int)]:
                self._finish(sequence, None)
        self._seen = (node.term, node.leader)
        self._leader_timeout.begin(self._now_ns)
        self._forwarded.clear()
        self._proposer.forget()
        self._proposals.send_again()
        self._read_indexes.ask_again()
        self._publish()

    def _submit_pending(self) -> None:
        node = self.node
        if node.leading is None and node.leader:
            self._outgoing += proposer.forwarded(self._proposals, self.origin, node)
        elif self._proposer.is_open:
            arrived, self._forwarded = self._forwarded, []
            asks = self._proposer.put(self._proposals, arrived, self.cluster_ns())
            # Last: once leadership is on its way to another, nothing is appended.
            for sequence, ask in asks:
                if reason := reconfiguration.start(ask, node, self.keyspace):
                    self._finish(sequence, ClusterUnavailable(reason))

    def _asked(self, message: ForwardedChange | ForwardedTransfer) -> None:
        ask = message.change if isinstance(message, ForwardedChange) else message.target
        if reason := reconfiguration.start(ask, self.node, self.keyspace):
            self._tell(message.sender, message.sequence, reason)
        elif isinstance(ask, Remove) and ask.member == message.sender:
            self._leaving[ask.member] = message.sequence

    def _tell(self, member: int, sequence: int, reason: str = "") -> None:
        self._outgoing.append(
            ForwardedResult(
                sender=self.me,
                receiver=member,
                term=self.node.term,
                sequence=sequence,
                reason=reason,
            )
        )

    # From the log.

    def _apply_committed(self) -> None:
        node = self.node
        entries = node.to_apply()
        if not entries:
            return
        read, mine, done = self._proposer.read, self.origin, self.done
        keyspace, is_new, pending = self.keyspace, self._sessions.is_new, self._proposals.pending
        record = self.corruption_check.record
        # A leader's own time goes on by itself; it follows what earlier leaders said.
        own_time_from = node.log.last + 1 if node.leading is None else node.leading.first_index
        for entry in entries:
            data = entry.data
            if not data or data[0] == membership.MARK[0]:
                if data:
                    self._reconfigure(data)
                continue
            request = read(entry.index, data)
            origin = request.origin
            if origin and not is_new(origin, request.sequence):
                continue
            outcome: Outcome
            command = request.command
            try:
                outcome = keyspace.apply(command)
            except ApiError as refusal:
                outcome = refusal
            record(entry.index, keyspace.digest())
            if origin == mine:
                waiting = pending.pop(request.sequence, None)
                if waiting is not None and waiting.waiter is not None:
                    done.append((waiting.waiter, outcome))
            elif isinstance(command, Sync) and entry.index < own_time_from:
                self.clock.set(command.now_ns, self._now_ns)
        node.log.applied = entries[-1].index

    def _reconfigure(self, data: bytes) -> None:
        origin, sequence = reconfiguration.record_committed(data, self.keyspace)
        if origin == self.origin:
            self._finish(sequence, None)
        for member in self._leaving.keys() - self.node.configuration.members:
            self._tell(member, self._leaving.pop(member))

    def _install(self, snapshot: RaftSnapshot) -> None:
        loaded = state_snapshot.load(snapshot.data)
        before, self.keyspace = self.keyspace, KeySpace.load(loaded.keys)
        self.keyspace.hub.take_over(before.hub)
        self._sessions = Sessions(loaded.applied)
        self.clock.set(loaded.clock_ns, self._now_ns)
        # What the leader put in the log meanwhile is in the snapshot, and its outcome is lost.
        lost = ClusterUnavailable(
            "this member fell behind: the write was carried out, its answer is lost"
        )
        for sequence in list(self._proposals.pending):
            if self._sessions.has(self.origin, sequence):
                self._finish(sequence, lost)

    def _finish(self, sequence: int, outcome: Outcome) -> None:
        pending = self._proposals.pending.pop(sequence, None)
        if pending is not None and pending.waiter is not None:
            self.done.append((pending.waiter, outcome))

    # Time.

    def _every_tick(self) -> None:
        node = self.node
        if node.leader:
            self._leader_timeout.begin(self._now_ns)
            self._publish()
        self._give_up()
        if node.leading is not None:
            self._lead()
        if self._now_ns - self._checked_ns >= CHECK_NS:
            self._checked_ns = self._now_ns
            self._compare()

    def _lead(self) -> None:
        leading, keyspace = self.node.leading, self.keyspace
        assert leading is not None
        is_due = self._now_ns - self._synced_ns >= SYNC_NS and self._proposer.knows_time
        if is_due and leading.transfer is None:
            due_ns, now_ns = keyspace.next_expiry_ns, self.cluster_ns()
            if due_ns is not None and due_ns <= now_ns:
                self._proposer.sync(now_ns)
            self._synced_ns = self._now_ns
        for promotion in reconfiguration.promotable(leading, self.node, keyspace):
            reconfiguration.start(reconfiguration.with_origin(promotion, 0, 0), self.node, keyspace)

    def _publish(self) -> None:
        """Tell the cluster what it should know of this member, and the leader what is common."""
        published = self._start.published
        if self.is_leader:
            published = (*published, cluster.VERSION_NOTE)
        for fact in published:
            known = self.keyspace.notes.get(fact.kind) == fact.data
            if known or self.is_removed or self.diverged:
                continue
            if all(each.ask != fact for each in self._proposals.pending.values()):
                self._send(fact, None)

    def _give_up(self) -> None:
        """Tell those that have waited too long, and why."""
        hopeless = not self.node.leader and self._leader_timeout.is_over(self._now_ns)
        if hopeless:
            why = self._why_unavailable()
        else:
            why = f"not decided in {REQUEST_NS // 10**9} s, though there is a leader"
        outcome = ClusterUnavailable(f"{why}; what was asked for may still be carried out")
        before_ns = self._now_ns if hopeless else self._now_ns - REQUEST_NS
        for sequence in self._proposals.overdue(before_ns):
            self._finish(sequence, outcome)
        self.done += [
            (waiter, ClusterUnavailable(why)) for waiter in self._read_indexes.overdue(before_ns)
        ]

    def _compare(self) -> None:
        checks, node = self.corruption_check, self.node
        others = node.configuration.members - {self.me}
        if (latest := checks.latest()) is not None:
            index, digest = latest
            for member in others:
                self._outgoing.append(
                    StateHash(sender=self.me, receiver=member, term=0, index=index, digest=digest)
                )
        self.diverged = self.diverged or checks.verdict(node.configuration.voters, node.leader)
