"""Checks passwords: the first time with scrypt on a thread, from then on in microseconds.

What is remembered is a MAC of name, password and secret under a key of this process: memory that
is read tells no password, and a new secret is another entry. A password that is wrong, a user that
does not exist and a user without a password take the same time.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from coordinator.core.auth.guess_limits import GuessLimits
from daemonkit.core import passwords
from daemonkit.http.overload_control import client_of
from daemonkit.process.check_thread import CheckThread

# Different checks that run or wait: those of five seconds. Beyond it, a login gets 503.
CHECKS_MAX = 64
# Passwords that were right, of 32 bytes each. Beyond it, the oldest is checked again.
VERIFIED_MAX = 4096
SALT_BYTES = 12
# Of a name, as far as its guesses are counted: nothing that a stranger sends is kept whole.
NAME_CHARACTERS_MAX = 256


class Verdict(Enum):
    """What came of a check."""

    RIGHT = auto()
    WRONG = auto()
    BUSY = auto()
    TOO_MANY = auto()


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password that came from an address; `secret` is empty if there is none."""

    address: str
    user: str
    password: bytes
    secret: str


class PasswordVerifier:
    """The passwords of one member's clients."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._now = loop.time
        self._thread = CheckThread[bool](loop, "passwords", broken=False)
        self._hashing = CheckThread[str](loop, "new-passwords", broken="")
        self._key = secrets.token_bytes(32)
        self._verified: dict[bytes, None] = {}
        self._limits = GuessLimits()
        # No password has it. To find that out costs what a real one costs.
        self._nobodys = passwords.secret(secrets.token_bytes(passwords.DIGEST_BYTES), _salt())
        self.refused = 0

    def is_verified(self, user: str, password: bytes, secret: str) -> bool:
        """Whether this password was right before, for this secret."""
        return self._mac(user, password, secret) in self._verified

    def verify(self, login: Login, decided: Callable[[Verdict, float], None]) -> None:
        """Call `decided` with the verdict, and the seconds until another guess is allowed."""
        address, user = client_of(login.address), login.user[:NAME_CHARACTERS_MAX]
        mac = self._mac(login.user, login.password, login.secret)

        def told(right: bool) -> None:  # noqa: FBT001 - the only argument
            decided(Verdict.RIGHT if right else Verdict.WRONG, 0.0)

        # The same guess again is none: a client may open many connections at once.
        if self._thread.join(mac, told):
            return
        if wait_s := self._limits.take(address, user, self._now()):
            self.refused += 1
            decided(Verdict.TOO_MANY, wait_s)
            return
        check = partial(passwords.matches, login.secret or self._nobodys, login.password)

        def checked(right: bool) -> None:  # noqa: FBT001 - the only argument
            if right:
                self._remember(mac)
                self._limits.give_back(address, user, self._now())
            else:
                self.refused += 1
            told(right)

        if not self._thread.start(mac, check, checked, at_most=CHECKS_MAX):
            decided(Verdict.BUSY, 1.0)

    def hash(self, password: bytes, made: Callable[[str], None]) -> bool:
        """Call `made` with a new secret, later; return False when too many are being made."""
        salt = _salt()
        hashed = partial(passwords.hashed, password, salt)
        return self._hashing.start(salt, hashed, made, at_most=CHECKS_MAX)

    def close(self) -> None:
        """Check no more."""
        self._thread.close()
        self._hashing.close()

    def _remember(self, mac: bytes) -> None:
        self._verified[mac] = None
        if len(self._verified) > VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]

    def _mac(self, user: str, password: bytes, secret: str) -> bytes:
        name = user.encode(errors="surrogateescape")
        text = b"%d:%b%d:%b%b" % (len(name), name, len(password), password, secret.encode())
        return hashlib.blake2b(text, digest_size=32, key=self._key).digest()


def _salt() -> str:
    return secrets.token_hex(SALT_BYTES)
