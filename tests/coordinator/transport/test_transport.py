"""Connections to other members, on real sockets."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from coordinator.core.peer import handshake
from coordinator.core.peer.handshake import PeerAddress
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.messages import HeartbeatOk
from coordinator.transport import acceptor, peer_connection
from coordinator.transport.acceptor import AcceptPolicy
from coordinator.transport.peer_tls import PeerTls
from coordinator.transport.transport import Transport
from daemonkit.http import tls
from daemonkit.http.server import Server
from daemonkit.http.tls import RenewedContext, TlsFiles
from daemonkit.http.tls_listener import TlsMode, listener_tls
from rig.fleet_authority import FleetAuthority
from rig.processes import free_port, wait_until

OTHER = 2
DEADLINE_S = 30.0


class RecordedEvents:
    """What the transport tells."""

    def __init__(self) -> None:
        self.refused, self.lost = asyncio.Event(), asyncio.Event()

    def received(self, messages: list[PeerMessage]) -> None:
        del messages

    def messages_lost(self, member: int) -> None:
        assert member == OTHER
        self.lost.set()

    def connection_refused(self, member: int) -> None:
        assert member == OTHER
        self.refused.set()

    def peer_connected(self, member: int) -> None:
        del member

    def removed(self) -> None:
        raise AssertionError


async def stream(port: int, sender: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open the connection of another member to member 1."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(handshake.request(b"x", PeerAddress(7, sender), 1))
    answer = await asyncio.wait_for(reader.readuntil(handshake.HEAD_END), DEADLINE_S)
    assert handshake.status_code(answer) == b"101"
    return reader, writer


def test_the_unfinished_frames_of_all_members_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    part = 300_000
    monkeypatch.setattr(acceptor, "ALONE_BYTES_MAX", part - 1)
    monkeypatch.setattr(acceptor, "UNFINISHED_BYTES_MAX", 2 * part + 100)

    async def story() -> None:
        policy = AcceptPolicy(PeerAddress(7, 1), lambda *_: None, RecordedEvents())
        http = Server(lambda _: None, origins=None)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            await http.listen(
                listening, tls=None, acceptor=lambda each: acceptor.Acceptor(each, policy)
            )
            port = listening.getsockname()[1]
            streams = [await stream(port, sender) for sender in (2, 3, 4)]
            ends = [asyncio.ensure_future(reader.read()) for reader, _ in streams]
            for _, writer in streams:
                writer.write((2 * part).to_bytes(4, "little") + bytes(part))
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            assert (len(done), len(policy.streams)) == (1, 2)
            policy.close()
            for _, writer in streams:
                writer.transport.abort()
            await asyncio.gather(*ends, return_exceptions=True)
            await http.drain(DEADLINE_S)

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


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


def test_what_was_dropped_before_a_connection_is_reported_once_it_can_be_sent_again() -> None:
    port = free_port()

    async def story() -> None:
        events, ended = RecordedEvents(), asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(handshake.HEAD_END)
            writer.write(handshake.accepted())
            with suppress(ConnectionError):
                await reader.read()
            writer.transport.abort()
            ended.set()

        transport = Transport(PeerAddress(7, 1), events, None)
        transport.follow({OTHER: (f"http://127.0.0.1:{port}",)})
        transport.send([HeartbeatOk(sender=1, receiver=OTHER, term=1, round=1)])
        assert not events.lost.is_set()
        async with await asyncio.start_server(accept, "127.0.0.1", port):
            await asyncio.wait_for(events.lost.wait(), DEADLINE_S)
            assert transport.connected() == [OTHER]
            transport.close()
            await asyncio.wait_for(ended.wait(), DEADLINE_S)

    asyncio.run(story())


async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def says_that_it_has_no_tls(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def waits_for_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a member of release 0.1 does: a handshake may be the beginning of a long head."""
    with suppress(ConnectionError):
        await reader.read(-1)
    writer.close()


@pytest.mark.parametrize("answer", [closes, says_that_it_has_no_tls, waits_for_more])
def test_with_prefer_a_member_without_tls_is_dialed_without_it(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tmp_path: Path,
) -> None:
    fleet = FleetAuthority(tmp_path)

    async def story() -> None:
        attempts: list[bytes] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first = await reader.read(1)
            attempts.append(first)
            if first != b"G":
                await answer(reader, writer)
                return
            await reader.readuntil(handshake.HEAD_END)
            writer.write(handshake.accepted())
            with suppress(ConnectionError):
                await reader.read(-1)
            writer.transport.abort()

        events = RecordedEvents()
        transport = Transport(PeerAddress(7, 1), events, peer_tls(fleet, TlsMode.PREFER))
        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            transport.follow({OTHER: (f"http://127.0.0.1:{port}",)})
            transport.send([HeartbeatOk(sender=1, receiver=OTHER, term=1, round=1)])
            await events.lost.wait()
            assert transport.connected() == transport.without_tls() == [OTHER]
            assert attempts == [b"\x16", b"G"]
            transport.close()

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


@pytest.mark.parametrize(("scheme", "mode"), [("https", "prefer"), ("http", "require")])
def test_no_attempt_is_plain_where_tls_is_required(scheme: str, mode: str, tmp_path: Path) -> None:
    fleet = FleetAuthority(tmp_path)

    async def story() -> None:
        attempts: list[bytes] = []
        enough = asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            attempts.append(await reader.read(1))
            writer.close()
            if len(attempts) == 4:
                enough.set()

        transport = Transport(PeerAddress(7, 1), RecordedEvents(), peer_tls(fleet, TlsMode(mode)))
        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            transport.follow({OTHER: (f"{scheme}://127.0.0.1:{port}",)})
            await enough.wait()
            transport.close()
        assert set(attempts) == {b"\x16"}

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


def peer_tls(fleet: FleetAuthority, mode: TlsMode) -> PeerTls:
    own = fleet.member("h1")
    files = TlsFiles(own.cert, own.key, fleet.ca_file, require_client=True)
    listener = listener_tls(files, fleet.revoked_file, mode)
    return PeerTls(RenewedContext(files, tls.client_context), listener, mode)


def test_a_server_that_is_no_member_gets_no_messages(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever takes over a member's address with a certificate of a host is turned away."""
    fleet = FleetAuthority(tmp_path)
    caplog.set_level("INFO")

    async def story() -> None:
        seen: list[bytes] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                seen.append(await reader.read(-1))
            writer.close()

        thief = fleet.host("web3")
        context = tls.server_context(TlsFiles(thief.cert, thief.key, fleet.ca_file))
        transport = Transport(PeerAddress(7, 1), RecordedEvents(), peer_tls(fleet, TlsMode.REQUIRE))
        async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            transport.follow({OTHER: (f"https://127.0.0.1:{port}",)})
            await asyncio.to_thread(wait_until, lambda: "refused" in caplog.messages, "a refusal")
            assert transport.connected() == []
            transport.close()
        assert not any(seen)

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))
