"""What this host itself knows: its daemons' status pages, and the ends of its certificates."""

import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from coordinator.client.core.endpoint import Endpoint
from coordinator.client.core.http_request import EndpointFailed, HttpRequest
from coordinator.client.http.http_client import HttpClient
from slashetc.status.parallel import in_parallel

LOOPBACK = "127.0.0.1"
# Where daemons serve their status unless --status-addr says otherwise.
STATUS_PORTS = {
    "coordinator": 2381,
    "locksmithd": 2382,
    "skydns": 2383,
    "confd": 2384,
    "vulcand": 2385,
    "fleetd": 2386,
}
ANSWER_S = 1.0
_BAD_REQUEST = 400
DIRECTORY = Path("/etc/slashetc")


def daemons(ports: Mapping[str, int], client: HttpClient) -> dict[str, str]:
    """Return for each daemon that runs here why it is not ready; "" for one that is."""
    calls = {name: partial(_ready, port, client) for name, port in ports.items()}
    found = in_parallel(calls, ANSWER_S)
    shown = {name: found.get(name, "its status page does not answer") for name in ports}
    return {name: why for name, why in shown.items() if why is not None}


def listens(port: int) -> bool:
    """Return whether anything on this host listens on loopback."""
    with socket.socket() as probe:
        probe.settimeout(ANSWER_S)
        return probe.connect_ex((LOOPBACK, port)) == 0


def page(port: int, path: str, client: HttpClient) -> tuple[int, bytes]:
    """Return a page of a daemon on this host, with TLS or without. Raises EndpointFailed."""
    plain, secure = (f"{scheme}://{LOOPBACK}:{port}" for scheme in ("http", "https"))
    request = HttpRequest("GET", path)
    answer = client.open(Endpoint(plain), request, ANSWER_S)
    body = answer.read()
    # A listener that requires TLS says so without it.
    if answer.status != _BAD_REQUEST:
        return answer.status, body
    answer = client.open(Endpoint(secure), request, ANSWER_S)
    return answer.status, answer.read()


def _ready(port: int, client: HttpClient) -> str | None:
    if not listens(port):
        return None
    try:
        status, body = page(port, "/ready", client)
    except EndpointFailed as failure:
        return f"its status page {failure}"
    if status == 200:
        return ""
    try:
        document = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeError):
        return f"its status page answers {status}"
    return ", ".join(f"{name} {value}" for name, value in document.items() if name != "ok")


def certificate_ends(directory: Path) -> dict[str, float]:
    """Return the end of each certificate of this host that this user may read."""
    found = {}
    for path in sorted((directory / "pki").glob("*.pem")):
        try:
            found[str(path)] = _end(path.read_bytes())
        except (OSError, ValueError):
            continue  # the doctor says what is wrong with a file
    return found


def _end(pem: bytes) -> float:
    from cryptography import x509

    certificates = x509.load_pem_x509_certificates(pem)
    return min(each.not_valid_after_utc.timestamp() for each in certificates)
