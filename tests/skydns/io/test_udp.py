"""The UDP server on real loopback sockets, in this process."""

import asyncio
import socket
from typing import cast

import uvloop

from daemonkit.process.listening_socket import listening_socket
from skydns.core.forward.forwarder import PendingForward, Prefetch
from skydns.io.pending import Send
from skydns.io.udp import BATCH, REPLY_BYTES_MAX, UdpServer
from tests.skydns.io.echo import WAIT_S, echo, errors, never, until

HOSTS = ("127.0.0.1", "127.0.0.2")


def receive(client: socket.socket) -> bytes:
    client.settimeout(WAIT_S)
    return client.recv(100)


def test_a_datagram_is_answered_from_the_address_it_was_sent_to() -> None:
    async def go() -> None:
        socks = [listening_socket((host, 0), socket.SOCK_DGRAM, option="--addr") for host in HOSTS]
        running = [UdpServer(sock, echo, never) for sock in socks]
        for each in running:
            each.start()
        loop = asyncio.get_running_loop()
        for sock in socks:
            # A connected socket receives replies only from the address of the server.
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


def test_datagrams_that_arrived_before_stop_are_answered() -> None:
    async def go() -> None:
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM, option="--addr")
        running = UdpServer(sock, echo, never)
        running.start()
        with sock, socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(sock.getsockname())
            client.send(b"late")
            running.stop()
            client.settimeout(WAIT_S)
            assert client.recv(100) == b"re:late"

    uvloop.run(go())


def test_a_burst_is_answered_in_order() -> None:
    async def go() -> None:
        sock = listening_socket(("::1", 0), socket.SOCK_DGRAM, option="--addr")
        running = UdpServer(sock, echo, never)
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
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM, option="--addr")
        running = UdpServer(sock, lambda data, _: data[:REPLY_BYTES_MAX], never)
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


def test_a_reply_that_cannot_be_sent_does_not_stop_the_others() -> None:
    async def go() -> None:
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM, option="--addr")

        def reply(data: bytes, _: bytes) -> bytes:
            if data == b"lost":
                # The second slot's port becomes 0, where the kernel sends nothing.
                running._replies._names[34:36] = b"\0\0"
            return data

        running = UdpServer(sock, reply, never)
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


def test_a_late_reply_may_be_limited_or_none() -> None:
    def limit(reply: bytes, client: bytes) -> bytes | None:
        assert client == bytes((127, 0, 0, 1))
        return None if reply == b"much" else reply[:2]

    async def go() -> None:
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM, option="--addr")
        waiting: list[Send] = []
        pending = Prefetch(None, cast("PendingForward", None))
        running = UdpServer(
            sock, lambda *_: pending, lambda _, send: waiting.append(send), limit=limit
        )
        running.start()
        with sock, socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(sock.getsockname())
            client.send(b"q")
            await until(lambda: waiting)
            for reply in (None, b"much", b"late"):
                waiting[0](reply)
            client.settimeout(WAIT_S)
            assert client.recv(100) == b"la"
            running.stop()

    uvloop.run(go())


def test_a_packet_that_meets_an_error_of_ours_ends_nothing_but_itself() -> None:
    def respond(data: bytes, client: bytes) -> bytes | None:
        if data == b"bad":
            raise ZeroDivisionError
        return echo(data, client)

    async def go() -> None:
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM, option="--addr")
        running = UdpServer(sock, respond, never)
        with sock, socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(sock.getsockname())
            for message in (b"a", b"bad", b"b"):
                client.send(message)
            before = errors()
            running.start()
            running.stop()
            client.settimeout(WAIT_S)
            assert [client.recv(100), client.recv(100)] == [b"re:a", b"re:b"]
            assert errors() == before + 1

    uvloop.run(go())


def test_a_late_reply_is_sent_to_the_client_that_asked() -> None:
    async def go() -> None:
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_DGRAM, option="--addr")
        waiting: list[Send] = []
        pending = Prefetch(None, cast("PendingForward", None))
        running = UdpServer(sock, lambda *_: pending, lambda _, send: waiting.append(send))
        running.start()
        with sock, socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(sock.getsockname())
            client.settimeout(WAIT_S)
            client.send(b"slow")
            await until(lambda: waiting)
            waiting[0](b"late")
            assert client.recv(100) == b"late"
            running.stop()

    uvloop.run(go())
