"""Cluster time: what the ends of keys are measured in. It never runs ahead of the leader's.

The leader's time goes on with its monotonic clock from where the leader before it was seen to
be. A follower sets its own by every Sync entry that it applies, so it lags by that entry's way
here. A new leader goes on from there: a key may live longer across a change, never shorter,
whatever the members' wall clocks say. While the whole cluster is down the time stands still.
"""


class ClusterClock:
    """Nanoseconds of cluster time, from those of a monotonic clock."""

    def __init__(self, cluster_ns: int, now_ns: int) -> None:
        self._cluster_ns = cluster_ns
        self._now_ns = now_ns

    def at(self, now_ns: int) -> int:
        """Return the cluster time at a monotonic time."""
        return self._cluster_ns + now_ns - self._now_ns

    def set(self, cluster_ns: int, now_ns: int) -> None:
        """Go on from a cluster time that was right at or before `now_ns`."""
        self._cluster_ns, self._now_ns = cluster_ns, now_ns
