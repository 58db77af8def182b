"""fleetctl run, plan, status, scale, history, explain, why-not: commands about a job."""

from typing import Annotated

import typer

from fleet.ctl.arguments import (
    WAIT_S,
    Count,
    HostName,
    JobName,
    NoBlock,
    Note,
    SignKey,
    Timeout,
    UnitFile,
)
from fleet.ctl.invocation import invocation

EXIT_CHANGES = 1


def run(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    file: UnitFile,
    *,
    count: Count = None,
    note: Note = "",
    sign_key: SignKey = None,
    no_block: NoBlock = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Run a job, or its next version, and wait.

    Waits until all instances of the new version are ready.
    """
    from fleet.core.model import TargetState
    from fleet.ctl.unit_source import find_unit
    from fleet.ctl.wait import wait_for_jobs

    ctl = invocation(context)
    ctl.sign_with(sign_key)
    name, text = find_unit(ctl, file)
    record = ctl.registry.put_job(
        name, text, target=TargetState.LAUNCHED, count=count, note=note, signer=ctl.signer
    )
    if not no_block:
        wait_for_jobs(ctl, [record.name], timeout)
    ctl.say(f"{record.name} version {record.version}\n")


def plan(context: typer.Context, file: UnitFile, *, count: Count = None) -> None:
    """Show what `run` would change.

    Exits with 0 if nothing would change, 1 if something would, 2 if the unit cannot run.
    """
    from fleet.ctl.dry_run import planned_changes
    from fleet.ctl.unit_source import find_unit

    ctl = invocation(context)
    name, text = find_unit(ctl, file)
    changes = planned_changes(ctl.registry.cache, name, text, count)
    if changes is None:
        ctl.say_json([]) if ctl.as_json else ctl.say(f"{name}: no change\n")
        return
    if ctl.as_json:
        ctl.say_json(changes.lines)
    else:
        ctl.say("".join(f"{line}\n" for line in changes.lines))
    if changes.actions:
        raise typer.Exit(EXIT_CHANGES)


def status(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="JOB", help="Names of jobs; by default all jobs.")
    ] = None,
) -> None:
    """Show jobs with their rollouts and instances."""
    from fleet.core.ctl import listings, render

    ctl = invocation(context)
    instances = ctl.cluster.instances_by_job()
    wanted = [ctl.registry.desired(name) for name in names or []] or [
        ctl.cluster.jobs[name] for name in sorted(ctl.cluster.jobs)
    ]
    jobs = [listings.job(each, instances.get(each.record.name, [])) for each in wanted]
    if ctl.as_json:
        ctl.say_json(jobs)
    else:
        text = "\n".join(map(render.job_status, jobs))
        ctl.say(text or "There are no jobs. Start one with `fleetctl run FILE`.\n")
    ctl.report_faults()


def scale(
    context: typer.Context,
    name: JobName,
    count: Annotated[int, typer.Argument(metavar="N", help="Number of instances.")],
    *,
    no_block: NoBlock = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Set the number of instances of a job."""
    from fleet.ctl.registry import Refused
    from fleet.ctl.wait import wait_for_jobs

    ctl = invocation(context)
    desired = ctl.registry.desired(name)
    if desired.job is None or not desired.job.counted:
        raise Refused(f"{name} has no Count= in its [X-Fleet] section")
    record = ctl.registry.change_job(desired.record.name, count=count)
    if not no_block:
        wait_for_jobs(ctl, [record.name], timeout)


def history(context: typer.Context, name: JobName) -> None:
    """Show the versions of a job.

    Each version has its time, its author, and whether it is the last stable one.
    """
    from fleet.core.ctl import columns, listings

    ctl = invocation(context)
    desired = ctl.registry.desired(name)
    stable = desired.rollout.stable if desired.rollout else 0
    versions = ctl.registry.versions(desired.record.name)
    ctl.show(columns.HISTORY_FIELDS, listings.history(versions, stable))


def explain(context: typer.Context, name: JobName) -> None:
    """Show why a job's instances are where they are.

    Shows also what the scheduler does next, and how it ranks the hosts.
    """
    from fleet.core.ctl import render
    from fleet.ctl.dry_run import explanation

    ctl = invocation(context)
    record = explanation(ctl.cluster, ctl.registry.desired(name))
    if ctl.as_json:
        ctl.say_json(record)
    else:
        ctl.say(render.explanation(record))


def why_not(context: typer.Context, name: JobName, host: HostName) -> None:
    """Show why a job's next instance does not go to a host."""
    from fleet.ctl.dry_run import placement_on

    ctl = invocation(context)
    desired, view = ctl.registry.desired(name), ctl.registry.host(host)
    reason, better = placement_on(ctl.cluster, desired, view)
    if ctl.as_json:
        ctl.say_json(
            {"job": desired.record.name, "host": view.name(), "why": reason, "before": better}
        )
    elif better:
        ctl.say(f"It could go there, but these hosts are better: {', '.join(better[:5])}\n")
    else:
        ctl.say(f"{reason or 'It would go there.'}\n")
