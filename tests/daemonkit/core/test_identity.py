"""SPIFFE ids and the identities that they name."""

import pytest

from daemonkit.core import identity
from daemonkit.core.identity import Identity


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("spiffe://prod/host/web3", "host:web3"),
        ("spiffe://prod/host/web3/skydns", "host:web3:skydns"),
        ("spiffe://prod.example.com/member/h1", "member:h1"),
        ("spiffe://prod/user/alice", "alice"),
        ("spiffe://prod/signer/alice", "signer:alice"),
    ],
)
def test_a_uri_is_an_identity_and_back(uri: str, user: str) -> None:
    found = identity.parse(uri)
    assert found is not None
    assert (found.uri, found.user) == (uri, user)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://prod/host/web3",
        "spiffe://prod/host",
        "spiffe://prod/host/",
        "spiffe://prod/host/web3/",
        "spiffe://prod/host/Web3",
        "spiffe://prod/host/../x",
        "spiffe://prod/host/a:b",
        "spiffe://prod/admin/alice",
        "spiffe://prod/user/alice/skydns",
        "spiffe://prod/host/web3\n",
        "spiffe://prod/host/web3/skydns/more",
        f"spiffe://prod/host/{'a' * 64}",
    ],
)
def test_what_is_no_identity_of_ours_is_none(uri: str) -> None:
    assert identity.parse(uri) is None


def test_a_name_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'-web' is no name"):
        Identity("prod", "host", "-web")
