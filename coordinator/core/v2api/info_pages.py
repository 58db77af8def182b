"""The pages besides the keys: members, stats, version, health. Their formats are etcd's.

Each page is made from a `MemberStatus`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from coordinator.core.cluster.ids import Identity
from coordinator.core.cluster.members import Member, cluster_version
from coordinator.core.peer.latency import PeerLatencies
from coordinator.core.store.encoding import rfc3339

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
# etcd 2.3 was the last release with only this API. `coordinator` tells our own client that the
# extensions are available.
VERSION = "0.1.0"
API_SERVER, API_CLUSTER = "2.3.8", "2.3.0"
_ALLOW = ((b"Allow", b"HEAD,GET,POST,PUT,DELETE"),)


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """The state of this member and its cluster. Times are Unix seconds.

    `certificates` are the ends of its certificates by their use.
    """

    identity: Identity
    name: str
    members: tuple[Member, ...]
    removed: frozenset[int]
    leader: int
    state: str
    started_s: float
    leading_since_s: float
    now_s: float
    healthy: bool
    alarm: str
    store_stats: bytes
    latencies: PeerLatencies
    certificates: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    status: int
    content_type: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def page(method: str, path: str, status: MemberStatus) -> Page:
    """Answer a request outside /v2/keys."""
    if method == "OPTIONS":
        return Page(200, TEXT, b"")
    if path == "/v2/members" or path.startswith("/v2/members/"):
        return _members(method, path.removeprefix("/v2/members").strip("/"), status)
    make = _PAGES.get(path)
    if make is None:
        return Page(404, TEXT, b"404 page not found\n")
    if method not in {"GET", "HEAD"}:
        return Page(405, TEXT, b"Method Not Allowed\n", ((b"Allow", b"GET"),))
    return make(status)


def as_json(value: object, status: int = 200, *, end: str = "\n") -> Page:
    """Return a page of JSON."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False) + end
    return Page(status, JSON, text.encode())


def message(status: int, words: str) -> Page:
    """Return a status with a message, as the members' pages do."""
    return as_json({"message": words}, status, end="")


def _members(method: str, rest: str, status: MemberStatus) -> Page:
    if method not in {"GET", "HEAD", "POST", "PUT", "DELETE"}:
        return Page(405, TEXT, b"Method Not Allowed\n", _ALLOW)
    match rest:
        case "":
            members = sorted(status.members, key=lambda member: member.id)
            return as_json({"members": [member.as_json() for member in members]})
        case "leader":
            leading = [member for member in status.members if member.id == status.leader]
            return as_json(leading[0].as_json()) if leading else message(503, "During election")
        case _:
            return message(404, "Not found")


def _machines(status: MemberStatus) -> Page:
    urls = sorted(url for member in status.members for url in member.client_urls)
    return Page(200, TEXT, ", ".join(urls).encode())


def _version(status: MemberStatus) -> Page:
    version = {"etcdserver": API_SERVER, "etcdcluster": API_CLUSTER, "coordinator": VERSION}
    version["cluster"] = str(cluster_version(status.members))
    return as_json(version, end="")


def _health(status: MemberStatus) -> Page:
    if status.healthy and not status.alarm:
        return Page(200, TEXT, b'{"health":"true"}')
    shown = {"health": "false", **({"reason": f"ALARM {status.alarm}"} if status.alarm else {})}
    return Page(503, TEXT, as_json(shown, end="").body)


def _stats_self(status: MemberStatus) -> Page:
    leading_s = status.now_s - status.leading_since_s
    # Only a member with TLS says more than etcd does.
    more = {"certificates": dict(status.certificates)} if status.certificates else {}
    return as_json(
        {
            "name": status.name,
            "id": f"{status.identity.member:x}",
            "state": status.state,
            "startTime": _timestamp(status.started_s),
            "leaderInfo": {
                "leader": f"{status.leader:x}",
                "uptime": go_duration(leading_s),
                "startTime": _timestamp(status.leading_since_s),
            },
            "recvAppendRequestCnt": status.latencies.appends_received,
            "sendAppendRequestCnt": status.latencies.appends_sent,
            **more,
        },
        end="",
    )


def _stats_leader(status: MemberStatus) -> Page:
    if status.leader != status.identity.member:
        return message(403, "not current leader")
    followers = {
        f"{member:x}": latency.as_json() for member, latency in status.latencies.by_member().items()
    }
    return as_json({"leader": f"{status.leader:x}", "followers": followers}, end="")


def _stats_store(status: MemberStatus) -> Page:
    return Page(200, JSON, status.store_stats)


_PAGES: dict[str, Callable[[MemberStatus], Page]] = {
    "/v2/machines": _machines,
    "/v2/stats/self": _stats_self,
    "/v2/stats/leader": _stats_leader,
    "/v2/stats/store": _stats_store,
    "/version": _version,
    "/health": _health,
}


def _timestamp(unix_s: float) -> str:
    return rfc3339(int(unix_s * 1e9)).decode()


def go_duration(seconds: float) -> str:
    """Write a duration as Go does: `1h2m3.5s`, `250.5ms`, `12µs`."""
    nanoseconds = int(seconds * 1e9)
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < size * 1000 and size < 1_000_000_000:
            return _decimal(nanoseconds, size) + unit if nanoseconds else "0s"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return text + _decimal(rest, 1_000_000_000) + "s"


def _decimal(amount: int, size: int) -> str:
    whole, part = divmod(amount, size)
    digits = f"{part:0{len(str(size)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)
