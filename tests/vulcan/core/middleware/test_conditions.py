"""Failover predicates and breaker conditions."""

import pytest

from vulcan.core.balancing.sliding_window import SlidingWindow, bucket_of, quantile_s
from vulcan.core.middleware.conditions import (
    Attempt,
    compile_condition,
    compile_failover_predicate,
)


@pytest.mark.parametrize(
    ("text", "attempt", "holds"),
    [
        ("IsNetworkError() && Attempts() <= 2", (True, 2, 502, "GET"), True),
        ("IsNetworkError() && Attempts() <= 2", (True, 3, 502, "GET"), False),
        ('RequestMethod() == "GET" && ResponseCode() == 503', (False, 1, 503, "GET"), True),
        ('RequestMethod() == "GET" && ResponseCode() == 503', (False, 1, 503, "POST"), False),
        ("ResponseCode() >= 500 || IsNetworkError()", (False, 1, 404, "GET"), False),
        ("!(Attempts() < 3)", (False, 3, 200, "GET"), True),
    ],
)
def test_a_failover_predicate_decides_about_an_attempt(text, attempt, holds):
    assert compile_failover_predicate(text).holds(Attempt(*attempt)) is holds


def test_a_breaker_condition_covers_the_last_ten_seconds():
    window = SlidingWindow()
    for second, code in ((0, 500), (5, 200), (6, 500), (7, 502)):
        window.record(second, code, 0.1)
    assert compile_condition("ResponseCodeRatio(500, 600, 0, 600) > 0.7")(window)
    window.expire(10.5)
    assert window.total == 3
    assert compile_condition("NetworkErrorRatio() < 0.34 && RequestThreshold() == 3")(window)
    assert compile_condition("LatencyAtQuantileMS(50.0) >= 100")(window)
    assert not compile_condition("LatencyAtQuantileMS(50.0) > 125")(window)


@pytest.mark.parametrize("latency_s", [0.0, 1e-6, 3e-6, 4e-6, 9e-6, 1e-3, 0.123, 9.9, 400.0])
def test_a_latency_quantile_is_at_most_a_quarter_too_high(latency_s: float):
    shown = quantile_s({bucket_of(latency_s): 1}, 0.5)
    assert latency_s <= shown <= latency_s * 1.26 + 1e-6
