"""A side that is slow, and makes progress, is never cut; one that makes none is."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from daemonkit.core.http_limits import Limits
from rig import vulcan_keys
from rig.processes import wait_until
from rig.vulcan_site import Client, Origin, respond_with
from tests.vulcan.proxy.test_deadlines import Served
from vulcan.proxy import forward

SHORT_S = 0.3
SMALL_BYTES = 4096
# More than the kernel's buffers hold.
BODY = b"x" * 12_000_000
# Slowly at first, so that the kernel takes nothing from the proxy for much longer than SHORT_S.
STEP_BYTES, STEP_S, STEPS = 8192, 0.05, 40


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(forward, "BODY_IDLE_S", SHORT_S)
    running = Served(Limits(write_s=SHORT_S))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def test_a_slow_reader_gets_everything(served: Served):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    with Origin(respond_with(answer)) as origin:
        served.write(vulcan_keys.server("s", origin.url), vulcan_keys.frontend("f", 'Path("/")'))
        with Client(served.port, receive_bytes=SMALL_BYTES) as client:
            client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            got = b""
            for _ in range(STEPS):
                got += client.file.read1(STEP_BYTES)
                time.sleep(STEP_S)
            got += client.file.read()
    assert got.endswith(BODY)


def test_a_reader_that_stops_is_cut(served: Served):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    with Origin(respond_with(answer)) as origin:
        served.write(vulcan_keys.server("s", origin.url), vulcan_keys.frontend("f", 'Path("/")'))
        with Client(served.port, receive_bytes=SMALL_BYTES) as client:
            client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            wait_until(lambda: origin.closed == 1, "the connection to the server cut")


class SlowServer:
    """Reads a request slowly at first, then answers it, or `stops` reading."""

    def __init__(self, *, stops: bool = False) -> None:
        self._stops = stops
        self._answered = threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        accepted, _ = self._listener.accept()
        accepted.settimeout(40)
        with accepted:
            got = 0
            for _ in range(STEPS):
                got += len(accepted.recv(STEP_BYTES))
                time.sleep(STEP_S)
            if self._stops:
                self._answered.wait(40)
                return
            while got <= len(BODY):
                got += len(accepted.recv(1 << 20))
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        self._answered.set()
        self._thread.join(40)
        self._listener.close()


def _send(client: Client, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the answer may come before the end of the body
        client.send(data)


def post(served: Served, server: SlowServer) -> int:
    served.write(vulcan_keys.server("s", server.url), vulcan_keys.frontend("f", 'Path("/")'))
    try:
        with Client(served.port) as client:
            client.sock.settimeout(40)
            head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {len(BODY)}\r\n\r\n"
            sender = threading.Thread(target=_send, args=(client, head.encode() + BODY))
            sender.start()
            try:
                return client.response("POST").status
            finally:
                client.sock.shutdown(socket.SHUT_RDWR)
                sender.join(40)
    finally:
        server.close()


def test_a_slow_server_gets_everything(served: Served):
    assert post(served, SlowServer()) == 200


def test_a_server_that_stops_reading_is_given_up(served: Served):
    assert post(served, SlowServer(stops=True)) == 504
