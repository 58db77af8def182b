"""Cluster time, which the expiry of keys is measured in. It never runs ahead of the leader's.

The leader's time advances with its monotonic clock. A follower sets its own time by every Sync
entry that it applies, so it lags by the delay of that entry. A new leader continues from its time
as a follower: a key may live longer across a change of leader, but never shorter. The members' wall
clocks do not matter. While the whole cluster is down, cluster time stops.
"""


class ClusterClock:
    """Nanoseconds of cluster time. The time of the monotonic clock is an argument."""

    def __init__(self, cluster_ns: int, monotonic_ns: int) -> None:
        self._offset_ns = cluster_ns - monotonic_ns
        self.monotonic_ns = monotonic_ns

    def advance(self, monotonic_ns: int) -> None:
        """Set the present monotonic time."""
        self.monotonic_ns = monotonic_ns

    def now_ns(self) -> int:
        """Return the cluster time."""
        return self._offset_ns + self.monotonic_ns

    def set(self, cluster_ns: int) -> None:
        """Go on from a cluster time that is right now, or was a moment ago."""
        self._offset_ns = cluster_ns - self.monotonic_ns
