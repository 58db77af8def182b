"""What a leader does as time passes: it expires keys, and promotes learners that caught up."""

from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.replica import reconfiguration
from coordinator.core.replica.cluster_clock import ClusterClock
from coordinator.core.replica.proposer import Proposer
from coordinator.core.store.keyspace import KeySpace

SYNC_NS = 500_000_000
# A member that was away has the time of the last Sync in its log, and shows too long TTLs until the
# next one. So there is one now and then, while any key has a TTL.
TELL_NS = 10_000_000_000


class LeaderDuties:
    """The duties of one member while it is the leader."""

    def __init__(self, node: RaftNode, proposer: Proposer, clock: ClusterClock) -> None:
        self._node = node
        self._proposer = proposer
        self._clock = clock
        self._synced_ns = clock.monotonic_ns

    def tick(self, keyspace: KeySpace) -> None:
        """Do what is due."""
        node, leading = self._node, self._node.leading
        if leading is None:
            return
        if leading.transfer is None and self._proposer.knows_time:
            self._expire_keys(keyspace)
        for promotion in reconfiguration.promotable(leading, node, keyspace):
            reconfiguration.start(reconfiguration.with_origin(promotion, 0, 0), node, keyspace)

    def _expire_keys(self, keyspace: KeySpace) -> None:
        monotonic_ns = self._clock.monotonic_ns
        if monotonic_ns - self._synced_ns < SYNC_NS:
            return
        self._synced_ns = monotonic_ns
        due_ns, now_ns = keyspace.next_expiry_ns, self._clock.now_ns()
        if due_ns is None:
            return
        if due_ns <= now_ns or now_ns - self._proposer.synced_ns >= TELL_NS:
            self._proposer.sync(now_ns)
