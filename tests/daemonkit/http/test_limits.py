"""The limits on a client, and the responses of the server at each of them."""

import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonkit.core import framing
from daemonkit.http import server
from daemonkit.http.overload_control import client_of
from daemonkit.http.server import Exchange, Limits
from rig.processes import python, run, wait_until
from tests.daemonkit.http.live_server import OK, WAIT_S, Echo, LiveServer, get, post, reply

TIGHT = Limits(
    head_bytes_max=1000,
    body_bytes_max=5000,
    head_s=0.3,
    body_s=0.3,
    idle_s=0.3,
    write_s=0.3,
    linger_s=0.3,
    connections_max=3,
)


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SWEEP_S", 0.05)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def live(echo: Echo) -> Iterator[LiveServer]:
    with LiveServer(echo, limits=TIGHT) as running:
        yield running


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["endless", "whole"])
def test_a_head_over_its_limit_is_refused(live: LiveServer, end: bytes) -> None:
    with live.client() as client:
        answer = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1000 + end)
        assert (answer.status, answer.fields[b"connection"]) == (431, b"close")
        assert client.ended()


@pytest.mark.parametrize("end", [b"", b" HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["endless", "whole"])
def test_a_target_over_its_limit_is_refused(echo: Echo, end: bytes) -> None:
    with LiveServer(echo, limits=Limits(head_bytes_max=1000, target_bytes_max=100)) as live:
        with live.client() as client:
            answer = client.ask(b"GET /" + b"a" * (100 if end else 1000) + end)
            assert (answer.status, answer.fields[b"connection"]) == (414, b"close")
            assert client.ended()
        with live.client() as client:
            assert client.ask(get(b"/" + b"a" * 99)).status == 200


def test_more_than_a_hundred_fields_are_refused(live: LiveServer) -> None:
    fields = [b"A: %d" % number for number in range(framing.FIELDS_MAX)]
    with live.client() as client:
        assert client.ask(get(b"/", *fields[:-1])).status == 200  # Host is one of them
        assert client.ask(get(b"/", *fields)).status == 431
        assert client.ended()


def test_busy_connections_of_one_address_are_limited_until_one_ends(echo: Echo) -> None:
    with LiveServer(echo, limits=Limits(client_connections_max=2)) as live:
        with live.client() as one, live.client() as two:
            one.send(get(b"/later/1"))
            two.send(get(b"/later/2"))
            wait_until(lambda: len(echo.pending) == 2, "both are busy")
            with live.client() as third:
                assert third.answer().status == 429
            wait_until(lambda: not live.server._refused, "the refused connection is gone")
            for exchange in echo.pending:
                live.call(lambda exchange=exchange: reply(exchange))  # type: ignore[misc]
            assert one.answer().status == two.answer().status == 200
        wait_until(lambda: not live.server.connections, "both connections end")
        assert not live.server.overload._by_client
        with live.client() as again:
            assert again.ask(get()).status == 200


def test_an_idle_connection_of_an_address_makes_room_for_its_next_one(echo: Echo) -> None:
    limits = Limits(client_connections_max=2)
    with LiveServer(echo, limits=limits) as live, live.client() as one, live.client() as two:
        assert one.ask(get()).status == two.ask(get()).status == 200
        with live.client() as third:
            assert third.ask(get()).status == 200
        cut, _, _ = select.select([one.sock, two.sock], [], [], WAIT_S)
        assert len(cut) == 1


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_network_counts_as_one_client(address: str, client: str) -> None:
    assert client_of(address) == client


def test_a_head_up_to_its_limit_is_accepted(live: LiveServer) -> None:
    request = get(b"/", b"X: " + b"a" * 900)
    with live.client() as client:
        assert client.ask(request * 2).status == 200
        assert client.answer().status == 200


def test_the_oldest_body_gives_way_when_all_together_are_too_large(echo: Echo) -> None:
    half = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n" + b"x" * 2000
    with LiveServer(echo, limits=Limits(bodies_bytes_max=6000)) as live:
        overload = live.server.overload
        with live.client() as first, live.client() as second, live.client() as third:
            first.send(half)
            wait_until(lambda: overload.gathered_bytes == 2000, "the first half arrives")
            time.sleep(0.02)  # the loop's clock has milliseconds
            second.send(half)
            wait_until(lambda: overload.gathered_bytes == 4000, "both halves arrive")
            third.send(half + b"x")
            assert first.closed_or_reset()
            assert second.ask(b"x" * 2000).status == 200
            assert third.ask(b"x" * 1999).status == 200
        wait_until(lambda: overload.gathered_bytes == 0, "all bodies are freed")


def test_answers_that_nobody_reads_are_cut_before_those_that_progress(echo: Echo) -> None:
    """The client that has read nothing for longest gives way; the newest answer is whole."""
    size = 8 << 20
    limits = Limits(unsent_bytes_max=3 * size, client_unsent_bytes_max=2 * size)
    request = get(b"/size/%d" % size)
    with LiveServer(echo, limits=limits) as live:
        unread = [live.client(receive_bytes=4096) for _ in range(20)]
        for client in unread:
            client.send(request)
        wait_until(lambda: echo.requests == 20, "all have asked")
        live.settle()
        assert live.server.overload.unsent_bytes <= 3 * size
        with live.client() as reader:
            assert len(reader.ask(request).body) == size
        for client in unread:
            client.sock.close()
        wait_until(lambda: live.server.overload.unsent_bytes == 0, "all answers are freed")


def test_idle_connections_make_room_for_new_ones(echo: Echo) -> None:
    with LiveServer(echo, limits=Limits(connections_max=20, client_connections_max=0)) as live:
        busy = live.client()
        busy.send(get(b"/later"))
        wait_until(lambda: echo.pending, "one request is in hand")
        silent = [live.client() for _ in range(19)]
        wait_until(lambda: len(live.server.overload.connections) == 20, "all places are taken")
        with live.client() as late:
            assert late.ask(get()).status == 200
        cut, _, _ = select.select([client.sock for client in silent], [], [], WAIT_S)
        assert len(cut) == 1
        live.call(lambda: reply(echo.pending[0], b"in time"))
        assert busy.answer().body == b"in time"
        for client in (*silent, busy):
            client.sock.close()


def test_a_body_whose_length_is_over_its_limit_is_refused_at_once(live: LiveServer) -> None:
    with live.client() as client:
        assert (
            client.ask(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5001\r\n\r\n").status == 413
        )
        assert client.ended()


def test_a_chunked_body_that_grows_over_its_limit_is_refused(live: LiveServer) -> None:
    with live.client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = client.ask(b"100\r\n" + b"a" * 256 + b"\r\n" + b"ffff\r\n" + b"a" * 5000)
        assert answer.status == 413
        assert client.ended()


def test_a_body_up_to_its_limit_is_accepted(live: LiveServer) -> None:
    with live.client() as client:
        assert client.ask(post(b"a" * 5000)).status == 200


def test_an_unfinished_head_times_out(live: LiveServer) -> None:
    with live.client() as client:
        assert client.ask(b"GET / HTTP/1.1\r\nHo").status == 408
        assert client.ended()


def test_a_head_sent_byte_by_byte_times_out_as_early(live: LiveServer) -> None:
    with live.client() as client:
        client.sock.settimeout(0.05)
        client.send(b"GET / HTTP/1.1\r\nX: ")

        def refused() -> bool:
            client.send(b"a")
            try:
                return client.answer().status == 408
            except TimeoutError:
                return False

        wait_until(refused, "the head is refused")


def test_an_unfinished_body_times_out(live: LiveServer, echo: Echo) -> None:
    with live.client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert client.answer().status == 408
        assert client.ended()
    assert echo.requests == 0


def test_an_idle_connection_is_closed(live: LiveServer) -> None:
    with live.client() as fresh, live.client() as used:
        assert used.ask(get()).status == 200
        assert used.ended()
        assert fresh.ended()


def test_a_slow_response_does_not_time_out(live: LiveServer, echo: Echo) -> None:
    with live.client() as idle, live.client() as client:
        client.send(get(b"/later"))
        assert idle.ended()  # the time limits have passed
        live.call(lambda: reply(echo.pending[0], b"late"))
        assert client.answer().body == b"late"


def test_a_slow_reader_gets_the_whole_last_response(echo: Echo) -> None:
    """A client that reads some bytes now and then is slow, not lost."""
    size = 8_000_000
    limits = Limits(linger_s=0.1, idle_s=0.1)
    with LiveServer(echo, limits=limits) as live, live.client(receive_bytes=4096) as client:
        client.send(get(b"/size/%d" % size, b"Connection: close"))
        for _ in range(3):
            with live.client() as idle:
                assert idle.ended()  # this takes longer than linger_s
            assert client.sock.recv(1000)
        assert len(client.rest()) > size - 3000


def test_a_client_that_reads_nothing_is_disconnected(live: LiveServer, echo: Echo) -> None:
    with live.client(receive_bytes=4096) as client:
        client.send(get(b"/size/20000000"))
        wait_until(lambda: echo.requests, "the request arrives")
        wait_until(lambda: not live.server.connections, "the connection is closed")
        with pytest.raises((EOFError, ConnectionResetError)):
            client.answer()


def test_a_waiting_connection_has_tcp_keepalive(live: LiveServer, echo: Echo) -> None:
    """Without keepalive, the watch of a host that lost its power would never end."""
    with live.client() as client:
        client.send(get(b"/later"))
        (exchange,) = wait_until(lambda: list(echo.pending), "the request arrives")
        sock = exchange._connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        live.call(lambda: reply(exchange))


def test_a_client_that_does_not_close_its_connection_is_disconnected(live: LiveServer) -> None:
    with live.client() as client:
        client.ask(get(b"/", b"Connection: close"))
        wait_until(lambda: not live.server.connections, "the connection is gone")


def test_a_connection_over_the_limit_gets_status_503_and_is_closed(
    live: LiveServer, echo: Echo
) -> None:
    with live.client() as one, live.client() as two, live.client() as three:
        for held in (one, two, three):
            held.send(get(b"/later"))
        wait_until(lambda: len(live.server.connections) == 3, "three connections")
        with live.client() as fourth:
            assert fourth.answer().status == 503
            # The server closes the connection although the client does not.
            wait_until(lambda: not live.server._refused, "the refused connection is gone")
        assert len(live.server.connections) == 3
        for exchange in echo.pending:
            live.call(lambda each=exchange: reply(each))
    wait_until(lambda: not live.server.connections, "all connections end")
    with live.client() as fifth:
        assert fifth.ask(get()).status == 200


def test_the_number_of_refused_connections_is_limited(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REFUSED_MAX", 0)
    with live.client() as one, live.client() as two, live.client() as three:
        for held in (one, two, three):
            held.send(get(b"/later"))
        wait_until(lambda: len(live.server.connections) == 3, "three connections")
        with live.client() as fourth:
            assert fourth.closed_or_reset()


BAD = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "length and coding": post(b"", b"Transfer-Encoding: chunked"),
    "bad chunk": b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
}


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "streaming"])
@pytest.mark.parametrize("wire", BAD.values(), ids=BAD)
def test_the_server_reads_nothing_after_a_bad_message(wire: bytes, buffered: bool) -> None:
    asked: list[Exchange] = []
    lost: list[bool] = []

    def application(exchange: Exchange) -> None:
        asked.append(exchange)
        exchange.lost = lambda: lost.append(True)

    with LiveServer(application, buffered=buffered, limits=TIGHT) as live, live.client() as client:
        client.send(wire + get(b"/smuggled"))
        answer = client.answer()
        assert (answer.status, answer.fields[b"connection"]) == (400, b"close")
        assert client.ended()
    assert all(exchange.head.target == b"/" for exchange in asked)
    assert len(lost) == len(asked)


def test_a_bad_body_aborts_a_response_that_has_started() -> None:
    def application(exchange: Exchange) -> None:
        exchange.start(OK, chunked=True)
        exchange.write(b"begun")

    with LiveServer(application, buffered=False) as live, live.client() as client:
        client.send(BAD["bad chunk"])
        with pytest.raises((EOFError, ConnectionResetError)):
            client.answer()


def test_an_error_response_arrives_while_the_client_still_sends(live: LiveServer) -> None:
    """A reset would delete the response from the client's receive buffer."""
    with live.client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n")
        for _ in range(20):
            client.send(b"a" * 4096)
            live.settle()
        assert client.answer().status == 413


def test_a_server_out_of_descriptors_serves_on_and_recovers(tmp_path: Path) -> None:
    done = run(python("tests.daemonkit.http.starved_server"))
    assert done.returncode == 0, done.stderr
