"""Pages of a listing by the v3 API."""

from coordinator.client.core.v3_responses import KeyValue, RangeResponse
from coordinator.client.v3 import v3_paging


def test_the_limit_of_a_page_follows_from_the_size_of_its_values() -> None:
    small = RangeResponse(kvs=(KeyValue(b"/a", b"1"),) * 500)
    large = RangeResponse(kvs=(KeyValue(b"/a", b"x" * v3_paging.PAGE_BYTES * 2),))
    assert v3_paging.next_limit(small) == v3_paging.PAGE_KEYS_MAX
    assert v3_paging.next_limit(large) == 1
