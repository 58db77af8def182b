"""Which hosts a job may run on, whatever is free there. One function judges and explains."""

from collections.abc import Iterable, Mapping

from fleet.core.jobs.jobspec import Job, conflicting
from fleet.core.jobs.selector import EVERYTHING
from fleet.core.scheduling.cluster_state import HostView, World

# fleet's tools show eight letters of a machine id, and take them.
SHORT_ID = 8


class Rivalry:
    """Who cannot be beside whom. A conflict holds both ways, whoever names it.

    A job that another Replaces= is its rival, too: it has to go.
    """

    def __init__(self, world: World) -> None:
        self._names = tuple(world.jobs)
        self._pushy = [
            (name, (*each.job.placing.conflicts, *each.job.placing.replaces))
            for name, each in world.jobs.items()
            if each.job and (each.job.placing.conflicts or each.job.placing.replaces)
        ]
        self._replacing = [
            (name, each.job.placing.replaces)
            for name, each in world.jobs.items()
            if each.job and each.job.placing.replaces
        ]

    def is_replaced(self, name: str) -> bool:
        """Say whether a job must make way for another."""
        return any(pusher != name and conflicting(globs, name) for pusher, globs in self._replacing)

    def of(self, job: Job) -> frozenset[str]:
        """Return the jobs that must not share a host with this one."""
        mine = job.placing.conflicts
        found = {name for name in self._names if mine and conflicting(mine, name)}
        for name, globs in self._pushy:
            pushed = name != job.name and conflicting(globs, job.name)
            if pushed and not conflicting(job.placing.replaces, name):
                found.add(name)
        return frozenset(found)


def labels_of(host: HostView) -> Mapping[str, str]:
    """Return what selectors see of a host: its labels, its name and its id."""
    if host.facts is None:
        return {}
    return {"hostname": host.facts.hostname, "id": host.id, **host.facts.labels}


def misfit(job: Job, host: HostView, residents: Iterable[str], rivals: frozenset[str]) -> str:
    """Return why a job may not run on a host, "" if it may.

    `residents` are the jobs that run there, `rivals` those that this one cannot be beside.
    """
    placing = job.placing
    if host.facts is None:
        return "its facts are unknown"
    if placing.machine_id and placing.machine_id not in (host.id, host.id[:SHORT_ID]):
        return f"MachineID={placing.machine_id} is another host"
    if placing.constraint is not EVERYTHING and not placing.constraint.matches(labels_of(host)):
        return f"its labels do not match {placing.constraint}"
    if not placing.machine_of and not rivals:
        return ""
    there = set(residents)
    if missing := [name for name in placing.machine_of if name not in there]:
        return f"{missing[0]} is not there"
    if met := sorted(rivals & (there - {job.name})):
        return f"it conflicts with {met[0]}"
    return ""
