"""Bearer tokens: what admits, what ends one, and what a token may not get by itself."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.auth import session_tokens
from coordinator.core.auth.session_tokens import (
    AHEAD_NS_MAX,
    PREFIXES_MAX,
    TTL_S_MAX,
    BadToken,
    SessionToken,
    TokenRequest,
    issue,
    opened,
    parse_request,
    sealed,
)

KEY = bytes(range(32))
NOW = 1_000_000_000_000
S = 1_000_000_000
TOKEN = SessionToken("alice", NOW, NOW + 60 * S, b"fingerprint!")


def test_any_member_with_the_key_opens_a_token_of_any_other():
    for token in (TOKEN, replace(TOKEN, prefixes=("/vulcand/",)), replace(TOKEN, user="host:w·1")):
        assert opened(sealed(token, KEY), KEY, NOW) == token


@pytest.mark.parametrize(
    ("key", "at", "why"),
    [
        (bytes(32), NOW, "no token of this cluster"),
        (b"", NOW, "no token of this cluster"),
        (KEY, NOW + 60 * S, "has expired"),
        (KEY, NOW - AHEAD_NS_MAX - 1, "a time that has not come"),
    ],
)
def test_a_token_is_refused_with_another_key_and_out_of_its_time(key: bytes, at: int, why: str):
    with pytest.raises(BadToken, match=why):
        opened(sealed(TOKEN, KEY), key, at)


@given(st.integers(0, 300), st.characters(codec="utf-8"))
def test_a_token_with_any_other_character_is_refused(place: int, character: str):
    text = sealed(TOKEN, KEY)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(BadToken):
            opened(changed, KEY, NOW)


@given(st.text(max_size=100))
def test_junk_is_no_token(text: str):
    for each in (text, f"st1.{text}", f"st1.{text}.{text}"):
        with pytest.raises(BadToken):
            opened(each, KEY, NOW)


def test_a_token_of_a_form_that_comes_later_is_refused():
    class Later(SessionToken):
        pass

    payload = session_tokens.urlsafe_b64encode(b'{"user":7}').rstrip(b"=")
    with pytest.raises(BadToken, match="another release"):
        opened(f"st1.{payload.decode()}.{session_tokens._mac(payload, KEY)}", KEY, NOW)


def test_a_new_password_or_an_eviction_changes_the_fingerprint():
    found = {
        session_tokens.fingerprint(password, not_before)
        for password in ("", "scrypt:a", "scrypt:b")
        for not_before in (0, 1)
    }
    assert len(found) == 6


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b"", TokenRequest(TTL_S_MAX, None)),
        (b'{"ttl_s":5,"prefixes":["/a/","/b"]}', TokenRequest(5, ("/a/", "/b"))),
        (b'{"prefixes":[]}', TokenRequest(TTL_S_MAX, ())),
    ],
)
def test_a_request_names_its_time_and_its_prefixes(body: bytes, asked: TokenRequest):
    assert parse_request(body) == asked


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "truncated"),
        (b"\xff", "ttl_s"),
        (b'{"x":' + b"[" * 5000, "ttl_s"),
        (b'{"ttl_s":0}', "1 to 3600"),
        (b'{"ttl_s":3601}', "1 to 3600"),
        (b'{"ttl":5}', "unknown field"),
        (b'{"prefixes":["vulcand"]}', "write /vulcand"),
        (b'{"prefixes":[' + b",".join([b'"/a"'] * (PREFIXES_MAX + 1)) + b"]}", "33 prefixes"),
    ],
)
def test_a_wrong_request_is_answered_with_the_remedy(body: bytes, why: str):
    with pytest.raises(ValueError, match=why):
        parse_request(body)


def test_a_token_gets_none_that_lasts_longer_or_writes_more():
    parent = replace(TOKEN, prefixes=("/vulcand/",))
    asked = TokenRequest(TTL_S_MAX)
    found = issue("alice", asked, NOW + S, b"f", parent)
    assert (found.expires_ns, found.prefixes) == (parent.expires_ns, parent.prefixes)
    narrower = issue("alice", TokenRequest(5, ("/vulcand/a/",)), NOW, b"f", parent)
    assert (narrower.expires_ns, narrower.prefixes) == (NOW + 5 * S, ("/vulcand/a/",))
    for wider in ("/", "/vulcand2/", "/vulcan"):
        with pytest.raises(ValueError, match="may write below /vulcand/"):
            issue("alice", TokenRequest(5, (wider,)), NOW, b"f", parent)


def test_a_token_that_would_not_fit_into_a_field_is_refused():
    long = replace(TOKEN, prefixes=("/" + "x" * 5000,))
    with pytest.raises(ValueError, match="give fewer prefixes"):
        sealed(long, KEY)
