"""Requests and responses: order, keep-alive, bodies, and any split of the bytes."""

import asyncio
import itertools
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemonkit.http.connection import AHEAD_BYTES_MAX
from daemonkit.http.server import Exchange
from rig.processes import wait_until
from tests.daemonkit.http.live_server import OK, WAIT_S, Client, Echo, LiveServer, get, post, reply


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def live(echo: Echo) -> Iterator[LiveServer]:
    with LiveServer(echo) as running:
        yield running


@pytest.fixture
def client(live: LiveServer) -> Iterator[Client]:
    with live.client() as connected:
        yield connected


def test_one_connection_serves_many_requests(client: Client) -> None:
    for name in (b"/a", b"/b", b"/c"):
        answer = client.ask(get(name))
        assert (answer.status, answer.body) == (200, b"GET " + name + b" ")
        assert b"connection" not in answer.fields


def test_a_response_has_a_date(client: Client) -> None:
    assert re.fullmatch(
        rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", client.ask(get()).fields[b"date"]
    )


def test_a_request_with_connection_close_is_the_last_of_its_connection(client: Client) -> None:
    assert client.ask(get(b"/", b"Connection: close")).fields[b"connection"] == b"close"
    assert client.ended()


def test_an_http_1_0_connection_ends_after_one_response(client: Client) -> None:
    assert client.ask(get(version=b"1.0")).fields[b"connection"] == b"close"
    assert client.ended()


def test_an_http_1_0_client_may_ask_for_keep_alive(client: Client) -> None:
    for _ in range(2):
        answer = client.ask(get(b"/", b"Connection: keep-alive", version=b"1.0"))
        assert answer.fields[b"connection"] == b"keep-alive"


def test_empty_lines_before_a_request_are_skipped(client: Client) -> None:
    assert client.ask(b"\r\n" * 3 + get(b"/a")).status == 200
    assert client.ask(b"\r\n" * 30_000 + get(b"/a")).status == 200


def test_the_response_to_head_has_no_body(client: Client) -> None:
    client.send(b"HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n" + get(b"/next"))
    assert client.answer(to_head=True).fields[b"content-length"] == b"10"
    assert client.answer().body == b"GET /next "


def test_a_body_with_a_length_arrives_whole(client: Client) -> None:
    body = bytes(range(256)) * 4000
    assert client.ask(post(body)).body == b"POST / " + body


def test_a_chunked_body_arrives_whole(client: Client) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.send(head + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n")
    assert client.ask(b"0\r\nTrailer: 1\r\n\r\n").body == b"POST / abcdefg"
    assert client.ask(get(b"/after")).status == 200


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    names = [b"/%d" % number for number in range(100)]
    client.send(b"".join(get(name) for name in names))
    assert [client.answer().body.split()[1] for _ in names] == names


def test_responses_keep_the_order_of_their_requests(
    live: LiveServer, echo: Echo, client: Client
) -> None:
    client.send(get(b"/later/1") + get(b"/now") + get(b"/later/2") + get(b"/end"))
    for body in (b"first", b"second"):
        (exchange,) = wait_until(lambda: list(echo.pending), "the request arrives")
        echo.pending.clear()
        live.call(partial(reply, exchange, body))
    bodies = [client.answer().body for _ in range(4)]
    assert bodies == [b"first", b"GET /now ", b"second", b"GET /end "]


def test_a_second_response_to_a_request_is_ignored(
    live: LiveServer, echo: Echo, client: Client
) -> None:
    client.send(get(b"/later"))
    (exchange,) = wait_until(lambda: list(echo.pending), "the request arrives")
    live.call(lambda: (reply(exchange, b"1"), reply(exchange, b"2"), exchange.finish()))
    assert exchange.finished
    assert (client.answer().body, client.ask(get(b"/a")).body) == (b"1", b"GET /a ")


def test_a_client_that_expects_100_continue_gets_it(client: Client) -> None:
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert client.answer().status == 100
    assert client.ask(b"abc").body == b"POST / abc"


def test_no_100_continue_is_sent_when_the_body_has_started(client: Client) -> None:
    assert client.ask(post(b"abc", b"Expect: 100-continue")).status == 200
    chunked = b"Host: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"
    assert client.ask(b"POST / HTTP/1.1\r\n" + chunked + b"c\r\n0\r\n\r\n").status == 200


def test_no_100_continue_is_sent_for_a_refused_body(client: Client) -> None:
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    )
    assert client.answer().status == 413
    assert client.ended()


def test_an_unknown_expectation_is_refused(client: Client) -> None:
    assert client.ask(post(b"", b"Expect: miracles")).status == 417


def chunks(exchange: Exchange) -> None:
    exchange.start(OK, chunked=True)
    for piece in (b"one", b"", b"two"):
        exchange.write(piece)
    exchange.finish(b"Checksum: 1\r\n" if exchange.head.minor else b"")


def test_a_response_without_a_length_is_chunked() -> None:
    with LiveServer(chunks) as live, live.client() as client:
        assert client.ask(get()).body == b"onetwo"
        assert client.trailers == b"Checksum: 1\r\n"
        assert b"transfer-encoding" in client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").fields
        assert client.ask(get()).body == b"onetwo"


