"""How connections end: half-closed, vanished, drained, cut."""

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
from tests.daemonkit.http.live_server import OK, Client, Echo, Live, get, post, reply


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SWEEP_S", 0.05)
    monkeypatch.setattr(connection, "FRESH_S", 0.2)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def live(echo: Echo) -> Iterator[Live]:
    with Live(echo, limits=Limits(linger_s=0.3)) as running:
        yield running


def kept(echo: Echo, count: int) -> None:
    wait_until(lambda: len(echo.kept) >= count, f"{count} requests arrive")


def reset(client: Client) -> None:
    """Vanish as a process that is killed with unread data does."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


def test_a_half_closed_client_gets_its_answer(live: Live, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later"))
        client.half_close()
        kept(echo, 1)
        live.turn()
        live.call(lambda: reply(echo.kept[0], b"late"))
        answer = client.answer()
        assert (answer.body, answer.fields[b"connection"]) == (b"late", b"close")
        assert client.ended()


def test_a_half_closed_client_gets_all_its_answers(live: Live, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later/0") + get(b"/now") + get(b"/later/1"))
        client.half_close()
        for number in range(2):
            kept(echo, number + 1)
            live.turn()
            live.call(lambda each=echo.kept[number]: reply(each, b"late"))
        assert [client.answer().body for _ in range(3)] == [b"late", b"GET /now ", b"late"]
        assert client.ended()


def test_a_half_closed_client_that_reads_late_gets_all_its_answers(live: Live) -> None:
    with live.client(receive_bytes=4096) as client:
        client.send(get(b"/size/500000") * 20)
        client.half_close()
        live.turn()
        for _ in range(20):
            assert len(client.answer().body) == 500_000
        assert client.ended()


def test_half_a_request_and_its_end_is_no_request(live: Live, echo: Echo) -> None:
    for wire in (get()[:-2], post(b"abc")[:-1]):
        with live.client() as client:
            client.send(wire)
            client.half_close()
            assert client.ended()
    assert echo.asked == 0


def test_half_a_request_after_a_later_answer_ends_with_it(live: Live, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later") + b"GET /half")
        client.half_close()
        kept(echo, 1)
        live.turn()
        live.call(lambda: reply(echo.kept[0], b"late"))
        assert client.answer().body == b"late"
        assert client.ended()


def test_a_watch_ends_with_its_client() -> None:
    lost = threading.Event()

    def watch(exchange: Exchange) -> None:
        exchange.ends_with_client = True
        exchange.lost = lost.set
        exchange.start(OK, chunked=True)
        exchange.write(b"first")

    with Live(watch) as live, live.client() as client:
        client.send(get())
        live.turn()
        assert not lost.is_set()
        client.half_close()
        assert lost.wait(5)


def test_a_client_that_vanishes_is_reported_once(live: Live, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later"))
        kept(echo, 1)
        reset(client)
        wait_until(lambda: echo.lost, "the loss is told")
        exchange = echo.kept[0]
        assert exchange.finished
        live.call(lambda: (exchange.start(OK, chunked=True), exchange.write(b"x")))
        live.call(lambda: (exchange.finish(), exchange.abort(), exchange.resume()))
    assert echo.lost == [b"/later"]


@pytest.mark.parametrize("wire", [b"", b"GET ", post(b"abc")[:-1], get(b"/size/9999999")])
def test_a_client_may_vanish_anywhere(live: Live, wire: bytes) -> None:
    with live.client(receive_bytes=4096) as client:
        client.send(wire)
        live.turn()
        reset(client)
        wait_until(lambda: not live.server.connections, "the connection is gone")


def test_an_exchange_that_ended_has_no_say_over_the_next(live: Live, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later/0"))
        kept(echo, 1)
        live.call(lambda: reply(echo.kept[0]))
        client.answer()
        live.call(lambda: (echo.kept[0].pause(), echo.kept[0].abort()))
        assert client.ask(get(b"/on")).status == 200


class Drain:
    """A drain under way."""

    def __init__(self, live: Live, deadline_s: float, *, grace_s: float = 0.0) -> None:
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
        self._thread.join(10)
        assert self.took_s >= 0
        return self.took_s


def test_a_drain_without_connections_is_over_at_once(live: Live) -> None:
    assert Drain(live, 5.0).done() < 1.0


def test_a_drain_closes_idle_connections_at_once(live: Live) -> None:
    with live.client() as client:
        client.ask(get())
        drain = Drain(live, 5.0)
        assert client.ended()
        assert drain.done() < 2.0


def test_a_drain_with_grace_answers_who_asks_once_more(live: Live) -> None:
    with live.client() as busy, live.client() as idle:
        for client in (busy, idle):
            client.ask(get())
        drain = Drain(live, 30.0, grace_s=3.0)
        assert busy.ask(get()).fields[b"connection"] == b"close"
        assert busy.ended()
        assert drain.took_s < 0
        assert idle.ended()
        assert drain.done() < 20.0


def test_a_drain_accepts_no_more(live: Live) -> None:
    Drain(live, 5.0).done()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", live.port))


def test_a_drain_waits_for_exchanges_under_way(live: Live, echo: Echo) -> None:
    with live.client() as client, live.client() as slow:
        client.send(get(b"/later"))
        slow.send(post(b"abc")[:-1])
        kept(echo, 1)
        drain = Drain(live, 5.0)
        slow.send(b"c")
        assert slow.answer().fields[b"connection"] == b"close"
        assert slow.ended()
        assert drain.took_s < 0
        live.call(lambda: reply(echo.kept[0], b"done"))
        answer = client.answer()
        assert (answer.body, answer.fields[b"connection"]) == (b"done", b"close")
        client.sock.close()
        drain.done()


def test_a_drain_answers_a_request_that_is_on_its_way(live: Live) -> None:
    """Closing a connection that has just been opened would fail a request in flight."""
    with live.client() as client:
        wait_until(lambda: live.server.connections, "the connection is open")
        drain = Drain(live, 5.0)
        assert client.ask(get()).fields[b"connection"] == b"close"
        client.sock.close()
        drain.done()


def test_a_drain_does_not_wait_long_for_a_first_request(live: Live) -> None:
    with live.client() as client:
        wait_until(lambda: live.server.connections, "the connection is open")
        drain = Drain(live, 5.0)
        assert client.ended()
        assert drain.done() < 3.0


def test_a_drain_reads_what_has_arrived(live: Live) -> None:
    """The loop is busy while two requests arrive; then it is told to drain, not to read."""
    with live.client() as client:
        client.ask(get())
        busy = threading.Event()
        release = threading.Event()

        async def drain_after_work() -> None:
            busy.set()
            release.wait(5)  # what a long callback does
            await live.server.drain(5.0)

        drain = asyncio.run_coroutine_threadsafe(drain_after_work(), live._loop)
        assert busy.wait(5)
        with live.client() as new:
            new.send(get(b"/new"))
            client.send(get(b"/kept"))
            release.set()
            assert new.answer().body == b"GET /new "
            assert client.answer().body == b"GET /kept "
        client.sock.close()
        drain.result(10)


def test_the_deadline_cuts_what_is_left(live: Live, echo: Echo) -> None:
    with live.client() as client:
        client.send(get(b"/later"))
        kept(echo, 1)
        assert Drain(live, 0.2).done() < 2.0
        assert client.cut()
    assert echo.lost == [b"/later"]


def test_a_listener_is_free_after_a_drain(live: Live, echo: Echo) -> None:
    Drain(live, 1.0).done()
    with socket.create_server(("127.0.0.1", live.port)) as again:
        assert again.getsockname()[1] == live.port
