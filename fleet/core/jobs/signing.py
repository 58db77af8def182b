"""Signatures of jobs: Ed25519 over a job's name and its unit's text.

From both follow the names of its units in systemd, so no text that was signed for one job runs as
another one.
"""

import base64
from collections.abc import Iterable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

# A prefix, so that a signature of a job is not valid for other data with the same bytes.
_JOB_CONTEXT = b"slashetc fleet job\n"
# The signatures of 0.1 cover the text alone. Its agents accept no others.
_TEXT_CONTEXT = b"slashetc fleet unit\n"
# A refusal names so many of the keys that a host trusts.
NAMED_MAX = 5
# What to do on a host that trusts no key.
TRUST_ONE = "put a public key into the directory of its fleetd's --trusted-keys"
# The keys that a host trusts, by name.
TrustedKeys = Mapping[str, Ed25519PublicKey]


class BadKey(ValueError):  # noqa: N818 - what is wrong with a file
    """The file is not an Ed25519 key in PEM."""


class Signer:
    """Signs what a host executes as root. Raises BadKey."""

    def __init__(self, private_pem: bytes) -> None:
        try:
            key = load_pem_private_key(private_pem, password=None)
        except (ValueError, TypeError) as error:
            raise BadKey(str(error)) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey("the key is not an Ed25519 key")
        self._key = key

    def sign(self, data: bytes) -> str:
        """Return a signature. The data begins with what kind of data it is."""
        return base64.b64encode(self._key.sign(data)).decode()

    def sign_job(self, job: str, text: str) -> str:
        """Return a signature of a job's name and its unit's text."""
        return self.sign(_job_data(job, text))

    def sign_text(self, text: str) -> str:
        """Return a signature of a unit's text, for agents of 0.1."""
        return self.sign(_TEXT_CONTEXT + text.encode())


def load_public_key(public_pem: bytes) -> Ed25519PublicKey:
    """Read a public key. Raises BadKey."""
    try:
        key = load_pem_public_key(public_pem)
    except ValueError as error:
        raise BadKey(str(error)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey("the key is not an Ed25519 key")
    return key


def refusal(job: str, text: str, signatures: Iterable[str], trusted: TrustedKeys) -> str:
    """Return why none of the signatures lets a job run, "" if one does."""
    given = list(signatures)
    if signers(_job_data(job, text), given, trusted):
        return ""
    if not trusted:
        return f"this host trusts no key, and {job} must be signed: {TRUST_ONE}"
    again = "sign it with `fleetctl run FILE --sign-key KEY`"
    if signers(_TEXT_CONTEXT + text.encode(), given, trusted):
        return (
            "its signature is one of fleetctl 0.1, which does not cover the name of the job: "
            f"{again}"
        )
    but = f", but another key has; this host trusts {named(trusted)}" if given else ""
    return f"no trusted key has signed this unit as this job{but}: {again}"


def named(trusted: TrustedKeys) -> str:
    """Return the names of trusted keys, for a refusal."""
    names = sorted(trusted)
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


def signers(data: bytes, signatures: Iterable[str], trusted: TrustedKeys) -> list[str]:
    """Return the names of the trusted keys by which a signature is."""
    given = list(signatures)
    return [name for name, key in trusted.items() if any(_is_by(key, each, data) for each in given)]


def _job_data(job: str, text: str) -> bytes:
    return _JOB_CONTEXT + job.encode() + b"\n" + text.encode()


def _is_by(key: Ed25519PublicKey, signature: str, data: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError):
        return False
    return True
