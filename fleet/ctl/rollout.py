"""fleetctl rollout: watch, pause, resume or undo the newest version of a job."""

from typing import TYPE_CHECKING, Annotated

import typer

from fleet.ctl import job
from fleet.ctl.arguments import WAIT_S, JobName, NoBlock, SignKey, Timeout
from fleet.ctl.invocation import Invocation, invocation

if TYPE_CHECKING:
    from fleet.core.model import JobRecord


def rollout(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="status|pause|resume|undo", help="What to do.")],
    name: JobName,
    *,
    to: Annotated[
        int,
        typer.Option("--to", help="Version that `undo` goes back to; 0 means the last stable one."),
    ] = 0,
    sign_key: SignKey = None,
    no_block: NoBlock = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Watch, pause, resume or undo a rollout.

    The rollout is that of the job's newest version. `undo` goes back to the last stable version.
    """
    if what == "status":
        job.status(context, [name])
        return
    from fleet.ctl.wait import wait_for_jobs

    ctl = invocation(context)
    ctl.sign_with(sign_key)
    record = _change(ctl, name, what, to)
    ctl.say(f"{record.name} version {record.version}: {record.note or what}\n")
    if what != "pause" and not no_block:
        wait_for_jobs(ctl, [record.name], timeout)


def _change(ctl: Invocation, name: str, what: str, to: int) -> "JobRecord":
    from fleet.ctl.registry import Refused

    match what:
        case "pause" | "resume":
            return ctl.registry.change_job(name, paused=what == "pause")
        case "undo":
            return _undo(ctl, name, to)
        case _:
            raise Refused(f"{what!r} is not one of status, pause, resume, undo")


def _undo(ctl: Invocation, name: str, to: int) -> "JobRecord":
    """Go back to a version: the given one, else the last stable one, else the latest other."""
    from fleet.ctl.registry import Refused

    registry = ctl.registry
    desired = registry.desired(name)
    record = desired.record
    versions = {each.number: each for each in registry.versions(record.name)}
    stable = desired.rollout.stable if desired.rollout else 0
    earlier = [number for number, each in versions.items() if each.unit != record.unit]
    number = to or (stable if stable in earlier else max(earlier, default=0))
    if number not in versions:
        raise Refused(f"{record.name} has no version to go back to: see `fleetctl history`")
    text = registry.text_of(versions[number].unit)
    if record.paused:
        registry.change_job(record.name, paused=False)
    note = f"undone: back to version {number}"
    return registry.put_job(record.name, text, target=record.target, note=note, signer=ctl.signer)
