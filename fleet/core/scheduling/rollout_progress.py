"""How the newest version of a job does: begins, advances, is stable, fails, goes back.

A rollout fails when an instance of the newest version dies again and again, or when nothing has
become ready for the job's deadline. It goes back to the last stable version once: a version whose
unit is that of the stable one has nothing to go back to, and so no two versions chase each other.
"""

from collections.abc import Iterable, Iterator

from fleet.core.model import Phase, Target, Want
from fleet.core.scheduling.actions import Action, Advance, Begin, Fail, Revert, Stable
from fleet.core.scheduling.cluster_state import Desired, Placed


def judge(
    now_s: float, desired: Desired, placed: Iterable[Placed], wanted: int
) -> Iterator[Action]:
    """Yield what becomes of a job's rollout; `wanted` instances make it stable."""
    record, rollout = desired.record, desired.rollout
    if record.target not in (Target.LAUNCHED, Target.LOADED) or desired.job is None:
        return
    if rollout is None or rollout.version != record.version:
        yield Begin(record.name, f"version {record.version} is new")
        return
    if rollout.state == "stable":
        return
    running = [each for each in placed if each.order.want is not Want.STOP]
    newest = [each for each in running if each.order.unit == record.unit]
    up = sum(1 for each in newest if is_up(each))
    if up >= wanted and len(newest) == len(running):
        yield Stable(record.name, f"all {wanted} are ready")
    elif up != rollout.settled:
        yield Advance(record.name, up, f"{up} of {wanted} are ready")
    elif rollout.state == "rolling" and not record.paused:
        overdue = now_s - rollout.progress_s > desired.job.update.deadline_s
        dying = next((each for each in newest if each.failed), None)
        if dying is not None:
            yield _given_up(desired, f"it died again and again on {dying.host.name()}")
        elif overdue:
            yield _given_up(desired, f"no progress for {desired.job.update.deadline_s:g} s")


def is_up(placed: Placed) -> bool:
    """Say whether an instance does what its order wants, for long enough."""
    if placed.order.want is Want.LOAD:
        return placed.report is not None and placed.report.phase is Phase.LOADED
    return placed.settled


def _given_up(desired: Desired, why: str) -> Action:
    record, rollout = desired.record, desired.rollout
    assert desired.job is not None
    assert rollout is not None
    if not desired.job.update.revert:
        return Fail(record.name, f"{why}; the job wants no revert")
    if not rollout.stable or not rollout.stable_unit:
        return Fail(record.name, f"{why}; no version was stable before")
    if rollout.stable_unit == record.unit:
        return Fail(record.name, f"{why}; the last stable version is the same unit")
    return Revert(record.name, rollout.stable, why)
