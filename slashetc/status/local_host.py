"""What this host itself knows: its daemons' status pages, and the ends of its certificates."""

import http.client
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

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
PAGE_BYTES_MAX = 1 << 20
DIRECTORY = Path("/etc/slashetc")


def daemons(ports: Mapping[str, int]) -> dict[str, str]:
    """Return for each daemon that runs here why it is not ready; "" for one that is."""
    found = in_parallel({name: partial(_ready, port) for name, port in ports.items()}, ANSWER_S)
    shown = {name: found.get(name, "its status page does not answer") for name in ports}
    return {name: why for name, why in shown.items() if why is not None}


def page(port: int, path: str) -> tuple[int, bytes] | None:
    """Return a page of a daemon on this host; None if nothing listens."""
    link = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_S)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read(PAGE_BYTES_MAX)
    except ConnectionRefusedError:
        return None
    finally:
        link.close()


def _ready(port: int) -> str | None:
    try:
        found = page(port, "/ready")
    except (OSError, http.client.HTTPException) as error:
        return f"its status page fails: {error}"
    if found is None:
        return None
    status, body = found
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
