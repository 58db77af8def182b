"""Single requests: connections that are reused, stale, cut off or interrupted."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from coordinator.client.core.endpoint import Endpoint
from coordinator.client.core.http_request import EndpointFailed, EndpointSilent, HttpRequest
from coordinator.client.http.http_client import HttpClient, OpenResponse
from coordinator.client.http.tls_files import Tls
from rig.processes import wait_until
from tests.coordinator.client.certificates import CertificateFiles

GET = HttpRequest("GET", "/a", {"q": "ä b"})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class OneByOne:
    """A server that handles its connections one after another, and keeps what it received."""

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self._handle = handle
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run)
        self.endpoint = Endpoint(f"http://127.0.0.1:{self._listener.getsockname()[1]}")
        self.connections = self.closed = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._handle(connection)
            self.closed += 1


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[tuple[OneByOne, HttpClient]]:
    server, client = OneByOne(handle), HttpClient(Tls())
    server.start()
    try:
        yield server, client
    finally:
        client.close()
        server.stop()


def keeps_open(connection: socket.socket) -> None:
    while connection.recv(65536):
        connection.sendall(OK)


def closes(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(OK)


def sends(content: bytes) -> Callable[[socket.socket], None]:
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(content)

    return handle


def hangs_after(content: bytes) -> Callable[[socket.socket], None]:
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(content)
        connection.recv(1)

    return handle


def test_a_connection_is_used_again() -> None:
    with serving(keeps_open) as (server, client):
        for _ in range(3):
            assert client.open(server.endpoint, GET, 5.0).read() == b"ok"
        assert server.connections == 1


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    with serving(closes) as (server, client):
        for _ in range(3):
            assert client.open(server.endpoint, GET, 5.0).read() == b"ok"
            wait_until(lambda: server.closed == server.connections, "the server has closed")
        assert server.connections == 3


def test_a_target_and_a_form_are_encoded() -> None:
    received: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        received.append(b"")
        while not received[0].endswith(b"value=1%262"):
            received[0] += connection.recv(65536)
        connection.sendall(OK)

    with serving(handle) as (server, client):
        at = Endpoint(f"{server.endpoint.url}/prefix", auth=(b"name", b"pass"))
        request = HttpRequest("PUT", "/v2/keys/a", {"q": "ä b"}, {"value": "1&2"})
        assert client.open(at, request, 5.0).read() == b"ok"
    head, _, form = received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /prefix/v2/keys/a?q=%C3%A4+b HTTP/1.1\r\n")
    assert b"Authorization: Basic bmFtZTpwYXNz" in head
    assert form == b"value=1%262"


def body(response: OpenResponse, *, in_chunks: bool) -> bytes:
    return b"".join(response.chunks()) if in_chunks else response.read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        CHUNKED + b"5\r\nok",
        CHUNKED + b"2\r\nok\r\n",
        CHUNKED + b"z\r\nok",
    ],
)
@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_response_that_is_cut_off_or_malformed_fails_the_endpoint(
    content: bytes, *, in_chunks: bool
) -> None:
    with serving(sends(content)) as (server, client), pytest.raises(EndpointFailed) as raised:
        body(client.open(server.endpoint, GET, 5.0), in_chunks=in_chunks)
    assert (raised.value.seen, raised.value.answered) == (True, False)


@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_response_that_was_broken_off_is_called_so(*, in_chunks: bool) -> None:
    for content in (CHUNKED + b"2\r\nok\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"):
        with serving(sends(content)) as (server, client), pytest.raises(EndpointFailed) as raised:
            body(client.open(server.endpoint, GET, 5.0), in_chunks=in_chunks)
        assert str(raised.value) == "broke off its response"


@pytest.mark.parametrize("content", [b"", CHUNKED + b"2\r\nok\r\n"])
def test_a_server_that_times_out_gets_its_own_error(content: bytes) -> None:
    with serving(hangs_after(content)) as (server, client), pytest.raises(EndpointSilent):
        list(client.open(server.endpoint, GET, 0.3).chunks())


def test_a_request_that_reached_no_server_was_not_seen() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(EndpointFailed, match="Connection refused") as raised:
            HttpClient(Tls()).open(endpoint, GET, 5.0)
    assert not raised.value.seen


def test_chunks_arrive_as_they_are_sent_until_interrupted() -> None:
    with serving(hangs_after(CHUNKED + b"2\r\nok\r\n")) as (server, client):
        response = client.open(server.endpoint, GET, 30.0)
        chunks = response.chunks()
        assert next(chunks) == b"ok"
        threading.Timer(0.1, response.interrupt).start()
        with pytest.raises(EndpointFailed):
            next(chunks)


def failure_at(url: str, tls: Tls | None = None) -> str:
    client = HttpClient(tls or Tls())
    with pytest.raises(EndpointFailed) as failed:
        client.send(Endpoint(url), GET, 5.0)
    return str(failed.value)


def test_a_server_without_tls_is_told_from_one_that_is_away() -> None:
    with serving(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as (server, _):
        reason = failure_at(server.endpoint.url.replace("http:", "https:"))
    assert reason == "speaks no TLS: write http:// instead of https://"


def speaks_tls(files: CertificateFiles) -> Callable[[socket.socket], None]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.path("server.crt"), files.path("server.key"))

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(OK)

    return handle


def test_an_error_of_tls_is_named_with_the_remedy(tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path)
    with serving(speaks_tls(files)) as (server, _):
        secure = server.endpoint.url.replace("http:", "https:")
        assert failure_at(secure).endswith("name the file of the CA that signed it with --ca-file")
        wrong_name = failure_at(secure.replace("127.0.0.1", "localhost"), Tls(files.path("ca.crt")))
        assert wrong_name.endswith("write a name or an address that the certificate has")
        plain = failure_at(server.endpoint.url)
        assert plain.endswith("(if the server speaks TLS, write https:// instead of http://)")


def test_a_page_that_is_no_store_is_named_with_what_to_write() -> None:
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\nno such page"
    with serving(sends(page)) as (server, _):
        reason = failure_at(server.endpoint.url)
    assert "write the client URL of a member, such as http://127.0.0.1:2379" in reason
    assert "--enable-v2" in reason
