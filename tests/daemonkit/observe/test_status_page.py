"""The status page, read over its socket."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator

import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from daemonkit.core.samples import Sample
from daemonkit.observe.status_page import Probe, StatusPage
from tests.daemonkit.http.live_server import Answer, Client, get

WAIT_S = 10.0


class Daemon:
    """A daemon with a status page. A test may make it unhealthy."""

    def __init__(self) -> None:
        self.healthy = True
        self.ready = False
        self.state: object = {"keys": 3, "names": ["a", "b"]}

    def page(self, addr: str) -> StatusPage:
        return StatusPage(
            addr,
            health=lambda: Probe(self.healthy),
            ready=lambda: Probe(self.ready, {"data": self.ready, "index": 7}),
            state=lambda: self.state,
            samples=lambda: [Sample("app_keys", "gauge", "Keys.", 3)],
        )


class ServedPage:
    """A status page on an event loop in a thread."""

    def __init__(self, page: StatusPage) -> None:
        self.page = page
        self.loop: asyncio.AbstractEventLoop
        self.loop_errors: list[object] = []
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._up.wait(WAIT_S)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.loop_errors.append(context))
        self._stop = asyncio.Event()
        await self.page.start()
        self._up.set()
        await self._stop.wait()
        await self.page.stop()

    def ask(self, target: bytes, method: bytes = b"GET") -> Answer:
        with Client(self.page.port) as client:
            client.send(get(target).replace(b"GET", method, 1))
            return client.answer(to_head=method == b"HEAD")

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        assert not self.loop_errors


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def served(daemon: Daemon) -> Iterator[ServedPage]:
    served = ServedPage(daemon.page("127.0.0.1:0"))
    yield served
    served.stop()


def test_health_and_readiness_are_independent(served: ServedPage, daemon: Daemon) -> None:
    answer = served.ask(b"/health")
    assert (answer.status, json.loads(answer.body)) == (200, {"ok": True})
    answer = served.ask(b"/ready")
    assert answer.status == 503
    assert json.loads(answer.body) == {"ok": False, "data": False, "index": 7}
    daemon.ready, daemon.healthy = True, False
    assert served.ask(b"/ready").status == 200
    assert served.ask(b"/health").status == 503


def test_metrics_are_prometheus_text(served: ServedPage) -> None:
    answer = served.ask(b"/metrics")
    assert answer.fields[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
    families = {f.name: f for f in text_string_to_metric_families(answer.body.decode())}
    assert families["app_keys"].samples[0].value == 3
    assert "process_cpu_seconds" in families


def test_the_state_is_readable_json(served: ServedPage) -> None:
    answer = served.ask(b"/debug/state?pretty")
    assert answer.fields[b"content-type"] == b"application/json"
    assert json.loads(answer.body) == {"keys": 3, "names": ["a", "b"]}
    assert answer.body.count(b"\n") > 3


def test_an_unknown_path_gets_status_404_and_the_list_of_paths(served: ServedPage) -> None:
    answer = served.ask(b"/nothing")
    assert answer.status == 404
    assert b"/health /ready /metrics /debug/state" in answer.body


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS"])
def test_only_get_and_head_are_allowed(served: ServedPage, method: bytes) -> None:
    answer = served.ask(b"/health", method)
    assert (answer.status, answer.fields[b"allow"]) == (405, b"GET, HEAD")


@pytest.mark.parametrize("target", [b"/health", b"/ready", b"/debug/state", b"/nothing"])
def test_the_response_to_head_is_that_to_get_without_its_body(
    served: ServedPage, target: bytes
) -> None:
    whole, head = served.ask(target), served.ask(target, b"HEAD")
    assert (head.status, head.body) == (whole.status, b"")
    assert head.fields[b"content-length"] == whole.fields[b"content-length"]


def test_an_error_in_a_page_does_not_stop_the_daemon(
    served: ServedPage, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.state = object()
    assert served.ask(b"/debug/state").status == 500
    assert [record.message for record in caplog.records] == ["page-failed"]
    assert served.ask(b"/health").status == 200


def test_without_an_address_there_is_no_page(daemon: Daemon) -> None:
    served = ServedPage(daemon.page(""))
    assert served.page.port == 0
    served.stop()


def test_the_error_names_an_address_in_use(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"^--status-addr {address}: Address already in use: "):
            uvloop.run(daemon.page(address).start())


def test_the_port_is_free_after_the_page_stops(daemon: Daemon) -> None:
    served = ServedPage(daemon.page("127.0.0.1:0"))
    with Client(served.page.port) as idle:
        served.stop()
        assert idle.closed_or_reset()
    with socket.create_server(("127.0.0.1", served.page.port)):
        pass
