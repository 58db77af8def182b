"""The requests of this host: its keys never leave it."""

import datetime as dt
import time

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as TlsKey

from daemonkit.core.identity import Identity
from slashetc.authority import new_keys
from slashetc.core import certificates, key_pem, requests
from slashetc.core.requests import NAMES, JoinAnswer, JoinRequest, Name
from slashetc.host.places import Places, write


def own_key(places: Places, name: Name) -> TlsKey:
    """Return the key of one of this host's certificates; make it if it is not there."""
    path = places.key(name)
    if path.exists():
        return key_pem.tls_key(path.read_text())
    key = new_keys.tls_key()
    places.write_key(name, key_pem.private_pem(key))
    return key


def signing_requests(places: Places, fleet: str, host: str) -> dict[Name, str]:
    """Return signing requests for all certificates that a host can have."""
    found: dict[Name, str] = {}
    for name in NAMES:
        who = (
            Identity(fleet, "member" if name == "member" else "host", host)
            if name in {"host", "member"}
            else Identity(fleet, "host", host, name)
        )
        found[name] = certificates.request_of(who, own_key(places, name))
    return found


def renewal(places: Places) -> JoinRequest:
    """Return a request to renew the certificates of this host, signed by its key."""
    file = places.read()
    wanted = signing_requests(places, file.fleet, file.host)
    if not file.member:
        del wanted["member"]
    return _signed(places, JoinRequest(machine=file.machine, address=file.address, requests=wanted))


def leaving(places: Places) -> JoinRequest:
    """Return a request to be forgotten, signed by the key of this host."""
    file = places.read()
    return _signed(places, JoinRequest(machine=file.machine, address=file.address, leaves=True))


def own_certificates(places: Places) -> dict[Name, x509.Certificate]:
    """Return the certificates of this host that can be read."""
    found: dict[Name, x509.Certificate] = {}
    for name in NAMES:
        try:
            found[name] = certificates.bundle(places.certificate(name).read_text())[0]
        except (OSError, ValueError, IndexError):
            continue
    return found


def write_certificates(places: Places, answer: JoinAnswer) -> None:
    """Write the certificates of an answer."""
    for name, pem in answer.certificates.items():
        write(places.certificate(name), pem)


def utc_now() -> dt.datetime:
    """Return the time of day."""
    return dt.datetime.fromtimestamp(time.time(), dt.UTC)


def _signed(places: Places, request: JoinRequest) -> JoinRequest:
    from msgspec.structs import replace

    dated = replace(request, certificate=places.certificate("host").read_text(), at=time.time())
    return requests.signed(dated, own_key(places, "host"))
