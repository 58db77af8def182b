"""The `basicauth` middleware: users with passwords (RFC 7617).

A check takes as long as that of the costliest secret, whether the user exists or not: time must not
tell which names exist. With scrypt that is long, so the caller runs it on a thread, and fields that
were admitted are remembered.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from daemonkit.core import passwords
from daemonkit.core.passwords import cost

# Fields that a middleware remembers. Only who knows a password can add one; the oldest goes first.
LOGINS_MAX = 1024


@dataclass(frozen=True, slots=True)
class Users:
    """User names, each with a secret: `scrypt:N:R:P$SALT$HEX`, `sha256:HEX`, or the password."""

    secrets: Mapping[str, str]
    costliest: str = field(init=False)  # the secret that takes longest to check
    slow: bool = field(init=False)  # to check

    def __post_init__(self) -> None:
        object.__setattr__(self, "costliest", max(self.secrets.values(), key=cost))
        object.__setattr__(self, "slow", cost(self.costliest) > 0)

    def takes_long(self, authorization: bytes) -> bool:
        """Whether `admits` belongs on a thread."""
        return self.slow and authorization[:6].lower() == b"basic "

    def admits(self, authorization: bytes) -> bool:
        """Whether an Authorization field has a user's name and password."""
        if (credentials := passwords.basic_credentials(authorization)) is None:
            return False
        name, password = credentials
        secret = self.secrets.get(name.decode("utf-8", "replace"))
        admitted = secret is not None and matches(secret, password)
        if secret is None or cost(secret) != cost(self.costliest):
            matches(self.costliest, password)
        return admitted


class Logins:
    """The Authorization fields that were admitted, as digests."""

    __slots__ = ("_admitted",)

    def __init__(self) -> None:
        self._admitted: dict[bytes, None] = {}

    def admitted(self, authorization: bytes) -> bool:
        """Whether this field was admitted before."""
        return _digest(authorization) in self._admitted

    def remember(self, authorization: bytes) -> None:
        """Note that a field was admitted."""
        self._admitted[_digest(authorization)] = None
        if len(self._admitted) > LOGINS_MAX:
            del self._admitted[next(iter(self._admitted))]


def _digest(authorization: bytes) -> bytes:
    return hashlib.sha256(authorization).digest()


def matches(secret: str, password: bytes) -> bool:
    """Whether a password belongs to a secret. The time does not tell how much of it is right."""
    if passwords.is_scrypt(secret):
        return passwords.matches(secret, password)
    if secret.startswith("sha256:"):
        digest = hashlib.sha256(password).hexdigest()
        return hmac.compare_digest(digest, secret.removeprefix("sha256:").lower())
    return hmac.compare_digest(secret.encode(), password)
