"""What the other members send, and what happens to the connections: passed on to the replica."""

import time

from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.server.drive_loop import DriveLoop


class PeerEvents:
    """The transport's events in the server."""

    def __init__(self, loop: DriveLoop) -> None:
        self._loop = loop
        self._replica = loop.replica

    def received(self, messages: list[PeerMessage]) -> None:
        """Take messages of another member."""
        # First: a heartbeat begins a promise, and the time owed from before it does not count.
        self._loop.advance_time()
        receive = self._replica.receive
        for message in messages:
            receive(message)
        self._loop.transport.latencies.received(messages, time.monotonic())
        self._loop.wake()

    def messages_lost(self, member: int) -> None:
        """Let the replica send again what matters."""
        self._replica.lost(member)
        self._loop.wake()

    def connection_refused(self, member: int) -> None:
        """Suspect that the member's process has ended, so that an election begins sooner."""
        self._replica.node.election.suspect(member)

    def peer_connected(self, member: int) -> None:
        """Dial a member that has come back."""
        self._loop.transport.reconnect_now(member)

    def removed(self) -> None:
        """Stop: another member reports that this one was removed."""
        self._loop.on_removed()
