"""The hosts that a job may run on, regardless of free room. The same code decides and explains."""

from collections.abc import Iterable, Mapping

from fleet.core.jobs.jobspec import Job, conflicting
from fleet.core.jobs.selector import EVERYTHING
from fleet.core.scheduling.cluster_state import ClusterState, Host

# The tools of fleet show, and accept, the first eight letters of a machine id.
SHORT_ID = 8


class AntiAffinity:
    """Which jobs must not share a host.

    A conflict works both ways, no matter which job names it. A job also conflicts with the job that
    it replaces: the replaced one has to leave.
    """

    def __init__(self, cluster: ClusterState) -> None:
        placements = {
            name: each.job.placement for name, each in cluster.jobs.items() if each.job is not None
        }
        self._names = tuple(cluster.jobs)
        self._named_by = [
            (name, (*placement.conflicts, *placement.replaces))
            for name, placement in placements.items()
            if placement.conflicts or placement.replaces
        ]
        self._replaced_by = [
            (name, placement.replaces)
            for name, placement in placements.items()
            if placement.replaces
        ]

    def is_replaced(self, name: str) -> bool:
        """Return whether another job replaces this one."""
        return any(other != name and conflicting(globs, name) for other, globs in self._replaced_by)

    def of(self, job: Job) -> frozenset[str]:
        """Return the jobs that must not share a host with this one."""
        own = job.placement.conflicts
        found = {name for name in self._names if own and conflicting(own, name)}
        for name, globs in self._named_by:
            is_named = name != job.name and conflicting(globs, job.name)
            if is_named and not conflicting(job.placement.replaces, name):
                found.add(name)
        return frozenset(found)


def labels_of(host: Host) -> Mapping[str, str]:
    """Return the labels that selectors see: those of the host, its name and its id."""
    if host.facts is None:
        return {}
    return {"hostname": host.facts.hostname, "id": host.id, **host.facts.labels}


def infeasible_reason(
    job: Job, host: Host, residents: Iterable[str], excluded: frozenset[str]
) -> str:
    """Return why a job may not run on a host, "" if it may.

    `residents` are the jobs on the host, `excluded` those that must not share one with this job.
    """
    placement = job.placement
    if host.facts is None:
        return "its facts are unknown"
    if placement.machine_id and placement.machine_id not in (host.id, host.id[:SHORT_ID]):
        return f"MachineID={placement.machine_id} is another host"
    if placement.constraint is not EVERYTHING and not placement.constraint.matches(labels_of(host)):
        return f"its labels do not match {placement.constraint}"
    if not placement.machine_of and not excluded:
        return ""
    here = set(residents)
    if missing := [name for name in placement.machine_of if name not in here]:
        return f"{missing[0]} does not run there"
    if present := sorted(excluded & (here - {job.name})):
        return f"it conflicts with {present[0]}"
    return ""
