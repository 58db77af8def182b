"""Trace records and webhooks: no request waits for them, and none of them ends a worker."""

import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from daemonkit.observe import logs
from rig import vulcan_keys
from rig.processes import wait_until
from rig.vulcan_site import OK, Client, Origin, respond_with
from tests.vulcan.proxy.test_deadlines import Served
from vulcan.core.middleware.specs import WebhookSpec
from vulcan.proxy import sinks

SLOW_S = 5.0


@pytest.fixture
def served() -> Iterator[Served]:
    running = Served()
    running.start()
    try:
        yield running
    finally:
        running.stop()


def trace_to(address: str) -> vulcan_keys.Entry:
    middleware = {"Type": "trace", "Middleware": {"Addr": f"syslog://{address}"}}
    return vulcan_keys.entry("frontends/f/middlewares/t", middleware)


def route(served: Served, origin: Origin, *entries: vulcan_keys.Entry) -> None:
    served.write(
        vulcan_keys.server("s", origin.url), vulcan_keys.frontend("f", 'Path("/")'), *entries
    )


def get(served: Served) -> int:
    with Client(served.port) as client:
        return client.request("GET / HTTP/1.1\nHost: h").status


def test_a_trace_record_reaches_a_server_that_has_a_name(served: Served):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog, Origin(respond_with(OK)) as s:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(40)
        route(served, s, trace_to(f"localhost:{syslog.getsockname()[1]}"))
        assert [get(served) for _ in range(3)] == [200] * 3
        lines = [syslog.recv(65536) for _ in range(3)]
    assert json.loads(lines[0].partition(b"@cee: ")[2])["response"]["code"] == 200


def test_no_request_waits_for_the_resolver(served: Served, monkeypatch: pytest.MonkeyPatch):
    def slow(*_: object, **__: object) -> list[object]:
        time.sleep(SLOW_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Origin(respond_with(OK)) as origin:
        route(served, origin, trace_to("syslog.invalid:514"), vulcan_keys.backend("b"))
        began = time.monotonic()
        assert [get(served) for _ in range(3)] == [200] * 3
        assert time.monotonic() - began < SLOW_S


@pytest.mark.parametrize("address", ["127.0.0.1:9", "a..b:514", "/nowhere/log"])
def test_a_syslog_server_that_cannot_be_reached_loses_only_its_records(
    served: Served, address: str
):
    with Origin(respond_with(OK)) as origin:
        route(served, origin, trace_to(address))
        assert [get(served) for _ in range(5)] == [200] * 5
    assert served.errors == []


class Nonsense(socketserver.BaseRequestHandler):
    """Answers a webhook with what is not HTTP."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"nonsense\r\n\r\n")


def test_a_webhook_that_gets_nonsense_ends_nothing(served: Served):
    with socketserver.TCPServer(("127.0.0.1", 0), Nonsense) as webhook:
        calls = threading.Thread(target=webhook.handle_request)
        calls.start()
        url = f"http://127.0.0.1:{webhook.server_address[1]}/"
        tripped = {"Type": "webhook", "Action": {"URL": url, "Method": "POST"}}
        breaker = {"Condition": "RequestThreshold() >= 1", "OnTripped": tripped}
        middleware = {"Type": "cbreaker", "Middleware": breaker}
        with Origin(respond_with(OK)) as origin:
            route(served, origin, vulcan_keys.entry("frontends/f/middlewares/c", middleware))
            wait_until(lambda: get(served) == 503, "the breaker tripped")
            calls.join(40)
            assert not calls.is_alive()
            served.settle()
            assert served.errors == []


@pytest.fixture
def restored_logs() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("path", ["hunter2?token=hunter2", "hunter2 two"])
@pytest.mark.usefixtures("restored_logs")
def test_no_secret_of_a_webhook_is_logged(capfd: pytest.CaptureFixture[str], path: str):
    logs.configure("info", "text")
    sinks._call(WebhookSpec(f"http://127.0.0.1:1/{path}", "POST", (), b""))
    err = capfd.readouterr().err
    assert "webhook-failed url=http://127.0.0.1:1/" in err
    assert "hunter2" not in err
