"""UDP and TCP on real loopback sockets, in this process."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable

import uvloop

from daemonkit.process.listening_socket import listening_socket
from skydns.io.tcp import LIMITS, Limits, Reply, Tcp
from skydns.io.udp import BATCH, REPLY_BYTES_MAX, Udp

WAIT_S = 10.0


def echo(data: bytes, client: bytes = b"") -> bytes | None:
    return None if data == b"drop" else b"re:" + data


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the condition is anything
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def tcp(reply: Reply = echo, limits: Limits = LIMITS) -> AsyncIterator[tuple[Tcp, int]]:
    sock = listening_socket(("127.0.0.1", 0), socket.SOCK_STREAM)
    running = Tcp(sock, reply, limits)
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


def test_datagrams_are_answered_from_the_address_that_was_asked() -> None:
    async def go() -> None:
        socks = [listening_socket((host, 0), socket.SOCK_DGRAM) for host in HOSTS]
        running = [Udp(sock, echo) for sock in socks]
        for each in running:
            each.start()
        loop = asyncio.get_running_loop()
        for sock in socks:
            # A connected socket takes replies from the asked address only.
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.connect(sock.getsockname())
                for message in (b"drop", b"a", b"b"):
                    client.send(message)
                async with asyncio.timeout(WAIT_S):
                    assert await loop.run_in_executor(None, receive, client) == b"re:a"
                    assert await loop.run_in_executor(None, receive, client) == b"re:b"
        assert [each.received for each in running] == [3, 3]
        for each, sock in zip(running, socks, strict=True):
            each.stop()
            sock.close()

    uvloop.run(go())


HOSTS = ("127.0.0.1", "127.0.0.2")


def receive(client: socket.socket) -> bytes:
    client.settimeout(WAIT_S)
    return client.recv(100)


def test_datagrams_that_came_before_the_end_are_answered() -> None:
    async def go() -> None:
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM)
        running = Udp(sock, echo)
        running.start()
        with sock, socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(sock.getsockname())
            client.send(b"late")
            running.stop()
            client.settimeout(WAIT_S)
            assert client.recv(100) == b"re:late"

    uvloop.run(go())


def test_a_burst_is_answered_in_order_but_for_what_gets_no_reply() -> None:
    async def go() -> None:
        sock = listening_socket(("::1", 0), socket.SOCK_DGRAM)
        running = Udp(sock, echo)
        with sock, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.connect(sock.getsockname())
            messages = [b"drop" if at % 5 == 2 else b"%d" % at for at in range(BATCH + 20)]
            for message in messages:
                client.send(message)
            running.start()
            await until(lambda: running.received == len(messages))
            client.settimeout(WAIT_S)
            expected = [b"re:" + each for each in messages if each != b"drop"]
            assert [client.recv(100) for _ in expected] == expected
            running.stop()
            assert running.unsent == 0

    uvloop.run(go())


def test_the_longest_query_and_reply_fit() -> None:
    async def go() -> None:
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM)
        running = Udp(sock, lambda data, _: data[:REPLY_BYTES_MAX])
        with sock, socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(sock.getsockname())
            client.settimeout(WAIT_S)
            for size in (0, REPLY_BYTES_MAX, 4096, 9000):
                client.send(b"x" * size)
            running.start()
            await until(lambda: running.received == 4)
            sizes = [len(client.recv(9000)) for _ in range(4)]
            assert sizes == [0, REPLY_BYTES_MAX, REPLY_BYTES_MAX, REPLY_BYTES_MAX]
            running.stop()

    uvloop.run(go())


def test_a_reply_that_cannot_be_sent_costs_no_other() -> None:
    async def go() -> None:
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM)

        def reply(data: bytes, _: bytes) -> bytes:
            if data == b"lost":
                # The second slot's port becomes 0, where the kernel sends nothing.
                running._said._names[34:36] = b"\0\0"
            return data

        running = Udp(sock, reply)
        with sock, socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(sock.getsockname())
            client.settimeout(WAIT_S)
            for message in (b"a", b"lost", b"b"):
                client.send(message)
            running.start()
            await until(lambda: running.received == 3)
            assert [client.recv(100), client.recv(100)] == [b"a", b"b"]
            assert running.unsent == 1
            running.stop()

    uvloop.run(go())


def test_queries_may_follow_each_other_without_waiting() -> None:
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


def test_half_a_message_is_a_connection_that_ends_early() -> None:
    async def go() -> None:
        async with tcp(echo, Limits(message_s=0.05, sweep_s=0.02)) as (running, port):
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


def test_an_idle_connection_is_ended() -> None:
    async def go() -> None:
        async with tcp(echo, Limits(idle_s=0.05, sweep_s=0.02)) as (running, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await closed(reader)
            assert running.counts.timed_out == 1
            writer.close()

    uvloop.run(go())


def test_a_client_that_reads_nothing_is_not_read_either() -> None:
    async def go() -> None:
        async with tcp(lambda _, __: bytes(65_000), Limits(stalled_s=0.2, sweep_s=0.02)) as (
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


def test_who_sends_no_query_is_cut_off() -> None:
    async def go() -> None:
        async with tcp() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(framed(b"drop", b"a"))
            assert await closed(reader)
            writer.close()

    uvloop.run(go())


def test_one_client_has_only_so_many_connections() -> None:
    async def go() -> None:
        async with tcp(echo, Limits(connections_per_client_max=2)) as (running, port):
            pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            await until(lambda: len(running.connections) == 2)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await closed(reader)
            assert running.counts.turned_away == 1
            for _, each in pairs:
                each.close()
            writer.close()

    uvloop.run(go())


def test_the_longest_idle_connection_makes_room() -> None:
    async def go() -> None:
        async with tcp(echo, Limits(connections_max=2)) as (running, port):
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


def test_replies_under_way_are_sent_before_the_end() -> None:
    async def go() -> None:
        async with tcp() as (running, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(framed(b"a"))
            await until(lambda: running.counts.received == 1)
        assert await read(reader) == b"re:a"
        assert await closed(reader)
        writer.close()

    uvloop.run(go())
