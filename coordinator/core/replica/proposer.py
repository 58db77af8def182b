"""How requests reach the log: a leader appends them, a follower forwards them to the leader."""

import msgspec

from coordinator.core.peer.peer_messages import (
    ForwardedChange,
    ForwardedCommand,
    ForwardedCommands,
    ForwardedTransfer,
    PeerMessage,
)
from coordinator.core.raft.membership import AddLearner, ConfChange, Promote, Remove
from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.replica import reconfiguration, sessions
from coordinator.core.replica.pending import PendingProposals
from coordinator.core.replica.sessions import Proposal
from coordinator.core.store.commands import NO_TTL, Command, Sync

# How many entries may wait for a majority; more would only wait longer.
UNCOMMITTED_MAX = 50_000
UNCOMMITTED_BYTES_MAX = 64 << 20


class Proposer:
    """Appends to the leader's log, and remembers the proposals until they are applied."""

    def __init__(self, node: RaftNode, origin: int) -> None:
        self._node = node
        self._origin = origin
        self._kept: dict[int, tuple[bytes, Proposal]] = {}
        self._kept_bytes = 0
        self._anchored = (0, 0)
        self.synced_ns = 0  # the last time that it appended

    @property
    def is_open(self) -> bool:
        """Whether the leader may append: it knows the time, and no transfer is under way."""
        leading, log = self._node.leading, self._node.log
        return (
            leading is not None
            and leading.transfer is None
            and self.knows_time
            and log.last - self._node.log.committed <= UNCOMMITTED_MAX
            and self._kept_bytes <= UNCOMMITTED_BYTES_MAX
        )

    @property
    def knows_time(self) -> bool:
        """Whether this leader has applied all Syncs of the leaders before it."""
        leading = self._node.leading
        return leading is not None and self._node.log.applied >= leading.first_index

    def put(
        self, proposals: PendingProposals, forwarded: list[ForwardedCommands], cluster_ns: int
    ) -> list[tuple[int, ConfChange | int]]:
        """Append what waits here and what others sent; return the requests that are no write."""
        batch: list[Proposal] = []
        asks: list[tuple[int, ConfChange | int]] = []
        for sequence, pending in proposals.take_unsent():
            match pending.request:
                case int() as target:
                    asks.append((sequence, target))
                case AddLearner() | Promote() | Remove() as change:
                    asks.append(
                        (sequence, reconfiguration.with_origin(change, self._origin, sequence))
                    )
                case command if pending.ttl_ns == NO_TTL:
                    batch.append(Proposal(self._origin, sequence, command))
                case command:
                    stamp = ForwardedCommand(sequence, command, pending.ttl_ns)
                    batch.append(self._stamped(self._origin, stamp, cluster_ns))
        self.append(batch)
        for message in forwarded:
            origin = message.origin
            self.append([self._stamped(origin, each, cluster_ns) for each in message.requests])
            self._awaited_by(message.sender)
        return asks

    def append(self, batch: list[Proposal]) -> None:
        """Append requests."""
        if batch:
            encode = sessions.encode
            data = [encode(request) for request in batch]
            self._kept_bytes += sum(map(len, data))
            first = self._node.propose(data)
            self._kept.update(enumerate(zip(data, batch, strict=True), first))

    def sync(self, cluster_ns: int) -> None:
        """Append a Sync: keys expire up to this time."""
        self.synced_ns = cluster_ns
        self.append([Proposal(0, 0, Sync(cluster_ns))])

    def read(self, index: int, data: bytes) -> Proposal:
        """Return the proposal of an entry: remembered, or decoded from its data."""
        kept = self._kept.pop(index, None) if self._kept else None
        if kept is None:
            return sessions.decode(data)
        self._kept_bytes -= len(kept[0])
        return kept[1] if kept[0] is data else sessions.decode(data)

    def forget(self) -> None:
        """Forget what was appended: another term has begun."""
        self._kept.clear()
        self.synced_ns = 0
        self._kept_bytes = 0

    def _awaited_by(self, member: int) -> None:
        leading = self._node.leading
        if leading is not None and (progress := leading.progress.get(member)) is not None:
            progress.forwarded_index = self._node.log.last

    def _stamped(self, origin: int, each: ForwardedCommand, cluster_ns: int) -> Proposal:
        command: Command = each.command
        if each.ttl_ns != NO_TTL:
            self._anchor(cluster_ns)
            command = msgspec.structs.replace(command, expires_ns=cluster_ns + each.ttl_ns)
        return Proposal(origin, each.sequence, command)

    def _anchor(self, cluster_ns: int) -> None:
        """Append this leader's time before the first expiry that is measured by it.

        Once for each moment: the clock of a follower that ran free since an earlier anchor may be
        far from this one, and would expire a key too early by the difference.
        """
        anchored = (self._node.term, cluster_ns)
        if self._anchored != anchored:
            self._anchored = anchored
            self.sync(cluster_ns)


def forwarded(proposals: PendingProposals, origin: int, node: RaftNode) -> list[PeerMessage]:
    """Return the messages that bring unsent requests to the leader, as many as it may have now."""
    messages: list[PeerMessage] = []
    commands = []
    me, leader, term = node.me, node.leader, node.term
    for sequence, pending in proposals.take_to_forward():
        match pending.request:
            case int() as target:
                messages.append(
                    ForwardedTransfer(
                        sender=me,
                        receiver=leader,
                        term=term,
                        sequence=sequence,
                        target=target,
                    )
                )
            case AddLearner() | Promote() | Remove() as change:
                change = reconfiguration.with_origin(change, origin, sequence)
                messages.append(
                    ForwardedChange(
                        sender=me,
                        receiver=leader,
                        term=term,
                        sequence=sequence,
                        change=change,
                    )
                )
            case command:
                commands.append(ForwardedCommand(sequence, command, pending.ttl_ns))
    if commands:
        messages.append(
            ForwardedCommands(
                sender=me, receiver=leader, term=term, origin=origin, requests=commands
            )
        )
    return messages
