"""Requests of the v3 API."""

from coordinator.client.core import v3_requests


def test_the_range_of_a_prefix_is_whole_segments() -> None:
    assert v3_requests.below("/app") == {"key": b"/app/", "range_end": b"/app0"}
    assert v3_requests.below("/") == {"key": b"/", "range_end": b"0"}
    assert v3_requests.at_and_below("/app") == {"key": b"/app", "range_end": b"/app0"}
    assert v3_requests.at_and_below("/") == v3_requests.below("/")
