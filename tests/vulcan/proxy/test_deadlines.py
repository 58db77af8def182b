"""Deadlines of a minute, shortened for the tests: the proxy runs in this process."""

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
import uvloop

from daemonkit.core.http_limits import Limits
from daemonkit.http.server import Server
from rig import vulcan_keys
from rig.processes import wait_until
from rig.vulcan_site import OK, Call, Client, Origin, respond_with
from vulcan.core.config.table import Table
from vulcan.proxy import forward, pool
from vulcan.proxy.proxy import Proxy

SHORT_S = 0.3


class Served:
    """A proxy with one frontend, on a thread of its own."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits
        self._thread = threading.Thread(target=lambda: uvloop.run(self._live()))
        self._ready: Future[int] = Future()
        self.errors: list[dict[str, object]] = []  # each would end a worker

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self._end = asyncio.Event()
        self.proxy = Proxy(self._loop, Table(vulcan_keys.PREFIX), first_pick=0, access_log=None)
        server = Server(self.proxy, buffered=False, origins=None, limits=self._limits)
        sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        await server.listen(sock)
        self._ready.set_result(sock.getsockname()[1])
        await self._end.wait()
        await server.drain(0)
        self.proxy.close()

    def start(self) -> None:
        self._thread.start()
        self.port = self._ready.result(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def write(self, *entries: vulcan_keys.Entry, removed: tuple[str, ...] = ()) -> None:
        """Put keys in force."""
        done = threading.Event()

        def apply() -> None:
            self.proxy.apply(vulcan_keys.changes(*entries, removed=removed))
            done.set()

        self._loop.call_soon_threadsafe(apply)
        assert done.wait(10)

    def settle(self) -> None:
        """Wait until all threads of the loop's pool are free, and their results were seen."""

        async def settled() -> None:
            await self._loop.run_in_executor(None, gc.collect)
            await asyncio.sleep(0.1)
            gc.collect()

        asyncio.run_coroutine_threadsafe(settled(), self._loop).result(40)

    def counted(self, name: str) -> float:
        """The sum of a metric over its labels."""
        return sum(sample.value for sample in self.proxy.samples() if sample.name == name)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(forward, "BODY_IDLE_S", SHORT_S)
    monkeypatch.setattr(pool, "IDLE_S", SHORT_S)
    running = Served()
    running.start()
    try:
        yield running
    finally:
        running.stop()


def serve(served: Served, origin: Origin) -> None:
    served.write(vulcan_keys.server("s", origin.url), vulcan_keys.frontend("f", 'Path("/")'))


async def never(call: Call) -> None:
    await call.reader.read()


def test_a_client_that_stops_sending_its_body_gets_408(served: Served):
    with Origin(never) as origin, Client(served.port) as client:
        serve(served, origin)
        answer = client.request("POST / HTTP/1.1\nHost: h\nContent-Length: 10", b"abc")
        assert answer.status == 408
        wait_until(lambda: origin.closed == 1, "the connection to the server cut")


def test_the_client_is_disconnected_when_the_server_stops_in_the_middle_of_a_body(served: Served):
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await call.reader.read()

    with Origin(script) as origin, Client(served.port) as client:
        serve(served, origin)
        answer = client.request("GET / HTTP/1.1\nHost: h")
        assert (answer.status, answer.whole) == (200, False)
        assert served.counted("vulcand_answers_cut_total") == 1


def test_deadlines_apply_to_a_server_whose_key_was_removed(served: Served):
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        served.write(removed=("backends/b/servers/s",))
        await call.reader.read()

    with Origin(script) as origin, Client(served.port) as client:
        serve(served, origin)
        assert not client.request("GET / HTTP/1.1\nHost: h").whole
        wait_until(lambda: origin.closed == 1, "the connection to the server cut")


def test_an_idle_connection_is_closed(served: Served):
    with Origin(respond_with(OK)) as origin, Client(served.port) as client:
        serve(served, origin)
        assert client.request("GET / HTTP/1.1\nHost: h").body == b"ok"
        assert served.counted("vulcand_server_connections") == 1
        wait_until(lambda: origin.closed == 1, "the idle connection closed")
        wait_until(lambda: served.counted("vulcand_server_connections") == 0, "it forgotten")


def test_removing_a_server_key_closes_its_idle_connections(
    served: Served, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "IDLE_S", 60.0)
    with Origin(respond_with(OK)) as origin, Client(served.port) as client:
        serve(served, origin)
        assert client.request("GET / HTTP/1.1\nHost: h").body == b"ok"
        assert origin.closed == 0
        served.write(removed=("backends/b/servers/s",))
        wait_until(lambda: origin.closed == 1, "the idle connection closed")
        assert client.request("GET / HTTP/1.1\nHost: h").status == 503


def test_the_pool_keeps_at_most_the_configured_idle_connections(served: Served):
    with Origin(respond_with(OK)) as origin:
        served.write(
            vulcan_keys.backend("b", KeepAlive={"MaxIdleConnsPerHost": 1, "Period": "10s"})
        )
        serve(served, origin)
        clients = [Client(served.port) for _ in range(5)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        for client in clients:
            assert client.response().body == b"ok"
            client.close()
        wait_until(lambda: origin.closed >= origin.connections - 1, "all but one closed")


def test_the_counters_of_a_frontend_go_with_its_key(served: Served):
    with Origin(respond_with(OK)) as origin, Client(served.port) as client:
        serve(served, origin)
        assert client.request("GET / HTTP/1.1\nHost: h").body == b"ok"
        assert served.counted("vulcand_requests_total") == 1
        served.write(removed=("frontends/f/frontend",))
        assert served.counted("vulcand_requests_total") == 0


async def never_ends(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    await call.reader.read()


def test_a_request_is_aborted_when_the_drain_time_of_its_removed_server_is_over(served: Served):
    with Origin(never_ends) as origin, Client(served.port) as client:
        served.write(vulcan_keys.backend("b", Drain="400ms"))
        serve(served, origin)
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: origin.calls, "the request at the server")
        served.write(removed=("backends/b/servers/s",))
        assert not client.response().whole
        wait_until(lambda: origin.closed == 1, "the connection to the server cut")


def test_an_idempotent_request_moves_from_a_removed_server_to_another(
    served: Served,
):
    with Origin(never) as going, Origin(respond_with(OK)) as staying, Client(served.port) as client:
        served.write(vulcan_keys.backend("b", Drain="100ms"))
        serve(served, going)
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: going.calls, "the request at the server")
        served.write(vulcan_keys.server("new", staying.url), removed=("backends/b/servers/s",))
        assert client.response().body == b"ok"


def test_a_tunnel_stays_open_when_its_server_key_is_removed(served: Served):
    async def upgrade(call: Call) -> None:
        await call.send(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        while data := await call.reader.read(100):
            await call.send(data)

    with Origin(upgrade) as origin, Client(served.port) as client:
        served.write(vulcan_keys.backend("b", Drain="100ms"))
        serve(served, origin)
        client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        assert client.file.readline().startswith(b"HTTP/1.1 101")
        while client.file.readline() != b"\r\n":
            pass
        served.write(removed=("backends/b/servers/s",))
        time.sleep(1.0)  # several sweeps beyond the deadline
        client.send(b"hello")
        assert client.file.read(5) == b"hello"
