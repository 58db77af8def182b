"""Links to other members, on real sockets."""

import asyncio
from contextlib import suppress

import pytest

from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.transport import transport
from coordinator.transport.transport import PeerAddress, Transport
from rig.processes import free_port

OTHER = 2
DEADLINE_S = 30.0


class Told:
    """What the links tell."""

    def __init__(self) -> None:
        self.refused = asyncio.Event()

    def received(self, arrived: list[PeerMessage]) -> None:
        del arrived

    def link_lost(self, member: int) -> None:
        del member

    def link_refused(self, member: int) -> None:
        assert member == OTHER
        self.refused.set()

    def met(self, member: int) -> None:
        del member

    def removed(self) -> None:
        raise AssertionError


def test_a_member_that_dials_in_is_dialed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRY_MIN_S", 2 * DEADLINE_S)
    monkeypatch.setattr(transport, "RETRY_MAX_S", 2 * DEADLINE_S)
    port = free_port()

    async def story() -> None:
        told, dialed = Told(), asyncio.Event()
        links = Transport(PeerAddress(7, 1), told, None)
        links.follow({OTHER: (f"http://127.0.0.1:{port}",)})
        await asyncio.wait_for(told.refused.wait(), DEADLINE_S)

        async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                assert (await reader.readline()).startswith(b"GET /raft ")
                dialed.set()
                writer.close()

        async with await asyncio.start_server(welcome, "127.0.0.1", port):
            await asyncio.sleep(0)
            links.meet(OTHER)
            await asyncio.wait_for(dialed.wait(), DEADLINE_S)
            links.close()

    asyncio.run(story())
