"""Cluster time: what the expiry of keys is measured in. It never runs ahead of the leader's.

The leader's time goes on with its monotonic clock from where it saw the leader before it. A
follower sets its own by every Sync entry that it applies, so it lags by that entry's delay. A
new leader goes on from there: a key may live longer across a change of leader, never shorter,
whatever the members' wall clocks say. While the whole cluster is down, cluster time stands still.
"""


class ClusterClock:
    """Nanoseconds of cluster time, from those of a monotonic clock that is told, never read."""

    def __init__(self, cluster_ns: int, monotonic_ns: int) -> None:
        self._offset_ns = cluster_ns - monotonic_ns
        self.monotonic_ns = monotonic_ns

    def advance(self, monotonic_ns: int) -> None:
        """Take the present monotonic time."""
        self.monotonic_ns = monotonic_ns

    def now_ns(self) -> int:
        """Return the cluster time."""
        return self._offset_ns + self.monotonic_ns

    def set(self, cluster_ns: int) -> None:
        """Go on from a cluster time that is right now, or was a moment ago."""
        self._offset_ns = cluster_ns - self.monotonic_ns
