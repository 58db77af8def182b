"""Key pairs of hosts, sealed as in vulcand: JSON, encrypted by NaCl's secretbox, in JSON.

The plaintext is `{"Key": base64(PEM), "Cert": base64(PEM chain)}`. The sealed form is
`{"Encryption": "secretbox.v1", "Value": {"Val": base64, "Nonce": base64}}`. vulcand encodes it in
base64 once more in a host's key, although its documentation shows it without; we read both.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec

# Of XSalsa20-Poly1305. The library itself is loaded for the first key pair only.
NONCE_BYTES = 24
KEY_BYTES = 32
_ENCRYPTION = "secretbox.v1"


class SealError(ValueError):
    """A key pair that cannot be sealed or opened; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and a certificate chain, both PEM."""

    key: bytes
    cert: bytes

    def __repr__(self) -> str:
        return "KeyPair(...)"  # private keys do not belong in logs


class _Plain(msgspec.Struct, frozen=True):
    key: bytes = msgspec.field(name="Key")
    cert: bytes = msgspec.field(name="Cert")


class _Value(msgspec.Struct, frozen=True):
    val: bytes = msgspec.field(name="Val")
    nonce: bytes = msgspec.field(name="Nonce")


class _Sealed(msgspec.Struct, frozen=True):
    encryption: str = msgspec.field(name="Encryption")
    value: _Value = msgspec.field(name="Value")


@dataclass(frozen=True, slots=True)
class SealKeys:
    """The seal keys. The first one seals; all of them open, so that you can replace a key."""

    keys: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"SealKeys({len(self.keys)} keys)"

    def seal(self, pair: KeyPair, nonce: bytes) -> bytes:
        """Return the sealed JSON. Raises SealError without a key."""
        if not self.keys:
            raise SealError("no seal key: start vulcand with --seal-key")
        from nacl.secret import SecretBox

        plain = msgspec.json.encode(_Plain(pair.key, pair.cert))
        box = SecretBox(self.keys[0]).encrypt(plain, nonce)
        return msgspec.json.encode(_Sealed(_ENCRYPTION, _Value(box.ciphertext, nonce)))

    def open(self, sealed: str | dict[str, Any]) -> KeyPair:
        """Open a host's KeyPair, with or without base64. Raises SealError."""
        if not self.keys:
            raise SealError("the key pair is sealed: start vulcand with --seal-key")
        try:
            if isinstance(sealed, str):
                box = msgspec.json.decode(base64.b64decode(sealed, validate=True), type=_Sealed)
            else:
                box = msgspec.convert(sealed, _Sealed)
        except (binascii.Error, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise SealError(f"not a sealed key pair: {error}") from None
        if box.encryption != _ENCRYPTION:
            raise SealError(f'Encryption is "{box.encryption}": only {_ENCRYPTION} is supported')
        return self._opened(box.value)

    def _opened(self, value: _Value) -> KeyPair:
        from nacl.exceptions import CryptoError
        from nacl.secret import SecretBox

        for key in self.keys:
            try:
                plain = SecretBox(key).decrypt(value.val, value.nonce)
                pair = msgspec.json.decode(plain, type=_Plain)
            except (CryptoError, ValueError, msgspec.DecodeError):
                continue
            return KeyPair(pair.key, pair.cert)
        raise SealError("none of the seal keys opens the key pair")


def parse_key(text: str) -> bytes:
    """Read a seal key: 64 hex digits. Raises SealError."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SealError("a seal key has 64 hex digits: make one with `vctl secret new_key`")
    return key
