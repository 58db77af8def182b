"""Changes of keys in a real store while the proxy serves requests."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rig.processes import Coordinator, wait_until
from rig.vulcan_site import (
    OK,
    Call,
    Client,
    Origin,
    Site,
    Vulcand,
    respond_text,
    respond_with,
    site,
)

PATH = 'Path("/")'


@pytest.fixture
def live(tmp_path: Path, store_url: str) -> Iterator[Site]:
    with site(tmp_path, store_url) as running:
        yield running


@dataclass
class Load:
    """Clients that send requests without a pause until they are stopped."""

    port: int
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopping: bool = False

    def drive(self, *, keep: bool) -> None:
        """Send requests, on one connection or on a new one each time."""
        client = Client(self.port)
        try:
            while not self.stopping:
                answer = client.request("GET / HTTP/1.1\nHost: h")
                self.answers.append((answer.status, answer.body))
                if not keep or answer.headers["Connection"] == "close":
                    client.close()
                    client = Client(self.port)
        except (OSError, ValueError) as error:
            self.failures.append(repr(error))
        finally:
            client.close()

    def came(self, count: int) -> None:
        """Wait for more responses."""
        wanted = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= wanted or self.failures, "responses under load")

    def bad(self) -> list[object]:
        """Return the responses that a client should not have got."""
        return [answer for answer in self.answers if answer[0] != 200] + list(self.failures)


@contextmanager
def load(vulcand: Vulcand, clients: int = 4) -> Iterator[Load]:
    running = Load(vulcand.port)
    threads = [
        threading.Thread(target=running.drive, kwargs={"keep": number % 2 == 0})
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        running.came(50)
        yield running
    finally:
        running.stopping = True
        for thread in threads:
            thread.join(20)


def test_a_key_is_in_force_within_a_second(live: Site):
    with Origin(respond_text("one")) as one, Origin(respond_text("two")) as two:
        assert live.vulcand.get().status == 404
        spent_s = []
        for origin, body in ((one, b"one"), (two, b"two"), (one, b"one")):
            began = time.monotonic()
            live.server("s", origin.url)
            live.frontend("f", PATH)
            wait_until(lambda b=body: live.vulcand.get().body == b, "the server in force", 10)
            spent_s.append(time.monotonic() - began)
        assert min(spent_s) < 1
        live.delete("frontends/f")
        wait_until(lambda: live.vulcand.get().status == 404, "the frontend to be gone")


def test_keys_may_be_written_in_any_order(live: Site):
    with Origin(respond_text("here")) as origin:
        live.frontend("f", PATH)
        wait_until(lambda: live.vulcand.get().status == 503, "the pending frontend")
        assert live.vulcand.state()["pending_frontends"] == {"f": "backend b is not defined"}
        live.backend("b")
        reason = {"f": "backend b has no servers"}
        wait_until(lambda: live.vulcand.state()["pending_frontends"] == reason, "the reason")
        live.server("s", origin.url)
        wait_until(lambda: live.vulcand.get().body == b"here", "a response")
        live.delete("backends/b")
        wait_until(lambda: live.vulcand.get().status == 503, "the backend to be gone")
        live.server("s", origin.url)
        wait_until(lambda: live.vulcand.get().body == b"here", "a response again")


def test_adding_and_removing_servers_under_load_fails_no_request(live: Site):
    with Origin(respond_text("a")) as one, Origin(respond_text("b")) as two:
        live.server("a", one.url)
        live.frontend("f", PATH)
        wait_until(lambda: live.vulcand.get().status == 200, "the route")
        with load(live.vulcand) as running:
            for _ in range(3):
                live.server("b", two.url)
                began = len(two.calls)
                wait_until(lambda n=began: len(two.calls) > n + 20, "the new server in use")
                live.delete("backends/b/servers/b")
                live.settle()
                # The process of a server may end as soon as its key is removed.
                two.close()
                running.came(50)
                two.start()
        assert running.bad() == []
        assert {body for _, body in running.answers} == {b"a", b"b"}


def servers(live: Site) -> list[str]:
    return [server["Id"] for server in live.vulcand.api("/v2/backends/b/servers")["Servers"]]


def test_a_server_whose_key_expires_gets_no_new_requests_and_finishes_its_old_ones(live: Site):
    release = threading.Event()

    async def slow(call: Call) -> None:
        if b"/slow" in call.head:
            await asyncio.to_thread(release.wait, 20)
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    with Origin(slow) as leaving, Origin(respond_text("stay")) as staying:
        live.server("leaving", leaving.url, ttl_s=2)
        live.frontend("f", 'Path("/<x>")')
        wait_until(lambda: live.vulcand.get().body == b"slow", "the server in force")
        with Client(live.vulcand.port) as client:
            client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
            live.server("staying", staying.url)
            wait_until(lambda: servers(live) == ["staying"], "the key expired")
            before = len(leaving.calls)
            assert [live.vulcand.get().body for _ in range(4)] == [b"stay"] * 4
            assert len(leaving.calls) == before
            release.set()
            assert client.response().body == b"slow"


BAD_SERVER = {"URL": "nowhere"}


def test_an_invalid_key_is_refused_and_its_last_good_value_stays_in_force(live: Site):
    key = f"{live.prefix}/backends/b/servers/s"
    with Origin(respond_text("good")) as origin, Origin(respond_text("new")) as new:
        live.server("s", origin.url)
        live.frontend("f", PATH)
        wait_until(lambda: live.vulcand.get().body == b"good", "the route")
        live.put("backends/b/servers/s", BAD_SERVER)
        live.put("frontends/f/frontend", "{")
        live.put("frontends/g/frontend", {"BackendId": "b", "Route": 'PathRegex("/.*")'})
        wait_until(lambda: live.vulcand.state()["refused"] == 3, "three keys refused")
        refused = live.vulcand.state()["refused_keys"]
        assert refused[key]["reason"] == 'URL is "nowhere": expected http://HOST:PORT'
        assert isinstance(refused[key]["last_good"], int)
        assert (
            "PathRegex at character 1 is not a matcher"
            in refused[f"{live.prefix}/frontends/g/frontend"]["reason"]
        )
        assert live.vulcand.get().body == b"good"
        # A worker that starts now gets the same last good values.
        (before,) = live.vulcand.state()["workers"]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: live.vulcand.state()["workers"] not in ([], [before]), "a new worker")
        assert live.vulcand.get().body == b"good"
        live.server("s", new.url)
        wait_until(lambda: live.vulcand.get().body == b"new", "the repaired key in force")
        assert key not in live.vulcand.state()["refused_keys"]


def test_a_frontend_whose_guard_was_never_valid_serves_nobody(live: Site):
    with Origin(respond_text("secret")) as origin:
        live.server("s", origin.url)
        live.put("frontends/f/middlewares/office", {"Type": "ipallow", "Middleware": {}})
        live.frontend("f", PATH)
        wait_until(lambda: live.vulcand.get().status == 503, "the closed frontend")
        explained = live.vulcand.api("/v2/explain?method=GET&url=http://h/")
        assert explained["Answer"] == (
            "503: middleware office may guard it, and is invalid: Allow and Deny are both empty; "
            "write it again, or remove it"
        )
        allow = {"Type": "ipallow", "Middleware": {"Allow": ["127.0.0.1"]}}
        live.put("frontends/f/middlewares/office", allow)
        wait_until(lambda: live.vulcand.get().body == b"secret", "the open frontend")
        live.put("frontends/f/middlewares/login", '{"Type": "basicauth"')
        wait_until(lambda: live.vulcand.get().status == 503, "the frontend closed again")
        served = len(origin.calls)
        assert live.vulcand.get().status == 503
        assert len(origin.calls) == served
        # The API shows the key that it could not read, so that it can be removed there.
        listed = live.vulcand.api("/v2/frontends/f/middlewares")["Middlewares"]
        assert {each["Id"] for each in listed} == {"login", "office"}
        live.delete("frontends/f/middlewares/login")
        wait_until(lambda: live.vulcand.get().body == b"secret", "the open frontend")


def test_an_outage_of_the_store_changes_nothing(tmp_path: Path):
    with (
        Origin(respond_text("one")) as one,
        Origin(respond_text("two")) as two,
        Coordinator(tmp_path) as store,
        site(tmp_path, store.url) as live,
    ):
        live.server("s", one.url)
        live.frontend("f", PATH)
        wait_until(lambda: live.vulcand.get().body == b"one", "the route")
        store.kill()
        wait_until(lambda: not live.vulcand.state()["store"]["connected"], "the lost store")
        assert live.vulcand.get().body == b"one"
        with Coordinator(tmp_path, port=int(store.url.rpartition(":")[2])):
            wait_until(lambda: live.vulcand.state()["store"]["connected"], "the store again")
            live.server("s", two.url)
            wait_until(lambda: live.vulcand.get().body == b"two", "the new server")


def test_a_proxy_starts_from_its_snapshot_while_the_store_is_down(tmp_path: Path):
    kept = str(tmp_path / "state")
    with Origin(respond_text("one")) as origin, Coordinator(tmp_path) as store:
        with site(tmp_path, store.url, "--state-dir", kept) as live:
            live.server("s", origin.url)
            live.frontend("f", PATH)
            wait_until(lambda: live.vulcand.get().body == b"one", "the route")
        store.kill()
        with Vulcand(tmp_path, store.url, "--state-dir", kept) as again:
            again.serving()
            assert again.get().body == b"one"
            assert again.state()["store"]["from_cache"]


def test_a_proxy_without_keys_or_snapshot_accepts_no_connection(tmp_path: Path):
    with Vulcand(tmp_path, "http://127.0.0.1:1") as vulcand:
        vulcand.wait_for(lambda: "store-away" in vulcand.tail(), "the log of the lost store")
        with pytest.raises(ConnectionRefusedError):
            vulcand.get()
        assert vulcand.stop() == 0


def test_a_killed_worker_is_replaced_while_the_port_keeps_serving(tmp_path: Path):
    with (
        Coordinator(tmp_path) as store,
        site(tmp_path, store.url, "--workers", "2") as live,
        Origin(respond_text("ok")) as origin,
    ):
        live.server("s", origin.url)
        live.frontend("f", PATH)
        wait_until(lambda: live.vulcand.get().status == 200, "the route")
        before = live.vulcand.state()["workers"]
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)

        def replaced() -> bool:
            # The other worker serves new connections; only the clients of the killed one are
            # disconnected.
            live.vulcand.get()
            now = live.vulcand.state()["workers"]
            return len(now) == 2 and before[0] not in now

        wait_until(replaced, "a new worker")
        live.vulcand.wait_for(lambda: live.vulcand.get().status == 200, "answers")
        wait_until(lambda: live.vulcand.metric("worker_restarts_total") == 1, "a restart counted")


def test_on_sigterm_requests_in_flight_finish_and_the_exit_code_is_0(tmp_path: Path):
    release = threading.Event()

    async def script(call: Call) -> None:
        await asyncio.to_thread(release.wait, 10)
        await call.send(OK)

    with (
        Coordinator(tmp_path) as store,
        site(tmp_path, store.url) as live,
        Origin(script) as origin,
    ):
        live.server("s", origin.url)
        live.frontend("f", PATH)
        wait_until(lambda: live.routes("h"), "the route")
        with Client(live.vulcand.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_until(lambda: origin.calls, "the request in flight")
            live.vulcand.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refused(live.vulcand), "no more connections")
            release.set()
            answer = client.response()
            assert (answer.body, answer.headers["Connection"]) == (b"ok", "close")
        assert live.vulcand.process.wait(30) == 0  # a second signal would cut the drain short
        assert "drain-cut" not in live.vulcand.tail()


def refused(vulcand: Vulcand) -> bool:
    try:
        Client(vulcand.port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_drain_ends_at_its_deadline(tmp_path: Path):
    async def script(call: Call) -> None:
        await call.reader.read()

    with (
        Coordinator(tmp_path) as store,
        site(tmp_path, store.url, "--drain-timeout", "0.5") as live,
        Origin(script) as origin,
    ):
        live.server("s", origin.url)
        live.frontend("f", PATH)
        wait_until(lambda: live.routes("h"), "the route")
        with Client(live.vulcand.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_until(lambda: origin.calls, "the request in flight")
            began = time.monotonic()
            assert live.vulcand.stop() == 0
            assert time.monotonic() - began < 5
            assert client.is_closed


def test_the_api_shows_the_objects_in_force(live: Site):
    assert live.vulcand.api("/v1/status") == {"Status": "ok"}
    live.backend("b", Timeouts={"Read": "5s"})
    live.server("s", "http://127.0.0.1:1")
    live.frontend("f", PATH, PassHostHeader=True)
    live.settle()
    (backend,) = live.vulcand.api("/v2/backends")["Backends"]
    assert (backend["Id"], backend["Settings"]["Timeouts"]["Read"]) == ("b", "5s")
    assert live.vulcand.api("/v2/backends/b/servers") == {
        "Servers": [{"Id": "s", "URL": "http://127.0.0.1:1"}]
    }
    (frontend,) = live.vulcand.api("/v2/frontends")["Frontends"]
    assert (frontend["Route"], frontend["Settings"]["PassHostHeader"]) == (PATH, True)
    with Client(live.vulcand.api_port) as client:
        answer = client.request("PATCH /v2/backends HTTP/1.1\nHost: h\nContent-Length: 2", b"{}")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST, DELETE")


def test_requests_are_counted_by_frontend_and_status(live: Site):
    with Origin(respond_with(OK)) as origin:
        live.server("s", origin.url)
        live.frontend("f", PATH)
        wait_until(lambda: live.vulcand.get().status == 200, "the route")
        live.vulcand.get("/other")
        name = "vulcand_requests_total"
        wait_until(lambda: live.vulcand.metric(name, code="200", frontend="f") == 1, "a 200")
        wait_until(lambda: live.vulcand.metric(name, code="404", frontend="") >= 1, "a 404")
