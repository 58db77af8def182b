"""What a joining host checks before it says anything secret."""

import datetime as dt
import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from pathlib import Path

import pytest

from rig.fleet_authority import FleetAuthority
from slashetc.core import certificates
from slashetc.core.requests import JoinRequest
from slashetc.join.join_client import JoinClient, JoinFailed

NOW = dt.datetime.now(dt.UTC)
REQUEST = JoinRequest(machine="a" * 32, address="10.0.0.1", token="secret")


@contextmanager
def agent(fleet: FleetAuthority, *, date: dt.datetime = NOW, body: bytes = b"") -> Iterator[str]:
    """Serve like an agent, or not quite; keep what is sent to it."""
    heard: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(body or fleet.ca_file.read_bytes())

        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._reply(b'{"status": 403, "error": "no"}')

        def _reply(self, content: bytes) -> None:
            self.send_response_only(200)
            self.send_header("Date", format_datetime(date, usegmt=True))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    pair = fleet.host("h1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
    fleet.heard = heard  # type: ignore[attr-defined]


def pin(fleet: FleetAuthority, url: str) -> JoinClient:
    client = JoinClient(url)
    client.pin(certificates.fingerprint(fleet.authority.certificate), lambda: NOW)
    return client


def test_the_agent_of_the_fleet_gets_the_token(tmp_path: Path) -> None:
    fleet = FleetAuthority(tmp_path)
    with agent(fleet) as url, pytest.raises(JoinFailed, match="no"):
        pin(fleet, url).send(REQUEST)
    assert b"secret" in fleet.heard[0]


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_off_is_named_before_anything_else(tmp_path: Path, hours: int) -> None:
    fleet = FleetAuthority(tmp_path)
    date = NOW + dt.timedelta(hours=hours)
    with agent(fleet, date=date) as url, pytest.raises(JoinFailed, match="timedatectl set-ntp"):
        pin(fleet, url)


def test_a_server_in_between_hears_no_token(tmp_path: Path) -> None:
    ours, theirs = FleetAuthority(tmp_path / "ours"), FleetAuthority(tmp_path / "theirs")
    # It can show our authority's certificate, but not one that this has issued.
    with agent(theirs, body=ours.ca_file.read_bytes()) as url:
        client = pin(ours, url)
        with pytest.raises(JoinFailed, match="not valid here"):
            client.send(REQUEST)
    assert theirs.heard == []


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----"])
def test_what_is_no_agent_is_named(tmp_path: Path, body: bytes) -> None:
    fleet = FleetAuthority(tmp_path)
    with agent(fleet, body=body) as url, pytest.raises(JoinFailed, match="is no agent of a fleet"):
        pin(fleet, url)


@pytest.mark.parametrize("url", ["http://h1:2378", "https://", "https://h1:x", "https://h1/path"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(JoinFailed, match="write https://HOST:2378"):
        JoinClient(url)
