"""Requests and responses between a client and a server."""

import asyncio
import socket
import time

import pytest

from rig.processes import free_port, wait_until
from rig.vulcan_site import OK, Call, Client, Origin, Response, Site, respond_text, respond_with


def get(host: str, path: str = "/") -> str:
    return f"GET {path} HTTP/1.1\nHost: {host}"


def post(host: str, *fields: str) -> str:
    return "\n".join([f"POST / HTTP/1.1\nHost: {host}", *fields])


def fetch(site: Site, head: str, body: bytes = b""):
    with Client(site.vulcand.port) as client:
        return client.request(head, body)


def test_a_request_is_forwarded_and_its_response_returned(shared: Site, host: str):
    answer_bytes = b"HTTP/1.1 201 Made\r\nX-A: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
    with Origin(respond_with(answer_bytes + b"Content-Length: 3\r\n\r\nabc")) as origin:
        shared.route(origin, host, Hostname="edge1")
        answer = fetch(shared, get(host, "/p%20q?r=1"))
        lines = origin.calls[0].head.decode().split("\r\n")
    assert (answer.status, answer.body, answer.headers["X-A"]) == (201, b"abc", "1")
    assert answer.headers.get_all("Set-Cookie") == ["a", "b"]
    assert lines[:2] == ["GET /p%20q?r=1 HTTP/1.1", f"Host: 127.0.0.1:{origin.port}"]
    assert "X-Forwarded-For: 127.0.0.1" in lines
    assert f"X-Forwarded-Host: {host}" in lines
    assert "X-Forwarded-Server: edge1" in lines
    assert "Via: 1.1 vulcan" in lines


def test_connections_to_servers_are_kept_and_shared_between_clients(shared: Site, host: str):
    with Origin(respond_with(OK)) as origin:
        shared.route(origin, host)
        for _ in range(3):
            with Client(shared.vulcand.port) as client:
                assert client.request(get(host)).body == b"ok"
                assert client.request(get(host)).body == b"ok"
        assert [call.number for call in origin.calls] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 6\r\n\r\nabcdef",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
        b"Connection: close\r\n\r\nabcdef",
    ],
    ids=["length", "chunked", "close"],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_response_body_arrives_whole_with_every_framing(
    shared: Site, host: str, framing: bytes, version: str
):
    async def script(call: Call) -> None:
        head, end, rest = framing.partition(b"\r\n\r\n")
        await call.send(b"HTTP/1.1 200 OK\r\n" + head + end)
        await call.send(rest)
        if b"close" in head:
            call.writer.close()

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            answer = client.request(f"GET / HTTP/{version}\nHost: {host}")
            assert (answer.body, answer.whole) == (b"abcdef", True)
            assert (answer.headers["Transfer-Encoding"] is None) == (
                version == "1.0" or b"Length" in framing
            )
            if version == "1.0":
                assert client.is_closed


def test_an_http_1_0_client_can_keep_its_connection(shared: Site, host: str):
    with Origin(respond_with(OK)) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            for _ in range(2):
                head = f"GET / HTTP/1.0\nHost: {host}\nConnection: keep-alive"
                answer = client.request(head)
                assert (answer.body, answer.headers["Connection"]) == (b"ok", "keep-alive")


def test_a_response_in_many_small_pieces_arrives_unchanged(shared: Site, host: str):
    whole = b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"

    async def script(call: Call) -> None:
        for at in range(len(whole)):
            await call.send(whole[at : at + 1])
            await asyncio.sleep(0)

    with Origin(script) as origin:
        shared.route(origin, host)
        answer = fetch(shared, get(host))
        assert (answer.headers["X"], answer.body) == ("y", b"abcde")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (["Content-Length: 5"], b"abcde"),
        (["Transfer-Encoding: chunked"], b"2\r\nab\r\n3;e\r\ncde\r\n0\r\nX: y\r\n\r\n"),
    ],
)
def test_a_request_body_arrives_whole(shared: Site, host: str, fields: list[str], body: bytes):
    got = []

    async def script(call: Call) -> None:
        got.append(await call.body())
        await call.send(OK)

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            for _ in range(2):
                assert client.request(post(host, *fields), body).body == b"ok"
    assert got == [b"abcde", b"abcde"]
    assert origin.connections == 1


