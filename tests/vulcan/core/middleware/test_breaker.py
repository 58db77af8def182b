"""The states of a circuit breaker."""

from vulcan.core.middleware.breaker import BreakerState, BreakerTiming, CircuitBreaker


def test_a_breaker_checks_its_condition_only_once_in_a_period():
    timing = BreakerTiming(1.0, 1.0, 0.1)
    made = CircuitBreaker(lambda window: window.total > 1, timing)
    assert made.record(0.0, 200, 0.0) is None
    assert made.record(0.05, 200, 0.0) is None, "it checks only once in a period"
    assert made.record(0.2, 200, 0.0) is BreakerState.TRIPPED
    assert made.window.total == 0
