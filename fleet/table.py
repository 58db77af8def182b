"""What `fleetctl` prints. The columns of fleet's own verbs are those of fleet."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fleet import amounts
from fleet.model import Endpoint, EventRecord, Phase, Target, Version, Want
from fleet.world import Desired, HostView, Placed, World

Rows = Iterable[Sequence[str]]
# What one line of a listing says, by column; JSON has the values as they are.
Record = Mapping[str, object]
UNIT_FIELDS = ("unit", "machine", "load", "active", "sub", "hash")
FILE_FIELDS = ("unit", "hash", "dstate", "state", "target", "desc", "global")
MACHINE_FIELDS = ("machine", "hostname", "ip", "metadata")
INSTANCE_FIELDS = ("instance", "version", "host", "phase", "port", "note")
HOST_FIELDS = ("host", "id", "address", "state", "instances", "labels")
TOP_FIELDS = ("host", "load", "pressure", "memory_used", "cpus", "memory", "instances")
SERVICE_FIELDS = ("service", "selector", "check", "ready", "endpoints")
HISTORY_FIELDS = ("version", "unit", "at", "by", "stable", "note")


def aligned(head: Sequence[str], rows: Rows) -> str:
    """Return a table with its columns under each other."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def listed(fields: Sequence[str], records: Iterable[Record]) -> str:
    """Return records as a table of these columns."""
    rows = [[_shown(record[name]) for name in fields] for record in records]
    return aligned([name.upper().replace("_", " ") for name in fields], rows)


