"""Join tokens: signed, dated, and read from whatever somebody pastes."""

import pytest

from slashetc.authority import new_keys
from slashetc.core import tokens
from slashetc.core.tokens import BadToken, Payload

PAYLOAD = Payload(
    id="t1", host="web3", fleet="prod", ca="ab" * 32, issued=1000.0, expires=4600.0, signer="alice"
)


def test_a_token_says_what_it_was_made_for():
    key = new_keys.signer_key()
    token = tokens.read(f" {tokens.make(PAYLOAD, key)}\n")
    assert token.payload == PAYLOAD
    assert token.is_signed_by(key.public_key())


def test_a_token_is_not_signed_by_somebody_else():
    token = tokens.read(tokens.make(PAYLOAD, new_keys.signer_key()))
    assert not token.is_signed_by(new_keys.signer_key().public_key())


def test_a_changed_token_is_not_signed():
    key = new_keys.signer_key()
    form, _, signature = tokens.make(PAYLOAD, key).split(".")
    other = tokens.make(Payload(**{**as_dict(PAYLOAD), "host": "h1"}), key).split(".")[1]
    assert not tokens.read(f"{form}.{other}.{signature}").is_signed_by(key.public_key())


def as_dict(payload):
    return {name: getattr(payload, name) for name in payload.__struct_fields__}


@pytest.mark.parametrize(
    "text",
    ["", "slashetc1", "slashetc1.a", "k10.a.b", "slashetc1.e30.e30", "slashetc1.\xe9.b", "x" * 9999,
     "slashetc1." + "W1t" * 200 + ".AA", "slashetc1..", "slashetc1.!!!.AA"],
)  # fmt: skip
def test_what_is_no_token_is_refused_with_a_remedy(text):
    with pytest.raises(BadToken, match=r"again|slashetc token"):
        tokens.read(text)


@pytest.mark.parametrize("host", ["../../etc", "a/b", "", "A B"])
def test_a_token_for_what_is_no_name_is_refused(host):
    payload = Payload(**{**as_dict(PAYLOAD), "host": host})
    with pytest.raises(BadToken):
        tokens.read(tokens.make(payload, new_keys.signer_key()))


def test_a_token_is_valid_from_its_making_to_its_end():
    assert tokens.date_refusal(PAYLOAD, 1000) == tokens.date_refusal(PAYLOAD, 4600) == ""
    assert "expired 400 s ago" in tokens.date_refusal(PAYLOAD, 5000) or "7 min" in (
        tokens.date_refusal(PAYLOAD, 5000)
    )
    assert "set the clock" in tokens.date_refusal(PAYLOAD, 100)