def test_trailers_of_a_response_are_passed_on(shared: Site, host: str):
    answer = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Origin(respond_with(answer + b"2\r\nab\r\n0\r\nX-Sum: 7\r\nHost-X: 1\r\n\r\n")) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            whole = client.file.read()
    assert b"Trailer: X-Sum\r\n" in whole
    assert whole.endswith(b"\r\n2\r\nab\r\n0\r\nX-Sum: 7\r\nHost-X: 1\r\n\r\n")


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 6", b"Transfer-Encoding: chunked", b"X: no-length"]
)
def test_a_response_to_head_has_no_body_and_keeps_the_connections_usable(
    shared: Site, host: str, framing: bytes
):
    with Origin(respond_with(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            for _ in range(2):
                answer = client.request(f"HEAD / HTTP/1.1\nHost: {host}")
                assert (answer.status, answer.body) == (200, b"")
                assert answer.headers["Content-Length"] == ("6" if framing.endswith(b"6") else None)
        assert origin.connections == 1


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_response_without_a_body_needs_no_framing(shared: Site, host: str, status: str):
    with Origin(respond_with(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode())) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            answers = [client.request(get(host)) for _ in range(2)]
        assert [answer.status for answer in answers] == [int(status[:3])] * 2
        assert origin.connections == 1


def test_pipelined_requests_are_answered_in_order(shared: Site, host: str):
    async def script(call: Call) -> None:
        path = call.head.split(b" ")[1]
        if path == b"/0":
            await asyncio.sleep(0.1)
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            heads = [f"GET /{n} HTTP/1.1\r\nHost: {host}\r\n\r\n" for n in range(20)]
            client.send("".join(heads))
            assert [client.response().body for _ in heads] == [b"/%d" % n for n in range(20)]
        assert origin.connections == 1


def test_a_request_without_a_frontend_gets_the_404_of_vulcand(shared: Site):
    answer = fetch(shared, get("nobody.example"))
    assert (answer.status, answer.body) == (404, b'{"error":"not found"}')
    assert answer.headers["Content-Type"] == "application/json"


def test_a_backend_without_servers_gives_503(shared: Site, host: str):
    shared.frontend(host, f'Host("{host}")', "missing")
    wait_until(lambda: shared.routes(host), "routed")
    answer = fetch(shared, get(host))
    assert (answer.status, answer.body) == (503, b"Service Unavailable")


def test_a_server_that_refuses_connections_gives_502(shared: Site, host: str):
    with Origin(respond_with(OK)) as origin:
        shared.route(origin, host)
        origin.close()
        answer = fetch(shared, post(host, "Content-Length: 2"), b"ab")
        assert (answer.status, answer.body) == (502, b"Bad Gateway")
    log = shared.vulcand.log.read_text()
    assert f"event=server-failed backend={host} server=127.0.0.1:{origin.port}" in log


def test_any_request_goes_to_another_server_when_connecting_fails(shared: Site, host: str):
    with Origin(respond_text("alive")) as origin:
        for number in range(2):
            shared.server(f"dead{number}", f"http://127.0.0.1:{free_port()}", host)
        shared.route(origin, host)
        for _ in range(6):
            answer = fetch(shared, post(host, "Content-Length: 2"), b"ab")
            assert (answer.status, answer.body) == (200, b"alive")
        assert len(origin.calls) == 6


def test_a_server_that_does_not_respond_in_time_gives_504(shared: Site, host: str):
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200")
        await call.reader.read()

    with Origin(script) as origin:
        shared.backend(host, Timeouts={"Read": "300ms"})
        shared.route(origin, host)
        began = time.monotonic()
        answer = fetch(shared, get(host))
        assert (answer.status, answer.body) == (504, b"Gateway Timeout")
        assert time.monotonic() - began < 3
        wait_until(lambda: origin.closed == 1, "the connection cut")


def test_a_server_that_does_not_accept_in_time_gives_504(shared: Site, host: str):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # From here on, the queue of connections to accept is full.
        with (
            socket.create_connection(full.getsockname()),
            pytest.raises(TimeoutError),
            socket.create_connection(full.getsockname(), timeout=0.3),
        ):
            pass
        shared.backend(host, Timeouts={"Dial": "300ms"})
        shared.server("s", f"http://127.0.0.1:{full.getsockname()[1]}", host)
        shared.frontend(host, f'Host("{host}")', host)
        wait_until(lambda: shared.routes(host), "routed")
        assert fetch(shared, get(host)).status == 504


def test_bytes_on_an_idle_connection_close_it(shared: Site, host: str):
    async def script(call: Call) -> None:
        await call.send(OK)
        await asyncio.sleep(0.05)
        await call.send(b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n")

    with Origin(script) as origin:
        shared.route(origin, host)
        for number in (1, 2):
            assert fetch(shared, get(host)).body == b"ok"
            wait_until(lambda n=number: origin.closed == n, "the idle connection closed")


def final(client: Client, head: str) -> tuple[list[int], Response]:
    """Return the interim statuses before a response, and the response."""
    interims, answer = [], client.request(head)
    while answer.status < 200:
        interims.append(answer.status)
        answer = client.response()
    return interims, answer


def test_interim_responses_are_passed_on(shared: Site, host: str):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with Origin(respond_with(early * 3 + OK)) as origin, Client(shared.vulcand.port) as client:
        shared.route(origin, host)
        interims, answer = final(client, get(host))
        assert (interims, answer.body) == ([103, 103, 103], b"ok")


def test_a_server_that_sends_interim_responses_without_end_gives_502(shared: Site, host: str):
    endless = b"HTTP/1.1 102 Processing\r\n\r\n" * 17 + OK
    with Origin(respond_with(endless)) as origin, Client(shared.vulcand.port) as client:
        shared.route(origin, host)
        interims, answer = final(client, get(host))
        assert (set(interims), answer.status) == ({102}, 502)


@pytest.mark.parametrize("body", [b"ab", b"2\r\nab\r\n0\r\n\r\n"], ids=["length", "chunked"])
def test_a_body_over_the_limit_of_the_frontend_gets_413(shared: Site, host: str, body: bytes):
    chunked = body.endswith(b"\r\n")
    with Origin(respond_with(OK)) as origin:
        shared.route(origin, host, Limits={"MaxBodyBytes": 1})
        field = "Transfer-Encoding: chunked" if chunked else "Content-Length: 2"
        answer = fetch(shared, post(host, field), body)
        assert (answer.status, answer.body) == (413, b"Request Entity Too Large")
