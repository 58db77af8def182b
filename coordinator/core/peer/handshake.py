"""How a connection between members begins: an HTTP request that is upgraded to frames.

`GET /raft` names the cluster, the sender and the receiver. 101 accepts it, 412 answers another
cluster or another receiver, and 410 answers a member that was removed.
"""

from collections.abc import Callable
from dataclasses import dataclass

UPGRADE = b"slashetc-raft/1"
REQUEST_START = b"GET /raft "
HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 8192
ACCEPTED = b"101 Switching Protocols"
REMOVED = b"410 Gone"


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A member's id and that of its cluster."""

    cluster: int
    member: int


def request(host: bytes, sender: PeerAddress, receiver: int) -> bytes:
    """Return the first bytes of a member on its outgoing connection."""
    return (
        REQUEST_START + b"HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
        b"X-Etcd-Cluster-ID: %x\r\nX-Server-From: %x\r\nX-Raft-To: %x\r\n\r\n"
        % (host, UPGRADE, sender.cluster, sender.member, receiver)
    )


def is_request(head: bytes) -> bool:
    """Return whether these bytes are, or may become, the request of a member."""
    return REQUEST_START.startswith(head[: len(REQUEST_START)])


def check_request(
    head: bytes, receiver: PeerAddress, is_removed: Callable[[int], bool]
) -> tuple[bytes, int]:
    """Return the status that answers a request's head, and the sender's id if it is accepted."""
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    fields = {name.strip().lower(): value.strip() for name, _, value in lines}
    if fields.get(b"upgrade") != UPGRADE:
        return b"426 Upgrade Required", 0
    try:
        cluster, sender, wanted = (
            int(fields[name], 16) for name in (b"x-etcd-cluster-id", b"x-server-from", b"x-raft-to")
        )
    except (KeyError, ValueError):
        return b"400 Bad Request", 0
    if cluster != receiver.cluster or wanted != receiver.member:
        return b"412 Precondition Failed", 0
    if is_removed(sender):
        return REMOVED, 0
    return ACCEPTED, sender


def response(status: bytes, cluster: int) -> bytes:
    """Return the answer with this status."""
    if status == ACCEPTED:
        return b"HTTP/1.1 %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % (status, UPGRADE)
    return (
        b"HTTP/1.1 %b\r\nX-Etcd-Cluster-ID: %x\r\nContent-Length: 0\r\n"
        b"Connection: close\r\n\r\n" % (status, cluster)
    )


def status_code(head: bytes) -> bytes:
    """Return the status code of an answer, for example `101`."""
    return b"".join(head.partition(b"\r\n")[0].split(b" ", 2)[1:2])
