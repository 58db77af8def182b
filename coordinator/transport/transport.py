"""The connections to the other members: one to each, dialed by this member, for what it sends.

What this member receives comes on the connections that the others dialed (see `acceptor`).
"""

import time
from collections.abc import Callable, Sequence

from coordinator.core.cluster import versions
from coordinator.core.cluster.versions import ClusterVersion
from coordinator.core.peer.handshake import PeerAddress
from coordinator.core.peer.latency import PeerLatencies
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.transport.peer_connection import Outbound, PeerConnection, TransportEvents
from coordinator.transport.peer_tls import PeerTls


class Transport:
    """Sends messages to the other members."""

    def __init__(
        self,
        address: PeerAddress,
        events: TransportEvents,
        tls: PeerTls | None,
        needed: Callable[[], ClusterVersion] = lambda: versions.FIRST,
    ) -> None:
        self._outbound = Outbound(address, events, tls, needed)
        self._connections: dict[int, PeerConnection] = {}

    @property
    def latencies(self) -> PeerLatencies:
        """How long the other members take to answer."""
        return self._outbound.latencies

    @property
    def sent_bytes(self) -> int:
        """How many bytes were sent to other members."""
        return self._outbound.sent_bytes

    def follow(self, members: dict[int, tuple[str, ...]]) -> None:
        """Keep connections to these members at these URLs, and to no others."""
        for member in self._connections.keys() - members.keys():
            self._connections.pop(member).close()
        self.latencies.only(members)
        for member, urls in members.items():
            connection = self._connections.get(member)
            if connection is None or connection.urls != urls:
                if connection is not None:
                    connection.close()
                self._connections[member] = PeerConnection(self._outbound, member, urls)

    def send(self, messages: Sequence[PeerMessage]) -> None:
        """Send messages to their receivers."""
        if not messages:
            return
        self._outbound.latencies.sent(messages, time.monotonic())
        by_receiver: dict[int, list[PeerMessage]] = {}
        for message in messages:
            by_receiver.setdefault(message.receiver, []).append(message)
        for receiver, batch in by_receiver.items():
            if (connection := self._connections.get(receiver)) is not None:
                connection.send(batch)

    def reconnect_now(self, member: int) -> None:
        """Dial a member that has just dialed this one, if the next attempt would be later."""
        if (connection := self._connections.get(member)) is not None:
            connection.reconnect_now()

    def connected(self) -> list[int]:
        """Return the members that a connection is open to."""
        return [member for member, each in self._connections.items() if each.is_open]

    def without_tls(self) -> list[int]:
        """Return the members that a connection without TLS is open to."""
        return [
            member for member, each in self._connections.items() if each.is_open and not each.secure
        ]

    def recheck(self) -> None:
        """End the connections to members whose certificates have been revoked."""
        for each in self._connections.values():
            each.recheck()

    def other_clusters(self) -> dict[str, str]:
        """Return the URLs at which members of other clusters answer, and those clusters."""
        return {
            ",".join(each.urls): each.other_cluster
            for each in self._connections.values()
            if each.other_cluster
        }

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
