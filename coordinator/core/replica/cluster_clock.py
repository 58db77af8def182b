"""Cluster time, which the expiry of keys is measured in. It never runs ahead of the leader's.

The leader's time advances with its monotonic clock. A follower sets its own time by every Sync
entry that it applies, so it lags by the delay of that entry. A new leader continues from its time
as a follower: a key may live longer across a change of leader, but never shorter. The members' wall
clocks do not matter. While the whole cluster is down, cluster time stops.

What is shown to clients is another matter: the time at which a key ends is shown by this member's
wall clock. It moves only when that clock is off by more than a second, so that what is shown stays
the same while the clock is slewed.
"""

from coordinator.core.store.encoding import Moment

UTC_SLACK_NS = 1_000_000_000


class ClusterClock:
    """Nanoseconds of cluster time. The time of the monotonic clock is an argument."""

    def __init__(self, cluster_ns: int, monotonic_ns: int) -> None:
        self._offset_ns = cluster_ns - monotonic_ns
        self._utc_offset_ns = self._offset_ns
        self._utc_ahead_ns = 0
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
        self._settle_utc()

    def follow_utc(self, utc_ns: int) -> None:
        """Take the time of the wall clock. It may jump, and only what is shown depends on it."""
        self._utc_offset_ns = utc_ns - self.monotonic_ns
        self._settle_utc()

    def moment(self) -> Moment:
        """Return the present, for what is shown."""
        return Moment(self.now_ns(), self._utc_ahead_ns)

    def _settle_utc(self) -> None:
        ahead_ns = self._utc_offset_ns - self._offset_ns
        if abs(ahead_ns - self._utc_ahead_ns) > UTC_SLACK_NS:
            self._utc_ahead_ns = ahead_ns
