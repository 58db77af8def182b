"""Shows what the scheduler would do: the production code, on the fleet as it was read.

This module imports numpy, so import it only in a command that needs it.
"""

import math
from dataclasses import dataclass
from typing import Any

from fleet.core.ctl import listings
from fleet.core.ctl.listings import Row
from fleet.core.jobs import jobspec
from fleet.core.model import JobRecord, TargetState, digest
from fleet.core.scheduling import constraints
from fleet.core.scheduling.actions import Action, describe
from fleet.core.scheduling.cluster_cache import ClusterCache, with_job
from fleet.core.scheduling.cluster_state import ClusterState, DesiredJob, Host
from fleet.core.scheduling.placement import Placer
from fleet.core.scheduling.plan_builder import build_plans
from fleet.core.scheduling.reconcile import reconcile

# The revision and epoch of records that are never written: later than any written one.
IMAGINARY = 1 << 40


@dataclass(frozen=True, slots=True)
class PlannedChanges:
    """The changes that a unit would make, one line each."""

    actions: list[Action]
    lines: list[str]


def planned_changes(
    cache: ClusterCache, name: str, text: str, count: int | None
) -> PlannedChanges | None:
    """Return the changes of running a unit; None if it already runs like this."""
    known = cache.cluster.jobs.get(name)
    old = known.record if known else None
    is_new = old is None or old.unit != digest(text)
    if old and old.target is TargetState.LAUNCHED and not is_new and count in (None, old.count):
        return None
    record = JobRecord(
        name=name,
        version=(old.version if old else 0) + is_new,
        rev=IMAGINARY,
        unit=digest(text),
        target=TargetState.LAUNCHED,
        count=count if count is not None or old is None else old.count,
    )
    jobspec.parse(name, text)
    cluster = with_job(cache, record, text)
    actions = [each for each in reconcile(cluster) if _is_about(each, name)]
    outcome = build_plans(cluster, actions, IMAGINARY)
    lines = outcome.decisions or [describe(each) for each in actions]
    lines += [f"cannot place {name}[{n.place.index}]: {n.why}" for n in outcome.unplaced]
    return PlannedChanges(actions, lines)


def explanation(cluster: ClusterState, desired: DesiredJob) -> dict[str, Any]:
    """Return why a job's instances are where they are, what comes next, and how hosts rank."""
    name = desired.record.name
    actions = [each for each in reconcile(cluster) if _is_about(each, name)]
    outcome = build_plans(cluster, actions, IMAGINARY)
    return {
        "job": name,
        "placed": listings.placement_reasons(cluster.instances_by_job().get(name, [])),
        "next": outcome.decisions,
        "held": outcome.held.get(name, ""),
        "unplaced": [
            {"instance": f"{name}[{each.place.index}]", "why": each.why}
            for each in outcome.unplaced
        ],
        "hosts": _ranking(cluster, desired),
    }


def placement_on(cluster: ClusterState, desired: DesiredJob, host: Host) -> tuple[str, list[str]]:
    """Return why the next instance cannot go to a host, or the hosts that rank before it."""
    placer = Placer(cluster)
    reason = placer.why_not(desired, host)
    if reason or desired.job is None:
        return reason, []
    own = placer.score(desired.job, host)
    better = (each for each in placer.hosts if placer.score(desired.job, each) < own)
    return "", [each.name() for each in better if not placer.why_not(desired, each)]


def _ranking(cluster: ClusterState, desired: DesiredJob) -> list[Row]:
    """Return every host that takes work with its score; the best first."""
    if desired.job is None:
        return []
    placer = Placer(cluster)
    found: list[tuple[float, Row]] = []
    for host in placer.hosts:
        reason = placer.why_not(desired, host)
        score = math.inf if reason else placer.score(desired.job, host)
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


def _is_about(action: Action, name: str) -> bool:
    return bool(getattr(action, "job", "") == name)
