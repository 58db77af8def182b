"""What a host asks the authority for, and what the authority answers.

A host that joins shows a token. A host of the fleet that renews its certificates shows its current
one, and signs the request with that key. So it does not matter who carries the request to the
authority: nobody on the way can ask for another host.
"""

import base64
import hashlib
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as TlsKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey as TlsPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

BODY_BYTES_MAX = 48 << 10
Name = Literal["host", "member", "skydns", "vulcand"]
NAMES: tuple[Name, ...] = ("host", "member", "skydns", "vulcand")
_CONTEXT = b"slashetc renewal\n"


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request for certificates.

    `requests` are signing requests in PEM; a host that `leaves` has none. `wants_member` says
    whether the host wants to be a member of the store, if the token does not. A renewal has the
    time at which it was made (Unix seconds), so that nobody can repeat it later.
    """

    machine: str
    address: str
    requests: dict[Name, str] = {}
    leaves: bool = False
    wants_member: bool | None = None
    token: str = ""
    at: float = 0.0
    certificate: str = ""
    signature: str = ""

    @property
    def id(self) -> str:
        """The same request has the same id."""
        return hashlib.sha256(_canonical(self)).hexdigest()[:32]


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer: certificates in PEM, or `error`, with the status of HTTP.

    The member that was asked adds the endpoints, the domain and the certificates of signers.
    """

    status: int = 200
    error: str = ""
    fleet: str = ""
    host: str = ""
    member: bool = False
    certificates: dict[Name, str] = {}
    authority: str = ""
    cluster: dict[str, list[str]] = {}
    endpoints: list[str] = []
    domain: str = ""


class BadMessage(ValueError):  # noqa: N818 - what is wrong with what somebody sent
    """The bytes are no request; the message says why."""


def read(body: bytes | str) -> JoinRequest:
    """Read a request. Raises BadMessage."""
    if len(body) > BODY_BYTES_MAX:
        raise BadMessage(f"a request has at most {BODY_BYTES_MAX} bytes")
    try:
        request = msgspec.json.decode(body, type=JoinRequest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadMessage(f"this is no request for certificates: {error}") from None
    if len(request.machine) != 32 or not set(request.machine) <= set("0123456789abcdef"):
        raise BadMessage("machine must be a machine-id: 32 hexadecimal digits")
    if ("host" in request.requests) == request.leaves:
        raise BadMessage("a request asks at least for the host's own certificate")
    return request


def signed(request: JoinRequest, key: TlsKey) -> JoinRequest:
    """Return a renewal with its signature by the key of its certificate."""
    signature = key.sign(_to_sign(request), ECDSA(SHA256()))
    return msgspec.structs.replace(request, signature=base64.b64encode(signature).decode())


def signer_certificate(request: JoinRequest) -> x509.Certificate:
    """Return the certificate of a renewal whose key has signed it. Raises BadMessage."""
    try:
        certificate, *_ = x509.load_pem_x509_certificates(request.certificate.encode())
        key = certificate.public_key()
        if not isinstance(key, TlsPublicKey):
            raise BadMessage("the certificate of a renewal must have an ECDSA key")
        signature = base64.b64decode(request.signature, validate=True)
        key.verify(signature, _to_sign(request), ECDSA(SHA256()))
    except InvalidSignature:
        raise BadMessage("the renewal is not signed by the key of its certificate") from None
    except ValueError as error:
        raise BadMessage(f"the certificate of the renewal cannot be read: {error}") from None
    return certificate


def encode(message: JoinRequest | JoinAnswer) -> str:
    """Return a message as JSON."""
    return msgspec.json.encode(message).decode()


def read_answer(body: bytes | str) -> JoinAnswer:
    """Read an answer. Raises BadMessage."""
    try:
        return msgspec.json.decode(body, type=JoinAnswer)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadMessage(f"this is no answer of a fleet: {error}") from None


def _canonical(request: JoinRequest) -> bytes:
    return msgspec.json.encode(request, order="deterministic")


def _to_sign(request: JoinRequest) -> bytes:
    return _CONTEXT + _canonical(msgspec.structs.replace(request, signature=""))
