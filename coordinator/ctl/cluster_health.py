"""Who is in the cluster, and who of them is well."""

import time
from collections.abc import Iterator

import msgspec
import typer

from coordinator.core.ctl.render import Health, Member, go_json
from coordinator.ctl.api_client import Cluster, PageFailed, Unreachable
from coordinator.ctl.exit_codes import BAD_ARGUMENTS, NOT_HEALTHY, SERVER_ERROR

# etcdctl's interval.
CHECK_S = 10
HEALTHY = "healthy"


class Checked(msgspec.Struct, frozen=True):
    """One member's health; `lines` say how it was found out, in etcdctl's words."""

    id: str
    name: str
    status: str
    lines: tuple[str, ...]


def members(cluster: Cluster, *, as_json: bool) -> None:
    """Print the members."""
    try:
        found, leader = cluster.members(), cluster.leader()
    except Unreachable as failure:
        cluster.give_up(failure, BAD_ARGUMENTS)
    if as_json:
        rows = [msgspec.to_builtins(m) | {"isLeader": m.id == leader.id} for m in found]
        typer.echo(go_json({"members": rows}))
        return
    for member in found:
        typer.echo(_row(member, leader))


def _row(member: Member, leader: Member) -> str:
    peers, clients = ",".join(member.peer_urls), ",".join(member.client_urls)
    if not member.name:
        return f"{member.id}[unstarted]: peerURLs={peers}"
    leads = str(member.id == leader.id).lower()
    return f"{member.id}: name={member.name} peerURLs={peers} clientURLs={clients} isLeader={leads}"


def health(cluster: Cluster, *, as_json: bool, forever: bool) -> int:
    """Print each member's health; return the exit code."""
    try:
        found = cluster.members()
    except Unreachable as failure:
        if not as_json:
            typer.echo("cluster may be unhealthy: failed to list members")
        cluster.give_up(failure, SERVER_ERROR)
    while True:
        verdict = _print_health([_checked(cluster, member) for member in found], as_json=as_json)
        if not forever:
            return 0 if verdict == HEALTHY else NOT_HEALTHY
        if not as_json:
            typer.echo(f"\nnext check after {CHECK_S} second...\n")
        time.sleep(CHECK_S)


def _print_health(checks: list[Checked], *, as_json: bool) -> str:
    verdict = _verdict({check.status for check in checks})
    if as_json:
        typer.echo(go_json({"cluster": verdict, "members": checks}))
        return verdict
    for check in checks:
        for line in check.lines:
            typer.echo(line)
    typer.echo(f"cluster is {verdict}")
    return verdict


def _verdict(found: set[str]) -> str:
    if found == {HEALTHY}:
        return HEALTHY
    return "degraded" if HEALTHY in found else "unavailable"


def _checked(cluster: Cluster, member: Member) -> Checked:
    attempts = list(_attempts(cluster, member))
    status, _ = attempts[-1]
    return Checked(member.id, member.name, status, tuple(line for _, line in attempts))


def _attempts(cluster: Cluster, member: Member) -> Iterator[tuple[str, str]]:
    """Ask the member's URLs until one answers."""
    who = f"member {member.id}"
    if not member.client_urls:
        yield "unreachable", f"{who} is unreachable: no available published client urls"
        return
    for url in member.client_urls:
        try:
            answer = msgspec.json.decode(cluster.get(f"{url}/health"), type=Health)
        except (PageFailed, msgspec.DecodeError) as error:
            yield "unreachable", f"failed to check the health of {who} on {url}: {error}"
            continue
        status = HEALTHY if answer.ok else "unhealthy"
        yield status, f"{who} is {status}: got {status} result from {url}"
        return
    urls = " ".join(member.client_urls)
    yield "unreachable", f"{who} is unreachable: [{urls}] are all unreachable"
