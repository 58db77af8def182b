"""What `fleetctl` does, told as functions of a Registry. Text goes out by `say`.

Placement, and numpy with it, is imported where it is asked for: hooks call `fleetctl` each second.
"""

import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from coordinator.client.core.errors import KeyNotFound
from fleet.core import keys
from fleet.core.ctl import listings
from fleet.core.jobs import jobspec, signing, unitfile
from fleet.core.model import (
    REVERTS,
    Answer,
    Ask,
    EventRecord,
    JobRecord,
    Target,
    Want,
    digest,
    encode,
)
from fleet.core.scheduling import cluster_cache, constraints
from fleet.core.scheduling.actions import described
from fleet.core.scheduling.cluster_state import Desired, HostView, World
from fleet.core.scheduling.reconcile import diff
from fleet.core.scheduling.rollout_progress import is_up
from fleet.ctl.registry import Refused, Registry, is_settled, who

ASK_TTL_S = 60
ANSWER_S = 55.0
FOLLOW_S = 1.0
EPOCH = 1 << 40  # of plans that nobody will follow


@dataclass(frozen=True, slots=True)
class Caller:
    """Who runs a command, and how it speaks."""

    registry: Registry
    say: Callable[[str], None]
    progress: Callable[[str], None]
    as_json: bool = False

    @property
    def world(self) -> World:
        """The fleet as it was read."""
        return self.registry.picture.world

    def show(self, fields: Sequence[str], records: Iterable[listings.Record]) -> None:
        """Print a listing: a table of these columns, or all that is known in JSON."""
        if self.as_json:
            self.say(listings.as_json(list(records)))
        else:
            self.say(listings.listed(fields, records))


def named(caller: Caller, text: str) -> tuple[str, str]:
    """Return name and text of a unit: a file, one that the store has, or one of a template."""
    place = Path(text)
    name = place.name
    if place.is_file():
        return name, _text(place)
    known = caller.world.jobs.get(name)
    if known is not None and known.text:
        return name, known.text
    template = unitfile.template_of(name)
    if template is None:
        raise Refused(f"there is no file {text}, and the store has no unit {name}")
    beside = place.with_name(template)
    if beside.is_file():
        return name, _text(beside)
    known = caller.world.jobs.get(template)
    if known is None or not known.text:
        raise Refused(f"neither {text} nor its template {template} is a file or in the store")
    return name, known.text


def _text(place: Path) -> str:
    """Return a file as it is: read as text, a carriage return would become a line's end."""
    return place.read_bytes().decode()


def run(caller: Caller, file: str, count: int | None, note: str, key: Path | None) -> JobRecord:
    """Want a job to run, or its next version."""
    name, text = named(caller, file)
    signature = signing.signed(text, key.read_bytes()) if key else ""
    record = caller.registry.put_job(
        name, text, target=Target.LAUNCHED, count=count, note=note, signature=signature
    )
    for warning in jobspec.parse(name, text).warnings:
        caller.progress(f"{name}: {warning}")
    return record


def wait(caller: Caller, names: list[str], timeout_s: float | None) -> bool:
    """Tell of progress until all jobs are as they are wanted; say whether they are."""
    end_s = None if timeout_s is None else time.monotonic() + timeout_s
    told: dict[str, str] = {}
    versions = {name: each.record.version for name, each in caller.world.jobs.items()}
    with caller.registry.following() as look:
        while True:
            hosts = list(caller.world.hosts.values())
            open_jobs = []
            for name in names:
                desired = caller.world.jobs.get(name)
                if desired is None:
                    continue
                if desired.record.version > versions.get(name, 0) and _is_reverted(desired):
                    raise Refused(f"{name}: {desired.record.note}")
                if is_settled(desired, hosts):
                    continue
                open_jobs.append(name)
                line = _progress(caller.world, desired)
                if told.get(name) != line:
                    told[name] = line
                    caller.progress(line)
                if why := _given_up(desired):
                    raise Refused(f"{name}: {why}")
            if not open_jobs:
                return True
            if end_s is not None and time.monotonic() >= end_s:
                raise Refused(
                    f"{', '.join(open_jobs)}: not yet after {timeout_s:g} s; it goes on: "
                    f"`fleetctl status {open_jobs[0]}` shows how far it is"
                )
            look()


def _is_reverted(desired: Desired) -> bool:
    return desired.record.by == REVERTS


def _given_up(desired: Desired) -> str:
    """Return why there is nothing to wait for, "" if there is."""
    record, rollout = desired.record, desired.rollout
    if record.target not in (Target.LAUNCHED, Target.LOADED):
        return ""
    if record.paused:
        return f"it is paused: `fleetctl rollout resume {record.name}` goes on"
    if rollout and rollout.version == record.version and rollout.state == "failed":
        return rollout.note
    return ""


