"""Signed requests: what a signature covers, and how long it is valid."""

import msgspec
import pytest

from fleet.core import signed_request
from fleet.core.jobs import signing
from fleet.core.jobs.signing import Signer, TrustedKeys
from fleet.core.model import RemoteRequest, decode, encode
from fleet.core.signed_request import AGE_S, SKEW_S, Permitted, RequestRefused
from tests.fleet.core.jobs.test_signing import keys

PRIVATE, PUBLIC = keys()
SIGNER = Signer(PRIVATE)
TRUSTED: TrustedKeys = {"alice": signing.load_public_key(PUBLIC)}
ASKED = RemoteRequest("alice", command=("id",), reply_key="a key")
HOST, NUMBER, NOW = "1" * 32, "7", 1_000_000.0
SIGNED = signed_request.sign(ASKED, HOST, NUMBER, NOW, SIGNER)


def permitted(
    given: RemoteRequest = SIGNED,
    host: str = HOST,
    number: str = NUMBER,
    now: float = NOW,
    trusted: TrustedKeys = TRUSTED,
) -> Permitted:
    return signed_request.permitted(given, host, number, now, trusted)


def test_a_signed_request_is_permitted_in_the_name_of_its_signer() -> None:
    read = decode(encode(SIGNED), RemoteRequest)
    assert permitted(read) == Permitted(ASKED, "alice", NOW + AGE_S)


def test_an_agent_that_asks_for_no_signature_reads_the_same_request() -> None:
    assert msgspec.structs.replace(SIGNED, signed="", signature="") == ASKED


@pytest.mark.parametrize(
    "field",
    [{"command": ("rm",)}, {"logs": "sshd.service"}, {"reply_key": "another"}, {"by": "root"}],
    ids=str,
)
def test_what_is_written_beside_the_signed_text_does_not_count(field: dict[str, object]) -> None:
    assert permitted(msgspec.structs.replace(SIGNED, **field)).request == ASKED


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"host": "2" * 32}, "another host"),
        ({"number": "8"}, "another request"),
        ({"now": NOW + AGE_S + 1}, "91 s ago by the clock of this host"),
        ({"now": NOW - SKEW_S - 1}, "31 s in the future by the clock of this host"),
        ({"trusted": {}}, "this host trusts no key"),
        ({"trusted": {"bob": signing.load_public_key(keys()[1])}}, "it trusts bob"),
        ({"given": ASKED}, "--sign-key"),
        ({"given": msgspec.structs.replace(SIGNED, signature="")}, "does not trust the key"),
        ({"given": msgspec.structs.replace(SIGNED, signature="é")}, "does not trust the key"),
    ],
    ids=range(9),
)
def test_a_request_is_refused_with_the_reason(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(RequestRefused, match=why):
        permitted(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("now", [NOW - SKEW_S, NOW + AGE_S])
def test_clocks_may_differ_a_little(now: float) -> None:
    assert permitted(now=now).request == ASKED


def test_a_signature_of_a_job_is_none_of_a_request() -> None:
    text = encode(signed_request.SignedText(HOST, NUMBER, NOW, ASKED))
    for signature in (SIGNER.sign_text(text), SIGNER.sign_job("web.service", text)):
        forged = msgspec.structs.replace(ASKED, signed=text, signature=signature)
        with pytest.raises(RequestRefused):
            permitted(forged)


@pytest.mark.parametrize("text", ["", "null", "[" * 3000, '{"host": 1}', '{"at": 1e400}'])
def test_a_signed_text_that_is_no_request_is_refused(text: str) -> None:
    signature = SIGNER.sign(signed_request._CONTEXT + text.encode())
    forged = msgspec.structs.replace(ASKED, signed=text, signature=signature)
    with pytest.raises(RequestRefused):
        permitted(forged)
