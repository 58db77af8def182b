"""What coordctl's commands about members do, in etcdctl's words. `promote` and `move-leader` are
ours.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from coordinator.client.core.http_request import HttpRequest
from coordinator.core.ctl.member_rows import (
    certificate_lines,
    member_line,
    member_row,
    mixed_versions,
    with_versions,
)
from coordinator.core.ctl.render import go_json
from coordinator.core.ctl.results import (
    CertificateEnds,
    HealthResponse,
    MemberError,
    MemberHealth,
    MemberInfo,
)
from coordinator.ctl.api_client import ApiClient, ClusterUnreachable, FetchFailed
from coordinator.ctl.exit_codes import BAD_ARGUMENTS, NOT_HEALTHY, SERVER_ERROR
from coordinator.ctl.invocation import Invocation, until_interrupted
from daemonkit.host.terminal import echo

# etcdctl's interval.
CHECK_S = 10
HEALTHY = "healthy"
MEMBERS = "/v2/members"
_JSON = {"Content-Type": "application/json"}


class MemberCommands:
    """The commands. They end the program with etcdctl's exit code if they cannot be done."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._as_json = invocation.as_json

    def list_members(self) -> None:
        """Print the members."""
        client = self._invocation.client()
        try:
            found, leader = client.members(), client.leader()
        except ClusterUnreachable as failure:
            client.fail(failure, BAD_ARGUMENTS)
        shown = with_versions(found)
        if self._as_json:
            rows = [member_row(member) | {"isLeader": member.id == leader.id} for member in shown]
            echo(go_json({"members": rows}))
            return
        for member in shown:
            echo(member_line(member, leader))

    def add(self, name: str, peer_url: str) -> None:
        """Add a member, and print the settings with which to start it."""
        client = self._invocation.client()
        before = _members(client)
        urls = peer_url.split(",")
        body = _change(client, "POST", MEMBERS, {"peerURLs": urls})
        added = msgspec.json.decode(body, type=MemberInfo)
        if self._as_json:
            echo(go_json(member_row(added)))
            return
        known = [f"{each.name}={url}" for each in before for url in each.peer_urls if each.name]
        initial = ",".join([*known, *(f"{name}={url}" for url in urls)])
        echo(f"Added member named {name} with ID {added.id} to cluster\n", keep="\n")
        echo(f'COORDINATOR_NAME="{name}"')
        echo(f'COORDINATOR_INITIAL_ADVERTISE_PEER_URLS="{peer_url}"')
        echo(f'COORDINATOR_INITIAL_CLUSTER="{initial}"')
        echo('COORDINATOR_INITIAL_CLUSTER_STATE="existing"')

    def remove(self, member: str) -> None:
        """Remove a member permanently."""
        client = self._invocation.client()
        _require(client, member)
        _change(client, "DELETE", f"{MEMBERS}/{member}")
        echo(f"Removed member {member} from cluster")

    def update(self, member: str, peer_urls: str) -> None:
        """Replace the peer URLs of a member."""
        urls = {"peerURLs": peer_urls.split(",")}
        _change(self._invocation.client(), "PUT", f"{MEMBERS}/{member}", urls)
        echo(f"Updated member with ID {member} in cluster")

    def promote(self, member: str) -> None:
        """Give a learner its vote now, and not only when it has caught up."""
        client = self._invocation.client()
        _require(client, member)
        _change(client, "POST", f"{MEMBERS}/{member}/promote")
        echo(f"Promoted member {member}: it votes")

    def move_leader(self, target: str) -> None:
        """Transfer leadership to a member, or to any other member."""
        client = self._invocation.client()
        _change(client, "POST", f"{MEMBERS}/leader", {"id": target})
        try:
            leader = client.leader()
        except ClusterUnreachable as failure:
            client.fail(failure, SERVER_ERROR)
        echo(f"{leader.name or leader.id} ({leader.id}) is the leader")

    def health(self, *, forever: bool) -> int:
        """Print the health of each member, and return the exit code."""
        with until_interrupted():
            client = self._invocation.client(sync=False)
            try:
                found = client.members()
            except ClusterUnreachable as failure:
                if not self._as_json:
                    echo("cluster may be unhealthy: failed to list members")
                client.fail(failure, SERVER_ERROR)
            while True:
                health = self._print_health([_checked(client, member) for member in found])
                if not self._as_json and (line := mixed_versions(found)):
                    echo(line)
                if not forever:
                    return 0 if health == HEALTHY else NOT_HEALTHY
                if not self._as_json:
                    echo(f"\nnext check after {CHECK_S} second...\n", keep="\n")
                time.sleep(CHECK_S)

    def _print_health(self, checks: list[MemberHealth]) -> str:
        health = _cluster_health({check.status for check in checks})
        if self._as_json:
            echo(go_json({"cluster": health, "members": checks}))
            return health
        for check in checks:
            for line in check.lines:
                echo(line)
        echo(f"cluster is {health}")
        return health


