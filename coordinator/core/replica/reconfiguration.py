"""Changes of membership: which ones are refused, and the notes that they write."""

import msgspec

from coordinator.core.cluster import members
from coordinator.core.peer.peer_messages import (
    ForwardedChange,
    ForwardedResult,
    ForwardedTransfer,
    PeerMessage,
)
from coordinator.core.raft import membership
from coordinator.core.raft.leader import Leader
from coordinator.core.raft.membership import (
    AddFounder,
    AddLearner,
    ChangeRefused,
    ConfChange,
    Promote,
    Remove,
)
from coordinator.core.raft.progress import ProgressState
from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.raft.ready import NotLeader
from coordinator.core.replica.request_checks import RequestContext, change_problem, read_context
from coordinator.core.store.commands import Note
from coordinator.core.store.keyspace import KeySpace

NO_PEER_URLS = members.encode_peer_urls(())
# A learner that lacks no more entries than this becomes a voter.
PROMOTE_LAG_MAX = 100


def with_origin(change: ConfChange, origin: int, sequence: int) -> ConfChange:
    """Return the change with the origin and number of its request."""
    context = RequestContext(origin, sequence, change.context)
    return msgspec.structs.replace(change, context=msgspec.msgpack.encode(context))


def start(ask: ConfChange | int, node: RaftNode, keyspace: KeySpace) -> str:
    """Append a change to the log, or begin to transfer leadership; return why not, if refused."""
    try:
        if isinstance(ask, int):
            node.transfer(ask or _best_target(node))
        else:
            _check(ask, node, keyspace)
            node.change(ask)
    except ChangeRefused as refusal:
        return str(refusal)
    except NotLeader as refusal:
        return f"{refusal}: try again"
    return ""


def record_committed(data: bytes, keyspace: KeySpace) -> tuple[int, int]:
    """Record a committed change in the notes; return the origin and number of its request.

    A change without a readable context was recorded by no member that keeps to the protocol. It
    changes the membership as the log says, and its member has no URLs.
    """
    step = membership.decode(data)
    assert step is not None, "the caller has looked for the mark of a change"
    if isinstance(step, AddFounder):
        keyspace.apply(Note(members.peer_urls_kind(step.member), step.context))
        return 0, 0
    context = read_context(step.context) or RequestContext(0, 0, NO_PEER_URLS)
    if isinstance(step, AddLearner):
        keyspace.apply(Note(members.peer_urls_kind(step.member), context.content))
    elif isinstance(step, Remove):
        keyspace.apply(Note(members.peer_urls_kind(step.member), b""))
    return context.origin, context.sequence


class ForwardedChanges:
    """Changes of membership and transfers that other members forwarded to this one.

    `outgoing` is where the answers go.
    """

    def __init__(self, node: RaftNode, outgoing: list[PeerMessage]) -> None:
        self._node = node
        self._outgoing = outgoing
        self._leaving: dict[int, int] = {}  # members that asked for their own removal

    def take(self, message: ForwardedChange | ForwardedTransfer, keyspace: KeySpace) -> None:
        """Start what another member asked for, or answer why not."""
        request = message.change if isinstance(message, ForwardedChange) else message.target
        problem = "" if isinstance(request, int) else change_problem(request)
        if reason := problem or start(request, self._node, keyspace):
            self._answer(message.sender, message.sequence, reason)
        elif isinstance(request, Remove) and request.member == message.sender:
            self._leaving[request.member] = message.sequence

    def answer_removed(self) -> None:
        """Tell members that have removed themselves: they see no more of the log."""
        for member in self._leaving.keys() - self._node.configuration.members:
            self._answer(member, self._leaving.pop(member))

    def _answer(self, member: int, sequence: int, reason: str = "") -> None:
        self._outgoing.append(
            ForwardedResult(
                sender=self._node.me,
                receiver=member,
                term=self._node.term,
                sequence=sequence,
                reason=reason,
            )
        )


def promotable(leading: Leader, node: RaftNode, keyspace: KeySpace) -> list[Promote]:
    """Return the promotions of learners that have run and have caught up."""
    return [
        Promote(learner)
        for learner in sorted(node.configuration.learners)
        if _is_current(leading, node, learner) and members.has_run(keyspace.notes, learner)
    ]


def _is_current(leading: Leader, node: RaftNode, learner: int) -> bool:
    progress = leading.progress[learner]
    lag = node.log.last - progress.match
    return progress.state is ProgressState.REPLICATE and lag <= PROMOTE_LAG_MAX


def _check(change: ConfChange, node: RaftNode, keyspace: KeySpace) -> None:
    leading = node.leading
    if leading is None:
        raise NotLeader(node.leader)
    if isinstance(change, AddLearner) and members.is_removed(keyspace.notes, change.member):
        raise ChangeRefused(f"member {change.member:x} was removed permanently")
    if isinstance(change, Promote) and not (
        change.member not in node.configuration.learners
        or _is_current(leading, node, change.member)
    ):
        raise ChangeRefused(f"member {change.member:x} has not caught up yet")
    if isinstance(change, Remove) and change.member in node.configuration.voters:
        left = node.configuration.voters - {change.member}
        alive = [m for m in left if m == node.me or leading.progress[m].recently_active]
        if left and 2 * len(alive) <= len(left):
            raise ChangeRefused(
                f"only {len(alive)} of the {len(left)} remaining voters answer: "
                "bring one back first"
            )


def _best_target(node: RaftNode) -> int:
    """Return the other voter that can lead soonest: it answers, and its log is the longest."""
    leading = node.leading
    if leading is None:
        raise NotLeader(node.leader)
    progress = leading.progress
    others = [
        member
        for member in node.configuration.voters - {node.me}
        if progress[member].recently_active
    ]
    if not others:
        raise ChangeRefused("no other voter answers")

    def fitness(member: int) -> tuple[bool, int, int]:
        # After a broken connection the leader probes: that shows at once that a member has ended.
        is_linked = progress[member].state is ProgressState.REPLICATE
        return is_linked, progress[member].match, -member

    return max(others, key=fitness)
