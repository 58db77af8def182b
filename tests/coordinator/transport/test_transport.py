"""Connections to other members, on real sockets."""

import asyncio
from contextlib import suppress

import pytest

from coordinator.core.peer.handshake import PeerAddress
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.transport import peer_connection
from coordinator.transport.transport import Transport
from rig.processes import free_port

OTHER = 2
DEADLINE_S = 30.0


class RecordedEvents:
    """What the transport tells."""

    def __init__(self) -> None:
        self.refused = asyncio.Event()

    def received(self, messages: list[PeerMessage]) -> None:
        del messages

    def messages_lost(self, member: int) -> None:
        del member

    def connection_refused(self, member: int) -> None:
        assert member == OTHER
        self.refused.set()

    def peer_connected(self, member: int) -> None:
        del member

    def removed(self) -> None:
        raise AssertionError


def test_a_member_that_dials_in_is_dialed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_connection, "RETRY_MIN_S", 2 * DEADLINE_S)
    monkeypatch.setattr(peer_connection, "RETRY_MAX_S", 2 * DEADLINE_S)
    port = free_port()

    async def story() -> None:
        events, dialed = RecordedEvents(), asyncio.Event()
        transport = Transport(PeerAddress(7, 1), events, None)
        transport.follow({OTHER: (f"http://127.0.0.1:{port}",)})
        await asyncio.wait_for(events.refused.wait(), DEADLINE_S)

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                assert (await reader.readline()).startswith(b"GET /raft ")
                dialed.set()
                writer.close()

        async with await asyncio.start_server(accept, "127.0.0.1", port):
            await asyncio.sleep(0)
            transport.reconnect_now(OTHER)
            await asyncio.wait_for(dialed.wait(), DEADLINE_S)
            transport.close()

    asyncio.run(story())
