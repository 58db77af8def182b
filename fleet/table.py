"""What `fleetctl` prints. The columns of fleet's own verbs are those of fleet."""

from collections.abc import Iterable, Iterator, Sequence

from fleet import amounts
from fleet.model import EventRecord, Phase, Target, Version, Want
from fleet.world import Desired, HostView, Placed, World

Rows = Iterable[Sequence[str]]
UNIT_FIELDS = ("unit", "machine", "load", "active", "sub", "hash")
FILE_FIELDS = ("unit", "hash", "dstate", "state", "target", "desc", "global")
MACHINE_FIELDS = ("machine", "hostname", "ip", "metadata")


def aligned(head: Sequence[str], rows: Rows) -> str:
    """Return a table with its columns under each other."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


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


def job_status(desired: Desired, placed: list[Placed]) -> str:
    """Return all about one job."""
    record, rollout = desired.record, desired.rollout
    up = sum(each.report is not None and each.report.phase is Phase.READY for each in placed)
    wanted = "every host" if desired.job and desired.job.everywhere else str(desired.count)
    lines = [
        f"{record.name}  version {record.version}  {record.target.value}",
        f"  wanted: {wanted}   ready: {up}   unit: {record.unit[:12]}",
        f"  by {record.by} at {record.at}" + (f": {record.note}" if record.note else ""),
    ]
    if rollout is not None:
        note = f" ({rollout.note})" if rollout.note else ""
        state = "paused" if record.paused else rollout.state
        lines.append(
            f"  rollout: version {rollout.version} {state}{note}; last stable: {rollout.stable}"
        )
    if desired.fault:
        lines.append(f"  FAULT: {desired.fault}")
    text = "\n".join(lines) + "\n"
    if placed:
        text += "\n" + aligned(
            ("INSTANCE", "VERSION", "HOST", "PHASE", "PORT", "NOTE"), _instances(placed)
        )
    return text


def _instances(placed: list[Placed]) -> Iterator[tuple[str, ...]]:
    for each in sorted(placed, key=lambda each: (each.order.index, each.order.version)):
        order, report = each.order, each.report
        phase = report.phase.value if report else "ordered"
        if each.host.status is None:
            phase += " (host silent)"
        notes = [
            report.note if report else "",
            f"failures: {report.failures}" if report and report.failures else "",
        ]
        yield (
            f"{order.job}[{order.index}]",
            str(order.version),
            each.host.name(),
            f"{phase}, to be stopped" if order.want is Want.STOP else phase,
            str(order.port or "-"),
            "; ".join(filter(None, notes)) or order.why,
        )


def hosts(world: World) -> str:
    """Return the hosts and how they stand; lost ones are named."""
    rows = []
    for host in sorted(world.hosts.values(), key=lambda host: host.name()):
        facts = host.facts
        if facts is None:
            continue
        pairs = ",".join(f"{key}={value}" for key, value in sorted(facts.labels.items()))
        rows.append(
            (host.name(), host.id[:8], facts.address, _standing(host), str(_running(host)), pairs)
        )
    return aligned(("HOST", "ID", "ADDRESS", "STATE", "INSTANCES", "LABELS"), rows)


def top(world: World) -> str:
    """Return how busy hosts are, the busiest first."""
    rows = []
    for host in world.hosts.values():
        if host.facts is None or host.status is None:
            continue
        load = host.status.load
        cells = (host.name(), f"{load.load:.2f}", f"{load.pressure:.0%}", f"{load.memory:.0%}")
        more = (f"{host.facts.cpu / 1000:g}", amounts.shown_bytes(host.facts.memory))
        rows.append((-load.load, (*cells, *more, str(_running(host)))))
    head = ("HOST", "LOAD", "PRESSURE", "MEMORY USED", "CPUS", "MEMORY", "INSTANCES")
    return aligned(head, [row for _, row in sorted(rows)])


def services(world: World) -> str:
    """Return the services and their ready endpoints."""
    rows = []
    for name, service in sorted(world.services.items()):
        ends = [
            f"{host.facts.address}:{end.port or each.order.port}"
            for host in world.hosts.values()
            for each in host.placed
            for end in each.order.endpoints
            if host.facts and end.service == name and _serves(each)
        ]
        rows.append((name, str(service.selector), str(len(ends)), ",".join(sorted(ends)) or "-"))
    return aligned(("SERVICE", "SELECTOR", "READY", "ENDPOINTS"), rows)


def history(versions: list[Version], stable: int) -> str:
    """Return a job's versions, the newest first."""
    rows = [
        (
            str(each.number),
            each.unit[:12],
            each.at,
            each.by,
            _mark(each.number == stable),
            each.note,
        )
        for each in reversed(versions)
    ]
    return aligned(("VERSION", "UNIT", "AT", "BY", "STABLE", "NOTE"), rows)


def event(record: EventRecord) -> str:
    """Return one look's decisions, a line each."""
    return "".join(f"{record.at}  {line}\n" for line in record.text.splitlines())


def _serves(placed: Placed) -> bool:
    report = placed.report
    heard = placed.host.status is not None and placed.order.want is Want.RUN
    return heard and report is not None and report.phase is Phase.READY


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


def _mark(holds: bool) -> str:  # noqa: FBT001 - yes or no is what it shows
    return "yes" if holds else ""