def as_json(value: object) -> str:
    """Return what `--json` prints."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, Mapping):
        value = [f"{key}={each}" for key, each in sorted(value.items())]
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def machine(host: HostView, *, full: bool) -> str:
    """Return a machine as fleet writes it."""
    return f"{host.id if full else host.id[:8] + '...'}/{host.facts.address if host.facts else '-'}"


def units(world: World, *, full: bool) -> Iterator[dict[str, str]]:
    """Yield what runs where, a row for each instance."""
    found = [each for host in world.hosts.values() for each in host.placed]
    for each in sorted(found, key=lambda each: (each.order.name, each.host.id)):
        report = each.report
        yield {
            "unit": each.order.name,
            "machine": machine(each.host, full=full),
            "load": report.load if report else "-",
            "active": report.active if report else "-",
            "sub": report.sub if report else "-",
            "hash": each.order.unit if full else each.order.unit[:7],
        }


def unit_files(world: World, *, full: bool) -> Iterator[dict[str, str]]:
    """Yield the jobs that the store knows."""
    placed = world.by_job()
    for name in sorted(world.jobs):
        desired = world.jobs[name]
        mine = [each for each in placed.get(name, ()) if each.order.want is not Want.STOP]
        everywhere = desired.job is not None and desired.job.everywhere
        targets = sorted({machine(each.host, full=full) for each in mine})
        yield {
            "unit": name,
            "hash": desired.record.unit if full else desired.record.unit[:7],
            "dstate": desired.record.target.value,
            "state": "-" if everywhere else _current(mine),
            "target": "global" if everywhere else ",".join(targets) or "-",
            "desc": _description(desired.text),
            "global": str(everywhere).lower(),
        }


def machines(world: World, *, full: bool) -> Iterator[dict[str, str]]:
    """Yield the hosts that are heard."""
    for host in sorted(world.hosts.values(), key=lambda host: host.id):
        if host.facts is None or host.status is None:
            continue
        pairs = ",".join(f"{key}={value}" for key, value in sorted(host.facts.labels.items()))
        yield {
            "machine": host.id if full else f"{host.id[:8]}...",
            "hostname": host.name(),
            "ip": host.facts.address,
            "metadata": pairs or "-",
        }


def job_status(record: Mapping[str, Any]) -> str:
    """Return all about one job as a text."""
    rollout, note = record["rollout"], record["note"]
    wanted = "every host" if record["wanted"] is None else record["wanted"]
    lines = [
        f"{record['job']}  version {record['version']}  {record['target']}",
        f"  wanted: {wanted}   ready: {record['ready']}   unit: {record['unit'][:12]}",
        f"  by {record['by']} at {record['at']}" + (f": {note}" if note else ""),
    ]
    if rollout is not None:
        note = f" ({rollout['note']})" if rollout["note"] else ""
        lines.append(
            f"  rollout: version {rollout['version']} {rollout['state']}{note}; "
            f"last stable: {rollout['stable']}"
        )
    if record["fault"]:
        lines.append(f"  FAULT: {record['fault']}")
    text = "\n".join(lines) + "\n"
    if record["instances"]:
        text += "\n" + listed(INSTANCE_FIELDS, record["instances"])
    return text


def job(desired: Desired, placed: list[Placed]) -> Record:
    """Return all about one job."""
    record, rollout = desired.record, desired.rollout
    everywhere = desired.job is not None and desired.job.everywhere
    ready = [each for each in placed if each.report and each.report.phase is Phase.READY]
    told = None
    if rollout is not None:
        told = {
            "version": rollout.version,
            "state": "paused" if record.paused else rollout.state,
            "settled": rollout.settled,
            "stable": rollout.stable,
            "note": rollout.note,
        }
    return {
        "job": record.name,
        "version": record.version,
        "target": record.target.value,
        "wanted": None if everywhere else desired.count,
        "ready": len(ready),
        "unit": record.unit,
        "by": record.by,
        "at": record.at,
        "note": record.note,
        "rollout": told,
        "fault": desired.fault,
        "instances": list(_instances(placed)),
    }


def _instances(placed: list[Placed]) -> Iterator[Record]:
    for each in sorted(placed, key=lambda each: (each.order.index, each.order.version)):
        order, report = each.order, each.report
        phase = report.phase.value if report else "ordered"
        if each.host.status is None:
            phase += " (host silent)"
        notes = [
            report.note if report else "",
            f"failures: {report.failures}" if report and report.failures else "",
        ]
        yield {
            "instance": f"{order.job}[{order.index}]",
            "version": order.version,
            "host": each.host.name(),
            "phase": f"{phase}, to be stopped" if order.want is Want.STOP else phase,
            "port": order.port or "-",
            "note": "; ".join(filter(None, notes)) or order.why,
            "unit": order.name,
        }


def hosts(world: World) -> Iterator[Record]:
    """Yield the hosts and how they stand; lost ones are named."""
    for host in sorted(world.hosts.values(), key=lambda host: host.name()):
        if host.facts is None:
            continue
        yield {
            "host": host.name(),
            "id": host.id[:8],
            "machine_id": host.id,
            "address": host.facts.address,
            "state": _standing(host),
            "instances": _running(host),
            "labels": dict(host.facts.labels),
        }


def top(world: World) -> list[Record]:
    """Return how busy hosts are, the busiest first."""
    heard = [host for host in world.hosts.values() if host.facts and host.status]
    heard.sort(key=lambda host: (-host.status.load.load if host.status else 0.0, host.name()))
    return [
        {
            "host": host.name(),
            "load": host.status.load.load,
            "pressure": host.status.load.pressure,
            "memory_used": host.status.load.memory,
            "cpus": f"{host.facts.cpu / 1000:g}",
            "memory": amounts.shown_bytes(host.facts.memory),
            "memory_bytes": host.facts.memory,
            "instances": _running(host),
        }
        for host in heard
        if host.facts and host.status
    ]


def services(world: World) -> Iterator[Record]:
    """Yield the services and their ready endpoints."""
    for name, service in sorted(world.services.items()):
        ends = [
            f"{host.facts.address}:{end.port or each.order.port}"
            for host in world.hosts.values()
            for each in host.placed
            for end in each.order.endpoints
            if host.facts and end.service == name and _serves(each, end)
        ]
        yield {
            "service": name,
            "selector": str(service.selector),
            "check": service.record.check or "-",
            "ready": len(ends),
            "endpoints": sorted(ends),
        }


def history(versions: list[Version], stable: int) -> Iterator[Record]:
    """Yield a job's versions, the newest first."""
    for each in reversed(versions):
        yield {
            "version": each.number,
            "unit": each.unit[:12],
            "at": each.at,
            "by": each.by,
            "stable": each.number == stable,
            "note": each.note,
        }


def event(record: EventRecord) -> str:
    """Return one look's decisions, a line each."""
    return "".join(f"{record.at}  {line}\n" for line in record.text.splitlines())


def _serves(placed: Placed, endpoint: Endpoint) -> bool:
    report = placed.report
    heard = placed.host.status is not None and placed.order.want is Want.RUN
    if report is None or not heard or endpoint.service in report.unserved:
        return False
    return report.phase is Phase.READY


def _standing(host: HostView) -> str:
    words = ["ready" if host.status else "LOST"]
    if host.drain:
        words.append(f"drained ({host.drain.reason or 'no reason'})")
    elif host.cordon:
        words.append(f"cordoned ({host.cordon.reason or 'no reason'})")
    if host.orphans:
        words.append(f"{len(host.orphans)} orphans")
    return ", ".join(words)


def _running(host: HostView) -> int:
    return sum(each.order.want is not Want.STOP for each in host.placed)


def _current(placed: list[Placed]) -> str:
    """Return fleet's word for how far a job is."""
    if any(each.report and each.report.active == "active" for each in placed):
        return Target.LAUNCHED.value
    return Target.LOADED.value if placed else Target.INACTIVE.value


def _description(text: str) -> str:
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() == "Description":
            return value.strip()
    return "-"
