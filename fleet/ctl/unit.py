"""The commands that fleet had: submit, load, start, stop, unload, destroy, cat, list-*."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.core.ctl.columns import FILE_FIELDS, MACHINE_FIELDS, UNIT_FIELDS
from fleet.ctl.arguments import (
    WAIT_S,
    Full,
    JobName,
    NoBlock,
    NoLegend,
    Replace,
    SignKey,
    Timeout,
    UnitNames,
)
from fleet.ctl.invocation import Invocation, invocation

if TYPE_CHECKING:
    from fleet.core.model import TargetState


def submit(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    names: UnitNames,
    *,
    no_block: NoBlock = False,  # noqa: ARG001 - nothing is waited for
    replace: Replace = False,
    sign_key: SignKey = None,
    timeout: Timeout = WAIT_S,  # noqa: ARG001
) -> None:
    """Add units to the store without running them."""
    from fleet.core.model import TargetState

    ctl = invocation(context)
    ctl.sign_with(sign_key)
    for name in names:
        _raise_target(ctl, name, TargetState.INACTIVE, replace=replace)


def load(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    names: UnitNames,
    *,
    no_block: NoBlock = False,
    replace: Replace = False,
    sign_key: SignKey = None,
    timeout: Timeout = WAIT_S,
) -> None:
    """Place units on hosts without starting them."""
    from fleet.core.model import TargetState

    ctl = invocation(context)
    ctl.sign_with(sign_key)
    jobs = [_raise_target(ctl, name, TargetState.LOADED, replace=replace) for name in names]
    _wait(ctl, jobs, timeout, no_block=no_block)


def start(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    names: UnitNames,
    *,
    no_block: NoBlock = False,
    replace: Replace = False,
    sign_key: SignKey = None,
    timeout: Timeout = WAIT_S,
) -> None:
    """Start units."""
    from fleet.core.model import TargetState

    ctl = invocation(context)
    ctl.sign_with(sign_key)
    jobs = [_raise_target(ctl, name, TargetState.LAUNCHED, replace=replace) for name in names]
    _wait(ctl, jobs, timeout, no_block=no_block)


def stop(
    context: typer.Context,
    names: UnitNames,
    *,
    no_block: NoBlock = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Stop units. They keep their hosts."""
    from fleet.core.model import TargetState

    ctl = invocation(context)
    _wait(ctl, _lower_targets(ctl, names, TargetState.LOADED), timeout, no_block=no_block)


def unload(
    context: typer.Context,
    names: UnitNames,
    *,
    no_block: NoBlock = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Stop units and release their hosts. The store keeps the units."""
    from fleet.core.model import TargetState

    ctl = invocation(context)
    _wait(ctl, _lower_targets(ctl, names, TargetState.INACTIVE), timeout, no_block=no_block)


def destroy(
    context: typer.Context,
    names: UnitNames,
    *,
    no_block: NoBlock = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Stop units and remove them from the store."""
    from fleet.core.model import TargetState

    ctl = invocation(context)
    _wait(ctl, _lower_targets(ctl, names, TargetState.DESTROYED), timeout, no_block=no_block)


def cat(context: typer.Context, name: JobName) -> None:
    """Print the unit file of a job as it was submitted."""
    ctl = invocation(context)
    ctl.say_exactly(ctl.registry.desired(name).text)


def list_units(
    context: typer.Context,
    *,
    fields: Annotated[
        str, typer.Option("--fields", help=f"Columns to print, from {','.join(UNIT_FIELDS)}.")
    ] = "unit,machine,active,sub",
    full: Full = False,
    no_legend: NoLegend = False,
) -> None:
    """List the units that are placed, and their hosts."""
    from fleet.core.ctl import listings

    ctl = invocation(context)
    rows = listings.units(ctl.cluster, full=full)
    _show(ctl, rows, (fields, UNIT_FIELDS), no_legend=no_legend)


def list_unit_files(
    context: typer.Context,
    *,
    fields: Annotated[
        str, typer.Option("--fields", help=f"Columns to print, from {','.join(FILE_FIELDS)}.")
    ] = "unit,hash,dstate,state,target",
    full: Full = False,
    no_legend: NoLegend = False,
) -> None:
    """List the units in the store."""
    from fleet.core.ctl import listings

    ctl = invocation(context)
    rows = listings.unit_files(ctl.cluster, full=full)
    _show(ctl, rows, (fields, FILE_FIELDS), no_legend=no_legend)


def list_machines(
    context: typer.Context,
    *,
    fields: Annotated[
        str, typer.Option("--fields", help=f"Columns to print, from {','.join(MACHINE_FIELDS)}.")
    ] = "machine,ip,metadata",
    full: Full = False,
    no_legend: NoLegend = False,
) -> None:
    """List the hosts whose agents answer."""
    from fleet.core.ctl import listings

    ctl = invocation(context)
    rows = listings.machines(ctl.cluster, full=full)
    _show(ctl, rows, (fields, MACHINE_FIELDS), no_legend=no_legend)


def _raise_target(ctl: Invocation, path: str, target: "TargetState", *, replace: bool) -> str:
    """Bring a unit up to a target state. A file is read only for a unit that is not known yet."""
    from fleet.core.model import TargetState
    from fleet.ctl.unit_source import find_unit

    jobs, name = ctl.cluster.jobs, Path(path).name
    known = jobs.get(name) or jobs.get(f"{name}.service")
    is_known = known is not None and known.record.target is not TargetState.DESTROYED
    if known is not None and is_known and not replace:
        if known.record.target is not target and target is not TargetState.INACTIVE:
            ctl.registry.change_job(known.record.name, target=target)
        return known.record.name
    name, text = find_unit(ctl, path)
    return ctl.registry.put_job(name, text, target=target, signer=ctl.signer).name


def _lower_targets(ctl: Invocation, names: Iterable[str], target: "TargetState") -> list[str]:
    """Bring units down to a target state."""
    from fleet.core.model import TargetState

    records = [ctl.registry.desired(Path(name).name).record for name in names]
    for record in records:
        if record.target is not TargetState.DESTROYED:
            ctl.registry.change_job(record.name, target=target)
    return [record.name for record in records]


def _wait(ctl: Invocation, jobs: list[str], timeout_s: float, *, no_block: bool) -> None:
    if not no_block:
        from fleet.ctl.wait import wait_for_jobs

        wait_for_jobs(ctl, jobs, timeout_s)


def _show(
    ctl: Invocation,
    rows: Iterable[Mapping[str, str]],
    columns: tuple[str, Sequence[str]],
    *,
    no_legend: bool,
) -> None:
    """Print the columns that --fields names, of those there are."""
    from daemonkit.core import text_table
    from fleet.ctl.registry import Refused

    fields, known = columns
    names = fields.split(",")
    if unknown := set(names) - set(known):
        raise Refused(f"there is no field {min(unknown)!r}: choose from {','.join(known)}")
    found = list(rows)
    if ctl.as_json:
        ctl.say_json(found)
        return
    head = [name.upper() for name in names]
    cells = [[row[name] for name in names] for row in found]
    text = text_table.show([head, *cells])
    ctl.say(text.partition("\n")[2] if no_legend else text)
