"""The ids of members and clusters are those of etcd."""

import pytest

from coordinator.core.cluster.ids import cluster_id, member_id, parse_initial_cluster


def test_the_default_member_and_cluster_have_etcds_ids() -> None:
    member = member_id(["http://localhost:2380"], "etcd-cluster")
    assert f"{member:x}" == "8e9e05c52164694d"
    assert f"{cluster_id([member]):x}" == "cdf818194e3a8c32"


def test_the_order_of_urls_and_members_does_not_matter() -> None:
    assert member_id(["http://b:1", "http://a:1"], "t") == member_id(
        ["http://a:1", "http://b:1"], "t"
    )
    assert cluster_id([1, 2, 3]) == cluster_id([3, 1, 2])


def test_clusters_with_equal_urls_and_different_tokens_have_different_ids() -> None:
    assert member_id(["http://a:1"], "t") != member_id(["http://a:1"], "u")


def test_a_member_with_several_urls_is_named_several_times() -> None:
    assert parse_initial_cluster("a=http://x:1,b=http://y:1,a=http://x:2") == {
        "a": ["http://x:1", "http://x:2"],
        "b": ["http://y:1"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("a", "'a' is not"), ("a=", "'a='"), ("=http://x", "NAME=URL"), ("a=x,b=x", "given twice")],
)
def test_a_malformed_initial_cluster_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_initial_cluster(text)
