"""The HTTP server over TLS, with a self-signed certificate."""

import contextlib
import ssl
import subprocess
from pathlib import Path

import pytest

from daemonkit.http import server, tls
from daemonkit.http.server import Limits
from rig.processes import require, wait_until
from tests.daemonkit.http.live_server import Echo, LiveServer, get, post, reply

LIMITS = Limits(head_s=0.5, linger_s=0.3, idle_s=2.0)


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SWEEP_S", 0.05)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tls.TlsFiles:
    return new_certificate(tmp_path_factory.mktemp("tls"), "localhost")


def new_certificate(directory: Path, name: str) -> tls.TlsFiles:
    command = [require("openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"]
    command += ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return tls.TlsFiles(directory / "cert.pem", directory / "key.pem")


def trusting(files: tls.TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files.cert)


def test_requests_are_answered_over_tls(files: tls.TlsFiles) -> None:
    secure: list[bool] = []
    echo = Echo()

    def application(exchange: server.Exchange) -> None:
        secure.append(exchange.secure)
        echo(exchange)

    with (
        LiveServer(application, tls=tls.server_context(files)) as live,
        live.client(tls=trusting(files)) as client,
    ):
        assert client.ask(get(b"/a")).body == b"GET /a "
        assert client.ask(post(b"b" * 1_000_000)).body == b"POST / " + b"b" * 1_000_000
        assert client.ask(get(b"/", b"Connection: close")).status == 200
        assert client.ended()
    assert secure == [True] * 3


def test_an_error_response_arrives_over_tls_while_the_client_still_sends(
    files: tls.TlsFiles,
) -> None:
    with (
        LiveServer(Echo(), tls=tls.server_context(files), limits=LIMITS) as live,
        live.client(tls=trusting(files)) as client,
    ):
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        for _ in range(20):
            client.send(b"a" * 4096)
            live.settle()
        assert client.answer().status == 413


def test_a_slow_reader_over_tls_gets_the_whole_last_response(files: tls.TlsFiles) -> None:
    size = 8_000_000
    with (
        LiveServer(Echo(), tls=tls.server_context(files), limits=LIMITS) as live,
        live.client(tls=trusting(files), receive_bytes=4096) as client,
    ):
        client.send(get(b"/size/%d" % size, b"Connection: close"))
        for _ in range(2):
            with live.client() as stranger:
                assert stranger.closed_or_reset()  # this takes longer than linger_s
            assert client.sock.recv(100)
        assert len(client.rest()) > size - 200


def test_a_client_without_tls_is_disconnected_and_others_are_served(files: tls.TlsFiles) -> None:
    with LiveServer(Echo(), tls=tls.server_context(files), limits=LIMITS) as live:
        with live.client() as plain, live.client() as silent:
            plain.send(get() * 10)
            assert plain.closed_or_reset()
            assert silent.closed_or_reset()  # the handshake times out
        with live.client(tls=trusting(files)) as client:
            assert client.ask(get()).status == 200


def test_a_client_that_closes_without_close_notify_is_reported_lost(files: tls.TlsFiles) -> None:
    echo = Echo()
    with LiveServer(echo, tls=tls.server_context(files), limits=LIMITS) as live:
        with live.client(tls=trusting(files)) as client:
            client.send(get(b"/later"))
            wait_until(lambda: echo.pending, "the request arrives")
        wait_until(lambda: echo.lost, "the loss is reported")
        live.call(lambda: reply(echo.pending[0]))
        wait_until(lambda: not live.server.connections, "the connection is gone")


def test_a_client_that_sends_close_notify_before_its_response_causes_no_warning(
    files: tls.TlsFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """TLS has no half-closed connections, and asyncio warns when a server keeps one."""
    echo = Echo()
    with LiveServer(echo, tls=tls.server_context(files), limits=LIMITS) as live:
        with live.client(tls=trusting(files)) as client:
            client.send(get(b"/later"))
            wait_until(lambda: echo.pending, "the request arrives")
            assert isinstance(client.sock, ssl.SSLSocket)
            with contextlib.suppress(OSError):  # the reply to close_notify does not matter
                client.sock.unwrap()
            wait_until(lambda: echo.lost, "the loss is reported")
            live.call(lambda: reply(echo.pending[0]))
        wait_until(lambda: not live.server.connections, "the connection is gone")
    assert not caplog.records


def test_a_drain_closes_tls_connections(files: tls.TlsFiles) -> None:
    with (
        LiveServer(Echo(), tls=tls.server_context(files), limits=LIMITS) as live,
        live.client(tls=trusting(files)) as client,
    ):
        client.ask(get())
        live.run(live.server.drain(5.0))
        assert client.closed_or_reset()


def test_new_clients_see_reloaded_certificates(files: tls.TlsFiles, tmp_path: Path) -> None:
    context = tls.server_context(files)
    with LiveServer(Echo(), tls=context) as live, live.client(tls=trusting(files)) as old:
        other = new_certificate(tmp_path, "localhost")
        live.call(lambda: tls.load(context, other))
        with live.client(tls=trusting(other)) as new:
            assert new.ask(get()).status == 200
        assert old.ask(get()).status == 200


def test_a_client_without_a_required_certificate_is_refused(
    files: tls.TlsFiles, tmp_path: Path
) -> None:
    mine = new_certificate(tmp_path, "client")
    asking = tls.TlsFiles(files.cert, files.key, ca=mine.cert, require_client=True)
    with LiveServer(Echo(), tls=tls.server_context(asking)) as live:
        known = trusting(files)
        known.load_cert_chain(mine.cert, mine.key)
        with live.client(tls=known) as client:
            assert client.ask(get()).status == 200
        with (
            pytest.raises((ssl.SSLError, ConnectionError, EOFError)),
            live.client(tls=trusting(files)) as stranger,
        ):
            stranger.ask(get())


@pytest.mark.parametrize("missing", ["cert", "key"])
def test_the_error_names_a_missing_file(files: tls.TlsFiles, missing: str) -> None:
    paths = {"cert": files.cert, "key": files.key, missing: Path("/nonexistent/file.pem")}
    with pytest.raises(OSError, match=r"/nonexistent/file\.pem"):
        tls.server_context(tls.TlsFiles(**paths))


def test_a_client_limited_to_tls_1_2_is_served(files: tls.TlsFiles) -> None:
    old = trusting(files)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with LiveServer(Echo(), tls=tls.server_context(files)) as live, live.client(tls=old) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.version() == "TLSv1.2"
        assert client.ask(get()).status == 200
