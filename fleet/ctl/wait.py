"""Waits for the result of a command and prints progress, until it is reached or impossible."""

import time
from collections import Counter
from collections.abc import Sequence

from fleet.core.model import AUTO_REVERT_AUTHOR, TargetState
from fleet.core.scheduling.cluster_state import ClusterState, DesiredJob, Host, Instance
from fleet.core.scheduling.rollout_progress import is_up
from fleet.ctl.invocation import Invocation
from fleet.ctl.registry import Refused, has_converged


def wait_for_jobs(ctl: Invocation, names: list[str], timeout_s: float) -> None:
    """Print progress until all jobs have their desired state. Raises Refused if they cannot."""
    end_s = time.monotonic() + timeout_s
    printed: dict[str, str] = {}
    versions = {name: each.record.version for name, each in ctl.cluster.jobs.items()}
    with ctl.registry.following() as wait_for_change:
        while pending := _pending(ctl, names, versions):
            for desired in pending:
                name, line = desired.record.name, _progress(ctl, desired)
                if printed.get(name) != line:
                    printed[name] = line
                    ctl.progress(line)
                if reason := _hopeless_reason(desired):
                    raise Refused(f"{name}: {reason}")
            if time.monotonic() >= end_s:
                waiting = [desired.record.name for desired in pending]
                raise Refused(
                    f"{', '.join(waiting)}: not finished after {timeout_s:g} s. The fleet "
                    f"continues: `fleetctl status {waiting[0]}` shows its progress"
                )
            wait_for_change()


def wait_until_drained(ctl: Invocation, host: Host, timeout_s: float, *, reboot: bool) -> None:
    """Print progress until no instance is left on a host. Raises Refused after the timeout.

    Before a reboot, it does not wait for what the scheduler leaves alone, and after the timeout not
    for what is being stopped: systemd stops both when the host goes down.
    """
    end_s, progress = time.monotonic() + timeout_s, _DrainProgress(ctl)
    with ctl.registry.following() as wait_for_change:
        while left := ctl.cluster.hosts[host.id].instances:
            line = progress.show(host, left)
            moving = [each for each in left if not _is_left_alone(ctl.cluster, each)]
            if reboot and not moving:
                names = ", ".join(each.allocation.name for each in left)
                ctl.progress(f"{names} stays in the plan, and starts again after the reboot")
                return
            if time.monotonic() >= end_s:
                if reboot and all(each.is_stopping for each in moving):
                    ctl.progress(f"{line}: the shutdown ends what is still being stopped")
                    return
                raise Refused(f"{line}; timed out after {timeout_s:g} s")
            wait_for_change()
        ctl.progress(f"{host.name()} is empty")


class _DrainProgress:
    """Prints how many instances are left, and why each one is stopped, whenever it changes."""

    def __init__(self, ctl: Invocation) -> None:
        self._ctl, self._printed = ctl, set[str]()

    def show(self, host: Host, left: Sequence[Instance]) -> str:
        """Print what is new; return the line that says what is left."""
        names = ", ".join(each.allocation.name for each in left[:5])
        line = f"{host.name()}: {len(left)} left: {names}"
        stopping = (each.allocation for each in left if each.is_stopping)
        for text in (line, *(f"{each.name} stops: {each.why}" for each in stopping)):
            if text not in self._printed:
                self._printed.add(text)
                self._ctl.progress(text)
        return line


def _is_left_alone(cluster: ClusterState, instance: Instance) -> bool:
    """Return whether the scheduler stops no instance of a job, as it has no sound record of it."""
    desired = cluster.jobs.get(instance.allocation.job)
    if instance.is_stopping:
        return False
    return desired is None or desired.job is None or desired.record.rev < instance.allocation.rev


def _pending(ctl: Invocation, names: list[str], versions: dict[str, int]) -> list[DesiredJob]:
    """Return the jobs that are not as wanted. Raises Refused for one that was reverted."""
    hosts = list(ctl.cluster.hosts.values())
    jobs = [ctl.cluster.jobs[name] for name in names if name in ctl.cluster.jobs]
    for desired in jobs:
        record = desired.record
        if record.version > versions.get(record.name, 0) and record.by == AUTO_REVERT_AUTHOR:
            raise Refused(f"{record.name}: {record.note}")
    return [desired for desired in jobs if not has_converged(desired, hosts)]


def _hopeless_reason(desired: DesiredJob) -> str:
    """Return why waiting is useless, "" while it is not."""
    record, rollout = desired.record, desired.rollout
    if record.target not in (TargetState.LAUNCHED, TargetState.LOADED):
        return ""
    if record.paused:
        return f"the rollout is paused: continue it with `fleetctl rollout resume {record.name}`"
    if rollout and rollout.version == record.version and rollout.state == "failed":
        return rollout.note
    return ""


def _progress(ctl: Invocation, desired: DesiredJob) -> str:
    cluster, record = ctl.cluster, desired.record
    instances = [
        each
        for host in cluster.hosts.values()
        for each in host.instances
        if each.allocation.job == record.name
    ]
    phases = Counter(each.report.phase.value if each.report else "ordered" for each in instances)
    is_global = desired.job is not None and desired.job.is_global
    wanted = f" of {desired.count}" if desired.count and not is_global else ""
    done = sum(is_up(each) and each.allocation.version == record.version for each in instances)
    parts = [f"{done}{wanted} done", *(f"{n} {phase}" for phase, n in sorted(phases.items()))]
    notes = sorted({each.report.note for each in instances if each.report and each.report.note})
    state = ", ".join(parts) if instances else f"not placed{_not_placed_reason(ctl, desired)}"
    return "; ".join([f"{record.name} version {record.version}: {state}", *notes[:1]])


def _not_placed_reason(ctl: Invocation, desired: DesiredJob) -> str:
    """Return why no host has an instance of a job, "" if one is about to have it."""
    hosts = [host for host in ctl.cluster.hosts.values() if host.facts is not None]
    if not hosts:
        return ": no host has joined the fleet. Start `fleetd` on one"
    if not any(host.status for host in hosts):
        return ": the agents of all hosts are silent"
    if not ctl.registry.has_leader():
        return ": no scheduler leads. Start `fleetd --scheduler` on a host"
    if desired.job is None or desired.rollout is None:
        return ""
    from fleet.ctl.dry_run import explanation

    found = explanation(ctl.cluster, desired)
    if found["held"]:
        return f": {found['held']}"
    return f": {found['unplaced'][0]['why']}" if found["unplaced"] else ""
