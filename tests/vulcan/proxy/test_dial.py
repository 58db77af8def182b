"""Whatever goes wrong at a connection to a server, its request gets an answer."""

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from rig import vulcan_keys
from rig.vulcan_site import OK, Client, Origin, respond_with
from tests.vulcan.proxy.test_deadlines import Served
from vulcan.control.health_checks import HealthChecks
from vulcan.core.config.table import Table
from vulcan.proxy import connection, forward

# Settings that the ssl module refuses in its own ways: ValueError, TypeError, UnicodeError.
WRONG_TLS = [
    {"ServerName": ".x"},
    {"ServerName": "a" * 300},
    {"ServerName": "a..b"},
    {"CA": "é"},
    {"CA": "no certificate"},
]


@pytest.fixture
def served() -> Iterator[Served]:
    running = Served()
    running.start()
    try:
        yield running
    finally:
        running.stop()


def get(served: Served, method: str = "GET") -> int:
    with Client(served.port) as client:
        client.sock.settimeout(40)
        return client.request(f"{method} / HTTP/1.1\nHost: h").status


@pytest.mark.parametrize("tls", WRONG_TLS, ids=str)
def test_a_wrong_tls_setting_is_a_failed_dial(served: Served, tls: dict[str, str]):
    with socket.create_server(("127.0.0.1", 0)) as silent, Origin(respond_with(OK)) as origin:
        served.write(
            vulcan_keys.backend("b", TLS=tls, Timeouts={"Dial": "2s"}),
            vulcan_keys.frontend("f", 'Path("/")'),
            vulcan_keys.server("tls", f"https://127.0.0.1:{silent.getsockname()[1]}"),
        )
        assert get(served) == 502
        served.write(vulcan_keys.server("plain", origin.url))
        assert {get(served) for _ in range(3)} == {200}
        served.settle()
    assert served.errors == []


def test_a_handshake_that_never_ends_is_a_failed_dial(served: Served):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        served.write(
            vulcan_keys.backend("b", Timeouts={"Dial": "300ms"}),
            vulcan_keys.frontend("f", 'Path("/")'),
            vulcan_keys.server("tls", f"https://127.0.0.1:{silent.getsockname()[1]}"),
        )
        began = time.monotonic()
        assert get(served) in {502, 504}
        assert time.monotonic() - began < 30


def test_an_error_of_ours_ends_only_its_request(served: Served, monkeypatch: pytest.MonkeyPatch):
    def planted(*_: object) -> None:
        raise RecursionError

    with Origin(respond_with(OK)) as origin, Client(served.port) as client:
        served.write(vulcan_keys.frontend("f", 'Path("/")'), vulcan_keys.server("s", origin.url))
        client.request("GET / HTTP/1.1\nHost: h")
        for place in ("_client_head", "response_body"):
            with monkeypatch.context() as patched:
                patched.setattr(connection, place, planted)
                assert get(served) == 500
        with monkeypatch.context() as patched:
            patched.setattr(forward, "_connect", planted)
            assert get(served, "POST") == 500
        assert client.request("GET / HTTP/1.1\nHost: h").status == 200
    assert served.errors == []
    assert served.counted("vulcand_clients_gone_total") == 0


@pytest.mark.parametrize("tls", WRONG_TLS, ids=str)
def test_a_wrong_tls_setting_is_a_failed_health_check(tls: dict[str, str]):
    errors: list[dict[str, object]] = []

    async def live(port: int) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        check = {"Interval": "50ms", "Timeout": "2s", "Fall": 2}
        table = Table(vulcan_keys.PREFIX).advanced(
            vulcan_keys.changes(
                vulcan_keys.backend("b", TLS=tls, HealthCheck=check),
                vulcan_keys.server("tls", f"https://127.0.0.1:{port}"),
            )
        )
        changed = asyncio.Event()
        checks = HealthChecks(changed.set)
        checks.follow(table)
        try:
            await asyncio.wait_for(changed.wait(), 40)
            assert checks.failing == (("b", f"https://127.0.0.1:{port}"),)
        finally:
            checks.stop()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(live(silent.getsockname()[1]))
    assert errors == []
