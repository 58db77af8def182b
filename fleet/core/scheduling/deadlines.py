"""The deadlines of drains and rollouts, counted on the leader's own clock.

A record's own times come from the clock of the host that wrote it, so they are marks here, and are
never compared with a clock. A deadline counts from when this leader first saw the record as it is.
So a new leader grants the whole time again, and clocks that differ end nothing early.
"""

from collections.abc import Hashable, Iterator

from fleet.core.scheduling.cluster_state import ClusterState, DesiredJob


class Deadlines:
    """Remembers since when drains and rollouts are as they are. A new leader starts with none."""

    def __init__(self) -> None:
        self._since_s: dict[Hashable, float] = {}

    def observe(self, cluster: ClusterState, now_s: float) -> None:
        """Set which drains are overdue and which rollouts have stalled. `now_s` never goes back."""
        before, self._since_s = self._since_s, {}
        for host in cluster.hosts.values():
            host.drain_overdue = False
            if host.drain is not None:
                since_s = self._since_s[host.id, host.drain] = before.get(
                    (host.id, host.drain), now_s
                )
                host.drain_overdue = now_s - since_s >= host.drain.deadline_s
        for desired in _rolling(cluster):
            # While a rollout is paused its time does not run, and afterwards it starts again.
            mark = desired.record.name, desired.record.paused, desired.rollout_mark
            since_s = self._since_s[mark] = before.get(mark, now_s)
            desired.stalled_s = now_s - since_s


def _rolling(cluster: ClusterState) -> Iterator[DesiredJob]:
    for desired in cluster.jobs.values():
        if desired.rollout is not None and desired.rollout.state == "rolling":
            yield desired
