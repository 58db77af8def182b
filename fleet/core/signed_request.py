"""Requests to an agent that an operator's key has signed: to run a command, or to read a journal.

A signature covers a text: the request, the host it is for, its number and the time. The agent reads
the request from that text alone. So a request runs on no other host, not with another key for the
response, not later, and not twice.

The text is also in the record in plain, for agents that ask for no signature.
"""

from typing import TYPE_CHECKING

import msgspec

from fleet.core.fields import Seconds
from fleet.core.model import InvalidRecord, RemoteRequest, decode, encode

if TYPE_CHECKING:
    from fleet.core.jobs.signing import Signer, TrustedKeys

# A prefix, so that a signature of a request is not valid for other data with the same bytes.
_CONTEXT = b"slashetc fleet request\n"
# How far the clocks of two hosts may differ.
SKEW_S = 30.0
# A request expires in the store after a minute.
AGE_S = 60.0 + SKEW_S


class SignedText(msgspec.Struct, frozen=True):
    """What a signature covers. `at` is Unix time."""

    host: str
    number: str
    at: Seconds
    request: RemoteRequest


class RequestRefused(Exception):  # noqa: N818 - a clean "no"
    """A request is not done. The message says why, and what to do instead."""


class Permitted(msgspec.Struct, frozen=True):
    """A request that a trusted key has signed. After `until` it is refused for its age."""

    request: RemoteRequest
    signer: str
    until: float


def sign(
    request: RemoteRequest, host: str, number: str, now: float, signer: "Signer"
) -> RemoteRequest:
    """Return the request with a signature for one host."""
    text = encode(SignedText(host, number, now, request))
    return msgspec.structs.replace(request, signed=text, signature=signer.sign(_data(text)))


def permitted(
    given: RemoteRequest, host: str, number: str, now: float, trusted: "TrustedKeys"
) -> Permitted:
    """Return the request that was signed. Raises RequestRefused."""
    from fleet.core.jobs import signing  # slow to import, and most hosts ask for no signature

    if not trusted:
        raise RequestRefused(
            f"this host trusts no key, and a request must be signed: {signing.TRUST_ONE}"
        )
    if not given.signed:
        raise RequestRefused(
            "this host does only what one of its trusted keys has signed: repeat the command "
            "with --sign-key KEY, or write sign-key into ~/.config/slashetc/options.toml"
        )
    names = signing.signers(_data(given.signed), [given.signature], trusted)
    if not names:
        raise RequestRefused(
            f"this host does not trust the key that signed this: it trusts {signing.named(trusted)}"
        )
    try:
        signed = decode(given.signed, SignedText)
    except InvalidRecord as error:
        raise RequestRefused(f"the signed request cannot be read: {error}") from None
    if signed.host != host:
        raise RequestRefused("this was signed for another host")
    if signed.number != number:
        raise RequestRefused("this was signed as another request")
    if not now - AGE_S <= signed.at <= now + SKEW_S:
        raise RequestRefused(
            f"this was signed {abs(now - signed.at):.0f} s "
            f"{'ago' if signed.at < now else 'in the future'} by the clock of this host: "
            "set the clocks of both hosts, and try again"
        )
    return Permitted(signed.request, names[0], signed.at + AGE_S)


def _data(text: str) -> bytes:
    return _CONTEXT + text.encode()
