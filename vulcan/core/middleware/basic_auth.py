"""Who may pass: networks of clients, and users with passwords."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SCRYPT = re.compile(r"scrypt:(\d{1,7}):(\d{1,3}):(\d{1,3})\$([^$]+)\$([0-9a-f]+)", re.ASCII)
_SCRYPT_MEMORY_BYTES = 64 * 1024 * 1024


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Parse networks and addresses. ValueError names the wrong one."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def allowed(peer: str, allow: Sequence[Network], deny: Sequence[Network]) -> bool:
    """Whether an address is in `allow`, or that is empty, and not in `deny`."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return not allow  # a unix socket's client has no address
    if any(address in network for network in deny):
        return False
    return not allow or any(address in network for network in allow)


@dataclass(frozen=True, slots=True)
class Users:
    """Names with secrets: `scrypt:N:R:P$SALT$HEX`, `sha256:HEX`, or the password itself."""

    secrets: Mapping[str, str]

    def admits(self, authorization: bytes) -> bool:
        """Whether an Authorization field has a user's name and password."""
        scheme, _, encoded = authorization.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            name, _, password = base64.b64decode(encoded.strip()).partition(b":")
        except binascii.Error:
            return False
        secret = self.secrets.get(name.decode("utf-8", "replace"))
        # A name that is not there costs what a wrong password costs.
        given = matches(secret if secret is not None else "-", password)
        return given and secret is not None


def matches(secret: str, password: bytes) -> bool:
    """Whether a password is the one of a secret, in time that does not tell how wrong it is."""
    if found := _SCRYPT.fullmatch(secret):
        rounds, block, lanes = (int(number) for number in found.groups()[:3])
        try:
            made = hashlib.scrypt(
                password,
                salt=found[4].encode(),
                n=rounds,
                r=block,
                p=lanes,
                maxmem=_SCRYPT_MEMORY_BYTES,
                dklen=len(found[5]) // 2,
            )
        except ValueError:
            return False
        return hmac.compare_digest(made.hex(), found[5])
    if secret.startswith("sha256:"):
        digest = hashlib.sha256(password).hexdigest()
        return hmac.compare_digest(digest, secret.removeprefix("sha256:").lower())
    return hmac.compare_digest(secret.encode(), password)
