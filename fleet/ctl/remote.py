"""fleetctl logs, journal, exec: requests to the agent of a host."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.ctl.arguments import Follow, JobName, Lines
from fleet.ctl.invocation import Invocation, invocation

if TYPE_CHECKING:
    from fleet.core.model import RemoteRequest, RemoteResponse
    from fleet.core.scheduling.cluster_state import Host

# An unanswered request expires in the store after this time.
REQUEST_TTL_S = 60
RESPONSE_WAIT_S = 55.0
POLL_S = 0.05
FOLLOW_S = 1.0


def logs(
    context: typer.Context, name: JobName, *, lines: Lines = 100, follow: Follow = False
) -> None:
    """Show the logs of all instances of a job, merged by time."""
    _show_journals(invocation(context), name, lines=lines, follow=follow)


def journal(
    context: typer.Context, name: JobName, *, lines: Lines = 10, follow: Follow = False
) -> None:
    """Show the logs of a unit on every host where it runs."""
    _show_journals(invocation(context), name, lines=lines, follow=follow)


def execute(
    context: typer.Context,
    where: Annotated[str, typer.Argument(metavar="JOB[N]|HOST", help="An instance, or a host.")],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="The command and its arguments.")
    ],
) -> None:
    """Run a command on a host, as root.

    Prints its output and exits with its exit code.
    """
    from daemonkit.host.author import author
    from fleet.core.model import RemoteRequest

    ctl = invocation(context)
    response = request(ctl, _host_of(ctl, where), RemoteRequest(author(), command=tuple(command)))
    ctl.say_exactly(response.out)
    raise typer.Exit(response.code)


def request(ctl: Invocation, host: "Host", asked: "RemoteRequest") -> "RemoteResponse":
    """Send a request to a host's agent and wait for the response. Raises Refused."""
    import secrets

    from coordinator.client import KeyNotFound
    from fleet.core import keys
    from fleet.core.model import RemoteResponse, decode, encode
    from fleet.ctl.registry import Refused

    if host.status is None:
        raise Refused(f"the agent of {host.name()} is silent")
    store, number = ctl.registry.store, secrets.token_hex(8)
    store.put(keys.request(host.id, number), encode(asked), ttl_s=REQUEST_TTL_S)
    end_s = time.monotonic() + RESPONSE_WAIT_S
    while time.monotonic() < end_s:
        try:
            return decode(store.get(keys.response(number)).value, RemoteResponse)
        except KeyNotFound:
            time.sleep(POLL_S)
    raise Refused(f"{host.name()} did not answer within {RESPONSE_WAIT_S:g} s")


def _show_journals(ctl: Invocation, name: str, *, lines: int, follow: bool) -> None:
    from daemonkit.host.author import author
    from fleet.core.ctl import journal
    from fleet.core.model import RemoteRequest
    from fleet.ctl.registry import Refused

    desired = ctl.registry.desired(name)
    instances = ctl.cluster.instances_by_job().get(desired.record.name, [])
    if not instances:
        raise Refused(f"{desired.record.name} runs nowhere")
    cursors: dict[tuple[str, str], str] = {}
    while True:
        journals = []
        for each in instances:
            unit = each.allocation.name
            cursor = cursors.get((each.host.id, unit), "")
            asked = RemoteRequest(author(), logs=unit, lines=lines, cursor=cursor)
            response = request(ctl, each.host, asked)
            cursors[each.host.id, unit] = response.cursor
            journals.append(response.out)
        for entry in journal.merge(journals):
            ctl.say(journal.as_json(entry) if ctl.as_json else entry)
        if not follow:
            return
        time.sleep(FOLLOW_S)


def _host_of(ctl: Invocation, where: str) -> "Host":
    """Return the host of an instance, of a job's first instance, or the host of this name."""
    name, _, index = where.partition("[")
    jobs = ctl.cluster.jobs
    job = name if name in jobs else f"{name}.service"
    for each in ctl.cluster.instances_by_job().get(job, []):
        if not index or index.rstrip("]") == str(each.allocation.index):
            return each.host
    return ctl.registry.host(where)
