"""A member's ids before it has a log."""

import pytest

from coordinator.core.cluster.initial_membership import BootstrapError, founder

MEMBERS = {"a": ["http://a:1"], "b": ["http://b:2", "http://b:1"]}


def test_every_founder_computes_the_same_cluster() -> None:
    a = founder(["http://a:1"], MEMBERS, "token")
    b = founder(["http://b:1", "http://b:2"], MEMBERS, "token")
    assert (a.cluster, a.peers, a.founders) == (b.cluster, b.peers, b.founders)
    assert a.founders[b.member] == ("http://b:1", "http://b:2")


def test_a_member_outside_the_initial_cluster_cannot_start() -> None:
    with pytest.raises(BootstrapError, match="no member with the peer URLs http://c:1"):
        founder(["http://c:1"], MEMBERS, "token")
