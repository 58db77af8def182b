"""Whether the cluster can decide anything now; if not, for how long not, and why."""

from coordinator.core.raft.raft_node import RaftNode
from coordinator.core.replica.cluster_clock import ClusterClock
from coordinator.core.store.api_errors import ClusterUnavailable

# Election timeouts without a leader after which no client is kept waiting any longer. At a start it
# is: the other members may be starting too.
LEADER_TIMEOUTS = 2
# A request that was not decided in this time gets an error.
REQUEST_NS = 5_000_000_000


class Availability:
    """One member's view. `diverged` says how its state differs from the others', if it does."""

    def __init__(self, node: RaftNode, clock: ClusterClock, election_ns: int) -> None:
        self.diverged = ""
        self._node = node
        self._clock = clock
        self._limit_ns = LEADER_TIMEOUTS * election_ns
        self._leader_seen_ns = clock.monotonic_ns
        self._had_leader = False

    def leader_seen(self) -> None:
        """Note that a leader is known now."""
        self._leader_seen_ns = self._clock.monotonic_ns
        self._had_leader = True

    def without_leader_s(self) -> float:
        """Return for how long no leader has been known, 0.0 while one is."""
        without_ns = self._clock.monotonic_ns - self._leader_seen_ns
        return 0.0 if self._node.leader else without_ns / 1e9

    def is_current(self) -> bool:
        """Return whether this member may say that it has all that the cluster has decided."""
        return bool(self._node.leader) and not self.diverged

    def check(self) -> None:
        """Raise ClusterUnavailable when nothing can be decided."""
        if self.diverged:
            raise ClusterUnavailable(self.diverged)
        if self._has_given_up():
            raise ClusterUnavailable(self._no_leader())

    def overdue(self) -> tuple[int, str]:
        """Return since when a request must wait to get an error, and the error's reason."""
        now_ns = self._clock.monotonic_ns
        if self._has_given_up():
            return now_ns, self._no_leader()
        why = f"not decided in {REQUEST_NS // 10**9} s, though there is a leader"
        return now_ns - REQUEST_NS, why if self._node.leader else self._no_leader()

    def _has_given_up(self) -> bool:
        without_ns = self._clock.monotonic_ns - self._leader_seen_ns
        return self._had_leader and not self._node.leader and without_ns > self._limit_ns

    def _no_leader(self) -> str:
        voters = len(self._node.configuration.voters)
        return (
            f"no leader for {self.without_leader_s():.1f} s: a majority of the {voters} voting "
            "members must be up and reach each other"
        )
