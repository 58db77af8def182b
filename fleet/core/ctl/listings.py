"""What `fleetctl` prints. The columns of fleet's own verbs are those of fleet."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fleet.core.jobs import quantities
from fleet.core.model import Endpoint, EventRecord, Phase, Target, Version, Want
from fleet.core.scheduling.cluster_state import Desired, HostView, Placed, World

if TYPE_CHECKING:  # numpy comes with it
    from fleet.core.scheduling.plan_builder import Outcome

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
VERDICT_FIELDS = ("host", "score", "verdict", "labels")
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
            "memory": quantities.shown_bytes(host.facts.memory),
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


def explanation(
    job: str, placed: Iterable[Placed], outcome: "Outcome", verdicts: list[Record]
) -> dict[str, Any]:
    """Return why a job is where it is, what is done next, and how hosts suit it."""
    return {
        "job": job,
        "placed": [
            {
                "instance": f"{each.order.job}[{each.order.index}]",
                "host": each.host.name(),
                "why": each.order.why,
            }
            for each in placed
        ],
        "next": outcome.told,
        "held": outcome.held.get(job, ""),
        "unplaced": [
            {"instance": f"{job}[{each.place.index}]", "why": each.why} for each in outcome.unseated
        ],
        "hosts": verdicts,
    }


def explained(record: Mapping[str, Any]) -> str:
    """Return an explanation as a text; of the hosts the best twenty."""
    lines = [f"{each['instance']} on {each['host']}: {each['why']}" for each in record["placed"]]
    lines += [f"next: {line}" for line in record["next"]]
    lines += [f"held: {record['held']}"] * bool(record["held"])
    lines += [f"cannot place {each['instance']}: {each['why']}" for each in record["unplaced"]]
    text = "".join(f"{line}\n" for line in lines)
    if not record["hosts"]:
        return text
    rows = [
        {**each, "score": "-" if each["score"] is None else f"{each['score']:.3f}"}
        for each in record["hosts"][:20]
    ]
    return f"{text}\n{listed(VERDICT_FIELDS, rows)}"


def merged(journals: Iterable[str]) -> list[str]:
    """Return the entries of several journals by time; lines that go on belong to their entry."""
    entries: list[str] = []
    for journal in journals:
        begun = len(entries)
        for line in journal.splitlines(keepends=True):
            if line[0].isspace() and len(entries) > begun:
                entries[-1] += line
            else:
                entries.append(line)
    return sorted(entries, key=lambda entry: entry.partition(" ")[0])


def log_record(entry: str) -> str:
    """Return a journal's entry as one line of JSON."""
    at, _, rest = entry.partition(" ")
    host, _, rest = rest.partition(" ")
    source, _, text = rest.partition(": ")
    record = {"at": at, "host": host, "from": source, "text": text.removesuffix("\n")}
    return json.dumps(record, ensure_ascii=False) + "\n"


def event(record: EventRecord) -> str:
    """Return one look's decisions, a line each."""
    return "".join(f"{record.at}  {line}\n" for line in record.text.splitlines())


def _serves(placed: Placed, endpoint: Endpoint) -> bool:
    report = placed.report
    heard = placed.host.status is not None and placed.order.want is Want.RUN
    if report is None or not heard or report.phase is not Phase.READY:
        return False
    # A report from before the service knows nothing of its check.
    return endpoint in report.order.endpoints and endpoint.service not in report.unserved


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