def plan(caller: Caller, file: str, count: int | None) -> int:
    """Show what a file would change; return how many actions that takes."""
    from fleet.core.scheduling.plan_builder import schedule

    name, text = named(caller, file)
    was = caller.world.jobs.get(name)
    old = was.record if was else None
    changed = old is None or old.unit != digest(text)
    if old and old.target is Target.LAUNCHED and not changed and count in (None, old.count):
        caller.say(listings.as_json([]) if caller.as_json else f"{name}: no change\n")
        return 0
    record = JobRecord(
        name=name,
        version=(old.version if old else 0) + changed,
        rev=1 << 40,
        unit=digest(text),
        target=Target.LAUNCHED,
        count=count if count is not None or old is None else old.count,
    )
    jobspec.parse(name, text)
    world = cluster_cache.imagined(caller.registry.picture, record, text)
    actions = [each for each in diff(world) if _is_of(each, name)]
    outcome = schedule(world, actions, EPOCH)
    lines = outcome.told or [described(each) for each in actions]
    lines += [f"cannot place {name}[{n.place.index}]: {n.why}" for n in outcome.unseated]
    caller.say(listings.as_json(lines) if caller.as_json else "".join(f"{n}\n" for n in lines))
    return len(actions)


def status(caller: Caller, names: list[str]) -> None:
    """Show jobs, and where their instances are."""
    placed = caller.world.by_job()
    wanted = [caller.registry.desired(name) for name in names] or [
        caller.world.jobs[name] for name in sorted(caller.world.jobs)
    ]
    jobs = [listings.job(each, placed.get(each.record.name, [])) for each in wanted]
    if caller.as_json:
        caller.say(listings.as_json(jobs))
        return
    text = "\n".join(map(listings.job_status, jobs))
    caller.say(text or "nothing is wanted: `fleetctl run FILE` begins\n")


def explain(caller: Caller, name: str) -> None:
    """Say why a job's instances are where they are, and what would be done next."""
    from fleet.core.scheduling.plan_builder import schedule

    desired = caller.registry.desired(name)
    job_name = desired.record.name
    actions = [each for each in diff(caller.world) if _is_of(each, job_name)]
    outcome = schedule(caller.world, actions, EPOCH)
    placed = caller.world.by_job().get(job_name, [])
    record = listings.explanation(job_name, placed, outcome, _verdicts(caller.world, desired))
    caller.say(listings.as_json(record) if caller.as_json else listings.explained(record))


def why_not(caller: Caller, name: str, host: str) -> None:
    """Say why a job's next instance would not go to a host."""
    from fleet.core.scheduling.placement import Floor

    desired, view = caller.registry.desired(name), caller.registry.host(host)
    floor = Floor(caller.world)
    reason = floor.why_not(desired, view)
    before: list[str] = []
    if not reason and desired.job is not None:
        own = floor.score(desired.job, view)
        better = (each for each in floor.hosts if floor.score(desired.job, each) < own)
        before = [each.name() for each in better if not floor.why_not(desired, each)]
    if caller.as_json:
        record = {"job": desired.record.name, "host": view.name(), "why": reason, "before": before}
        caller.say(listings.as_json(record))
    elif before:
        caller.say(f"it could; before it come {', '.join(before[:5])}\n")
    else:
        caller.say(f"{reason or 'it would go there'}\n")


def rollout(caller: Caller, name: str, what: str, to: int) -> JobRecord:
    """Pause, resume, or undo a rollout; undo goes to the last stable version, or to one named."""
    desired = caller.registry.desired(name)
    record = desired.record
    match what:
        case "pause" | "resume":
            return caller.registry.change_job(record.name, paused=what == "pause")
        case "undo":
            versions = {each.number: each for each in caller.registry.versions(record.name)}
            stable = desired.rollout.stable if desired.rollout else 0
            earlier = [n for n, each in versions.items() if each.unit != record.unit]
            number = to or (stable if stable in earlier else max(earlier, default=0))
            if number not in versions:
                raise Refused(f"{record.name} has no version to go back to: see `fleetctl history`")
            text = caller.registry.text_of(versions[number].unit)
            note = f"undone: back to version {number}"
            if record.paused:
                caller.registry.change_job(record.name, paused=False)
            target = record.target
            return caller.registry.put_job(record.name, text, target=target, note=note)
        case _:
            raise Refused(f"{what} is none of status, pause, resume, undo")


def history(caller: Caller, name: str) -> None:
    """Show a job's versions."""
    desired = caller.registry.desired(name)
    stable = desired.rollout.stable if desired.rollout else 0
    versions = caller.registry.versions(desired.record.name)
    caller.show(listings.HISTORY_FIELDS, listings.history(versions, stable))


def wait_drained(caller: Caller, host: HostView, timeout_s: float) -> None:
    """Tell of progress until nothing is left on a host."""
    end_s, told = time.monotonic() + timeout_s, ""
    with caller.registry.following() as look:
        while True:
            left = caller.world.hosts[host.id].placed
            if not left:
                caller.progress(f"{host.name()} is empty")
                return
            line = f"{host.name()}: {len(left)} left: {', '.join(p.order.name for p in left[:5])}"
            if line != told:
                told = line
                caller.progress(line)
            if time.monotonic() >= end_s:
                raise Refused(f"{line}; not within {timeout_s:g} s")
            look()


