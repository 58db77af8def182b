"""The same over TLS, with a certificate of our own."""

import contextlib
import ssl
import subprocess
from pathlib import Path

import pytest

from daemonkit.http import server, tls
from daemonkit.http.server import Limits
from rig.processes import require, wait_until
from tests.daemonkit.http.live_server import Echo, Live, get, post, reply

LIMITS = Limits(head_s=0.5, linger_s=0.3, idle_s=2.0)


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SWEEP_S", 0.05)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tls.TlsFiles:
    return made(tmp_path_factory.mktemp("tls"), "localhost")


def made(directory: Path, name: str) -> tls.TlsFiles:
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
        Live(application, tls=tls.server_context(files)) as live,
        live.client(tls=trusting(files)) as client,
    ):
        assert client.ask(get(b"/a")).body == b"GET /a "
        assert client.ask(post(b"b" * 1_000_000)).body == b"POST / " + b"b" * 1_000_000
        assert client.ask(get(b"/", b"Connection: close")).status == 200
        assert client.ended()
    assert secure == [True] * 3


def test_a_refusal_arrives_over_tls_although_the_client_sends_on(files: tls.TlsFiles) -> None:
    with (
        Live(Echo(), tls=tls.server_context(files), limits=LIMITS) as live,
        live.client(tls=trusting(files)) as client,
    ):
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        for _ in range(20):
            client.send(b"a" * 4096)
            live.turn()
        assert client.answer().status == 413


def test_a_slow_reader_over_tls_gets_all_of_its_last_answer(files: tls.TlsFiles) -> None:
    size = 8_000_000
    with (
        Live(Echo(), tls=tls.server_context(files), limits=LIMITS) as live,
        live.client(tls=trusting(files), receive_bytes=4096) as client,
    ):
        client.send(get(b"/size/%d" % size, b"Connection: close"))
        for _ in range(2):
            with live.client() as stranger:
                assert stranger.cut()  # longer than the client may linger
            assert client.sock.recv(100)
        assert len(client.rest()) > size - 200


def test_who_does_not_speak_tls_is_cut_and_troubles_nobody(files: tls.TlsFiles) -> None:
    with Live(Echo(), tls=tls.server_context(files), limits=LIMITS) as live:
        with live.client() as plain, live.client() as silent:
            plain.send(get() * 10)
            assert plain.cut()
            assert silent.cut()  # the handshake has its time
        with live.client(tls=trusting(files)) as client:
            assert client.ask(get()).status == 200


def test_a_client_that_vanishes_without_goodbye_is_let_go(files: tls.TlsFiles) -> None:
    echo = Echo()
    with Live(echo, tls=tls.server_context(files), limits=LIMITS) as live:
        with live.client(tls=trusting(files)) as client:
            client.send(get(b"/later"))
            wait_until(lambda: echo.kept, "the request arrives")
        wait_until(lambda: echo.lost, "the loss is told")
        live.call(lambda: reply(echo.kept[0]))
        wait_until(lambda: not live.server.connections, "the connection is gone")


def test_a_client_that_says_goodbye_with_an_answer_due_is_no_trouble(
    files: tls.TlsFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """TLS knows no half-closed connection; asyncio warns who tries to keep one."""
    echo = Echo()
    with Live(echo, tls=tls.server_context(files), limits=LIMITS) as live:
        with live.client(tls=trusting(files)) as client:
            client.send(get(b"/later"))
            wait_until(lambda: echo.kept, "the request arrives")
            assert isinstance(client.sock, ssl.SSLSocket)
            with contextlib.suppress(OSError):  # how the goodbye is taken is not the question
                client.sock.unwrap()
            wait_until(lambda: echo.lost, "the loss is told")
            live.call(lambda: reply(echo.kept[0]))
        wait_until(lambda: not live.server.connections, "the connection is gone")
    assert not caplog.records


def test_a_drain_ends_tls_connections_too(files: tls.TlsFiles) -> None:
    with (
        Live(Echo(), tls=tls.server_context(files), limits=LIMITS) as live,
        live.client(tls=trusting(files)) as client,
    ):
        client.ask(get())
        live.run(live.server.drain(5.0))
        assert client.cut()


def test_certificates_loaded_again_are_shown_to_new_clients(
    files: tls.TlsFiles, tmp_path: Path
) -> None:
    context = tls.server_context(files)
    with Live(Echo(), tls=context) as live, live.client(tls=trusting(files)) as old:
        other = made(tmp_path, "localhost")
        live.call(lambda: tls.load(context, other))
        with live.client(tls=trusting(other)) as new:
            assert new.ask(get()).status == 200
        assert old.ask(get()).status == 200


def test_a_client_without_the_asked_certificate_is_refused(
    files: tls.TlsFiles, tmp_path: Path
) -> None:
    mine = made(tmp_path, "client")
    asking = tls.TlsFiles(files.cert, files.key, ca=mine.cert, require_client=True)
    with Live(Echo(), tls=tls.server_context(asking)) as live:
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
def test_a_missing_file_is_named(files: tls.TlsFiles, missing: str) -> None:
    paths = {"cert": files.cert, "key": files.key, missing: Path("/nonexistent/file.pem")}
    with pytest.raises(OSError, match=r"/nonexistent/file\.pem"):
        tls.server_context(tls.TlsFiles(**paths))


def test_a_connection_is_made_with_a_modern_version_alone(files: tls.TlsFiles) -> None:
    old = trusting(files)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with Live(Echo(), tls=tls.server_context(files)) as live, live.client(tls=old) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.version() == "TLSv1.2"
        assert client.ask(get()).status == 200
