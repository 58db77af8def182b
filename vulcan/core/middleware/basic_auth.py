"""The `basicauth` middleware: users with passwords (RFC 7617)."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

_SCRYPT = re.compile(r"scrypt:(\d{1,7}):(\d{1,3}):(\d{1,3})\$([^$]+)\$([0-9a-f]+)", re.ASCII)
_SCRYPT_MEMORY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Users:
    """User names, each with a secret: `scrypt:N:R:P$SALT$HEX`, `sha256:HEX`, or the password."""

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
        # An unknown name takes as long as a wrong password: time must not tell which names exist.
        given = matches(secret if secret is not None else "-", password)
        return given and secret is not None


def matches(secret: str, password: bytes) -> bool:
    """Whether a password belongs to a secret. The time does not tell how much of it is right."""
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
