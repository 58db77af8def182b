"""Signatures of jobs: Ed25519 over a job's name and its unit's text.

From both follow the names of its units in systemd, so no text that was signed for one job runs as
another one.
"""

import base64
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

# A prefix, so that a signature of a job is not valid for other data with the same bytes.
_JOB_CONTEXT = b"slashetc fleet job\n"
# The signatures of 0.1 cover the text alone. Its agents accept no others.
_TEXT_CONTEXT = b"slashetc fleet unit\n"


class BadKey(ValueError):  # noqa: N818 - what is wrong with a file
    """The file is not an Ed25519 key in PEM."""


def sign(job: str, text: str, private_pem: bytes) -> str:
    """Return a signature of a job's name and its unit's text. Raises BadKey."""
    return _sign(_job_data(job, text), private_pem)


def sign_text(text: str, private_pem: bytes) -> str:
    """Return a signature of a unit's text, for agents of 0.1. Raises BadKey."""
    return _sign(_TEXT_CONTEXT + text.encode(), private_pem)


def load_public_key(public_pem: bytes) -> Ed25519PublicKey:
    """Read a public key. Raises BadKey."""
    try:
        key = load_pem_public_key(public_pem)
    except ValueError as error:
        raise BadKey(str(error)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey("the key is not an Ed25519 key")
    return key


def refusal(
    job: str, text: str, signatures: Iterable[str], keys: Iterable[Ed25519PublicKey]
) -> str:
    """Return why none of the signatures lets a job run, "" if one does."""
    given, trusted = list(signatures), list(keys)
    if _has_signature(_job_data(job, text), given, trusted):
        return ""
    if _has_signature(_TEXT_CONTEXT + text.encode(), given, trusted):
        return (
            "its signature is one of fleetctl 0.1, which does not cover the name of the job: "
            "sign it again with `fleetctl run --sign-key`"
        )
    return "no trusted key has signed this unit as this job"


def _job_data(job: str, text: str) -> bytes:
    return _JOB_CONTEXT + job.encode() + b"\n" + text.encode()


def _sign(data: bytes, private_pem: bytes) -> str:
    try:
        key = load_pem_private_key(private_pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadKey(str(error)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey("the key is not an Ed25519 key")
    return base64.b64encode(key.sign(data)).decode()


def _has_signature(
    data: bytes, signatures: Iterable[str], trusted: Iterable[Ed25519PublicKey]
) -> bool:
    keys = list(trusted)
    return any(_is_by(key, each, data) for each in signatures for key in keys)


def _is_by(key: Ed25519PublicKey, signature: str, data: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError):
        return False
    return True