def test_an_http_1_0_client_gets_a_response_without_chunks() -> None:
    with LiveServer(chunks) as live, live.client() as client:
        answer = client.ask(get(b"/", b"Connection: keep-alive", version=b"1.0"))
        assert answer.body == b"onetwo"
        assert b"transfer-encoding" not in answer.fields


def test_an_aborted_response_looks_incomplete() -> None:
    def half(exchange: Exchange) -> None:
        exchange.start(OK, chunked=True)
        exchange.write(b"half")
        asyncio.get_running_loop().call_soon(exchange.abort)

    with (
        LiveServer(half) as live,
        live.client() as client,
        pytest.raises((EOFError, ConnectionResetError)),
    ):
        client.ask(get())


def test_nothing_happens_to_an_exchange_after_its_abort() -> None:
    def abort(exchange: Exchange) -> None:
        exchange.start(OK, chunked=True)
        exchange.abort()
        exchange.write(b"x")
        exchange.finish()
        exchange.reply(OK)

    with LiveServer(abort) as live, live.client() as client:
        client.send(get() * 3)
        assert client.closed_or_reset()


def test_buffered_pipelined_requests_are_limited(
    live: LiveServer, echo: Echo, client: Client
) -> None:
    client.send(get(b"/later"))
    wait_until(lambda: echo.pending, "the request arrives")
    ahead = get(b"/" + b"a" * 8000)
    left = client.send_until_stuck(ahead * 5000)
    assert left
    (connection,) = live.server.connections
    # One read of the loop, at most 256 KB, may pass the bound before reading stops.
    assert len(connection._buffer) < AHEAD_BYTES_MAX + 256 * 1024
    live.call(lambda: reply(echo.pending[0]))
    assert client.answer().body == b""
    sender = threading.Thread(target=client.send, args=(left,), daemon=True)
    sender.start()
    for _ in range(5000):
        assert client.answer().body.startswith(b"GET /aaa")
    sender.join(WAIT_S)


def test_requests_wait_while_the_client_reads_no_responses(live: LiveServer, echo: Echo) -> None:
    with live.client(receive_bytes=4096) as client:
        client.send(get(b"/size/500000") * 60)
        wait_until(lambda: live.call(lambda: echo.requests), "the first request arrives")
        live.settle()
        assert live.call(lambda: echo.requests) < 20
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for _ in range(60):
            assert len(client.answer().body) == 500_000
        assert client.ask(get(b"/alive")).status == 200


class Mixed:
    """Answers some requests at once and some in the next iteration of the loop."""

    def __call__(self, exchange: Exchange) -> None:
        head, hexed = exchange.head, exchange.body.hex().encode()
        body = b"%b %b %b" % (head.method, head.target, hexed)
        if head.target.startswith(b"/slow"):
            asyncio.get_running_loop().call_soon(reply, exchange, body)
        else:
            reply(exchange, body)


class Piecewise:
    """Receives the body piece by piece and answers at its end."""

    def __call__(self, exchange: Exchange) -> None:
        if exchange.head.chunked or exchange.head.length:
            exchange.receiver = Collect(exchange)
        else:
            Mixed()(exchange)


class Collect:
    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.body = b""

    def body_data(self, data: bytes) -> None:
        self.body += data

    def body_end(self) -> None:
        self.exchange.body = self.body
        Mixed()(self.exchange)


@pytest.fixture(scope="module", params=["buffered", "streaming"])
def mixed(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    buffered = request.param == "buffered"
    with LiveServer(Mixed() if buffered else Piecewise(), buffered=buffered) as running:
        yield running


targets = st.sampled_from([b"/", b"/a", b"/slow"])
bodies = st.binary(min_size=1, max_size=60)


def chunked(target: bytes, pieces: list[bytes]) -> bytes:
    head = b"PUT " + target + b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


requests = st.one_of(
    st.builds(get, targets),
    st.builds(lambda target: get(target).replace(b"GET", b"HEAD", 1), targets),
    st.builds(lambda target, body: post(body, target=target), targets, bodies),
    st.builds(chunked, targets, st.lists(bodies, max_size=3)),
    st.just(b"\r\n"),
)
lasts = st.sampled_from([get(b"/last", b"Connection: close"), b"GET / HTTP/1.1\r\n\r\n"])


def conversation(live: LiveServer, wire: bytes, cuts: list[int]) -> bytes:
    edges = sorted({0, len(wire), *(cut % len(wire) for cut in cuts)})
    with live.client() as client:
        for start, end in itertools.pairwise(edges):
            client.send(wire[start:end])
            live.settle()
        return re.sub(rb"Date: [^\r]*\r\n", b"", client.rest())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(requests, max_size=6), lasts, st.lists(st.integers(0, 2000), min_size=1, max_size=12)
)
def test_any_split_of_the_bytes_gives_the_same_responses(
    mixed: LiveServer, pipelined: list[bytes], last: bytes, cuts: list[int]
) -> None:
    wire = b"".join(pipelined) + last
    whole = conversation(mixed, wire, [])
    assert (
        len(re.findall(rb"HTTP/1\.1 \d", whole))
        == sum(request != b"\r\n" for request in pipelined) + 1
    )
    assert conversation(mixed, wire, cuts) == whole
