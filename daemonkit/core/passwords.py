"""Passwords as scrypt keeps them, and the field of a request that carries one (RFC 7617).

A secret is `scrypt:N:R:P$SALT$HEX`, the form of Werkzeug. To check one takes as long as it costs,
so the caller does it on a thread.
"""

import base64
import binascii
import hashlib
import hmac
import re

_SCRYPT = re.compile(r"scrypt:(\d{1,7}):(\d{1,3}):(\d{1,3})\$([^$]+)\$([0-9a-f]+)", re.ASCII)
_SCRYPT_MEMORY_BYTES = 64 * 1024 * 1024
# N, R and P of the secrets that we make: 16 MiB, and a twentieth of a second of one core.
COST = (16384, 8, 1)
DIGEST_BYTES = 32
# N × R × P. The usual 16384:8:1 is an eighth of it. A secret that costs more admits nobody.
SCRYPT_COST_MAX = 2**20


def basic_credentials(authorization: bytes) -> tuple[bytes, bytes] | None:
    """Return the name and the password of a Basic field, None for any other field."""
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip()).partition(b":")
    except binascii.Error:
        return None
    return (name, password) if colon else None


def hashed(password: bytes, salt: str) -> str:
    """Return a new secret. The salt is random, and has no `$`."""
    return secret(_derived(password, salt, COST, DIGEST_BYTES), salt)


def secret(digest: bytes, salt: str) -> str:
    """Return the secret with this digest."""
    n, r, p = COST
    return f"scrypt:{n}:{r}:{p}${salt}${digest.hex()}"


def is_scrypt(kept: str) -> bool:
    """Whether a secret has scrypt's form."""
    return _SCRYPT.fullmatch(kept) is not None


def cost(kept: str) -> int:
    """Return what scrypt is to do for a secret; 0 for a secret of another kind."""
    found = _SCRYPT.fullmatch(kept)
    return int(found[1]) * int(found[2]) * int(found[3]) if found else 0


def matches(kept: str, password: bytes) -> bool:
    """Whether a password belongs to a secret. The time does not tell how much of it is right."""
    found = _SCRYPT.fullmatch(kept)
    if found is None or cost(kept) > SCRYPT_COST_MAX:
        return False
    n, r, p = (int(number) for number in found.groups()[:3])
    try:
        made = _derived(password, found[4], (n, r, p), len(found[5]) // 2)
    except ValueError:
        return False
    return hmac.compare_digest(made.hex(), found[5])


def _derived(password: bytes, salt: str, how: tuple[int, int, int], size_bytes: int) -> bytes:
    n, r, p = how
    return hashlib.scrypt(
        password,
        salt=salt.encode(),
        n=n,
        r=r,
        p=p,
        maxmem=_SCRYPT_MEMORY_BYTES,
        dklen=size_bytes,
    )
