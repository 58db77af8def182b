"""The TCP server on real loopback sockets, in this process."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import cast

import uvloop

from daemonkit.process.listening_socket import listening_socket
from skydns.core.forward.forwarder import PendingForward, Prefetch
from skydns.io.pending import Resolve
from skydns.io.tcp import TCP_LIMITS, Respond, TcpLimits, TcpServer
from tests.skydns.io.echo import WAIT_S, echo, errors, never, until


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


@contextlib.asynccontextmanager
async def tcp(
    respond: Respond = echo, limits: TcpLimits = TCP_LIMITS, resolve: Resolve = never
) -> AsyncIterator[tuple[TcpServer, int]]:
    sock = listening_socket(("127.0.0.1", 0), socket.SOCK_STREAM, option="--addr")
    running = TcpServer(sock, respond, resolve, limits)
    await running.start()
    try:
        yield running, sock.getsockname()[1]
    finally:
        await running.stop()


async def read(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(WAIT_S):
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)


async def closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionResetError):
            return await reader.read() == b""
    return True


def test_queries_may_be_pipelined() -> None:
    async def go() -> None:
        async with tcp() as (running, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            messages = [b"%d" % at for at in range(1000)]
            writer.write(framed(*messages))
            assert [await read(reader) for _ in messages] == [b"re:" + each for each in messages]
            assert running.counts.received == 1000
            writer.close()
            await until(lambda: not running.connections)
            assert not running.counts.open_by_client

    uvloop.run(go())


def test_thousands_of_pending_replies_may_be_ready_at_once() -> None:
    pending = Prefetch(None, cast("PendingForward", None))

    async def go() -> None:
        limits = TcpLimits(pending_max=1)
        async with tcp(lambda *_: pending, limits, lambda _, send: send(b"ok")) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(framed(*[b"x"] * 3000))
            assert [await read(reader) for _ in range(3000)] == [b"ok"] * 3000
            writer.close()

    uvloop.run(go())


def test_a_message_may_arrive_octet_by_octet() -> None:
    async def go() -> None:
        async with tcp() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in framed(b"ab", b"c"):
                writer.write(bytes((octet,)))
                await writer.drain()
                await asyncio.sleep(0)
            assert [await read(reader), await read(reader)] == [b"re:ab", b"re:c"]
            writer.close()

    uvloop.run(go())


def test_a_connection_with_half_a_message_is_closed() -> None:
    async def go() -> None:
        async with tcp(echo, TcpLimits(message_s=0.05, sweep_s=0.02)) as (running, port):
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\0")
            assert await closed(reader)
            assert running.counts.timed_out == 1
            idle_writer.write(framed(b"alive"))
            assert await read(idle) == b"re:alive"
            writer.close()
            idle_writer.close()

    uvloop.run(go())


def test_an_idle_connection_is_closed() -> None:
    async def go() -> None:
        async with tcp(echo, TcpLimits(idle_s=0.05, sweep_s=0.02)) as (running, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await closed(reader)
            assert running.counts.timed_out == 1
            writer.close()

    uvloop.run(go())


def test_a_client_that_reads_nothing_is_not_read_from() -> None:
    async def go() -> None:
        async with tcp(lambda _, __: bytes(65_000), TcpLimits(stalled_s=0.2, sweep_s=0.02)) as (
            running,
            port,
        ):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client.send(framed(b"more") * 1000)
                await until(lambda: running.counts.timed_out == 1)
                await until(lambda: not running.connections)
                assert running.counts.received < 1000

    uvloop.run(go())


def test_a_slow_reader_gets_every_reply() -> None:
    async def go() -> None:
        async with tcp(lambda data, _: data + bytes(60_000)) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
            messages = [b"%03d" % at for at in range(200)]
            writer.write(framed(*messages))
            assert [(await read(reader))[:3] for _ in messages] == messages
            writer.close()

    uvloop.run(go())


def test_a_message_that_meets_an_error_of_ours_ends_only_its_connection() -> None:
    def respond(data: bytes, client: bytes) -> bytes | None:
        if data == b"bad":
            raise ZeroDivisionError
        return echo(data, client)

    async def go() -> None:
        async with tcp(respond) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            other, other_writer = await asyncio.open_connection("127.0.0.1", port)
            before = errors()
            writer.write(framed(b"bad"))
            assert await closed(reader)
            assert errors() == before + 1
            other_writer.write(framed(b"a"))
            assert await read(other) == b"re:a"
            writer.close()
            other_writer.close()

    uvloop.run(go())


def test_a_query_that_gets_no_late_reply_makes_room_for_the_next() -> None:
    pending = Prefetch(None, cast("PendingForward", None))
    queries = [b"%d" % number for number in range(10)]
    replies = iter([*[None] * 9, b"ok"])

    async def go() -> None:
        limits = TcpLimits(pending_max=1)
        async with tcp(lambda *_: pending, limits, lambda _, send: send(next(replies))) as (
            _,
            port,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(framed(*queries))
            assert await read(reader) == b"ok"
            writer.close()

    uvloop.run(go())


def test_a_client_that_does_not_speak_dns_is_disconnected() -> None:
    async def go() -> None:
        async with tcp() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(framed(b"drop", b"a"))
            assert await closed(reader)
            writer.close()

    uvloop.run(go())


def test_the_connections_of_one_client_are_limited() -> None:
    async def go() -> None:
        async with tcp(echo, TcpLimits(connections_per_client_max=2)) as (running, port):
            pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            await until(lambda: len(running.connections) == 2)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await closed(reader)
            assert running.counts.rejected == 1
            for _, each in pairs:
                each.close()
            writer.close()

    uvloop.run(go())


def test_the_longest_idle_connection_makes_room() -> None:
    async def go() -> None:
        async with tcp(echo, TcpLimits(connections_max=2)) as (running, port):
            first, first_writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: len(running.connections) == 1)
            second, second_writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: len(running.connections) == 2)
            first_writer.write(framed(b"a"))
            assert await read(first) == b"re:a"
            third, third_writer = await asyncio.open_connection("127.0.0.1", port)
            assert await closed(second)
            third_writer.write(framed(b"c"))
            assert await read(third) == b"re:c"
            first_writer.write(framed(b"b"))
            assert await read(first) == b"re:b"
            for writer in (first_writer, second_writer, third_writer):
                writer.close()

    uvloop.run(go())


def test_replies_in_flight_are_sent_before_stop() -> None:
    async def go() -> None:
        async with tcp() as (running, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(framed(b"a"))
            await until(lambda: running.counts.received == 1)
        assert await read(reader) == b"re:a"
        assert await closed(reader)
        writer.close()

    uvloop.run(go())
