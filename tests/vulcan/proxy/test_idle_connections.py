"""Idle connections to servers: how long they are kept, and what is checked before they are used."""

import asyncio
import select
import socket
import time
from collections.abc import Iterator

import pytest
import uvloop

from rig import vulcan_keys
from rig.processes import wait_until
from rig.vulcan_site import Client, Origin, respond_with
from tests.vulcan.proxy.test_deadlines import Served
from vulcan.core.config.backend import decode_server, default_backend
from vulcan.core.config.documents import ServerDocument
from vulcan.proxy import pool
from vulcan.proxy.backend_pools import SWEEP_S
from vulcan.proxy.connection import UpstreamConnection, UpstreamFailure
from vulcan.proxy.pool import ConnectionPool

# Node and uvicorn close an idle connection after this time, and say so (Node) or not (uvicorn).
OTHERS_IDLE_S = 5.0


@pytest.fixture
def served() -> Iterator[Served]:
    running = Served()
    running.start()
    try:
        yield running
    finally:
        running.stop()


def answer(keep_alive: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: " + keep_alive + b"\r\n\r\n"


@pytest.mark.parametrize("field", [b"timeout=1", b"max=5, timeout=1", b"Timeout=0"])
def test_a_connection_is_closed_before_the_server_does_it(served: Served, field: bytes):
    with Origin(respond_with(answer(field))) as origin, Client(served.port) as client:
        served.write(vulcan_keys.server("s", origin.url), vulcan_keys.frontend("f", 'Path("/")'))
        assert client.request("GET / HTTP/1.1\nHost: h").status == 200
        began = time.monotonic()
        wait_until(lambda: origin.closed == 1, "the idle connection closed")
        assert time.monotonic() - began < pool.IDLE_S
        assert client.request("POST / HTTP/1.1\nHost: h\nContent-Length: 0").status == 200
        assert origin.connections == 2


def test_a_connection_is_kept_as_long_as_its_server_says(
    served: Served, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "IDLE_S", 0.1)
    with Origin(respond_with(answer(b"timeout=30"))) as origin, Client(served.port) as client:
        served.write(vulcan_keys.server("s", origin.url), vulcan_keys.frontend("f", 'Path("/")'))
        for _ in range(2):
            assert client.request("GET / HTTP/1.1\nHost: h").status == 200
            time.sleep(2 * SWEEP_S + pool.IDLE_S)
        assert origin.connections == 1


def test_the_default_is_below_that_of_common_servers():
    assert pool.IDLE_S < OTHERS_IDLE_S


class Dialer:
    """Takes one connection."""

    def __init__(self) -> None:
        self.made: asyncio.Future[UpstreamConnection] = asyncio.Future()

    def connected(self, connection: UpstreamConnection) -> None:
        self.made.set_result(connection)

    def connect_failed(self, failure: UpstreamFailure) -> None:
        self.made.set_exception(OSError(failure.reason))


def test_a_request_that_cannot_be_sent_again_gets_no_connection_that_was_just_closed():
    async def live() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            kept = ConnectionPool(
                asyncio.get_running_loop(),
                default_backend("b"),
                decode_server("b", "s", ServerDocument(url=url)),
            )
            dialer = Dialer()
            kept.dial(dialer)  # type: ignore[arg-type] - it uses two calls only
            kept.give(await asyncio.wait_for(dialer.made, 40))
            assert kept.take(repeatable=False) is dialer.made.result()
            kept.give(dialer.made.result())
            accepted, _ = server.accept()
            accepted.close()
            transport = dialer.made.result().transport
            assert transport is not None
            # The end arrives, and the event loop does not see it yet.
            assert select.select([transport.get_extra_info("socket").fileno()], [], [], 40)[0]
            assert kept.take(repeatable=False) is None
            assert kept.idle == 0

    uvloop.run(live())
