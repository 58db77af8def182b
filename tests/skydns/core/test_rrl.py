import pytest

from skydns.core.rrl import BUCKETS_MAX, WINDOW_S, Clients, RateLimit, Verdict, networks

HERE, THERE = bytes((10, 0, 0, 1)), bytes((10, 0, 1, 1))


def test_clients_are_known_by_their_networks() -> None:
    clients = Clients(("10.0.0.0/24", "2001:db8::/32"))
    assert HERE in clients
    assert THERE not in clients
    assert bytes.fromhex("20010db8") + bytes(12) in clients
    assert bytes(10) + b"\xff\xff" + HERE in clients
    assert b"" not in clients
    assert HERE in clients


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        networks(["10.0.0.1/8"])


def test_a_flood_is_cut_and_dropped_until_it_pauses() -> None:
    limit = RateLimit(10)
    verdicts = [limit.judge(HERE, b"q", 100.0) for _ in range(400)]
    assert verdicts[:10] == [Verdict.SEND] * 10
    assert set(verdicts[10:]) == {Verdict.CUT, Verdict.DROP}
    assert limit.judge(HERE, b"q", 100.0 + WINDOW_S / 2) is not Verdict.SEND
    assert limit.judge(HERE, b"q", 101.0 + WINDOW_S + 1) is Verdict.SEND


def test_other_answers_and_other_networks_are_not_held_to_account() -> None:
    limit = RateLimit(1)
    assert limit.judge(HERE, b"q", 0.0) is Verdict.SEND
    assert limit.judge(HERE, b"q", 0.0) is not Verdict.SEND
    assert limit.judge(HERE, b"other", 0.0) is Verdict.SEND
    assert limit.judge(THERE, b"q", 0.0) is Verdict.SEND
    assert limit.judge(bytes((10, 0, 0, 9)), b"q", 0.0) is not Verdict.SEND
    first = bytes.fromhex("20010db800000001") + bytes(8)
    near = bytes.fromhex("20010db8000000010000000000000001")
    assert limit.judge(first, b"q", 0.0) is Verdict.SEND
    assert limit.judge(near, b"q", 0.0) is not Verdict.SEND


def test_forged_sources_cost_bounded_memory() -> None:
    limit = RateLimit(1)
    for number in range(BUCKETS_MAX + 10):
        limit.judge(number.to_bytes(3, "big") + b"\0", b"q", 0.0)
    assert len(limit._buckets) == BUCKETS_MAX
