"""The features of a running proxy, with real clients and servers at both ends."""

import asyncio
import base64
import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rig.processes import Coordinator, wait_until
from rig.vulcan_certificates import make_pair
from rig.vulcan_site import OK, Call, Client, Origin, Site, respond_text, respond_with, site

TOKEN = "a token"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A proxy whose API requires a token."""
    directory = tmp_path_factory.mktemp("guarded")
    (directory / "token").write_text(f"{TOKEN}\n")
    with (
        Coordinator(directory) as store,
        site(directory, store.url, "--api-token-file", str(directory / "token")) as running,
    ):
        yield running


@pytest.mark.parametrize(
    ("given", "status"),
    [(None, 401), ("Bearer wrong", 401), (f"Basic {TOKEN}", 401), (f"Bearer {TOKEN}", 200)],
)
def test_the_api_serves_only_requests_with_its_token(guarded: Site, given: str | None, status: int):
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", guarded.vulcand.api_port, timeout=10)
    ) as connection:
        connection.request("GET", "/v2/frontends", headers={"Authorization": given or ""})
        with connection.getresponse() as response:
            assert response.status == status
            assert (response.headers["WWW-Authenticate"] is None) == (status == 200)


def middleware(site: Site, host: str, kind: str, **settings: object) -> None:
    site.put(f"frontends/{host}/middlewares/m", {"Type": kind, "Middleware": settings})


def test_basic_auth_admits_only_the_right_password(shared: Site, host: str):
    users = {"ann": "sha256:" + hashlib.sha256(b"secret").hexdigest(), "bob": "plain"}
    with Origin(respond_with(OK)) as origin:
        shared.route(origin, host)
        middleware(shared, host, "basicauth", Users=users, Realm="here")
        wait_until(lambda: shared.vulcand.get(host=host).status == 401, "guarded")
        refused = shared.vulcand.get(host=host)
        assert refused.headers["WWW-Authenticate"].startswith('Basic realm="here"')

        def status(name: str, password: str) -> int:
            given = base64.b64encode(f"{name}:{password}".encode()).decode()
            with Client(shared.vulcand.port) as client:
                head = f"GET / HTTP/1.1\nHost: {host}\nAuthorization: Basic {given}"
                return client.request(head).status

        tries = [("ann", "secret"), ("bob", "plain"), ("ann", "plain"), ("eve", "secret")]
        assert [status(*each) for each in tries] == [200, 200, 401, 401]


def test_a_sticky_cookie_keeps_a_client_with_its_server_until_the_server_is_removed(
    shared: Site, host: str
):
    with Origin(respond_text("one")) as one, Origin(respond_text("two")) as two:
        shared.backend(host, Sticky={"Cookie": "at", "Path": "/", "HttpOnly": True})
        shared.server("one", one.url, host)
        shared.server("two", two.url, host)
        shared.frontend(host, f'Host("{host}")', host)
        wait_until(lambda: shared.routes(host), "routed")
        wait_until(
            lambda: {shared.vulcand.get(host=host).body for _ in range(4)} == {b"one", b"two"},
            "both are asked",
        )
        first = shared.vulcand.get(host=host)
        cookie = first.headers["Set-Cookie"].partition(";")[0]

        def kept(cookie: str) -> tuple[bytes, str | None]:
            with Client(shared.vulcand.port) as client:
                answer = client.request(f"GET / HTTP/1.1\nHost: {host}\nCookie: x=y; {cookie}")
                return answer.body, answer.headers["Set-Cookie"]

        assert [kept(cookie) for _ in range(5)] == [(first.body, None)] * 5
        shared.delete(f"backends/{host}/servers/{first.body.decode()}")
        other = wait_until(lambda: kept(cookie)[1], "another server's cookie")
        assert not other.startswith(cookie)
        assert kept(other.partition(";")[0])[1] is None


class WebhookReceiver(BaseHTTPRequestHandler):
    """Records the calls of webhooks."""

    webhooks: list[tuple[str, str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.webhooks.append((self.path, self.headers["X-Kind"] or "", body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def threaded(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Run a server, over TLS with a context; return its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


@contextlib.contextmanager
def webhooks() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """Run a server for webhooks."""
    kept: list[tuple[str, str, bytes]] = []
    with threaded(type("Telling", (WebhookReceiver,), {"webhooks": kept})) as port:
        yield f"http://127.0.0.1:{port}", kept


def test_a_breaker_trips_calls_its_webhook_responds_and_recovers(shared: Site, host: str):
    broken = True

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n" if broken else OK)

    def hook(url: str, path: str) -> dict:
        action = {"URL": url + path, "Method": "POST", "Headers": {"X-Kind": ["breaker"]}}
        return {"Type": "webhook", "Action": {**action, "Form": {"a": ["b c"]}}}

    with Origin(script) as origin, webhooks() as (url, kept):
        shared.route(origin, host)
        middleware(
            shared,
            host,
            "cbreaker",
            Condition="ResponseCodeRatio(500, 600, 0, 600) > 0.5",
            Fallback={"Type": "response", "Action": {"StatusCode": 418, "Body": "later"}},
            FallbackDuration="300ms",
            RecoveryDuration="300ms",
            CheckPeriod="50ms",
            OnTripped=hook(url, "/tripped"),
            OnStandby=hook(url, "/standby"),
        )
        wait_until(lambda: shared.vulcand.get(host=host).status == 418, "tripped")
        wait_until(lambda: kept, "the webhook")
        assert kept[0] == ("/tripped", "breaker", b"a=b+c")
        broken = False

        def recovered() -> bool:
            shared.vulcand.get(host=host)
            return ("/standby", "breaker", b"a=b+c") in kept

        wait_until(recovered, "standby again", 60)
        assert shared.vulcand.get(host=host).status == 200


class Secret(WebhookReceiver):
    """Responds with a secret text."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """The port of a server behind TLS, and the certificate to trust."""
    pair = make_pair("inside.example")
    (tmp_path / "pair.pem").write_bytes(pair.key + pair.cert)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pair.pem")
    with threaded(Secret, context) as port:
        yield port, pair.cert.decode()


def test_a_tls_server_gets_requests_only_with_a_valid_certificate(
    shared: Site, host: str, secure: tuple[int, str]
):
    port, certificate = secure
    shared.server("s", f"https://127.0.0.1:{port}", host)
    shared.frontend(host, f'Host("{host}")', host)
    shared.settle()

    def answer(**tls: object) -> tuple[int, bytes]:
        shared.backend(host, TLS=tls, Passive={"Disabled": True})
        shared.settle()
        got = shared.vulcand.get(host=host)
        return got.status, got.body

    right = {"CA": certificate, "ServerName": "inside.example"}
    wait_until(lambda: answer(**right) == (200, b"secret"), "trusted")
    wait_until(lambda: answer(**{**right, "ServerName": "other.example"})[0] == 502, "other name")
    wait_until(lambda: answer(ServerName="inside.example")[0] == 502, "nobody vouches for it")
    wait_until(lambda: answer(InsecureSkipVerify=True)[0] == 200, "not verified")


def test_a_listener_can_be_a_unix_socket(shared: Site, host: str, tmp_path: Path):
    path = str(tmp_path / "s")
    document = {"Protocol": "http", "Address": {"Network": "unix", "Address": path}}

    def fetch() -> int:
        connection = http.client.HTTPConnection(host)
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
            try:
                sock.connect(path)
                connection.sock = sock
                connection.request("GET", "/")
                with connection.getresponse() as response:
                    response.read()
                    return response.status
            except OSError:
                return 0

    with Origin(respond_with(OK)) as origin:
        shared.route(origin, host)
        shared.put(f"listeners/{host}", document)
        wait_until(lambda: fetch() == 200, "answers on the path")
        assert origin.calls[-1].field("x-forwarded-for") is None
        assert origin.calls[-1].field("x-real-ip") is None
        assert origin.calls[-1].field("x-forwarded-proto") == "http"
        shared.delete(f"listeners/{host}")
        wait_until(lambda: fetch() == 0, "shut")


def test_server_sent_events_arrive_at_once(shared: Site, host: str):
    goes_on = threading.Event()

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            await call.send(b"data: %d\n\n" % number)
            await asyncio.to_thread(goes_on.wait, 30)
            goes_on.clear()
        call.writer.close()

    with Origin(script) as origin:
        shared.route(origin, host)
        url = f"http://127.0.0.1:{shared.vulcand.port}/"
        request = urllib.request.Request(url, headers={"Host": host})
        with urllib.request.urlopen(request, timeout=30) as reply:
            for number in range(3):
                # The server sends the next event only after this one was read.
                assert reply.readline() == b"data: %d\n" % number
                assert reply.readline() == b"\n"
                goes_on.set()
            assert reply.read() == b""


def test_trailers_of_a_request_are_passed_on(shared: Site, host: str):
    trailers: list[bytes] = []

    async def script(call: Call) -> None:
        while int(await call.reader.readline(), 16):
            await call.reader.readline()
        while (line := await call.reader.readline()) != b"\r\n":
            trailers.append(line)
        await call.send(OK)

    with Origin(script) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            head = f"POST / HTTP/1.1\nHost: {host}\nTransfer-Encoding: chunked\nTrailer: Digest"
            assert client.request(head, b"2\r\nab\r\n0\r\nDigest: x\r\nX: y\r\n\r\n").status == 200
        assert origin.calls[0].field("trailer") == "Digest"
        assert trailers == [b"Digest: x\r\n", b"X: y\r\n"]


def test_early_hints_reach_only_http_1_1_clients(shared: Site, host: str):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    with Origin(respond_with(early + OK)) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            hint = client.request(f"GET / HTTP/1.1\nHost: {host}")
            assert (hint.status, hint.headers["Link"]) == (103, "</a.css>; rel=preload")
            assert client.response().body == b"ok"
        with Client(shared.vulcand.port) as client:
            assert client.request(f"GET / HTTP/1.0\nHost: {host}").status == 200


def test_a_bad_key_is_reported_and_the_last_good_value_stays(guarded: Site, host: str):
    """A bad value is listed as refused, and the last good one stays in force."""
    with Origin(respond_with(OK)) as origin:
        guarded.route(origin, host)
        key = f"frontends/{host}/frontend"
        guarded.put(key, json.dumps({"Type": "http", "BackendId": host, "Route": "Hots(`a`)"}))
        state = wait_until(lambda: guarded.vulcand.state()["refused_keys"], "refused")
        assert "Hots" in state[f"{guarded.prefix}/{key}"]["reason"]
        assert guarded.vulcand.get(host=host).status == 200


def test_a_request_with_max_forwards_0_is_answered_by_the_proxy(shared: Site, host: str):
    with Origin(respond_with(OK)) as origin:
        shared.route(origin, host)
        with Client(shared.vulcand.port) as client:
            for method, status in (("OPTIONS", 200), ("TRACE", 405), ("GET", 200)):
                client.send(f"{method} / HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 0\r\n\r\n")
                answer = client.response(method)
                ended = b"ends here" in answer.body
                assert (answer.status, ended) == (status, method != "GET")


def test_the_busy_connections_of_one_client_are_limited(tmp_path: Path):
    async def never(call: Call) -> None:
        await call.reader.read()

    with (
        Origin(never) as origin,
        Coordinator(tmp_path) as store,
        site(tmp_path, store.url, "--client-connections", "2") as running,
    ):
        running.route(origin, "busy")
        port = running.vulcand.port
        with Client(port) as one, Client(port) as two:
            for client in (one, two):
                client.send("GET / HTTP/1.1\r\nHost: busy\r\n\r\n")
            wait_until(lambda: len(origin.calls) == 2, "both requests at the server")
            with Client(port) as fourth:
                assert fourth.response().status == 429
