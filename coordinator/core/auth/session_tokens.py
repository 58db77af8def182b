"""Bearer tokens: proof for at most an hour that a member has checked who a user is.

A token is `st1.PAYLOAD.MAC`, both parts in base64url. The MAC is made with a key that is in the
replicated state, so that every member verifies what any member made, also after a restart or under
another leader. Times are cluster time: no member's wall clock matters.

A token says who, never what: the roles of its user are looked up when it is used. It also has a
fingerprint of its user's password and of when older certificates ended, so a new password or an
eviction ends it.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256

import msgspec

PREFIX = "st1."
TTL_S_MAX = 3600
KEY_BYTES = 32
# A token with its name and its prefixes must fit into a field of a request.
TOKEN_BYTES_MAX = 4096
PREFIXES_MAX = 32
# How far the cluster time of two members may differ. A key that a restored backup brought back
# would otherwise admit the tokens of a time that has not come.
AHEAD_NS_MAX = 60_000_000_000
_NS_PER_S = 1_000_000_000
_CONTEXT = b"slashetc session token 1\0"
_FINGERPRINT_BYTES = 12


class BadToken(Exception):  # noqa: N818 - what is wrong with it
    """A token that admits nobody; the message says why, in words that continue a sentence."""


@dataclass(frozen=True, slots=True)
class SessionToken:
    """The content of a token. `prefixes` narrow what it may write; None narrows nothing."""

    user: str
    issued_ns: int
    expires_ns: int
    fingerprint: bytes
    prefixes: tuple[str, ...] | None = None


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a token."""

    ttl_s: int = TTL_S_MAX
    prefixes: tuple[str, ...] | None = None


def parse_request(body: bytes) -> TokenRequest:
    """Parse the body of `POST /v2/auth/token`. ValueError names the field and the remedy."""
    try:
        asked = msgspec.json.decode(body or b"{}", type=TokenRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f'{error}: write {{"ttl_s":900,"prefixes":["/vulcand/"]}}') from None
    if not 1 <= asked.ttl_s <= TTL_S_MAX:
        raise ValueError(f"ttl_s is {asked.ttl_s}: write 1 to {TTL_S_MAX} seconds")
    if asked.prefixes is not None:
        if len(asked.prefixes) > PREFIXES_MAX:
            raise ValueError(f"there are {len(asked.prefixes)} prefixes: give {PREFIXES_MAX}")
        for prefix in asked.prefixes:
            if not prefix.startswith("/"):
                raise ValueError(f"the prefix {prefix!r} does not begin with /: write /{prefix}")
    return asked


def issue(
    user: str, asked: TokenRequest, now_ns: int, fingerprint: bytes, parent: SessionToken | None
) -> SessionToken:
    """Return the token of a user. One that is asked for with another is no longer and no wider.

    ValueError if it would be.
    """
    expires_ns = now_ns + asked.ttl_s * _NS_PER_S
    prefixes = asked.prefixes
    if parent is not None:
        expires_ns = min(expires_ns, parent.expires_ns)
        if parent.prefixes is not None:
            prefixes = parent.prefixes if prefixes is None else prefixes
            wider = [each for each in prefixes if not within(each, parent.prefixes)]
            if wider:
                allowed = ", ".join(parent.prefixes)
                raise ValueError(f"the token asking may write below {allowed}, not {wider[0]}")
    return SessionToken(user, now_ns, expires_ns, fingerprint, prefixes)


def within(key: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a key, or a prefix, is at or below one of the prefixes."""
    return any(
        key == prefix.rstrip("/") or key.startswith(f"{prefix.rstrip('/')}/") for prefix in prefixes
    )


def fingerprint(password: str, not_before: int) -> bytes:
    """Return what changes when a user's tokens are to end. `password` is the kept secret."""
    return sha256(f"{not_before} {password}".encode()).digest()[:_FINGERPRINT_BYTES]


def sealed(token: SessionToken, key: bytes) -> str:
    """Return the token as text. ValueError if it is too long."""
    payload = urlsafe_b64encode(msgspec.json.encode(token)).rstrip(b"=")
    text = f"{PREFIX}{payload.decode()}.{_mac(payload, key)}"
    if len(text) > TOKEN_BYTES_MAX:
        raise ValueError(f"the token would have {len(text)} bytes: give fewer prefixes")
    return text


def opened(text: str, key: bytes, now_ns: int) -> SessionToken:
    """Return a token that this key has sealed and that is in its time. Raises BadToken."""
    head, _, mac = text.removeprefix(PREFIX).partition(".")
    if not text.startswith(PREFIX) or not text.isascii() or len(text) > TOKEN_BYTES_MAX or not key:
        raise BadToken("is no token of this cluster")
    payload = head.encode()
    if not hmac.compare_digest(_mac(payload, key), mac):
        raise BadToken("is no token of this cluster")
    # Only this cluster makes what follows.
    raw = urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
    try:
        token = msgspec.json.decode(raw, type=SessionToken)
    except msgspec.DecodeError:
        raise BadToken("has the form of another release") from None
    if now_ns >= token.expires_ns:
        raise BadToken("has expired: ask for another one")
    if token.issued_ns > now_ns + AHEAD_NS_MAX:
        raise BadToken("is of a time that has not come: ask for another one")
    return token


def _mac(payload: bytes, key: bytes) -> str:
    made = hmac.digest(key, _CONTEXT + payload, "sha256")
    return urlsafe_b64encode(made).rstrip(b"=").decode()
