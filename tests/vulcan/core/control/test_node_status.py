"""What nodes report of themselves, and how far each lags."""

from coordinator.client.core.store_protocol import Entry
from vulcan.core.control.node_status import TTL_S, NodeStatus, cluster_status, decode_statuses


def lags(*statuses: NodeStatus, newest: int = 0) -> dict[str, object]:
    found = cluster_status([(status, 0.0) for status in statuses], newest)
    return {str(each["Node"]): each["Lag"] for each in found}


def test_a_node_lags_behind_the_newest_change_that_any_node_has_applied():
    assert lags(NodeStatus("a", 12, 12), NodeStatus("b", 9, 9)) == {"a": 0, "b": 3}


def test_a_node_that_has_just_read_everything_makes_no_other_node_lag():
    assert lags(NodeStatus("a", 500, 12), NodeStatus("b", 12, 12), newest=12) == {"a": 0, "b": 0}


def test_all_nodes_lag_behind_a_key_that_none_has_applied():
    assert lags(NodeStatus("a", 5, 5), NodeStatus("b", 4, 4), newest=9) == {"a": 4, "b": 5}


def test_the_age_of_a_status_is_the_used_part_of_its_ttl():
    good = Entry("/s/a", '{"Node": "a", "Index": 3, "Changed": 2}', 1, 1, 1000.0 + TTL_S - 7)
    broken = Entry("/s/b", "{", 1, 1, None)
    assert decode_statuses([good, broken], 1000.0) == [(NodeStatus("a", 3, 2), 7.0)]
