"""The rows that `fleetctl` lists. The columns of fleet's own commands are those of fleet."""

from collections.abc import Iterable, Iterator, Mapping

from daemonkit.core import sizes
from fleet.core.model import DesiredState, Endpoint, HostHealth, JobVersion, Phase, TargetState
from fleet.core.scheduling.cluster_state import ClusterState, DesiredJob, Host, Instance

# One row of a listing, by column. JSON shows the values as they are.
Row = Mapping[str, object]


def machine(host: Host, *, full: bool) -> str:
    """Return a machine as fleet writes it."""
    return f"{host.id if full else host.id[:8] + '...'}/{host.facts.address if host.facts else '-'}"


def units(cluster: ClusterState, *, full: bool) -> Iterator[dict[str, str]]:
    """Yield the instances of all jobs, with their hosts."""
    found = [each for host in cluster.hosts.values() for each in host.instances]
    for each in sorted(found, key=lambda each: (each.allocation.name, each.host.id)):
        report = each.report
        yield {
            "unit": each.allocation.name,
            "machine": machine(each.host, full=full),
            "load": report.load if report else "-",
            "active": report.active if report else "-",
            "sub": report.sub if report else "-",
            "hash": each.allocation.unit if full else each.allocation.unit[:7],
        }


def unit_files(cluster: ClusterState, *, full: bool) -> Iterator[dict[str, str]]:
    """Yield the jobs in the store."""
    instances = cluster.instances_by_job()
    for name in sorted(cluster.jobs):
        desired = cluster.jobs[name]
        mine = [each for each in instances.get(name, ()) if not each.is_stopping]
        is_global = desired.job is not None and desired.job.is_global
        targets = sorted({machine(each.host, full=full) for each in mine})
        yield {
            "unit": name,
            "hash": desired.record.unit if full else desired.record.unit[:7],
            "dstate": desired.record.target.value,
            "state": "-" if is_global else _current(mine),
            "target": "global" if is_global else ",".join(targets) or "-",
            "desc": _description(desired.text),
            "global": str(is_global).lower(),
        }


def machines(cluster: ClusterState, *, full: bool) -> Iterator[dict[str, str]]:
    """Yield the hosts whose agents answer."""
    for host in sorted(cluster.hosts.values(), key=lambda host: host.id):
        if host.facts is None or host.status is None:
            continue
        pairs = ",".join(f"{key}={value}" for key, value in sorted(host.facts.labels.items()))
        yield {
            "machine": host.id if full else f"{host.id[:8]}...",
            "hostname": host.name(),
            "ip": host.facts.address,
            "metadata": pairs or "-",
        }


def job(desired: DesiredJob, instances: list[Instance]) -> Row:
    """Return the state of one job, with its rollout and instances."""
    record, rollout = desired.record, desired.rollout
    is_global = desired.job is not None and desired.job.is_global
    ready = [each for each in instances if each.report and each.report.phase is Phase.READY]
    shown = None
    if rollout is not None:
        shown = {
            "version": rollout.version,
            "state": "paused" if record.paused else rollout.state,
            "settled": rollout.available,
            "stable": rollout.stable,
            "note": rollout.note,
        }
    return {
        "job": record.name,
        "version": record.version,
        "target": record.target.value,
        "wanted": None if is_global else desired.count,
        "ready": len(ready),
        "unit": record.unit,
        "by": record.by,
        "at": record.at,
        "note": record.note,
        "rollout": shown,
        "fault": desired.fault,
        "instances": list(_instances(instances)),
    }


def _instances(instances: list[Instance]) -> Iterator[Row]:
    for each in sorted(
        instances, key=lambda each: (each.allocation.index, each.allocation.version)
    ):
        allocation, report = each.allocation, each.report
        phase = report.phase.value if report else "ordered"
        if each.host.status is None:
            phase += " (host silent)"
        notes = [
            report.note if report else "",
            f"failures: {report.failures}" if report and report.failures else "",
        ]
        yield {
            "instance": f"{allocation.job}[{allocation.index}]",
            "version": allocation.version,
            "host": each.host.name(),
            "phase": f"{phase}, to be stopped" if each.is_stopping else phase,
            "port": allocation.port or "-",
            "note": "; ".join(filter(None, notes)) or allocation.why,
            "unit": allocation.name,
        }


