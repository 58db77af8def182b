"""How a target differs from a source."""

from coordinator.client.core.store_protocol import Entry, Listing
from coordinator.core.ctl.migration_plan import (
    EXPIRY_SLACK_S,
    OVERDUE_TTL_S,
    left_s,
    may_be_one_store,
    plan,
)


def test_two_stores_with_the_same_cluster_id_are_distinguished() -> None:
    file = Entry("/a", "1", 3, 3)
    full, empty = Listing("c", 3, (file,)), Listing("c", 3, ())
    assert not may_be_one_store(full, empty, full)
    assert may_be_one_store(full, full, full)
    assert may_be_one_store(full, Listing("c", 4, ()), Listing("c", 5, ()))
    assert not may_be_one_store(full, Listing("c", 9, (file,)), Listing("c", 5, ()))
    assert not may_be_one_store(full, Listing("other", 3, (file,)), full)


def test_a_plan_lists_the_differences() -> None:
    now_s = 1000.0
    ending = Entry("/e", "1", 1, 1, now_s + 10)
    source = [Entry("/a", "1", 1, 1), Entry("/b", "2", 2, 2), Entry("/c", "3", 3, 3), ending]
    near = Entry("/e", "1", 9, 9, now_s + 10 + EXPIRY_SLACK_S)
    target = [Entry("/a", "1", 7, 7), Entry("/b", "other", 8, 8), Entry("/d", "4", 9, 9), near]
    found = plan(source, target)
    assert ([each.key for each in found.new], found.extra, found.same) == (["/c"], ("/d",), 2)
    assert [each.key for each in found.changed] == ["/b"]
    assert (left_s(ending, now_s), left_s(ending, now_s + 20), left_s(source[0], 0)) == (
        10,
        OVERDUE_TTL_S,
        None,
    )
