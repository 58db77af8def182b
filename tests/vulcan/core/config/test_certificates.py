"""Sealed key pairs, and the choice of a certificate."""

import base64
import json

import pytest

from rig.vulcan_certificates import make_pair
from vulcan.core.config import sni
from vulcan.core.config.errors import ModelError
from vulcan.core.config.host import Host
from vulcan.core.config.model import decode
from vulcan.core.config.secretbox import KeyPair, SealError, SealKeys, parse_key

KEY, OTHER = b"k" * 32, b"o" * 32
NONCE = b"n" * 24


def host(name: str, pair: KeyPair | None = None, *, bare: bool = False, **settings) -> Host:
    if pair is not None:
        sealed = SealKeys((KEY,)).seal(pair, NONCE)
        settings["KeyPair"] = json.loads(sealed) if bare else base64.b64encode(sealed).decode()
    made = decode(f"hosts/{name}/host", json.dumps({"Settings": settings}), SealKeys((OTHER, KEY)))
    assert isinstance(made, Host)
    return made


@pytest.mark.parametrize("bare", [True, False])
def test_a_sealed_key_pair_is_opened_by_any_key_with_or_without_base64(bare: bool):
    pair = make_pair("a.example")
    made = host("a.example", pair, bare=bare)
    assert made.pair == pair
    assert made.certificate is not None
    assert made.certificate.names == ("a.example",)
    assert "PRIVATE" not in repr(made)


def test_key_pairs_are_sealed_in_vulcands_format():
    sealed = json.loads(SealKeys((KEY,)).seal(KeyPair(b"k", b"c"), NONCE))
    assert sealed["Encryption"] == "secretbox.v1"
    assert base64.b64decode(sealed["Value"]["Nonce"]) == NONCE
    # NaCl's secretbox has a tag of 16 bytes before the ciphertext, which is as long as the text.
    plain = '{"Key":"aw==","Cert":"Yw=="}'
    assert len(base64.b64decode(sealed["Value"]["Val"])) == 16 + len(plain)


@pytest.mark.parametrize("text", ["", "zz", "00" * 31])
def test_a_seal_key_is_64_hex_digits(text: str):
    with pytest.raises(SealError, match="64 hex digits"):
        parse_key(text)


def test_a_key_pair_that_no_key_opens_or_that_does_not_match_is_refused():
    with pytest.raises(SealError, match="none of the seal keys opens"):
        SealKeys((OTHER,)).open(json.loads(SealKeys((KEY,)).seal(KeyPair(b"k", b"c"), NONCE)))
    one, two = make_pair("a.example"), make_pair("b.example")
    with pytest.raises(ModelError, match="Key does not belong to Cert"):
        host("a.example", KeyPair(one.key, two.cert))


def test_the_certificate_is_chosen_by_host_then_wildcard_then_names_then_default():
    hosts = {
        made.name: made
        for made in (
            host("a.example", make_pair("other.example")),
            host("*.w.example", make_pair("x")),
            host("many", make_pair("alt.example", "*.star.example")),
            host("plain.example"),
            host("default", make_pair("d"), Default=True),
        )
    }
    expected = {
        "A.Example.": "a.example",
        "x.w.example": "*.w.example",
        "alt.example": "many",
        "y.star.example": "many",
        "plain.example": "default",
        "nowhere": "default",
        "": "default",
    }
    found = {name: sni.choose_host(hosts, name) for name in expected}
    assert {name: made.name for name, made in found.items() if made} == expected
    del hosts["default"]
    assert sni.choose_host(hosts, "nowhere") is None
