"""The progress of a rollout: it begins, advances, becomes stable, or fails and is reverted.

A rollout fails when an instance of the newest version fails again and again, or when no instance
has become ready within the job's deadline. It is reverted to the last stable version once: if the
failed version has the same unit as the stable one, there is nothing to revert to. So two versions
never alternate.
"""

from collections.abc import Iterable, Iterator

from fleet.core.model import DesiredState, Phase, TargetState
from fleet.core.scheduling.actions import Action, Advance, Begin, Fail, Revert, Stable
from fleet.core.scheduling.cluster_state import DesiredJob, Instance


def actions(desired: DesiredJob, instances: Iterable[Instance], wanted: int) -> Iterator[Action]:
    """Yield the actions on a job's rollout. It is stable once `wanted` instances are available."""
    record, rollout = desired.record, desired.rollout
    if record.target not in (TargetState.LAUNCHED, TargetState.LOADED) or desired.job is None:
        return
    if rollout is None or rollout.version != record.version:
        yield Begin(record.name, f"version {record.version} is new")
        return
    if rollout.state == "stable":
        return
    running = [each for each in instances if not each.is_stopping]
    newest = [each for each in running if each.allocation.unit == record.unit]
    available = sum(1 for each in newest if is_up(each))
    if available >= wanted and len(newest) == len(running):
        yield Stable(record.name, f"all {wanted} are ready")
    elif available != rollout.available:
        yield Advance(record.name, available, f"{available} of {wanted} are ready")
    elif rollout.state == "rolling" and not record.paused:
        failed = next((each for each in newest if each.is_failed), None)
        deadline_s = desired.job.update.deadline_s
        if failed is not None:
            yield _fail(desired, f"it failed again and again on {failed.host.name()}")
        elif desired.stalled_s > deadline_s:
            yield _fail(desired, f"no progress for {deadline_s:g} s")


def is_up(instance: Instance) -> bool:
    """Return whether an instance has its desired state: loaded, or ready for long enough."""
    if instance.allocation.desired_state is DesiredState.LOAD:
        return instance.report is not None and instance.report.phase is Phase.LOADED
    return instance.is_available


def _fail(desired: DesiredJob, reason: str) -> Action:
    record, rollout = desired.record, desired.rollout
    assert desired.job is not None
    assert rollout is not None
    if not desired.job.update.revert:
        return Fail(record.name, f"{reason}; the job has UpdateRevert=no")
    if not rollout.stable or not rollout.stable_unit:
        return Fail(record.name, f"{reason}; no earlier version was stable")
    if rollout.stable_unit == record.unit:
        return Fail(record.name, f"{reason}; the last stable version has the same unit")
    return Revert(record.name, rollout.stable, reason)