def _cluster_health(statuses: set[str]) -> str:
    if statuses == {HEALTHY}:
        return HEALTHY
    return "degraded" if HEALTHY in statuses else "unavailable"


def _checked(client: ApiClient, member: MemberInfo) -> MemberHealth:
    attempts = list(_attempts(client, member))
    status, _ = attempts[-1]
    return MemberHealth(member.id, member.name, status, tuple(line for _, line in attempts))


def _attempts(client: ApiClient, member: MemberInfo) -> Iterator[tuple[str, str]]:
    """Ask the member's URLs until one answers; yield the status and line of each attempt."""
    who = f"member {member.id}"
    if not member.client_urls:
        yield "unreachable", f"{who} is unreachable: no available published client urls"
        return
    for url in member.client_urls:
        try:
            found = client.get(f"{url}/health")
            answer = msgspec.json.decode(found.body, type=HealthResponse)
        except (FetchFailed, msgspec.DecodeError) as error:
            yield "unreachable", f"failed to check the health of {who} on {url}: {error}"
            continue
        status = HEALTHY if answer.ok else "unhealthy"
        why = f": {answer.reason}" if answer.reason else ""
        if found.certificate_end_s is not None:
            yield status, f"{who} has {_certificate_line(found.certificate_end_s)}"
        yield status, f"{who} is {status}: got {status} result from {url}{why}"
        for line in _warnings(client, member, url):
            yield status, line
        return
    urls = " ".join(member.client_urls)
    yield "unreachable", f"{who} is unreachable: [{urls}] are all unreachable"


def _certificate_line(end_s: float) -> str:
    date = datetime.fromtimestamp(end_s, UTC).isoformat(" ", "minutes")
    return f"a certificate that ends in {(end_s - time.time()) / 86400:.0f} days, at {date}"


def _warnings(client: ApiClient, member: MemberInfo, url: str) -> list[str]:
    """Return what is to be said of a member's certificates. etcd says nothing of its own."""
    if not url.startswith("https:"):
        return []
    try:
        found = msgspec.json.decode(client.get(f"{url}/v2/stats/self").body, type=CertificateEnds)
    except (FetchFailed, msgspec.DecodeError):
        return []
    return certificate_lines(member.id, found.certificates, time.time())


def _members(client: ApiClient) -> tuple[MemberInfo, ...]:
    try:
        return client.members()
    except ClusterUnreachable as failure:
        client.fail(failure, BAD_ARGUMENTS)


def _require(client: ApiClient, member: str) -> None:
    if member not in {known.id for known in _members(client)}:
        reason = f"Couldn't find a member in the cluster with an ID of {member}."
        client.fail(reason, BAD_ARGUMENTS)


def _change(client: ApiClient, method: str, path: str, content: object = None) -> bytes:
    body = None if content is None else msgspec.json.encode(content)
    headers = _JSON if body is not None else {}
    try:
        status, answer = client.change(
            HttpRequest(method, path, once=True, json=body, headers=headers)
        )
    except ClusterUnreachable as failure:
        client.fail(failure, BAD_ARGUMENTS)
    if status >= 400:
        reason = msgspec.json.decode(answer or b"{}", type=MemberError).message
        client.fail(reason or f"{method} {path}: {status}", BAD_ARGUMENTS)
    return answer
