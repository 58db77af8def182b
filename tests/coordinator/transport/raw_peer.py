"""A peer that says what it likes: a member's side of a connection, written by hand."""

import contextlib
import socket
import ssl
import struct
from typing import Self
from urllib.parse import urlsplit

from coordinator.core.cluster.ids import cluster_id, member_id
from coordinator.core.peer import frames, handshake
from coordinator.core.peer.handshake import PeerAddress
from coordinator.core.peer.peer_messages import PeerMessage
from rig.cluster import Cluster, ClusterMember

TOKEN = "etcd-cluster"
DEADLINE_S = 30.0


def id_of(one: ClusterMember) -> int:
    """Return the id of a founder."""
    return member_id((one.peer_url,), TOKEN)


def address(cluster: Cluster, sender: int) -> PeerAddress:
    """Return the address of a sender that claims to be in the cluster."""
    return PeerAddress(cluster_id(map(id_of, cluster.members)), sender)


class RawPeer:
    """One connection to a member's peer port, from `sender`."""

    def __init__(
        self, to: ClusterMember, sender: PeerAddress, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(to.peer_url)
        plain = socket.create_connection((parts.hostname, parts.port), DEADLINE_S)
        self.socket: socket.socket = plain
        if tls is not None:
            self.socket = tls.wrap_socket(plain, server_hostname=parts.hostname)
        self.answer = b""
        try:
            self.socket.sendall(handshake.request(parts.netloc.encode(), sender, id_of(to)))
            while handshake.HEAD_END not in self.answer and (more := self.socket.recv(4096)):
                self.answer += more
        except OSError:
            self.socket.close()
            raise
        self.status = int(handshake.status_code(self.answer) or b"0")

    def send(self, *messages: PeerMessage) -> None:
        """Send one frame; a connection that ends meanwhile is for `is_closed` to tell."""
        self.send_bytes(frames.encode(list(messages)))

    def send_bytes(self, data: bytes) -> None:
        """Send what need not be a frame."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def is_closed(self) -> bool:
        """Wait until the member ends the connection; False at the deadline."""
        try:
            while self.socket.recv(4096):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
