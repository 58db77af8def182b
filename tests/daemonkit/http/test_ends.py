"""How connections end: half-closed, lost, drained, aborted."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from daemonkit.http import connection, server
from daemonkit.http.server import Exchange, Limits
from rig.processes import wait_until
from tests.daemonkit.http.live_server import OK, Client, Echo, LiveServer, get, post, reply


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SWEEP_S", 0.05)
    monkeypatch.setattr(connection, "FRESH_S", 0.2)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def live(echo: Echo) -> Iterator[LiveServer]:
    with LiveServer(echo, limits=Limits(linger_s=0.3)) as running:
        yield running


def wait_for_pending(echo: Echo, count: int) -> None:
    wait_until(lambda: len(echo.pending) >= count, f"{count} requests arrive")


def reset(client: Client) -> None:
    """Reset the connection, as the kernel does for a killed process with unread data."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


def test_a_half_closed_client_gets_its_response(live: LiveServer, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later"))
        client.half_close()
        wait_for_pending(echo, 1)
        live.settle()
        live.call(lambda: reply(echo.pending[0], b"late"))
        answer = client.answer()
        assert (answer.body, answer.fields[b"connection"]) == (b"late", b"close")
        assert client.ended()


def test_a_half_closed_client_gets_all_its_responses(live: LiveServer, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later/0") + get(b"/now") + get(b"/later/1"))
        client.half_close()
        for number in range(2):
            wait_for_pending(echo, number + 1)
            live.settle()
            live.call(lambda each=echo.pending[number]: reply(each, b"late"))
        assert [client.answer().body for _ in range(3)] == [b"late", b"GET /now ", b"late"]
        assert client.ended()


def test_a_half_closed_client_that_reads_late_gets_all_its_responses(live: LiveServer) -> None:
    with live.client(receive_bytes=4096) as client:
        client.send(get(b"/size/500000") * 20)
        client.half_close()
        live.settle()
        for _ in range(20):
            assert len(client.answer().body) == 500_000
        assert client.ended()


def test_a_truncated_request_never_reaches_the_application(live: LiveServer, echo: Echo) -> None:
    for wire in (get()[:-2], post(b"abc")[:-1]):
        with live.client() as client:
            client.send(wire)
            client.half_close()
            assert client.ended()
    assert echo.requests == 0


def test_a_truncated_request_behind_a_pending_one_ends_the_connection_after_its_response(
    live: LiveServer, echo: Echo
) -> None:
    with live.client() as client:
        client.send(get(b"/later") + b"GET /half")
        client.half_close()
        wait_for_pending(echo, 1)
        live.settle()
        live.call(lambda: reply(echo.pending[0], b"late"))
        assert client.answer().body == b"late"
        assert client.ended()


def test_a_watch_ends_when_its_client_half_closes() -> None:
    lost = threading.Event()

    def watch(exchange: Exchange) -> None:
        exchange.ends_with_client = True
        exchange.lost = lost.set
        exchange.start(OK, chunked=True)
        exchange.write(b"first")

    with LiveServer(watch) as live, live.client() as client:
        client.send(get())
        live.settle()
        assert not lost.is_set()
        client.half_close()
        assert lost.wait(5)


def test_a_lost_client_is_reported_once(live: LiveServer, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later"))
        wait_for_pending(echo, 1)
        reset(client)
        wait_until(lambda: echo.lost, "the loss is reported")
        exchange = echo.pending[0]
        assert exchange.finished
        live.call(lambda: (exchange.start(OK, chunked=True), exchange.write(b"x")))
        live.call(lambda: (exchange.finish(), exchange.abort(), exchange.resume()))
    assert echo.lost == [b"/later"]


@pytest.mark.parametrize("wire", [b"", b"GET ", post(b"abc")[:-1], get(b"/size/9999999")])
def test_a_client_may_disconnect_at_any_point(live: LiveServer, wire: bytes) -> None:
    with live.client(receive_bytes=4096) as client:
        client.send(wire)
        live.settle()
        reset(client)
        wait_until(lambda: not live.server.connections, "the connection is gone")


def test_a_finished_exchange_does_not_affect_the_next_one(live: LiveServer, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later/0"))
        wait_for_pending(echo, 1)
        live.call(lambda: reply(echo.pending[0]))
        client.answer()
        live.call(lambda: (echo.pending[0].pause(), echo.pending[0].abort()))
        assert client.ask(get(b"/on")).status == 200


class Drain:
    """A running drain of a server."""

    def __init__(self, live: LiveServer, deadline_s: float, *, grace_s: float = 0.0) -> None:
        self.took_s = -1.0
        self._grace_s = grace_s
        self._live = live
        self._deadline_s = deadline_s
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_until(lambda: live.server.draining, "the drain begins")

    def _run(self) -> None:
        began_s = time.monotonic()
        self._live.run(self._live.server.drain(self._deadline_s, grace_s=self._grace_s))
        self.took_s = time.monotonic() - began_s

    def done(self) -> float:
        """Wait for the end of the drain; return how long it took."""
        self._thread.join(10)
        assert self.took_s >= 0
        return self.took_s


def test_a_drain_without_connections_ends_at_once(live: LiveServer) -> None:
    assert Drain(live, 5.0).done() < 1.0


def test_a_drain_closes_idle_connections_at_once(live: LiveServer) -> None:
    with live.client() as client:
        client.ask(get())
        drain = Drain(live, 5.0)
        assert client.ended()
        assert drain.done() < 2.0


def test_a_drain_with_grace_answers_one_more_request_per_connection(live: LiveServer) -> None:
    with live.client() as busy, live.client() as idle:
        for client in (busy, idle):
            client.ask(get())
        drain = Drain(live, 30.0, grace_s=3.0)
        assert busy.ask(get()).fields[b"connection"] == b"close"
        assert busy.ended()
        assert drain.took_s < 0
        assert idle.ended()
        assert drain.done() < 20.0


def test_a_draining_server_accepts_no_connections(live: LiveServer) -> None:
    Drain(live, 5.0).done()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", live.port))


def test_a_drain_waits_for_exchanges_in_flight(live: LiveServer, echo: Echo) -> None:
    with live.client() as client, live.client() as slow:
        client.send(get(b"/later"))
        slow.send(post(b"abc")[:-1])
        wait_for_pending(echo, 1)
        drain = Drain(live, 5.0)
        slow.send(b"c")
        assert slow.answer().fields[b"connection"] == b"close"
        assert slow.ended()
        assert drain.took_s < 0
        live.call(lambda: reply(echo.pending[0], b"done"))
        answer = client.answer()
        assert (answer.body, answer.fields[b"connection"]) == (b"done", b"close")
        client.sock.close()
        drain.done()


def test_a_drain_answers_the_first_request_of_a_new_connection(live: LiveServer) -> None:
    """The first request of a new connection may be in flight: closing would fail it."""
    with live.client() as client:
        wait_until(lambda: live.server.connections, "the connection is open")
        drain = Drain(live, 5.0)
        assert client.ask(get()).fields[b"connection"] == b"close"
        client.sock.close()
        drain.done()


def test_a_drain_waits_only_briefly_for_a_first_request(live: LiveServer) -> None:
    with live.client() as client:
        wait_until(lambda: live.server.connections, "the connection is open")
        drain = Drain(live, 5.0)
        assert client.ended()
        assert drain.done() < 3.0


def test_a_drain_answers_requests_that_arrived_before_it(live: LiveServer) -> None:
    """The loop is busy while two requests arrive, and the drain starts before it reads them."""
    with live.client() as client:
        client.ask(get())
        busy = threading.Event()
        release = threading.Event()

        async def drain_after_work() -> None:
            busy.set()
            release.wait(5)  # block the loop, as a long callback does
            await live.server.drain(5.0)

        drain = asyncio.run_coroutine_threadsafe(drain_after_work(), live._loop)
        assert busy.wait(5)
        with live.client() as new:
            new.send(get(b"/new"))
            client.send(get(b"/old"))
            release.set()
            assert new.answer().body == b"GET /new "
            assert client.answer().body == b"GET /old "
        client.sock.close()
        drain.result(10)


def test_a_drain_closes_the_remaining_connections_at_its_deadline(
    live: LiveServer, echo: Echo
) -> None:
    with live.client() as client:
        client.send(get(b"/later"))
        wait_for_pending(echo, 1)
        assert Drain(live, 0.2).done() < 2.0
        assert client.closed_or_reset()
    assert echo.lost == [b"/later"]


def test_the_port_is_free_after_a_drain(live: LiveServer, echo: Echo) -> None:
    Drain(live, 1.0).done()
    with socket.create_server(("127.0.0.1", live.port)) as again:
        assert again.getsockname()[1] == live.port
