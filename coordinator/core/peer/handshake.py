"""How a connection between members begins: an HTTP request that is upgraded to frames.

`GET /raft` names the cluster, the sender and the receiver. 101 accepts it, 412 answers another
cluster or another receiver. Whether the sender is admitted is up to `admission`: 410 answers a
member that was removed, 403 one that is unknown, and 426 one that cannot read the log. The body of
a refusal says why. Both sides say which cluster version they know (see `cluster.versions`).
"""

from dataclasses import dataclass

from coordinator.core.cluster import versions
from coordinator.core.cluster.versions import ClusterVersion
from coordinator.core.peer.admission import Refusal

UPGRADE = b"slashetc-raft/1"
REQUEST_START = b"GET /raft "
HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 8192
ACCEPTED = b"101 Switching Protocols"
MISMATCH = b"412 Precondition Failed"
OWN = str(versions.OWN).encode()


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A member's id and that of its cluster."""

    cluster: int
    member: int


@dataclass(frozen=True, slots=True)
class Greeting:
    """The sender of a request, and the newest cluster version that it knows."""

    sender: int
    version: ClusterVersion


def request(host: bytes, sender: PeerAddress, receiver: int) -> bytes:
    """Return the first bytes of a member on its outgoing connection."""
    return (
        REQUEST_START + b"HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
        b"X-Etcd-Cluster-ID: %x\r\nX-Server-From: %x\r\nX-Raft-To: %x\r\n"
        b"X-Cluster-Version: %b\r\n\r\n"
        % (host, UPGRADE, sender.cluster, sender.member, receiver, OWN)
    )


def is_request(head: bytes) -> bool:
    """Return whether these bytes are, or may become, the request of a member."""
    return REQUEST_START.startswith(head[: len(REQUEST_START)])


def greeting_of(head: bytes, receiver: PeerAddress) -> Greeting | Refusal:
    """Return who sends a request with this head, or why the request is not for `receiver`."""
    fields = _fields(head)
    if fields.get(b"upgrade") != UPGRADE:
        return Refusal(b"426 Upgrade Required", "this path is for members")
    try:
        cluster, sender, wanted = (
            int(fields[name], 16) for name in (b"x-etcd-cluster-id", b"x-server-from", b"x-raft-to")
        )
    except (KeyError, ValueError):
        return Refusal(b"400 Bad Request", "the ids of cluster, sender and receiver are missing")
    if cluster != receiver.cluster:
        return Refusal(
            MISMATCH, f"this is cluster {receiver.cluster:x}, and the request is for {cluster:x}"
        )
    if wanted != receiver.member:
        return Refusal(
            MISMATCH, f"this is member {receiver.member:x}, and the request is for {wanted:x}"
        )
    return Greeting(sender, version_of(head))


def accepted() -> bytes:
    """Return the answer after which frames follow."""
    return b"HTTP/1.1 %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\nX-Cluster-Version: %b\r\n\r\n" % (
        ACCEPTED,
        UPGRADE,
        OWN,
    )


def version_of(head: bytes) -> ClusterVersion:
    """Return the newest cluster version that the sender of a head knows."""
    return versions.parse(_fields(head).get(b"x-cluster-version", b"").decode(errors="replace"))


def _fields(head: bytes) -> dict[bytes, bytes]:
    head = head.partition(HEAD_END)[0]
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def refused(refusal: Refusal, cluster: int) -> bytes:
    """Return the answer that ends the connection, with the reason as its body."""
    why = refusal.why.encode() + b"\n"
    return (
        b"HTTP/1.1 %b\r\nX-Etcd-Cluster-ID: %x\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (refusal.status, cluster, len(why), why)
    )


def other_cluster(answer: bytes, cluster: int) -> str:
    """Return the id of the cluster that refuses a request for this one; empty if none does."""
    theirs = _fields(answer).get(b"x-etcd-cluster-id", b"").decode(errors="replace")
    is_mismatch = status_code(answer) == MISMATCH[:3] and theirs != f"{cluster:x}"
    return theirs if is_mismatch else ""


def status_code(head: bytes) -> bytes:
    """Return the status code of an answer, for example `101`."""
    return b"".join(head.partition(b"\r\n")[0].split(b" ", 2)[1:2])


def reason(answer: bytes) -> str:
    """Return the status of a refusal, and what its body says as far as it has come."""
    head, _, body = answer.partition(HEAD_END)
    status = head.partition(b"\r\n")[0].partition(b" ")[2]
    return b": ".join(part for part in (status, body.strip()) if part).decode(errors="replace")