def hosts(cluster: ClusterState) -> Iterator[Row]:
    """Yield all hosts with their state, lost ones too."""
    for host in sorted(cluster.hosts.values(), key=lambda host: host.name()):
        if host.facts is None:
            continue
        yield {
            "host": host.name(),
            "id": host.id[:8],
            "machine_id": host.id,
            "address": host.facts.address,
            "state": _state(host),
            "instances": _running(host),
            "labels": dict(host.facts.labels),
        }


def top(cluster: ClusterState) -> list[Row]:
    """Return the load of the hosts, the busiest first."""
    heard = [host for host in cluster.hosts.values() if host.facts and host.status]
    heard.sort(key=lambda host: (-host.status.load.load if host.status else 0.0, host.name()))
    return [
        {
            "host": host.name(),
            "load": host.status.load.load,
            "pressure": host.status.load.pressure,
            "memory_used": host.status.load.memory,
            "cpus": f"{host.facts.cpu / 1000:g}",
            "memory": sizes.show(host.facts.memory),
            "memory_bytes": host.facts.memory,
            "instances": _running(host),
        }
        for host in heard
        if host.facts and host.status
    ]


def services(cluster: ClusterState) -> Iterator[Row]:
    """Yield the services and their ready endpoints."""
    for name, service in sorted(cluster.services.items()):
        ends = [
            f"{host.facts.address}:{end.port or each.allocation.port}"
            for host in cluster.hosts.values()
            for each in host.instances
            for end in each.allocation.endpoints
            if host.facts and end.service == name and _serves(each, end)
        ]
        yield {
            "service": name,
            "selector": str(service.selector),
            "check": service.record.check or "-",
            "ready": len(ends),
            "endpoints": sorted(ends),
        }


def history(versions: list[JobVersion], stable: int) -> Iterator[Row]:
    """Yield the versions of a job, newest first."""
    for each in reversed(versions):
        yield {
            "version": each.number,
            "unit": each.unit[:12],
            "at": each.at,
            "by": each.by,
            "stable": each.number == stable,
            "note": each.note,
        }


def _serves(instance: Instance, endpoint: Endpoint) -> bool:
    report = instance.report
    should_run = instance.allocation.desired_state is DesiredState.RUN
    is_heard = instance.host.status is not None and should_run
    if report is None or not is_heard or report.phase is not Phase.READY:
        return False
    # A report that is older than the service has no result of its check.
    return endpoint in report.allocation.endpoints and endpoint.service not in report.unserved


def _state(host: Host) -> str:
    is_lost = host.health is HostHealth.LOST
    words = [host.health.value.upper() if is_lost else host.health.value]
    if host.drain:
        words.append(f"drained ({host.drain.reason or 'no reason'})")
    elif host.cordon:
        words.append(f"cordoned ({host.cordon.reason or 'no reason'})")
    if host.orphans:
        words.append(f"{len(host.orphans)} orphans")
    if host.status and host.status.note:
        words.append(host.status.note)
    return ", ".join(words)


def _running(host: Host) -> int:
    return sum(not each.is_stopping for each in host.instances)


def _current(instances: list[Instance]) -> str:
    """Return a job's current state, in fleet's words."""
    if any(each.report and each.report.active == "active" for each in instances):
        return TargetState.LAUNCHED.value
    return TargetState.LOADED.value if instances else TargetState.INACTIVE.value


def _description(text: str) -> str:
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() == "Description":
            return value.strip()
    return "-"


def placement_reasons(instances: Iterable[Instance]) -> list[Row]:
    """Return why each instance is on its host."""
    return [
        {
            "instance": f"{each.allocation.job}[{each.allocation.index}]",
            "host": each.host.name(),
            "why": each.allocation.why,
        }
        for each in instances
    ]
