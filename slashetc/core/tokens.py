"""Join tokens: one host may join the fleet under one name, once, for a limited time.

    slashetc1.PAYLOAD.SIGNATURE

PAYLOAD is JSON and SIGNATURE is the Ed25519 signature of it by an operator's signing key; both are
base64 for URLs. The payload has the hash of the authority's certificate, so a joining host can tell
the fleet from somebody else before it says anything that is secret. No record of a token is needed
until it is used.
"""

import base64
import binascii
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from daemonkit.core.identity import NAME

FORM = "slashetc1"
TOKEN_BYTES_MAX = 2048
# A token lies in shell histories and in the metadata of machines.
TTL_S_MAX = 7 * 24 * 3600
# Signed beside the payload, so that no signature of an order is valid for a token.
_CONTEXT = b"slashetc join token\n"


class BadToken(ValueError):  # noqa: N818 - what is wrong with what somebody gave
    """The text is no token, or one that is not valid; the message says why and what to do."""


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says. `ca` is the SHA-256 of the authority's certificate; times are in Unix s.

    `member` says whether the host becomes a member of the store; None leaves it to the fleet.
    """

    id: str
    host: str
    fleet: str
    ca: str
    issued: float
    expires: float
    signer: str
    member: bool | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was read, but not verified."""

    payload: Payload
    signed: bytes
    signature: bytes

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        """Return whether the owner of a key has made the token."""
        try:
            key.verify(self.signature, _CONTEXT + self.signed)
        except InvalidSignature:
            return False
        return True


def make(payload: Payload, key: Ed25519PrivateKey) -> str:
    """Return the text of a token."""
    body = _encoded(msgspec.json.encode(payload))
    return f"{FORM}.{body}.{_encoded(key.sign(_CONTEXT + body.encode()))}"


def read(text: str) -> Token:
    """Read a token. Raises BadToken."""
    given = text.strip()
    if len(given) > TOKEN_BYTES_MAX:
        raise BadToken(f"the token has {len(given)} characters, more than any token: copy it again")
    form, _, rest = given.partition(".")
    body, dot, signature = rest.partition(".")
    if form != FORM or not dot:
        raise BadToken(
            f"this is not a whole token: it begins with {FORM}. and has two dots; "
            "copy it again from `slashetc token`"
        )
    try:
        payload = msgspec.json.decode(_decoded(body), type=Payload)
        token = Token(payload, body.encode(), _decoded(signature))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadToken("the token is damaged: copy it again from `slashetc token`") from None
    if not all(NAME.fullmatch(each) for each in (payload.host, payload.fleet, payload.signer)):
        raise BadToken("the token names no host, fleet and signer: make one by `slashetc token`")
    return token


def date_refusal(payload: Payload, now: float, *, skew_s: float = 60.0) -> str:
    """Return why a token is not valid now, "" if it is."""
    if now > payload.expires:
        late = now - payload.expires
        return (
            f"the token for {payload.host} expired {_ago(late)} ago: make a new one by "
            f"`slashetc token --host {payload.host}`"
        )
    if payload.issued > now + skew_s:
        early = payload.issued - now
        return (
            f"the token was made {_ago(early)} in the future of this host's clock: set the clock, "
            "for example by `timedatectl set-ntp true`, and join again"
        )
    return ""


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from None
