"""Changes of who is in the cluster, in etcdctl's words; `promote` and `move-leader` are ours."""

import msgspec
import typer

from coordinator.client.http.http_client import Request
from coordinator.core.ctl.render import Member, go_json
from coordinator.ctl.api_client import Cluster, Unreachable
from coordinator.ctl.exit_codes import BAD_ARGUMENTS, SERVER_ERROR

MEMBERS = "/v2/members"
_JSON = {"Content-Type": "application/json"}


class _Message(msgspec.Struct):
    message: str = ""


def add(cluster: Cluster, name: str, peer_url: str, *, as_json: bool) -> None:
    """Add a member, and print how it is to be started."""
    before = _members(cluster)
    urls = peer_url.split(",")
    added = msgspec.json.decode(_change(cluster, "POST", MEMBERS, {"peerURLs": urls}), type=Member)
    if as_json:
        typer.echo(go_json(added))
        return
    known = [f"{member.name}={url}" for member in before for url in member.peer_urls if member.name]
    initial = ",".join([*known, *(f"{name}={url}" for url in urls)])
    typer.echo(f"Added member named {name} with ID {added.id} to cluster\n")
    typer.echo(f'ETCD_NAME="{name}"')
    typer.echo(f'ETCD_INITIAL_CLUSTER="{initial}"')
    typer.echo('ETCD_INITIAL_CLUSTER_STATE="existing"')


def remove(cluster: Cluster, member: str) -> None:
    """Remove a member for ever."""
    _find(cluster, member)
    _change(cluster, "DELETE", f"{MEMBERS}/{member}")
    typer.echo(f"Removed member {member} from cluster")


def update(cluster: Cluster, member: str, peer_urls: str) -> None:
    """Give a member other peer URLs."""
    _change(cluster, "PUT", f"{MEMBERS}/{member}", {"peerURLs": peer_urls.split(",")})
    typer.echo(f"Updated member with ID {member} in cluster")


def promote(cluster: Cluster, member: str) -> None:
    """Give a learner its vote now; by itself it gets it once it has caught up."""
    _find(cluster, member)
    _change(cluster, "POST", f"{MEMBERS}/{member}/promote")
    typer.echo(f"Promoted member {member}: it votes")


def move_leader(cluster: Cluster, target: str) -> None:
    """Hand leadership to a member, or to any other one."""
    _change(cluster, "POST", f"{MEMBERS}/leader", {"id": target})
    try:
        leader = cluster.leader()
    except Unreachable as failure:
        cluster.give_up(failure, SERVER_ERROR)
    typer.echo(f"{leader.name or leader.id} ({leader.id}) leads")


def _members(cluster: Cluster) -> tuple[Member, ...]:
    try:
        return cluster.members()
    except Unreachable as failure:
        cluster.give_up(failure, BAD_ARGUMENTS)


def _find(cluster: Cluster, member: str) -> None:
    if member not in {known.id for known in _members(cluster)}:
        told = f"Couldn't find a member in the cluster with an ID of {member}."
        cluster.give_up(told, BAD_ARGUMENTS)


def _change(cluster: Cluster, method: str, path: str, content: object = None) -> bytes:
    body = None if content is None else msgspec.json.encode(content)
    headers = _JSON if body is not None else {}
    try:
        status, answer = cluster.change(
            Request(method, path, once=True, json=body, headers=headers)
        )
    except Unreachable as failure:
        cluster.give_up(failure, BAD_ARGUMENTS)
    if status >= 400:
        told = msgspec.json.decode(answer or b"{}", type=_Message).message
        cluster.give_up(told or f"{method} {path}: {status}", BAD_ARGUMENTS)
    return answer