def not_ready(caller: Caller, host: HostView) -> str:
    """Return what keeps a host that came back from being whole, "" if nothing does."""
    view = caller.world.hosts[host.id]
    if view.status is None or not view.caught_up:
        return "its agent has not caught up"
    late = [
        each.order.name for each in view.placed if each.order.want is Want.RUN and not each.settled
    ]
    return f"{late[0]} is not ready" if late else ""


def events(caller: Caller, *, follow: bool, lines: int) -> None:
    """Show decisions and their reasons, the newest last."""
    shown = 0
    while True:
        found = caller.registry.store.list(f"{keys.PREFIX}/events").entries
        fresh = sorted((e for e in found if e.modified > shown), key=lambda each: each.modified)
        for each in fresh if shown else fresh[-lines:]:
            if caller.as_json:
                caller.say(f"{each.value}\n")
            else:
                caller.say(listings.event(msgspec.json.decode(each.value, type=EventRecord)))
        shown = max((each.modified for each in found), default=shown)
        if not follow:
            return
        time.sleep(FOLLOW_S)


def logs(caller: Caller, name: str, *, lines: int, follow: bool) -> None:
    """Show the journals of a job's instances, of all hosts, in the order of time."""
    desired = caller.registry.desired(name)
    placed = caller.world.by_job().get(desired.record.name, [])
    if not placed:
        raise Refused(f"{desired.record.name} is nowhere")
    cursors: dict[tuple[str, str], str] = {}
    while True:
        journals = []
        for each in placed:
            place = each.host.id, each.order.name
            ask = Ask(who(), logs=each.order.name, lines=lines, cursor=cursors.get(place, ""))
            answer = asked(caller, each.host, ask)
            cursors[place] = answer.cursor
            journals.append(answer.out)
        for entry in listings.merged(journals):
            caller.say(listings.log_record(entry) if caller.as_json else entry)
        if not follow:
            return
        time.sleep(FOLLOW_S)


def execute(caller: Caller, where: str, command: list[str]) -> int:
    """Run a command on a host, or where a job's first instance is; return its exit code."""
    answer = asked(caller, _place(caller, where), Ask(who(), command=tuple(command)))
    caller.say(answer.out)
    return answer.code


def asked(caller: Caller, host: HostView, ask: Ask) -> Answer:
    """Ask a host's agent and wait for its answer."""
    if host.status is None:
        raise Refused(f"{host.name()} is silent")
    store, number = caller.registry.store, secrets.token_hex(8)
    store.put(keys.ask(host.id, number), encode(ask), ttl_s=ASK_TTL_S)
    end_s = time.monotonic() + ANSWER_S
    while time.monotonic() < end_s:
        try:
            return msgspec.json.decode(store.get(keys.answer(number)).value, type=Answer)
        except KeyNotFound:
            time.sleep(0.05)
    raise Refused(f"{host.name()} does not answer")


def _place(caller: Caller, where: str) -> HostView:
    name, _, index = where.partition("[")
    jobs = caller.world.jobs
    job_name = name if name in jobs else f"{name}.service"
    for each in caller.world.by_job().get(job_name, []):
        if not index or index.rstrip("]") == str(each.order.index):
            return each.host
    return caller.registry.host(where)


def _progress(world: World, desired: Desired) -> str:
    record = desired.record
    placed = [
        each
        for host in world.hosts.values()
        for each in host.placed
        if each.order.job == record.name
    ]
    told = Counter(each.report.phase.value if each.report else "ordered" for each in placed)
    everywhere = desired.job is not None and desired.job.everywhere
    wanted = f" of {desired.count}" if desired.count and not everywhere else ""
    up = sum(is_up(each) and each.order.version == record.version for each in placed)
    parts = [f"{up}{wanted} done", *(f"{count} {phase}" for phase, count in sorted(told.items()))]
    notes = sorted({each.report.note for each in placed if each.report and each.report.note})
    line = f"{record.name} version {record.version}: {', '.join(parts) if placed else 'not placed'}"
    return "; ".join([line, *notes[:1]])


def _is_of(action: object, name: str) -> bool:
    return bool(getattr(action, "job", "") == name)


def _verdicts(world: World, desired: Desired) -> list[listings.Record]:
    """Return every host's place in a job's order of choice, those that could take one first."""
    from fleet.core.scheduling.placement import Floor

    if desired.job is None:
        return []
    floor = Floor(world)
    found: list[tuple[float, listings.Record]] = []
    for host in floor.hosts:
        reason = floor.why_not(desired, host)
        score = math.inf if reason else floor.score(desired.job, host)
        labels = {k: v for k, v in sorted(constraints.labels_of(host).items()) if k != "id"}
        verdict = {
            "host": host.name(),
            "score": None if reason else round(score, 3),
            "verdict": reason or "could take one",
            "labels": labels,
        }
        found.append((score, verdict))
    found.sort(key=lambda each: each[0])
    return [verdict for _, verdict in found]
