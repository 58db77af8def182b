"""Requests that are retried, requests that are not, and responses that break off."""

import asyncio
import socket
import struct
import time

import pytest

from rig.processes import wait_until
from rig.vulcan_site import OK, Call, Client, Origin, Site, respond_with
from tests.vulcan.proxy.test_forward import fetch, get, post


async def closes_second(call: Call) -> None:
    """Serve one request on each connection; the next one finds the connection dead."""
    if call.number > 1:
        call.writer.transport.abort()
    else:
        await call.body()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_an_idempotent_request_is_retried_when_its_idle_connection_was_dead(
    shared: Site, host: str, method: str
):
    with Origin(closes_second) as origin:
        shared.route(origin, host)
        for _ in range(3):
            assert fetch(shared, f"{method} / HTTP/1.1\nHost: {host}").status == 200
        assert [call.number for call in origin.calls] == [1, 2, 1, 2, 1]


def test_no_get_fails_at_a_server_that_closes_every_kept_connection(shared: Site, host: str):
    with Origin(closes_second) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            statuses = [client.request(get(host)).status for _ in range(300)]
        assert statuses == [200] * 300


def test_a_post_is_never_sent_twice(shared: Site, host: str):
    with Origin(closes_second) as origin:
        shared.route(origin, host)
        heads = [post(host, "Content-Length: 0"), post(host, "Content-Length: 0")]
        assert [fetch(shared, head).status for head in heads] == [200, 502]
        assert [call.number for call in origin.calls] == [1, 2]


def test_a_request_with_a_body_is_never_sent_twice(shared: Site, host: str):
    with Origin(closes_second) as origin:
        shared.route(origin, host)
        head = f"PUT / HTTP/1.1\nHost: {host}\nContent-Length: 2"
        assert [fetch(shared, head, b"ab").status for _ in range(2)] == [200, 502]
        assert [call.number for call in origin.calls] == [1, 2]


def test_a_request_on_a_new_connection_is_sent_once(shared: Site, host: str):
    async def script(call: Call) -> None:
        call.writer.transport.abort()

    with Origin(script) as origin:
        shared.route(origin, host)
        assert fetch(shared, get(host)).status == 502
        assert len(origin.calls) == 1


def test_a_request_is_not_retried_after_a_byte_of_its_response(shared: Site, host: str):
    async def script(call: Call) -> None:
        if call.number == 1:
            await call.send(OK)
        else:
            await call.send(b"HTTP/1.1 2")
            call.writer.close()

    with Origin(script) as origin:
        shared.route(origin, host)
        assert [fetch(shared, get(host)).status for _ in range(2)] == [200, 502]
        assert len(origin.calls) == 2


def test_a_retry_goes_to_another_server_when_the_first_is_gone(shared: Site, host: str):
    with Origin(respond_with(OK)) as staying, Origin(respond_with(OK)) as leaving:
        shared.server("leaving", leaving.url, host)
        shared.route(staying, host)
        for _ in range(4):
            assert fetch(shared, get(host)).status == 200
        leaving.close()
        for _ in range(4):
            assert fetch(shared, get(host)).status == 200


BROKEN = {
    "length": b"Content-Length: 100\r\n\r\nabc",
    "chunk": b"Transfer-Encoding: chunked\r\n\r\n64\r\nabc",
    "no last chunk": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "bad chunk": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
}


@pytest.mark.parametrize(
    ("framing", "version"),
    [(framing, version) for version in ("1.1", "1.0") for framing in BROKEN.values()],
    ids=[f"{name} for HTTP/{version}" for version in ("1.1", "1.0") for name in BROKEN],
)
def test_a_client_sees_that_a_response_broke_off(
    shared: Site, host: str, framing: bytes, version: str
):
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\n" + framing)
        await asyncio.sleep(0.1)
        call.writer.close()

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            answer = client.request(f"GET / HTTP/{version}\nHost: {host}")
            assert (answer.status, answer.whole) == (200, False)
            assert client.is_closed
        assert shared.vulcand.process.poll() is None


def test_a_body_that_ends_with_the_connection_is_incomplete_when_the_server_resets(
    shared: Site, host: str
):
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await asyncio.sleep(0.1)
        raw = call.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        call.writer.transport.abort()

    with Origin(script) as origin:
        shared.route(origin, host)
        assert not fetch(shared, get(host)).whole


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"


@pytest.mark.parametrize("answer", [b"", STREAM], ids=["no response", "a quiet stream"])
@pytest.mark.parametrize("resets", [True, False], ids=["reset", "closed"])
def test_the_request_at_the_server_ends_when_the_client_leaves(
    shared: Site, host: str, answer: bytes, resets: bool
):
    async def script(call: Call) -> None:
        await call.send(answer)
        await call.reader.read()

    with Origin(script) as origin:
        shared.route(origin, host)
        clients = [Client(shared.vulcand.port) for _ in range(20)]
        for client in clients:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
        wait_until(lambda: len(origin.calls) == 20, "the requests at the server")
        for client in clients:
            if answer:
                assert client.file.readline() == b"HTTP/1.1 200 OK\r\n"
            if resets:
                linger = struct.pack("ii", 1, 0)
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()
        wait_until(lambda: origin.closed == 20, "the connections to the server cut")


def test_a_hundred_concurrent_clients_get_their_own_responses(shared: Site, host: str):
    async def script(call: Call) -> None:
        path = call.head.split(b" ")[1]
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    with Origin(script) as origin:
        shared.route(origin, host)
        clients = [Client(shared.vulcand.port) for _ in range(100)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(f"GET /{turn}/{number} HTTP/1.1\r\nHost: {host}\r\n\r\n")
            bodies = [client.response().body for client in clients]
            assert bodies == [b"/%d/%d" % (turn, number) for number in range(100)]
        for client in clients:
            client.close()


async def says_continue(call: Call) -> None:
    await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await call.body()
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def test_a_100_from_the_server_is_passed_on_before_the_body(shared: Site, host: str):
    with Origin(says_continue) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            head = f"POST / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n"
            for _ in range(2):
                client.send(head + "Content-Length: 3\r\n\r\n")
                assert client.file.readline() == b"HTTP/1.1 100 Continue\r\n"
                assert client.file.readline() == b"\r\n"
                client.send(b"abc")
                assert client.response().body == b"abc"
        assert origin.calls[0].field("expect") == "100-continue"


def test_an_error_instead_of_100_saves_the_body_and_closes_the_connection(shared: Site, host: str):
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await call.reader.read()

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            answer = client.request(post(host, "Expect: 100-continue", "Content-Length: 3"))
            assert (answer.status, answer.body) == (403, b"no")
            assert answer.headers["Connection"] == "close"
            assert client.is_closed


def test_a_server_that_never_sends_100_gets_the_body_anyway(shared: Site, host: str):
    with Origin(respond_with(OK)) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            head = f"POST / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n"
            client.send(head + "Content-Length: 3\r\n\r\n")
            began = time.monotonic()
            assert client.file.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert 0.5 < time.monotonic() - began < 5
            client.file.readline()
            client.send(b"abc")
            assert client.response().body == b"ok"


def test_a_response_before_the_end_of_the_body_is_passed_on(shared: Site, host: str):
    async def script(call: Call) -> None:
        await call.reader.readexactly(10)
        await call.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await call.reader.read()

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            client.send(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n")
            client.send(b"x" * 20)
            answer = client.response("POST")
            assert (answer.status, answer.headers["Connection"]) == (413, "close")
            assert client.is_closed
        wait_until(lambda: origin.closed == 1, "the connection cut")
