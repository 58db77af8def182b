from collections import Counter

from vulcan.balance import RoundRobin


def test_every_server_gets_its_turn():
    turns = RoundRobin(5)
    assert Counter(turns.pick("abc") for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_the_first_turn_is_where_it_was_told():
    assert RoundRobin(1).pick("abc") == "b"


def test_another_server_is_one_that_was_not_tried():
    turns = RoundRobin(0)
    assert {turns.pick_other("abc", "a") for _ in range(4)} == {"b", "c"}
    assert turns.pick_other("abc", "cab") is None
