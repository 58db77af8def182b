"""Whose identity is that of a member of this fleet."""

import pytest

from coordinator.core.peer import peer_identity
from daemonkit.core.identity import parse
from daemonkit.core.tls.certificate import Certificate


@pytest.mark.parametrize(
    ("uri", "fleet", "why"),
    [
        ("spiffe://a/member/h1", "a", ""),
        ("spiffe://a/member/h1", "", ""),  # our own certificate has no identity
        ("", "a", ""),  # a certificate from before the fleet
        ("spiffe://b/member/h1", "a", "this member is of the fleet a"),
        ("spiffe://a/host/h1", "a", "no member of the store"),
        ("spiffe://a/host/h1/skydns", "", "no member of the store"),
        ("spiffe://a/user/h1", "a", "no member of the store"),
        ("spiffe://a/signer/h1", "a", "no member of the store"),
        ("spiffe://a/workload/h1", "a", "none of a fleet's"),
    ],
)
def test_only_members_of_the_fleet_are_peers(uri: str, fleet: str, why: str) -> None:
    holder = Certificate(parse(uri), "h1", frozenset(), 0, 1, claims_identity=bool(uri))
    found = peer_identity.problem(holder, fleet)
    assert why in found
    assert bool(why) == bool(found)
