"""The list of revoked names."""

from dataclasses import replace

import pytest

from daemonkit.core.identity import Identity
from daemonkit.core.tls import revocations
from daemonkit.core.tls.certificate import Certificate
from daemonkit.core.tls.revocations import Revocations


def held(kind: str, name: str, daemon: str = "", made_s: float = 100.0) -> Certificate:
    who = Identity("test", kind, name, daemon)  # type: ignore[arg-type]
    return Certificate(who, "", frozenset(), made_s, 1e10)


@pytest.mark.parametrize(
    "holder",
    [held("host", "web3"), held("host", "web3", "skydns"), held("member", "web3")],
    ids=str,
)
def test_a_revoked_host_is_refused_with_all_that_it_runs(holder: Certificate) -> None:
    listed = revocations.read(b'{"identities": [{"name": "web3", "before": 100}]}')
    assert listed.is_revoked(holder)
    assert not listed.is_revoked(replace(holder, not_before_s=100.5))  # it has joined again
    assert not listed.is_revoked(held("host", "web4"))
    assert not listed.is_revoked(held("user", "web3"))  # another one of the same name


def test_a_revoked_user_is_refused_also_as_signer_and_no_host_of_the_name() -> None:
    text = b'{"identities": [{"name": "bob", "before": 100, "user": true}]}'
    listed = revocations.read(text)
    assert listed.is_revoked(held("user", "bob"))
    assert listed.is_revoked(held("signer", "bob"))
    assert not listed.is_revoked(held("host", "bob"))


def test_the_latest_of_several_entries_counts() -> None:
    text = (
        b'{"identities": [{"name": "a", "before": 200}, {"name": "a", "before": 50}], "future": 1}'
    )
    assert revocations.read(text).is_revoked(held("host", "a", made_s=150))


def test_a_certificate_without_an_identity_is_not_revoked() -> None:
    nobody = Certificate(None, "web3", frozenset(), 0, 1e10)
    assert not Revocations({"web3": 1e9}, {"web3": 1e9}).is_revoked(nobody)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b'{"identities": [{"name": "a"}]}', b'{"identities": {}}', b"\xff", b"[" * 99999],
)
def test_a_list_of_another_form_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        revocations.read(text)
