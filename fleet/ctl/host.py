"""fleetctl hosts, top, drain, cordon, uncordon, back: commands about a host."""

from typing import TYPE_CHECKING

import typer

from fleet.core.ctl.columns import HOST_FIELDS, TOP_FIELDS
from fleet.ctl.arguments import (
    DRAIN_S,
    REBOOT_DRAIN_S,
    STOP_S,
    Deadline,
    HostName,
    NoBlock,
    Reason,
    Reboot,
)
from fleet.ctl.invocation import Invocation, invocation

if TYPE_CHECKING:
    from fleet.core.scheduling.cluster_state import Host

# The exit code that makes the calling hook try again (EX_TEMPFAIL).
EXIT_RETRY = 75


def hosts(context: typer.Context) -> None:
    """Show the hosts and their state, lost ones too."""
    from fleet.core.ctl import listings

    ctl = invocation(context)
    ctl.show(HOST_FIELDS, listings.hosts(ctl.cluster))
    ctl.report_faults()
    if ctl.cluster.published_health.storm:
        ctl.progress(
            "Many hosts fell silent at once. The scheduler starts their instances elsewhere "
            "if they stay silent for more than ten minutes."
        )


def top(context: typer.Context) -> None:
    """Show the load of the hosts, the busiest first."""
    from fleet.core.ctl import listings

    ctl = invocation(context)
    ctl.show(TOP_FIELDS, listings.top(ctl.cluster))


def drain(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    host: HostName,
    *,
    reason: Reason = "",
    deadline: Deadline = None,
    reboot: Reboot = False,
    no_block: NoBlock = False,
) -> None:
    """Move all instances off a host, and wait.

    Keeps as many instances ready as the MinAvailable= of each job says. Instances that no other
    host could take by the deadline are stopped, and start again when the drain ends.
    """
    from fleet.ctl.wait import wait_until_drained

    ctl = invocation(context)
    view = ctl.registry.host(host)
    if deadline is None:
        deadline = REBOOT_DRAIN_S if reboot else DRAIN_S
    ctl.registry.drain(view, reason, deadline, reboot=reboot)
    if not no_block:
        wait_until_drained(ctl, view, deadline + STOP_S, reboot=reboot)


def cordon(context: typer.Context, host: HostName, *, reason: Reason = "") -> None:
    """Place no new instances on a host."""
    ctl = invocation(context)
    ctl.registry.cordon(ctl.registry.host(host), reason)


def uncordon(context: typer.Context, host: HostName) -> None:
    """End the cordon and the drain of a host."""
    ctl = invocation(context)
    ctl.registry.uncordon(ctl.registry.host(host))


def back(context: typer.Context, host: HostName = "self") -> None:
    """End a drain for a reboot, and check the host.

    Exits with 75 until the host's instances are ready, so that the caller tries again. Made for
    healthy.d of locksmith.
    """
    ctl = invocation(context)
    if reason := _not_back_reason(ctl, ctl.registry.host(host)):
        ctl.progress(reason)
        raise typer.Exit(EXIT_RETRY)


def _not_back_reason(ctl: Invocation, host: "Host") -> str:
    if host.drain is not None and host.drain.reboot:
        if host.status is None or host.status.boot_id == host.drain.boot_id:
            return "the host has not rebooted yet, or its agent is silent"
        ctl.registry.uncordon(host)
        return "the drain has just ended"
    return _not_ready_reason(host)


def _not_ready_reason(host: "Host") -> str:
    """Return why a host that came back is not ready, "" if it is."""
    from fleet.core.model import DesiredState

    if host.status is None or not host.caught_up:
        return "the agent does not follow the newest plan yet"
    late = [
        each.allocation.name
        for each in host.instances
        if each.allocation.desired_state is DesiredState.RUN and not each.is_available
    ]
    return f"{late[0]} is not ready" if late else ""
