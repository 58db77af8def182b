"""The order in which keys expire."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.store.ttl_heap import STALE_ENTRIES_MAX, TtlHeap


def drained(expiry: TtlHeap) -> list[tuple[int, bytes]]:
    order = []
    while first := expiry.first():
        order.append(first)
        expiry.drop(first[1])
    return order


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.integers(0, 5))))
def test_the_last_expiry_of_a_key_counts(expiries: list[tuple[bytes, int]]) -> None:
    expiry = TtlHeap()
    expected: dict[bytes, int] = {}
    for key, end in expiries:
        if end:
            expiry.put(key, end)
            expected[key] = end
        else:
            expiry.drop(key)
            expected.pop(key, None)
    assert len(expiry) == len(expected)
    assert drained(expiry) == sorted((end, key) for key, end in expected.items())


def test_a_key_refreshed_again_and_again_takes_bounded_memory() -> None:
    expiry = TtlHeap()
    expiry.put(b"other", 1)
    for end in range(1, 10 * STALE_ENTRIES_MAX):
        expiry.put(b"heartbeat", end)
        assert len(expiry._heap) <= 2 * len(expiry) + STALE_ENTRIES_MAX
    assert drained(expiry) == [(1, b"other"), (10 * STALE_ENTRIES_MAX - 1, b"heartbeat")]
